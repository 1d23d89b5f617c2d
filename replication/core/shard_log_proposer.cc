// The proposer of a shard log: fast path, Prepare, duels (consensus.md rules 1-5, 12-14).
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"
#include "replication/core/shard_log.h"

namespace paxledger {
namespace {
constexpr uint32_t kBackoffDoublingsMax = 5;
constexpr int64_t kBackoffUnitMinUs = 500;
constexpr size_t kEnvelopeHeadBytes = 64;  // at most, before the commands
}  // namespace

bool ShardLog::WantsEntry() const {
  bool lazy_due = lazy_since_us_ != 0 && moment_.now_us >= lazy_since_us_ + limits::kLazyCommandDelayUs;
  return urgent_ > 0 || lazy_due || batch_.has_value() || complete_through_ > chosen_ ||
         hand_over_.has_value() || change_.has_value();
}

void ShardLog::MaybePropose(Effects& out) {
  // Rule 21: nobody proposes at i+1 without the value chosen at i.
  if (!may_vote() || phase_ != Phase::kIdle || !WantsEntry() || moment_.now_us < EarliestWhileBehind())
    return;
  LogIndex index = Next(chosen_);
  Slot& slot = SlotAt(index);
  bool has_own_value = !queue_.empty() || hand_over_.has_value() || change_.has_value() || batch_.has_value();
  // Rule 1 and 2: only this incarnation, and only where its own record is untouched.
  if (has_own_value && owns_next() && peer_chosen_ <= chosen_ && !slot.touched() &&
      slot.HighestPromise().none()) {
    ProposeFast(index, slot, out);
    return;
  }
  if (moment_.now_us < EarliestPrepare(slot)) return;
  StartPrepare(index, slot, out);
}

// Behind a peer the chosen values are fetched, not voted on again. Where nobody sends them (the one peer that knew the outcome
// may be dead), a Prepare at the next index finds the value with the acceptors; it is safe at any index (rule 12).
int64_t ShardLog::EarliestWhileBehind() const {
  return peer_chosen_ > chosen_ ? behind_since_us_ + 6 * RetransmitAfter() : 0;
}

int64_t ShardLog::EarliestPrepare(const Slot& slot) const {
  // Rule 13: learn before preparing: somebody else's ballot gets its time first.
  bool others = slot.touched() && slot.latest().promised.replica() != options_.self;
  return std::max(not_before_us_, others ? slot.touched_at_us + Patience() : 0);
}

void ShardLog::ProposeFast(LogIndex index, Slot& slot, Effects& out) {
  const Batch& batch = MintBatch(index);
  ballot_ = Ballot::Of(0, options_.self);
  phase_ = Phase::kProposing;
  slot.Accept(ballot_, batch.digest, batch.value);
  highest_seen_ = std::max(highest_seen_, index);
  Persist(index, slot, out);
  SendToAll(index, slot, Reason::kReport, out);  // early (rule 3): no vote of ours until it is durable
}

void ShardLog::StartPrepare(LogIndex index, Slot& slot, Effects& out) {
  Ballot highest = slot.HighestPromise();
  ballot_ = Ballot::Of(highest.none() ? 1 : highest.round() + 1, options_.self);
  phase_ = Phase::kPromising;
  Mark("shard_log.prepare");
  slot.Promise(ballot_);
  slot.sent_at_us = moment_.now_us;
  Persist(index, slot, out);
  if (Bug("consensus.prepare_before_durable")) SendToAll(index, slot, Reason::kAsk, out);
}

void ShardLog::ContinueProposer(LogIndex index, Slot& slot, Effects& out) {
  if (phase_ == Phase::kIdle || index != Next(chosen_)) return;
  if (slot.HighestPromise() > ballot_) {
    LoseBallot(out);
    return;
  }
  if (phase_ == Phase::kPromising && slot.durable().promised == ballot_ &&
      slot.Promises(ballot_, configuration_, options_.self) >= configuration_.majority()) {
    ProposeUnderPromise(index, slot, out);
  }
}

// Rule 5. The records of those who promised this ballot are enough: whatever is chosen below it, one of them accepted. One
// that others reported is repeated where its bytes are here; they may be nowhere else than with a replica that is dead, and
// then nothing may wait for them.
Record ShardLog::HighestAccepted(const Slot& slot) const {
  Record known = slot.latest();
  Record promised = slot.latest();
  for (const PeerView& view : slot.peers()) {
    const Record& record = view.record;
    bool first_found = Bug("consensus.lower_value_adopted") && !known.accepted.none();
    if (record.accepted > known.accepted && !first_found) known = record;
    if (record.promised == ballot_ && record.accepted > promised.accepted) promised = record;
  }
  bool held = known.accepted.none() || slot.ValueOf(known.digest) != nullptr;
  if (!held) Mark("shard_log.bytes_elsewhere");
  return held || Bug("consensus.waits_for_lost_value") ? known : promised;
}

// The value with the highest accepted ballot, byte for byte; only if there is none, ours.
void ShardLog::ProposeUnderPromise(LogIndex index, Slot& slot, Effects& out) {
  Record best = HighestAccepted(slot);
  SharedBytes value;
  Digest digest;
  if (!best.accepted.none() && !Bug("consensus.found_value_ignored")) {
    Mark("shard_log.adopt");
    digest = best.digest;
    value = slot.ValueOf(digest);
    if (value == nullptr) return;  // asked for again by Retransmit
  } else if (batch_.has_value() || !queue_.empty() || hand_over_.has_value() || change_.has_value()) {
    const Batch& batch = MintBatch(index);
    digest = batch.digest;
    value = batch.value;
  } else {
    Mark("shard_log.noop");
    value = MintNoop();
    digest = Sha256(*value);
  }
  phase_ = Phase::kProposing;
  slot.Accept(ballot_, digest, std::move(value));
  highest_seen_ = std::max(highest_seen_, index);
  Persist(index, slot, out);
  SendToAll(index, slot, Reason::kReport, out);
}

// Rule 13: wait a random time of one to four round trips, doubling to a bound.
void ShardLog::LoseBallot(Effects&) {
  Mark("shard_log.lost_ballot");
  phase_ = Phase::kIdle;
  ballot_ = Ballot{};
  if (Bug("consensus.no_backoff")) return;
  int64_t unit_us = std::max(kBackoffUnitMinUs, moment_.round_trip_us)
                    << std::min(lost_ballots_, kBackoffDoublingsMax);
  ++lost_ballots_;
  not_before_us_ = moment_.now_us + random_.Between(unit_us, 4 * unit_us);
}

// One value of ours per index: a second ballot at the same index repeats it.
const ShardLog::Batch& ShardLog::MintBatch(LogIndex index) {
  if (batch_.has_value()) {
    Check(batch_->index == index, "a batch belongs to the index in flight");
    return *batch_;
  }
  Batch batch;
  batch.index = index;
  size_t bytes = kEnvelopeHeadBytes;
  std::vector<std::string_view> commands;
  while (!queue_.empty() &&
         (commands.empty() || bytes + queue_.front().bytes->size() <= limits::kEntryBytesMax)) {
    PendingCommand& command = queue_.front();
    bytes += command.bytes->size();
    queued_bytes_ -= command.bytes->size();
    if (command.urgency == Urgency::kNow) --urgent_;
    commands.push_back(*command.bytes);
    batch.commands.push_back(std::move(command));
    queue_.pop_front();
  }
  lazy_since_us_ = queue_.size() > urgent_ ? moment_.now_us : 0;
  MembershipChange change = change_.has_value() ? change_->change : MembershipChange{};
  Owner next = hand_over_.value_or(self());
  // Rule 16: an owner outside of the new set owns nothing, so who leaves names another.
  if (change.remove == next.replica) next = change_->next;
  batch.value = std::make_shared<const std::string>(EncodeEnvelope(next, Stamp(), commands, change));
  batch.digest = Sha256(*batch.value);
  batch_ = std::move(batch);
  return *batch_;
}

// Rule 5: a no-op keeps the owner of the index before, so that a read never steals locality.
SharedBytes ShardLog::MintNoop() const {
  Owner owner = Bug("consensus.noop_takes_ownership") ? self() : owner_;
  return std::make_shared<const std::string>(EncodeEnvelope(owner, Stamp(), {}));
}

// transactions.md rule 9.
int64_t ShardLog::Stamp() const {
  return moment_.stamp_max_us == 0 ? moment_.wall_us : std::min(moment_.wall_us, moment_.stamp_max_us);
}

}  // namespace paxledger
