#include "replication/replica_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/planted.h"

namespace paxledger {
namespace {

constexpr int64_t kCommitStartUs = 5'000;
constexpr size_t kRecentBytesMax = 1 << 20;  // per shard
constexpr int64_t kBackloggedTickUs = 100'000;
constexpr int64_t kFrozenTickUs = 10'000;

std::vector<ReplicaId> PeersOf(const ReplicaOptions& options) {
  std::vector<ReplicaId> peers = options.members;
  std::erase(peers, options.self);
  return peers;
}

}  // namespace

Replica::State::State(ReplicaOptions replica_options, ReplicaPorts replica_ports)
    : options(std::move(replica_options)),
      ports(replica_ports),
      commit_us(kCommitStartUs),
      store_(*ports.engine),
      disk_(options.self, PeersOf(options), *ports.engine, *ports.transport, ports.metrics),
      router_(options.self, options.members, options.shards),
      row_source_(ports, RowSourceHost(), options.catch_up.part_bytes),
      backfill_(ports, BackfillHost(), options.catch_up),
      entries_wanted_(ports, [this](ShardId shard) { return LivingHostsOf(shard); }),
      scrub_(ports, ScrubHost(), options.shards, options.catch_up.scrub_bytes_per_second) {
  std::sort(options.members.begin(), options.members.end());
  Check(options.placement.empty() || options.placement.size() == options.shards,
        "the creation document places every shard");
  Check(options.routing.empty() || options.routing.size() == options.shards,
        "the creation document says of every shard how it is routed");
  for (ReplicaId member : options.members) {
    if (member != options.self) peers_[member];
  }
  shards_.resize(options.shards);
  for (uint32_t i = 0; i < options.shards; ++i) {
    shards_[i].id = ShardId{i};
    shards_[i].heard.members.members = options.placement.empty() ? options.members : options.placement[i];
    router_.SetMembers(ShardId{i}, shards_[i].heard.members.members);
    if (!options.routing.empty()) router_.SetRouting(ShardId{i}, options.routing[i]);
  }
  if (ports.metrics != nullptr) {
    entries_ = &ports.metrics->counter("paxledger_log_entries_total");
    commands_ = &ports.metrics->counter("paxledger_log_commands_total");
    // Shown as 0 from the start, so that an alarm on them has something to look at.
    for (const char* name : {"paxledger_log_rows_damaged_total", "paxledger_log_rows_repaired_total",
                             "paxledger_states_damaged_total"}) {
      ports.metrics->counter(name);
    }
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

// --- events ---------------------------------------------------------------------------------------------------------

Moment Replica::State::Now(const Shard& shard) const {
  Moment moment;
  moment.now_us = ports.clock->MonotonicMicros();
  moment.wall_us = ports.clock->WallMicros();
  moment.stamp_max_us = moment.wall_us + median_clock_offset_us_ + limits::kClockSkewMaxUs;
  moment.round_trip_us = std::max(commit_us, MajorityRoundTrip(shard.log->configuration()));
  return moment;
}

void Replica::State::Step(Shard& shard, const ShardLogEvent& event) {
  if (shard.log == nullptr) return;
  if (shard.catch_up.frozen) {
    // Messages may be lost, and time comes again; what is durable must be told.
    if (const auto* persisted = std::get_if<event::Persisted>(&event)) {
      shard.catch_up.held_back.push_back(*persisted);
    }
    shard.wake_at_us = std::min(shard.wake_at_us, ports.clock->MonotonicMicros() + kFrozenTickUs);
    return;
  }
  Effects effects = shard.log->Step(event, Now(shard));
  Check(effects.fatal.empty(),
        effects.fatal);  // rule 8: nothing that this process holds can be trusted any more
  for (const RecordWrite& write : effects.persist) {
    LogStore::Add(shard.id, write, batch_);
    batch_persisted_.push_back({shard.id, shard.life, event::Persisted{write.index, write.serial}});
    if (write.record.accepted.replica() == options.self && shard.proposed_at_us == 0) {
      shard.proposed_at_us = ports.clock->MonotonicMicros();
    }
  }
  for (OutgoingPaxos& out : effects.send) ports.transport->Send(out.to, std::move(out.message));
  for (ChosenEntry& entry : effects.apply) shard.to_apply.push_back({std::move(entry), batches_written_ + 1});
  for (PendingCommand& command : effects.returned) {
    // Rule 13: they go to the winner, however far they came; kept here they would make the two duel on. It is no circle, for
    // each time the log went on.
    command.hops = 0;
    Route(shard.id, std::move(command), 0);
  }
  if (effects.fetch.has_value()) FetchFrom(shard, *effects.fetch);
  router_.SetOwner(shard.id, shard.log->owner().replica, shard.log->chosen());
  // The least: a busy shard must not push the tick of a barrier, or of a retransmission, away for ever.
  shard.wake_at_us = std::min(shard.wake_at_us, effects.wake_at_us);
  if (!shard.log->voting() && !retired_) Retire([] {});
  if (shard.members_since != shard.log->configuration().since) TellOfChange(shard);
  FlushSoon();
}

// Where what waits for the disk has reached its bound, messages that must be written are as good as lost: the others carry
// on, and what was chosen meanwhile is fetched.
void Replica::State::Handle(ReplicaId from, PaxosMessage& message) {
  if (!ready_ || disk_.backlogged() || message.shard.value >= shards_.size()) return;
  router_.NoteChosenAt(message.shard, from, message.chosen);
  Step(At(message.shard), event::Received{from, std::move(message)});
}

// One piece in a turn: who comes back asks for all its shards at once, and those who go on must not stand still for it.
void Replica::State::Handle(ReplicaId from, FetchRequest& request) {
  if (!ready_ || request.shard.value >= shards_.size()) return;
  bool first = fetches_.empty();
  LogIndex single = request.from == request.to ? request.from : LogIndex{};
  fetches_.insert_or_assign(FetchName(from, request.shard, single), request);
  if (first) ports.executor->Post([this] { AnswerNextFetch(); });
}

void Replica::State::AnswerNextFetch() {
  auto next = fetches_.upper_bound(fetch_answered_);
  if (next == fetches_.end()) next = fetches_.begin();
  if (next == fetches_.end()) return;
  fetch_answered_ = next->first;
  FetchRequest request = next->second;
  fetches_.erase(next);
  AnswerFetch(std::get<ReplicaId>(fetch_answered_), request);
  FlushSoon();
  if (!fetches_.empty()) ports.executor->Post([this] { AnswerNextFetch(); });
}

void Replica::State::AnswerFetch(ReplicaId from, const FetchRequest& request) {
  Shard& shard = At(request.shard);
  if (shard.log == nullptr) return;
  FetchAnswer answer;
  answer.shard = request.shard;
  answer.from = request.from;
  size_t bytes = 0;
  for (LogIndex i = request.from; i <= request.to && i <= shard.applied && bytes < limits::kFetchBytesMax &&
                                  answer.entries.size() < limits::kFetchEntriesMax;
       i = Next(i)) {
    absl::StatusOr<SharedBytes> value = ReadEntry(request.shard, i);
    if (!value.ok()) RepairEntry(shard, i, value.status());
    if (!value.ok()) break;
    bytes += (*value)->size();
    answer.entries.push_back({i, *std::move(value)});
  }
  LogIndex known = shard.catch_up.suspended ? shard.log->chosen() : shard.applied;
  answer.lacks = answer.entries.empty() && request.from <= known;
  // Nothing follows: that is an answer too, so that a learner knows when to ask again.
  ports.transport->Send(from, std::move(answer));
}

void Replica::State::Handle(ReplicaId from, FetchAnswer& answer) {
  if (!ready_ || disk_.backlogged() || answer.shard.value >= shards_.size()) return;
  Shard& shard = At(answer.shard);
  size_t entries = answer.entries.size();
  entries_wanted_.Handle(answer);
  NoteFetched(shard, from, answer);
  Step(shard, event::Learned{std::move(answer.entries)});
  if (shard.log == nullptr) return;
  NoteLevel(shard);
  LearnOn(shard, entries);
}

void Replica::State::Handle(ReplicaId from, BarrierRequest& request) {
  if (!ready_ || request.shard.value >= shards_.size()) return;
  const Shard& shard = At(request.shard);
  if (shard.log == nullptr) return;
  std::optional<LogIndex> own = OwnBarrierAnswer(shard);
  if (!own.has_value()) return;
  ports.transport->Send(from, BarrierAnswer{request.shard, request.round, *own, shard.log->chosen()});
}

void Replica::State::Handle(ReplicaId from, BarrierAnswer& answer) {
  if (!ready_ || answer.shard.value >= shards_.size()) return;
  Shard& shard = At(answer.shard);
  if (shard.log == nullptr) return;
  router_.NoteChosenAt(answer.shard, from, answer.chosen);
  if (answer.chosen > shard.log->chosen()) Step(shard, event::ToldChosen{from, answer.chosen});
  RunBarrier(shard, shard.barrier->Answer(from, answer, LocalOf(shard)));
}

void Replica::State::Handle(ReplicaId from, DiskNotice& notice) {
  disk_.Heard(from, notice, ports.clock->MonotonicMicros());
  UpdateHealth();
}

void Replica::State::Handle(ReplicaId from, ForwardedCommands& forwarded) {
  if (!ready_ || disk_.backlogged() || forwarded.shard.value >= shards_.size()) return;
  Shard& shard = At(forwarded.shard);
  // What is not known here yet may say that the next index is this replica's. To send the commands back would make the two
  // duel; in the queue they wait until it is known, and go on to the owner if it is another.
  bool behind = shard.log != nullptr && shard.log->chosen() < forwarded.chosen;
  if (behind) Step(shard, event::ToldChosen{from, forwarded.chosen});
  for (SharedBytes& bytes : forwarded.commands) {
    PendingCommand command{std::move(bytes), forwarded.urgency, behind ? kHopsMax : forwarded.hops + 1};
    if (shard.log == nullptr || !shard.log->may_vote()) {
      RouteElsewhere(shard.id, std::move(command), 0);
      continue;
    }
    if (command.hops < kHopsMax && OwnedElsewhere(shard)) {
      Route(shard.id, std::move(command), 0);
    } else {
      shard.proposals.push_back(std::move(command));
    }
  }
}

void Replica::State::Handle(ReplicaId from, AppMessage& message) {
  if (ready_ && app_handler) app_handler(from, std::move(message));
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
    if (shard.proposals.empty() || shard.catch_up.frozen) continue;
    RouteAnew(shard);
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
  Durability durability = Bug("replica.votes_unsynced") ? Durability::kLazy : Durability::kSync;
  ports.engine->Write(std::move(batch), durability, [this, number, persisted = std::move(persisted)] {
    batches_done_ = number;
    NoteDurable();
    ResumeFetches();
    for (const WrittenRow& row : persisted) {
      if (At(row.shard).life == row.life) Step(At(row.shard), row.event);
    }
    Flush();
  });
}

void Replica::State::ApplyGathered() {
  for (Shard& shard : shards_) {
    if (shard.catch_up.suspended) DropStored(shard);
    if (shard.catch_up.suspended || shard.log == nullptr) continue;
    LogIndex before = shard.applied;
    ReplayStored(shard);
    // Learned again, because its row was damaged.
    while (!shard.to_apply.empty() && shard.to_apply.front().entry.index <= shard.applied) {
      const UnappliedEntry& again = shard.to_apply.front();
      shard.applied_not_durable.push_back({again.entry.index, BatchOf(again)});
      shard.to_apply.pop_front();
    }
    while (!shard.to_apply.empty() && !shard.catch_up.suspended &&
           shard.applied >= shard.catch_up.stored_through) {
      ChosenEntry entry = std::move(shard.to_apply.front().entry);
      shard.to_apply.pop_front();
      ApplyOne(shard, entry);
    }
    if (shard.applied > before) RunBarrier(shard, shard.barrier->Chosen(LocalOf(shard)));
  }
  NoteDurable();  // the rows of some were written before they were known chosen
  ResumeFetches();
}

void Replica::State::ApplyOne(Shard& shard, const ChosenEntry& entry) {
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(*entry.value);
  Check(envelope.ok(), "a chosen value is an envelope of a version that this build knows");
  shard.machine->Apply(entry.index, *envelope, entry.digest);
  shard.applied = entry.index;
  shard.applied_not_durable.push_back({entry.index, batches_written_});
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

void Replica::State::NoteDurable() {
  for (Shard& shard : shards_) {
    std::deque<std::pair<LogIndex, uint64_t>>& waiting = shard.applied_not_durable;
    while (!waiting.empty() && waiting.front().second <= batches_done_) {
      shard.durable = std::max(shard.durable, waiting.front().first);
      waiting.pop_front();
    }
  }
}

absl::StatusOr<SharedBytes> Replica::State::ReadEntry(ShardId id, LogIndex index) const {
  const Shard& shard = At(id);
  if (shard.log == nullptr) return absl::NotFoundError("the shard is not hosted here");
  if (index > shard.applied) return absl::NotFoundError("the entry is not chosen here yet");
  if (!shard.recent.empty() && index >= shard.recent.front().index) {
    return shard.recent[index.value - shard.recent.front().index.value].value;
  }
  bool waits = shard.catch_up.gap.has_value() && shard.catch_up.gap->Contains(index);
  absl::StatusOr<SharedBytes> value = absl::UnavailableError("the row of the entry is not here yet");
  if (!waits) value = store_.ReadValue(id, index);
  if (value.ok()) return value;
  for (const FetchedEntry& entry : fetched_) {
    if (entry.shard == id && entry.index == index) return entry.value;
  }
  return value;
}

// --- time -----------------------------------------------------------------------------------------------------------

void Replica::State::Wake() {
  ports.executor->Cancel(std::exchange(timer_, 0));
  armed_at_us_ = INT64_MAX;
  if (!ready_) return;
  UpdateHealth();
  int64_t now_us = ports.clock->MonotonicMicros();
  if (now_us >= notices_at_us_) SendNoticesToAll();
  if (now_us >= catch_up_at_us_) TickCatchUp(now_us);
  for (Shard& shard : shards_) {
    if (shard.log == nullptr) continue;
    if (now_us >= shard.learn_at_us) Learn(shard, now_us);
    if (shard.wake_at_us > now_us) continue;
    bool backlogged = disk_.backlogged();
    shard.wake_at_us = backlogged ? now_us + kBackloggedTickUs : INT64_MAX;
    if (!backlogged) Step(shard, event::Tick{});
    if (shard.barrier->quiet()) continue;
    RunBarrier(shard, shard.barrier->Tick(LocalOf(shard), std::max<int64_t>(60'000, 4 * commit_us)));
    // Rule 11: an undecided index is completed by the reader only after at least two round trips.
    std::optional<LogIndex> overdue =
        shard.barrier->Overdue(now_us - std::max<int64_t>(20'000, 2 * Now(shard).round_trip_us));
    if (overdue.has_value() && !backlogged) Step(shard, event::CompletionWanted{*overdue});
  }
  Flush();
}

void Replica::State::ArmTimer() {
  int64_t wake_at_us = std::min(notices_at_us_, catch_up_at_us_);
  for (const Shard& shard : shards_) {
    wake_at_us = std::min({wake_at_us, shard.wake_at_us, shard.learn_at_us});
  }
  if (wake_at_us >= armed_at_us_) return;
  armed_at_us_ = wake_at_us;
  int64_t delay_us = std::max<int64_t>(1'000, wake_at_us - ports.clock->MonotonicMicros());
  ports.executor->Cancel(timer_);
  timer_ = ports.executor->After(absl::Microseconds(delay_us), [this] { Wake(); });
}

}  // namespace paxledger
