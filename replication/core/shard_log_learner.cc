// The learner of a shard log: what is chosen, in order (consensus.md rules 7, 8, 12, 13, 21).
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "base/planted.h"
#include "replication/core/shard_log.h"

namespace paxledger {

void ShardLog::LearnHint(ReplicaId from, const PaxosMessage& m) {
  NoteChosenAt(from, m.chosen);
  if (m.chosen <= chosen_) return;
  Slot& slot = SlotAt(m.chosen);
  bool whatever_is_here = Bug("consensus.hint_without_digest") && !slot.latest().accepted.none();
  Decide(slot, whatever_is_here ? slot.latest().digest : m.chosen_digest);
}

void ShardLog::NoteChosenAt(ReplicaId from, LogIndex chosen) {
  highest_seen_ = std::max(highest_seen_, chosen);
  if (chosen <= chosen_) return;
  if (peer_chosen_ <= chosen_) behind_since_us_ = moment_.now_us;
  // The latest to say so, and while a fetch is not answered whoever knows more than we do: the one before may be gone.
  if (chosen >= peer_chosen_ || fetched_at_us_ != 0) peer_chosen_at_ = from;
  peer_chosen_ = std::max(peer_chosen_, chosen);
}

void ShardLog::CountVotes(Slot& slot) {
  std::optional<Digest> digest = slot.Chosen(configuration_, options_.self);
  if (digest.has_value()) Decide(slot, *digest);
}

void ShardLog::Decide(Slot& slot, const Digest& digest) {
  Check(!slot.decided.has_value() || *slot.decided == digest, "one value is chosen per index, for ever");
  slot.decided = digest;
}

void ShardLog::Advance(Effects& out) {
  bool moved = false;
  for (;;) {
    auto it = slots_.find(chosen_.value + 1);
    if (it == slots_.end()) break;
    CountVotes(it->second);  // rule 16: only now, under the configuration in force at this index
    if (!it->second.decided.has_value()) break;
    Digest digest = *it->second.decided;
    SharedBytes value = it->second.ValueOf(digest);
    if (value == nullptr) break;
    BecomeChosen(LogIndex{it->first}, std::move(value), digest, out);
    moved = true;
  }
  if (!moved) return;
  if (!owns_next()) hand_over_.reset();
  if (change_.has_value() && change_->change.since != configuration_.since) change_.reset();
  if (peer_chosen_ > chosen_) behind_since_us_ = moment_.now_us;
  ReturnQueueIfNotOwner(out);
  AnswerEarlierPrepare(out);
}

// Rule 5: the owner follows from the value, never from whose ballot won.
Owner ShardLog::OwnerAfter(const Slot& slot, const SharedBytes& value) const {
  Owner owner = PeekEnvelope(*value).owner;
  if (Bug("consensus.owner_from_ballot")) {
    owner = Owner{slot.latest().accepted.replica(), options_.incarnation};
  }
  if (Bug("consensus.restart_without_incarnations") && owner.replica == options_.self) owner = self();
  if (Bug("consensus.hand_over_forgotten") && hand_over_ == owner) owner = self();
  return owner;
}

void ShardLog::BecomeChosen(LogIndex index, SharedBytes value, const Digest& digest, Effects& out) {
  Check(index == Next(chosen_), "entries are chosen in order here (rule 21)");
  const Slot& slot = SlotAt(index);
  EnvelopeHead head = PeekEnvelope(*value);
  std::optional<Configuration> members = Changed(configuration_, head.change, index);
  if (slot.latest().digest != digest || members.has_value()) {
    // Rule 7: stored over whatever was accepted, never lowering the promise, and never counted as a vote.
    Mark("shard_log.chosen_over_accepted");
    RecordWrite write;
    write.index = index;
    write.serial = next_serial_++;
    write.record.promised = slot.latest().promised;
    write.chosen = true;
    write.value = value;
    write.chosen_through = chosen_;
    write.members = members;
    out.persist.push_back(std::move(write));
  }
  chosen_ = index;
  chosen_digest_ = digest;
  owner_ = OwnerAfter(slot, value);
  highest_seen_ = std::max(highest_seen_, index);
  if (members.has_value()) ComeIntoForce(*std::move(members), next_serial_ - 1);
  slots_.erase(index.value);
  phase_ = Phase::kIdle;
  ballot_ = Ballot{};
  not_before_us_ = 0;
  lost_ballots_ = 0;
  out.apply.push_back({index, std::move(value), digest});
  SettleBatch(index, digest, out);
}

// Rule 12: overtaken, the batch is queued again under the same ids, unless it is what was chosen.
void ShardLog::SettleBatch(LogIndex index, const Digest& digest, Effects&) {
  if (!batch_.has_value()) return;
  Check(batch_->index == index, "a batch belongs to the index in flight");
  Batch batch = std::move(*batch_);
  batch_.reset();
  if (batch.digest == digest) {
    // One that was already under way when the hand-over was wished for does not carry it: the next one does.
    if (hand_over_ == PeekEnvelope(*batch.value).owner) hand_over_.reset();
    return;
  }
  Mark("shard_log.batch_requeued");
  if (Bug("consensus.batch_lost_when_overtaken")) return;
  Requeue(std::move(batch));
}

void ShardLog::Requeue(Batch batch) {
  for (auto it = batch.commands.rbegin(); it != batch.commands.rend(); ++it) {
    queued_bytes_ += it->bytes->size();
    if (it->urgency == Urgency::kNow) {
      ++urgent_;
    } else if (lazy_since_us_ == 0) {
      lazy_since_us_ = moment_.now_us;
    }
    queue_.push_front(std::move(*it));
  }
}

// Rule 13: commands go to the winner, if its value names an owner.
void ShardLog::ReturnQueueIfNotOwner(Effects& out) {
  bool elsewhere = configuration_.Contains(owner_.replica) && owner_.replica != options_.self;
  if (queue_.empty() || (may_vote() && !elsewhere)) return;
  for (PendingCommand& command : queue_) {
    ++command.hops;
    out.returned.push_back(std::move(command));
  }
  queue_.clear();
  queued_bytes_ = 0;
  urgent_ = 0;
  lazy_since_us_ = 0;
}

void ShardLog::On(const event::Learned& e, Effects& out) {
  for (const ChosenValue& entry : e.entries) {
    if (entry.index <= chosen_ || entry.value == nullptr) continue;
    Digest digest = Sha256(*entry.value);
    Slot& slot = SlotAt(entry.index);
    slot.Hold(digest, entry.value);
    Decide(slot, digest);
  }
  LogIndex before = chosen_;
  Advance(out);
  if (chosen_ > before) fetched_at_us_ = 0;
  if (chosen_ > before && peer_chosen_ > chosen_) {
    Fetch(out);  // the next piece, at once
  } else {
    MaybeFetch(out);
  }
  MaybePropose(out);
}

void ShardLog::MaybeFetch(Effects& out) {
  if (peer_chosen_ <= chosen_) return;
  if (moment_.now_us < behind_since_us_ + Patience()) return;  // normally the votes are already on their way
  if (fetched_at_us_ != 0 && moment_.now_us < fetched_at_us_ + FetchAgainAfter()) return;
  Fetch(out);
}

int64_t ShardLog::FetchAgainAfter() const { return 3 * RetransmitAfter(); }

void ShardLog::Fetch(Effects& out) {
  Mark("shard_log.fetch");
  // Not answered: whoever else knows more says so when asked.
  if (fetched_at_us_ != 0) SendToAll(Next(chosen_), SlotAt(Next(chosen_)), Reason::kAsk, out);
  fetched_at_us_ = moment_.now_us;
  out.fetch = FetchWanted{peer_chosen_at_, Next(chosen_), peer_chosen_};
}

}  // namespace paxledger
