#include "replication/replica_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {
namespace {

constexpr int64_t kCommitStartUs = 5'000;
constexpr int64_t kHeardWithinUs = 1'000'000;  // api.md: no majority heard for 1 s
constexpr int64_t kSuspectAfterUs = 600'000;   // three heartbeats
constexpr size_t kRecentBytesMax = 1 << 20;    // per shard
constexpr uint32_t kHopsMax = 2;
constexpr int64_t kBarrierTickUs = 5'000;
constexpr int kIncarnationRandomBits = 20;
constexpr std::string_view kRetiredName = "retired";

}  // namespace

Replica::State::State(ReplicaOptions replica_options, ReplicaPorts replica_ports)
    : options(std::move(replica_options)),
      ports(replica_ports),
      commit_us(kCommitStartUs),
      store_(*ports.engine) {
  std::sort(options.members.begin(), options.members.end());
  for (ReplicaId member : options.members) {
    if (member != options.self) peers_[member];
    health_.push_back({member, member == options.self, false});
  }
  if (ports.metrics != nullptr) {
    entries_ = &ports.metrics->counter("paxledger_log_entries_total");
    commands_ = &ports.metrics->counter("paxledger_log_commands_total");
  }
}

Replica::State::Shard& Replica::State::At(ShardId shard) {
  Check(shard.value < shards_.size(), "a shard id is below the number of shards");
  return shards_[shard.value];
}
const Replica::State::Shard& Replica::State::At(ShardId shard) const {
  Check(shard.value < shards_.size(), "a shard id is below the number of shards");
  return shards_[shard.value];
}

// --- recovery -------------------------------------------------------------------------------------------------------

absl::Status Replica::State::Recover(const std::function<StateMachine&(ShardId)>& machine,
                                     absl::AnyInvocable<void()> ready) {
  absl::StatusOr<uint64_t> gone = store_.ReadNumber(kRetiredName);
  if (!gone.ok()) return gone.status();
  if (*gone != 0) {
    return absl::DataLossError(
        "this data directory lost records that its replica had promised to keep, or is an old copy of one: "
        "its votes "
        "cannot be trusted, and the replica may not run from it (consensus.md rule 18)");
  }
  absl::StatusOr<uint64_t> last = store_.ReadNumber("incarnation");
  if (!last.ok()) return last.status();
  incarnation = Incarnation{(((*last >> kIncarnationRandomBits) + 1) << kIncarnationRandomBits) |
                            ports.random->Below(uint64_t{1} << kIncarnationRandomBits)};
  for (auto& [id, peer] : peers_) {
    absl::StatusOr<uint64_t> seen = store_.ReadNumber(absl::StrCat("peer/", id.value));
    if (!seen.ok()) return seen.status();
    admitted_[id] = *seen;
  }
  shards_.resize(options.shards);
  for (uint32_t i = 0; i < options.shards; ++i) {
    shards_[i].id = ShardId{i};
    absl::Status status = RecoverShard(shards_[i], machine(ShardId{i}));
    if (!status.ok()) return status;
  }
  EngineBatch batch;
  LogStore::AddNumber("incarnation", incarnation.value, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, [this, ready = std::move(ready)]() mutable {
    ready_ = true;
    ready();
    Wake();
  });
  return absl::OkStatus();
}

absl::Status Replica::State::RecoverShard(Shard& shard, StateMachine& machine) {
  shard.machine = &machine;
  shard.applied = machine.applied();
  absl::StatusOr<RecoveredLog> log = store_.Recover(shard.id, shard.applied, options.genesis);
  if (!log.ok()) return log.status();
  shard.log = std::make_unique<ShardLog>(
      ShardLogOptions{shard.id, options.self, incarnation, options.members, options.genesis}, *ports.random);
  shard.barrier = std::make_unique<Barrier>(shard.id, options.members.size());
  shard.log->RestoreChosen(log->chosen, log->owner, log->digest);
  for (RecoveredLog::Row& row : log->above) {
    shard.log->RestoreRecord(row.index, row.record, std::move(row.value));
  }
  return Replay(shard, log->chosen);
}

absl::Status Replica::State::Replay(Shard& shard, LogIndex through) {
  while (shard.applied < through) {
    LogIndex index = Next(shard.applied);
    absl::StatusOr<SharedBytes> value = store_.ReadValue(shard.id, index);
    if (!value.ok()) {
      return absl::DataLossError(absl::StrCat("shard ", shard.id.value, ": chosen entry ", index.value,
                                              " cannot be replayed: ", value.status().message()));
    }
    ApplyOne(shard, {index, *value, Sha256(**value)});
  }
  return absl::OkStatus();
}

// --- events ---------------------------------------------------------------------------------------------------------

Moment Replica::State::Now() const {
  Moment moment;
  moment.now_us = ports.clock->MonotonicMicros();
  moment.wall_us = ports.clock->WallMicros();
  moment.stamp_max_us = moment.wall_us + median_clock_offset_us_ + limits::kClockSkewMaxUs;
  moment.round_trip_us = std::max(commit_us, read_round_us_);
  return moment;
}

void Replica::State::Step(Shard& shard, const ShardLogEvent& event) {
  Effects effects = shard.log->Step(event, Now());
  Check(effects.fatal.empty(),
        effects.fatal);  // rule 8: nothing that this process holds can be trusted any more
  for (const RecordWrite& write : effects.persist) {
    LogStore::Add(shard.id, write, batch_);
    batch_persisted_.push_back({shard.id, event::Persisted{write.index, write.serial}});
    if (write.record.accepted.replica() == options.self && shard.proposed_at_us == 0) {
      shard.proposed_at_us = ports.clock->MonotonicMicros();
    }
  }
  for (OutgoingPaxos& out : effects.send) ports.transport->Send(out.to, std::move(out.message));
  for (ChosenEntry& entry : effects.apply) shard.to_apply.push_back(std::move(entry));
  for (PendingCommand& command : effects.returned) Route(shard.id, std::move(command), 0);
  if (effects.fetch.has_value()) {
    ports.transport->Send(effects.fetch->from,
                          FetchRequest{shard.id, effects.fetch->first, effects.fetch->last});
  }
  // The least: a busy shard must not push the tick of a barrier, or of a retransmission, away for ever.
  shard.wake_at_us = std::min(shard.wake_at_us, effects.wake_at_us);
  if (!shard.log->voting() && !retired_) Retire([] {});
  FlushSoon();
}

void Replica::State::Handle(ReplicaId from, PaxosMessage& message) {
  if (!ready_ || message.shard.value >= shards_.size()) return;
  Step(At(message.shard), event::Received{from, std::move(message)});
}

void Replica::State::Handle(ReplicaId from, FetchRequest& request) {
  if (!ready_ || request.shard.value >= shards_.size()) return;
  const Shard& shard = At(request.shard);
  FetchAnswer answer;
  answer.shard = request.shard;
  size_t bytes = 0;
  for (LogIndex i = request.from; i <= request.to && i <= shard.applied && bytes < limits::kFetchBytesMax &&
                                  answer.entries.size() < limits::kFetchEntriesMax;
       i = Next(i)) {
    absl::StatusOr<SharedBytes> value = ReadEntry(request.shard, i);
    if (!value.ok()) break;
    bytes += (*value)->size();
    answer.entries.push_back({i, *std::move(value)});
  }
  if (!answer.entries.empty()) ports.transport->Send(from, std::move(answer));
}

void Replica::State::Handle(ReplicaId, FetchAnswer& answer) {
  if (!ready_ || answer.shard.value >= shards_.size()) return;
  Step(At(answer.shard), event::Learned{std::move(answer.entries)});
}

void Replica::State::Handle(ReplicaId from, BarrierRequest& request) {
  if (!ready_ || request.shard.value >= shards_.size()) return;
  const Shard& shard = At(request.shard);
  std::optional<LogIndex> own = OwnBarrierAnswer(shard);
  if (!own.has_value()) return;
  ports.transport->Send(from, BarrierAnswer{request.shard, request.round, *own, shard.log->chosen()});
}

void Replica::State::Handle(ReplicaId from, BarrierAnswer& answer) {
  if (!ready_ || answer.shard.value >= shards_.size()) return;
  auto member = std::find(options.members.begin(), options.members.end(), from);
  if (member == options.members.end()) return;
  Shard& shard = At(answer.shard);
  if (shard.barrier_sent_at_us != 0) {
    int64_t took_us = ports.clock->MonotonicMicros() - std::exchange(shard.barrier_sent_at_us, 0);
    read_round_us_ += (std::min<int64_t>(took_us, 1'000'000) - read_round_us_) / 4;
  }
  if (answer.chosen > shard.log->chosen()) Step(shard, event::ToldChosen{from, answer.chosen});
  RunBarrier(shard,
             shard.barrier->Answer(static_cast<size_t>(member - options.members.begin()), answer,
                                   OwnBarrierAnswer(shard), shard.applied, ports.clock->MonotonicMicros()));
}

void Replica::State::Handle(ReplicaId, ForwardedCommands& forwarded) {
  if (!ready_ || forwarded.shard.value >= shards_.size()) return;
  Shard& shard = At(forwarded.shard);
  for (SharedBytes& bytes : forwarded.commands) {
    PendingCommand command{std::move(bytes), forwarded.urgency, forwarded.hops + 1};
    Owner owner = shard.log->owner();
    bool elsewhere = owner.replica != ReplicaId{} && owner.replica != options.self && command.hops < kHopsMax;
    if (elsewhere) {
      Route(shard.id, std::move(command), 0);
    } else {
      shard.proposals.push_back(std::move(command));
    }
  }
}

void Replica::State::Handle(ReplicaId from, AppMessage& message) {
  if (ready_ && app_handler) app_handler(from, std::move(message));
}

// --- routing --------------------------------------------------------------------------------------------------------

absl::Status Replica::State::Submit(ShardId shard, MachineId machine, std::string_view bytes, Urgency urgency,
                                    uint32_t attempt) {
  if (!HasQuorum()) return absl::UnavailableError("no majority of data centres was heard for a second");
  if (At(shard).log->queued_bytes() > limits::kShardQueueBytesMax) {
    return absl::ResourceExhaustedError("the proposal queue of the shard is full");
  }
  PendingCommand command;
  command.bytes = std::make_shared<const std::string>(EncodeCommand(machine, bytes));
  command.urgency = urgency;
  Route(shard, std::move(command), attempt);
  FlushSoon();
  return absl::OkStatus();
}

void Replica::State::Route(ShardId id, PendingCommand command, uint32_t attempt) {
  Shard& shard = At(id);
  ReplicaId to = ChooseProposer(id, shard.log->owner(), health_, options.self, attempt);
  if (to == options.self || command.hops >= kHopsMax) {
    shard.proposals.push_back(std::move(command));
  } else {
    Forward(to, id, std::move(command));
  }
}

void Replica::State::Forward(ReplicaId to, ShardId shard, PendingCommand command) {
  uint64_t group = (uint64_t{shard.value} << 8) | (uint64_t{command.hops & 0x7f} << 1) |
                   static_cast<uint64_t>(command.urgency);
  ForwardedCommands& forwarded = forwards_[{to, group}];
  forwarded.shard = shard;
  forwarded.hops = command.hops;
  forwarded.urgency = command.urgency;
  forwarded.commands.push_back(std::move(command.bytes));
}

void Replica::State::UpdateHealth() {
  int64_t now_us = ports.clock->MonotonicMicros();
  bool lost = false;
  for (MemberHealth& member : health_) {
    if (member.replica == options.self) continue;
    MemberHealth before = member;
    member.up = ports.transport->IsUp(member.replica);
    member.suspected = now_us - peers_.at(member.replica).heard_at_us > kSuspectAfterUs;
    lost = lost || (before.up && !member.up) || (member.up && !before.suspected && member.suspected);
  }
  if (lost && peer_lost_handler) peer_lost_handler();
}

bool Replica::State::HasQuorum() const {
  int64_t now_us = ports.clock->MonotonicMicros();
  size_t heard = 1;
  for (const auto& [id, peer] : peers_) {
    if (peer.heard_at_us != 0 && now_us - peer.heard_at_us <= kHeardWithinUs) ++heard;
  }
  return ready_ && heard >= options.members.size() / 2 + 1;
}

// --- a turn's end ---------------------------------------------------------------------------------------------------

void Replica::State::FlushSoon() {
  flush_wanted_ = true;
  if (flush_posted_ || flushing_) return;
  flush_posted_ = true;
  ports.executor->Post([this] {
    flush_posted_ = false;
    if (flush_wanted_) Flush();
  });
}

void Replica::State::Flush() {
  if (flushing_) return;
  flushing_ = true;
  ProposeGathered();
  SendForwards();
  WriteGathered();
  ports.transport->Flush();
  flush_wanted_ = false;
  ApplyGathered();
  flushing_ = false;
  // Applying may have answered reads or returned commands: their effects leave in a turn of their own.
  if (flush_wanted_) FlushSoon();
  ArmTimer();
}

void Replica::State::ProposeGathered() {
  for (Shard& shard : shards_) {
    if (shard.proposals.empty()) continue;
    event::Proposed proposed{std::move(shard.proposals)};
    shard.proposals.clear();
    Step(shard, proposed);
  }
}

void Replica::State::SendForwards() {
  for (auto& [key, forwarded] : forwards_) ports.transport->Send(key.first, std::move(forwarded));
  forwards_.clear();
}

void Replica::State::WriteGathered() {
  if (batch_.empty()) return;
  EngineBatch batch = std::exchange(batch_, EngineBatch());
  auto persisted = std::exchange(batch_persisted_, {});
  uint64_t number = ++batches_written_;
  ports.engine->Write(std::move(batch), Durability::kSync, [this, number, persisted = std::move(persisted)] {
    batches_done_ = number;
    for (const auto& [shard, e] : persisted) Step(At(shard), e);
    Flush();
  });
}

void Replica::State::ApplyGathered() {
  for (Shard& shard : shards_) {
    if (shard.to_apply.empty()) continue;
    while (!shard.to_apply.empty()) {
      ChosenEntry entry = std::move(shard.to_apply.front());
      shard.to_apply.pop_front();
      ApplyOne(shard, entry);
    }
    RunBarrier(shard, shard.barrier->Chosen(shard.applied));
  }
}

void Replica::State::ApplyOne(Shard& shard, const ChosenEntry& entry) {
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(*entry.value);
  Check(envelope.ok(), "a chosen value is an envelope of a version that this build knows");
  shard.machine->Apply(entry.index, *envelope, entry.digest);
  shard.applied = entry.index;
  shard.recent.push_back({entry.index, entry.value, batches_written_});
  shard.recent_bytes += entry.value->size();
  // Until its row is readable an entry stays: the disk may still hold another value that was accepted at its index.
  while (shard.recent_bytes > kRecentBytesMax && shard.recent.front().batch <= batches_done_) {
    shard.recent_bytes -= shard.recent.front().value->size();
    shard.recent.pop_front();
  }
  if (shard.proposed_at_us != 0) {
    int64_t took_us = ports.clock->MonotonicMicros() - shard.proposed_at_us;
    shard.proposed_at_us = 0;
    commit_us += (std::min<int64_t>(took_us, 1'000'000) - commit_us) / 8;
  }
  if (entries_ != nullptr && ready_) {
    entries_->Add();
    commands_->Add(envelope->commands.size());
  }
}

absl::StatusOr<SharedBytes> Replica::State::ReadEntry(ShardId id, LogIndex index) const {
  const Shard& shard = At(id);
  if (index > shard.applied) return absl::NotFoundError("the entry is not chosen here yet");
  if (!shard.recent.empty() && index >= shard.recent.front().index) {
    return shard.recent[index.value - shard.recent.front().index.value].value;
  }
  return store_.ReadValue(id, index);
}

// --- reads ----------------------------------------------------------------------------------------------------------

std::optional<LogIndex> Replica::State::OwnBarrierAnswer(const Shard& shard) const {
  if (!shard.log->voting()) return std::nullopt;
  return shard.log->HighestDurable();
}

void Replica::State::RunBarrier(Shard& shard, BarrierEffects effects) {
  if (effects.broadcast.has_value()) {
    shard.barrier_sent_at_us = ports.clock->MonotonicMicros();
    for (const auto& [peer, unused] : peers_) ports.transport->Send(peer, *effects.broadcast);
    FlushSoon();
  }
  for (ReadTicket ticket : effects.ready) AnswerRead(ticket, shard.applied);
  if (!shard.barrier->quiet()) {
    shard.wake_at_us = std::min(shard.wake_at_us, ports.clock->MonotonicMicros() + kBarrierTickUs);
    ArmTimer();
  }
}

void Replica::State::AnswerRead(ReadTicket ticket, absl::StatusOr<LogIndex> result) {
  auto it = reads_.find(ticket);
  if (it == reads_.end()) return;
  WaitingRead read = std::move(it->second);
  reads_.erase(it);
  ports.executor->Cancel(read.timer);
  At(read.shard).barrier->Cancel(ticket);
  read.done.Set(std::move(result));
}

Task<absl::StatusOr<LogIndex>> Replica::State::ReadBarrier(ShardId id, Deadline deadline) {
  if (!HasQuorum()) co_return absl::UnavailableError("no majority of data centres was heard for a second");
  int64_t now_us = ports.clock->MonotonicMicros();
  if (deadline.Passed(now_us))
    co_return absl::DeadlineExceededError("the deadline passed before the read began");
  ReadTicket ticket = next_ticket_++;
  Completion<absl::StatusOr<LogIndex>> done(*ports.executor);
  TimerId timer = ports.executor->After(absl::Microseconds(deadline.monotonic_us - now_us), [this, ticket] {
    AnswerRead(ticket, absl::DeadlineExceededError("no majority answered the read in time"));
  });
  reads_.emplace(ticket, WaitingRead{done, id, timer});
  Shard& shard = At(id);
  RunBarrier(shard, shard.barrier->Read(ticket, OwnBarrierAnswer(shard), shard.applied, now_us));
  absl::StatusOr<LogIndex> index = co_await done;
  co_return index;
}

// --- time -----------------------------------------------------------------------------------------------------------

void Replica::State::Wake() {
  ports.executor->Cancel(std::exchange(timer_, 0));
  armed_at_us_ = INT64_MAX;
  if (!ready_) return;
  UpdateHealth();
  int64_t now_us = ports.clock->MonotonicMicros();
  for (Shard& shard : shards_) {
    if (shard.wake_at_us > now_us) continue;
    shard.wake_at_us = INT64_MAX;
    Step(shard, event::Tick{});
    if (shard.barrier->quiet()) continue;
    RunBarrier(shard, shard.barrier->Tick(now_us, std::max<int64_t>(60'000, 4 * commit_us)));
    // Rule 11: an undecided index is completed by the reader only after at least two round trips.
    std::optional<LogIndex> overdue =
        shard.barrier->Overdue(now_us - std::max<int64_t>(20'000, 2 * std::max(commit_us, read_round_us_)));
    if (overdue.has_value()) Step(shard, event::CompletionWanted{*overdue});
  }
  Flush();
}

void Replica::State::ArmTimer() {
  int64_t wake_at_us = INT64_MAX;
  for (const Shard& shard : shards_) wake_at_us = std::min(wake_at_us, shard.wake_at_us);
  if (wake_at_us >= armed_at_us_) return;
  armed_at_us_ = wake_at_us;
  int64_t delay_us = std::max<int64_t>(1'000, wake_at_us - ports.clock->MonotonicMicros());
  ports.executor->Cancel(timer_);
  timer_ = ports.executor->After(absl::Microseconds(delay_us), [this] { Wake(); });
}

// --- peers ----------------------------------------------------------------------------------------------------------

void Replica::State::OnPeerUp(ReplicaId peer, Incarnation peer_incarnation) {
  peers_[peer].incarnation = peer_incarnation;
  peers_[peer].heard_at_us = ports.clock->MonotonicMicros();
  UpdateHealth();
  if (!ready_) return;
  for (Shard& shard : shards_) Step(shard, event::PeerUp{peer});
}

// Rule 18: what one shard noticed holds for the whole disk, and for every process that starts from it.
void Replica::State::Retire(absl::AnyInvocable<void()> done) {
  retired_ = true;
  EngineBatch batch;
  LogStore::AddNumber(kRetiredName, 1, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, std::move(done));
  for (Shard& shard : shards_) Step(shard, event::Retired{});
}

void Replica::State::OnPeerDown(ReplicaId peer) {
  peers_[peer].heard_at_us = 0;
  UpdateHealth();
}

void Replica::State::OnPeerClock(ReplicaId id, int64_t wall_us) {
  Peer& peer = peers_[id];
  peer.heard_at_us = ports.clock->MonotonicMicros();
  peer.clock_offset_us = wall_us - ports.clock->WallMicros();
  peer.clock_known = true;
  UpdateClockOffset();
  UpdateHealth();
}

void Replica::State::UpdateClockOffset() {
  std::vector<int64_t> offsets{0};
  for (const auto& [id, peer] : peers_) {
    if (peer.clock_known) offsets.push_back(peer.clock_offset_us);
  }
  // The lower median: with two clocks the slower one counts, so that a fast clock alone never pulls the log ahead.
  auto middle = offsets.begin() + static_cast<std::ptrdiff_t>((offsets.size() - 1) / 2);
  std::nth_element(offsets.begin(), middle, offsets.end());
  median_clock_offset_us_ = *middle;
}

int64_t Replica::State::ClockOffsetMicros() const { return -median_clock_offset_us_; }

void Replica::State::AdmitPeer(ReplicaId peer, Incarnation peer_incarnation,
                               absl::AnyInvocable<void(bool)> admitted) {
  auto it = admitted_.find(peer);
  uint64_t seen = it == admitted_.end() ? 0 : it->second;
  bool same_process = seen == peer_incarnation.value;
  bool newer = (peer_incarnation.value >> kIncarnationRandomBits) > (seen >> kIncarnationRandomBits);
  if (it == admitted_.end() || (!same_process && !newer)) {
    ports.executor->Post([admitted = std::move(admitted)]() mutable { admitted(false); });
    return;
  }
  it->second = peer_incarnation.value;
  EngineBatch batch;
  LogStore::AddNumber(absl::StrCat("peer/", peer.value), peer_incarnation.value, batch);
  ports.engine->Write(std::move(batch), Durability::kSync,
                      [admitted = std::move(admitted)]() mutable { admitted(true); });
}

ShardStatus Replica::State::Status(ShardId id) const {
  const Shard& shard = At(id);
  return {shard.applied, shard.log->highest_seen(), shard.log->owner(), shard.log->voting()};
}

void Replica::State::HandOver() {
  size_t turn = 0;
  for (Shard& shard : shards_) {
    if (!shard.log->owns_next()) continue;
    std::vector<Owner> heirs;
    for (const auto& [id, peer] : peers_) {
      if (ports.transport->IsUp(id)) heirs.push_back({id, peer.incarnation});
    }
    if (heirs.empty()) return;
    Step(shard, event::HandOver{heirs[turn++ % heirs.size()]});
  }
}

bool Replica::State::Idle() const {
  for (const Shard& shard : shards_) {
    if (!shard.log->idle() || !shard.proposals.empty() || !shard.to_apply.empty()) return false;
  }
  return forwards_.empty();
}

}  // namespace paxledger
