#include "tests/sim/core_node.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace paxledger::sim {
namespace {
constexpr uint32_t kHopsMax = 3;
constexpr int64_t kBarrierRetransmitUs = 60'000;
constexpr int64_t kBackoffMinUs = 500;
constexpr uint32_t kDoublingsMax = 5;
}  // namespace

std::string BallotName(Ballot ballot) {
  if (ballot.none()) return "none";
  return absl::StrFormat("(%d,%d)", ballot.round(), ballot.replica().value);
}

std::string RecordName(const Record& record) {
  std::string name = absl::StrCat("promised ", BallotName(record.promised));
  if (!record.accepted.none()) absl::StrAppend(&name, " accepted ", BallotName(record.accepted));
  return name;
}

CoreNode::CoreNode(const CoreNode& other)
    : self_(other.self_),
      members_(other.members_),
      random_(other.random_),
      incarnation_(other.incarnation_),
      disk_(other.disk_),
      lost_records_(other.lost_records_),
      silent_below_(other.silent_below_),
      log_(other.log_ == nullptr ? nullptr : std::make_unique<ShardLog>(*other.log_)),
      barrier_(other.barrier_ == nullptr ? nullptr : std::make_unique<Barrier>(*other.barrier_)),
      waiting_(other.waiting_),
      chosen_(other.chosen_),
      prepared_(other.prepared_),
      wake_at_us_(other.wake_at_us_),
      barrier_wake_at_us_(other.barrier_wake_at_us_) {}

// --- a process ------------------------------------------------------------------------------------------------------

void CoreNode::Start(uint64_t first_round, const Moment& now, CoreOutput& out) {
  Check(!up(), "a process is started once");
  ++incarnation_;
  barrier_ = std::make_unique<Barrier>(ShardId{}, first_round);
  log_ = std::make_unique<ShardLog>(ShardLogOptions{.shard = ShardId{},
                                                    .self = self_,
                                                    .incarnation = Incarnation{incarnation_},
                                                    .members = members_,
                                                    .genesis = Sha256("genesis"),
                                                    .silent_below = silent_below_},
                                    *random_);
  Restore();
  Step(event::Tick{}, now, out);
}

void CoreNode::Restore() {
  uint64_t chosen = 0;
  for (const auto& [index, row] : disk_) {
    chosen = std::max(chosen, row.chosen_through.value);
    if (row.chosen) chosen = std::max(chosen, index);
  }
  if (chosen > 0) {
    auto at = disk_.find(chosen);
    Check(at != disk_.end() && at->second.value != nullptr,
          "a replica holds the values that it knows to be chosen");
    std::optional<Configuration> members;
    for (auto row = disk_.begin(); row != std::next(at); ++row) {
      if (row->second.members.has_value()) members = row->second.members;
    }
    log_->RestoreChosen(LogIndex{chosen}, PeekEnvelope(*at->second.value).owner, Sha256(*at->second.value),
                        members);
  }
  for (auto at = disk_.upper_bound(chosen); at != disk_.end(); ++at) {
    log_->RestoreRecord(LogIndex{at->first}, at->second.record, at->second.value);
  }
}

void CoreNode::Crash(size_t writes_kept, CoreOutput& out) {
  for (; writes_kept > 0 && !waiting_.empty(); --writes_kept) {
    Store(waiting_.front(), out);
    waiting_.pop_front();
  }
  waiting_.clear();
  log_.reset();
  barrier_.reset();
  chosen_.clear();
  prepared_.clear();
  wake_at_us_ = INT64_MAX;
  barrier_wake_at_us_ = INT64_MAX;
}

void CoreNode::Drop() {
  Check(up() && !log_->member(), "a member of a shard is never dropped");
  silent_below_ = log_->configuration().since;
  CoreOutput nothing;
  Crash(0, nothing);
  LoseRecords();
}

void CoreNode::Wipe() {
  Check(!up(), "a disk is emptied while no process runs on it");
  LoseRecords();
  incarnation_ = 0;
}

void CoreNode::LoseRecords() {
  disk_.clear();
  lost_records_ = true;
}

// --- events ---------------------------------------------------------------------------------------------------------

void CoreNode::Step(const ShardLogEvent& event, const Moment& now, CoreOutput& out) {
  LogIndex before = log_->chosen();
  CarryOut(log_->Step(event, now), now, out);
  if (!log_->voting() && !lost_records_) {
    out.failure = absl::StrCat("replica ", self_.value, " votes no more, though its disk lost nothing");
  }
  if (log_->chosen() > before) OnBarrier(barrier_->Chosen(LocalAt(now)), now, out);
}

// Rule 13: each index costs a proposer at most one Prepare per backoff, which doubles.
void CoreNode::NotePrepare(LogIndex index, Ballot ballot, const Moment& now, CoreOutput& out) {
  auto [at, first] = prepared_.try_emplace(index.value);
  Prepared& prepared = at->second;
  if (prepared.ballot == ballot) return;  // the same promise in another write
  if (lost_records_) return;              // it may only be told of what it prepared before
  ++out.prepares;
  uint32_t doublings = first ? 0 : std::min(prepared.times - 1, kDoublingsMax);
  int64_t backoff_us = std::max(kBackoffMinUs, now.round_trip_us) << doublings;
  if (!first && now.now_us < prepared.at_us + backoff_us) {
    out.failure = absl::StrCat("replica ", self_.value, " prepares index ", index.value,
                               " again before its backoff is over");
  }
  prepared = Prepared{ballot, now.now_us, prepared.times + 1};
}

void CoreNode::CarryOut(Effects effects, const Moment& now, CoreOutput& out) {
  if (!effects.fatal.empty()) {
    out.failure = absl::StrCat("replica ", self_.value, " stops: ", effects.fatal);
  }
  for (RecordWrite& write : effects.persist) {
    const Record& record = write.record;
    if (!record.accepted.none() && !write.chosen) {
      out.proposals.push_back({write.index, record.accepted, record.digest, write.value});
    }
    if (record.promised > record.accepted && !write.chosen && record.promised.replica() == self_ &&
        record.promised.round() > 0) {
      NotePrepare(write.index, record.promised, now, out);
    }
    waiting_.push_back(std::move(write));
  }
  for (OutgoingPaxos& sent : effects.send) {
    CheckRevealed(sent.message, out);
    if (!sent.message.proposed.none()) {
      out.proposals.push_back(
          {sent.message.index, sent.message.proposed, sent.message.proposed_digest, sent.message.value});
    }
    out.sends.emplace_back(sent.to, std::move(sent.message));
  }
  for (ChosenEntry& entry : effects.apply) {
    chosen_[entry.index.value] = entry.value;
    out.applied.push_back(std::move(entry));
  }
  Return(std::move(effects.returned), out);
  if (effects.fetch.has_value()) {
    out.sends.emplace_back(effects.fetch->from,
                           FetchRequest{ShardId{}, effects.fetch->first, effects.fetch->last});
  }
  wake_at_us_ = effects.wake_at_us;
}

void CoreNode::CheckRevealed(const PaxosMessage& message, CoreOutput& out) const {
  const Row* row = DiskRow(message.index);
  Record durable = row == nullptr ? Record{} : row->record;
  if (message.mine.promised > durable.promised || message.mine.accepted > durable.accepted) {
    out.failure = absl::StrCat("replica ", self_.value, " told of a record at index ", message.index.value,
                               " that is not durable: ", RecordName(message.mine));
  }
}

// What a log gave back goes to the owner of its next index.
void CoreNode::Return(std::vector<PendingCommand> commands, CoreOutput& out) {
  ForwardedCommands forwarded;
  ReplicaId owner = log_->owner().replica;
  for (PendingCommand& command : commands) {
    if (command.hops > kHopsMax || owner == ReplicaId{} || owner == self_) {
      out.dropped.push_back(std::move(command.bytes));
      continue;
    }
    forwarded.hops = std::max(forwarded.hops, command.hops);
    forwarded.commands.push_back(std::move(command.bytes));
  }
  if (!forwarded.commands.empty()) out.sends.emplace_back(owner, std::move(forwarded));
}

void CoreNode::Handle(ReplicaId from, const PeerMessage& message, const Moment& now, CoreOutput& out) {
  if (const auto* paxos = std::get_if<PaxosMessage>(&message)) {
    Step(event::Received{from, *paxos}, now, out);
  } else if (const auto* fetch = std::get_if<FetchRequest>(&message)) {
    Answer(from, *fetch, out);
  } else if (const auto* fetched = std::get_if<FetchAnswer>(&message)) {
    Step(event::Learned{fetched->entries}, now, out);
  } else if (const auto* asked = std::get_if<BarrierRequest>(&message)) {
    if (!log_->may_vote()) return;
    out.sends.emplace_back(from,
                           BarrierAnswer{ShardId{}, asked->round, log_->HighestDurable(), log_->chosen()});
  } else if (const auto* answered = std::get_if<BarrierAnswer>(&message)) {
    if (answered->chosen > log_->chosen()) Step(event::ToldChosen{from, answered->chosen}, now, out);
    OnBarrier(barrier_->Answer(from, *answered, LocalAt(now)), now, out);
  } else if (const auto* forwarded = std::get_if<ForwardedCommands>(&message)) {
    event::Proposed proposed;
    for (const SharedBytes& bytes : forwarded->commands) {
      proposed.commands.push_back({bytes, Urgency::kNow, forwarded->hops});
    }
    Step(proposed, now, out);
  }
}

void CoreNode::Answer(ReplicaId from, const FetchRequest& request, CoreOutput& out) const {
  FetchAnswer answer;
  for (uint64_t i = request.from.value; i <= std::min(request.to.value, log_->chosen().value); ++i) {
    auto applied = chosen_.find(i);
    const Row* row = DiskRow(LogIndex{i});
    if (applied == chosen_.end() && row == nullptr) break;
    answer.entries.push_back({LogIndex{i}, applied != chosen_.end() ? applied->second : row->value});
  }
  if (!answer.entries.empty()) out.sends.emplace_back(from, std::move(answer));
}

void CoreNode::Tick(const Moment& now, CoreOutput& out) {
  Step(event::Tick{}, now, out);
  OnBarrier(barrier_->Tick(LocalAt(now), kBarrierRetransmitUs), now, out);
}

// --- disk -----------------------------------------------------------------------------------------------------------

const CoreNode::Row* CoreNode::DiskRow(LogIndex index) const {
  auto at = disk_.find(index.value);
  return at == disk_.end() ? nullptr : &at->second;
}

void CoreNode::Store(const RecordWrite& write, CoreOutput& out) {
  disk_[write.index.value] =
      Row{write.record, write.chosen, write.value, write.chosen_through, write.members};
  if (!write.chosen && !write.record.accepted.none()) {
    out.votes.push_back({write.index, write.record.accepted, write.record.digest, write.value});
  }
}

void CoreNode::Sync(size_t count, const Moment& now, CoreOutput& out) {
  // One group commit: all is on disk before the first of them is reported.
  std::vector<event::Persisted> reports;
  for (; count > 0 && !waiting_.empty(); --count) {
    Store(waiting_.front(), out);
    reports.push_back({waiting_.front().index, waiting_.front().serial});
    waiting_.pop_front();
  }
  for (const event::Persisted& report : reports) Step(report, now, out);
}

// --- reads ----------------------------------------------------------------------------------------------------------

Barrier::Local CoreNode::LocalAt(const Moment& now) const {
  return {log_->configuration(), log_->may_vote() ? std::optional(log_->HighestDurable()) : std::nullopt,
          log_->chosen(), now.now_us};
}

void CoreNode::Read(ReadTicket ticket, const Moment& now, CoreOutput& out) {
  OnBarrier(barrier_->Read(ticket, LocalAt(now)), now, out);
}

void CoreNode::OnBarrier(BarrierEffects effects, const Moment& now, CoreOutput& out) {
  if (effects.broadcast.has_value()) Broadcast(*effects.broadcast, out);
  for (ReadTicket ticket : effects.ready) out.answered.emplace_back(ticket, log_->chosen());
  barrier_wake_at_us_ = barrier_->quiet() ? INT64_MAX : now.now_us + kBarrierRetransmitUs;
  // Impatient: what is undecided is completed at once (rule 11 only says when, not whether).
  std::optional<LogIndex> overdue = barrier_->Overdue(now.now_us);
  if (overdue.has_value() && *overdue > log_->chosen()) Step(event::CompletionWanted{*overdue}, now, out);
}

void CoreNode::Broadcast(const PeerMessage& message, CoreOutput& out) const {
  for (ReplicaId member : log_->configuration().members) {
    if (member != self_) out.sends.emplace_back(member, message);
  }
}

// --- the state ------------------------------------------------------------------------------------------------------

void CoreNode::WriteState(StateWriter& out) const {
  auto write_row = [&out](const Record& record, uint64_t chosen, const SharedBytes& value, LogIndex through) {
    out.Number(record.promised.packed);
    out.Number(record.accepted.packed);
    out.Value(record.digest);
    out.Number(chosen);
    out.Value(value == nullptr ? Digest() : Sha256(*value));
    out.Number(through.value);
  };
  out.Number(incarnation_);
  out.Number(lost_records_ ? 1 : 0);
  out.Number(silent_below_.value);
  out.Number(disk_.size());
  for (const auto& [index, row] : disk_) {
    out.Number(index);
    write_row(row.record, row.chosen ? 1 : 0, row.value, row.chosen_through);
  }
  out.Number(up() ? 1 : 0);
  if (!up()) return;
  log_->WriteState(out);
  barrier_->WriteState(out);
  out.Number(waiting_.size());
  for (const RecordWrite& write : waiting_) {
    out.Number(write.index.value);
    write_row(write.record, write.chosen ? 1 : 0, write.value, write.chosen_through);
  }
  for (const auto& [index, value] : chosen_) {
    out.Number(index);
    out.Value(Sha256(*value));
  }
}

}  // namespace paxledger::sim
