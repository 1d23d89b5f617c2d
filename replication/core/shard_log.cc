#include "replication/core/shard_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"

namespace paxledger {
namespace {
constexpr int64_t kRetransmitMinUs = 60'000;
constexpr int64_t kPatienceMinUs = 4'000;
}  // namespace

ShardLog::ShardLog(ShardLogOptions options, Random& random) : options_(std::move(options)), random_(random) {
  Check(std::is_sorted(options_.members.begin(), options_.members.end()), "members are sorted");
  Check(options_.members.size() <= limits::kReplicasMax, "a shard has at most kReplicasMax replicas");
  configuration_.members = options_.members;
  chosen_digest_ = options_.genesis;
}

void ShardLog::RestoreChosen(LogIndex chosen, Owner owner, const Digest& digest,
                             std::optional<Configuration> members) {
  chosen_ = chosen;
  owner_ = owner;
  chosen_digest_ = digest;
  highest_seen_ = chosen;
  if (members.has_value()) configuration_ = *std::move(members);
}

void ShardLog::RestoreRecord(LogIndex index, const Record& record, SharedBytes value) {
  Check(index > chosen_, "records are restored above the chosen index");
  SlotAt(index).Restore(record, std::move(value));
  if (!record.accepted.none()) highest_seen_ = std::max(highest_seen_, index);
}

Effects ShardLog::Step(const ShardLogEvent& event, const Moment& moment) {
  moment_ = moment;
  Effects out;
  std::visit([&](const auto& e) { On(e, out); }, event);
  PlanWake(out);
  CheckInvariants();
  return out;
}

void ShardLog::On(const event::Tick&, Effects& out) {
  MaybePropose(out);
  Retransmit(out);
  MaybeFetch(out);
}

void ShardLog::On(const event::Received& e, Effects& out) {
  const PaxosMessage& m = e.message;
  if (e.from == options_.self) return;
  LearnHint(e.from, m);
  Advance(out);
  if (m.index <= chosen_ && !Bug("consensus.chosen_answered_empty")) {
    // Rule 20: about a chosen index the answer is "chosen", never an empty record.
    if (m.chosen < chosen_ && (m.ask || !m.proposed.none())) SendChosenHint(e.from, m.index, out);
    MaybePropose(out);
    MaybeFetch(out);
    return;
  }
  if (m.index == Next(chosen_) && !configuration_.Contains(e.from)) {
    // Rule 16: who is no member under the configuration in force here only learns; what it holds counts nowhere.
    if (m.ask) SendChosenHint(e.from, m.index, out);
    MaybePropose(out);
    MaybeFetch(out);
    return;
  }
  if (!m.proposed.none() || !m.mine.accepted.none()) highest_seen_ = std::max(highest_seen_, m.index);
  Slot& slot = SlotAt(m.index);
  // Below where it is silent this replica knows that it lost records, and counts as having none.
  if (voting_ && m.index > options_.silent_below && BeliefIsNewer(slot, m.yours)) {
    Mark("shard_log.lost_data");
    voting_ = false;
  }
  NoteDoubleProposal(slot, m, out);
  if (!out.fatal.empty()) return;
  slot.Merge(e.from, m.mine);
  HoldValue(slot, m);
  if (may_vote() && ConsiderVote(m.index, slot, m)) {
    Persist(m.index, slot, out);
  } else if (slot.settled()) {
    const PeerView& peer = slot.peer(e.from);
    bool told = peer.was_told && peer.told == slot.durable();
    if (m.ask) {
      SendTo(e.from, m.index, slot, Reason::kAnswer, out);
    } else if (m.yours != slot.durable() && !told) {
      SendTo(e.from, m.index, slot, Reason::kReport, out);
    }
  }
  ContinueProposer(m.index, slot, out);
  Advance(out);
  MaybePropose(out);
  MaybeFetch(out);
}

void ShardLog::On(const event::Persisted& e, Effects& out) {
  NoteDurable(e.serial, out);
  auto it = slots_.find(e.index.value);
  if (it == slots_.end()) return;  // chosen meanwhile
  Slot& slot = it->second;
  Record before = slot.Persisted(e.serial);
  const Record& durable = slot.durable();
  if (durable == before) return;
  if (durable.accepted != before.accepted) {
    // Rule 3: an acceptor reports its vote to all replicas, so that each learns the outcome by itself.
    SendToAll(e.index, slot, Reason::kReport, out);
    // Rule 16: a lagging acceptor may not know yet that its proposer is a member.
    ReplicaId proposer = durable.accepted.replica();
    if (!configuration_.Contains(proposer)) SendTo(proposer, e.index, slot, Reason::kReport, out);
  } else if (durable.promised == ballot_ && phase_ == Phase::kPromising) {
    // Rule 2: a Prepare leaves only now that the proposer's own promise is durable.
    SendToAll(e.index, slot, Reason::kAsk, out);
  } else if (ReplicaId asker = durable.promised.replica();
             asker != options_.self && configuration_.Contains(asker)) {
    SendTo(asker, e.index, slot, Reason::kAnswer, out);
  }
  ContinueProposer(e.index, slot, out);
  Advance(out);
  MaybePropose(out);
}

void ShardLog::On(const event::Proposed& e, Effects& out) {
  for (const PendingCommand& command : e.commands) {
    queued_bytes_ += command.bytes->size();
    if (command.urgency == Urgency::kNow) {
      ++urgent_;
    } else if (lazy_since_us_ == 0) {
      lazy_since_us_ = moment_.now_us;
    }
    queue_.push_back(command);
  }
  if (!may_vote()) return ReturnQueueIfNotOwner(out);
  MaybePropose(out);
}

void ShardLog::On(const event::CompletionWanted& e, Effects& out) {
  complete_through_ = std::max(complete_through_, e.through);
  if (may_vote() && complete_through_ > chosen_ && asked_about_ < Next(chosen_)) {
    // Rule 11: ask for the outcome first; the Prepare comes after another wait.
    asked_about_ = Next(chosen_);
    not_before_us_ = std::max(not_before_us_, moment_.now_us + Patience());
    SendToAll(asked_about_, SlotAt(asked_about_), Reason::kAsk, out);
  }
  MaybePropose(out);
}

void ShardLog::On(const event::HandOver& e, Effects& out) {
  if (!owns_next()) return;
  hand_over_ = e.next;
  MaybePropose(out);
}

void ShardLog::On(const event::ToldChosen& e, Effects& out) {
  NoteChosenAt(e.from, e.chosen);
  MaybeFetch(out);
}

void ShardLog::On(const event::PeerUp& e, Effects& out) {
  if (!may_vote() || e.peer == options_.self || !configuration_.Contains(e.peer)) return;
  auto it = slots_.find(chosen_.value + 1);
  if (it != slots_.end() && it->second.touched()) {
    SendTo(e.peer, Next(chosen_), it->second, Reason::kAsk, out);
  } else if (chosen_ > LogIndex{0}) {
    SendChosenHint(e.peer, Next(chosen_), out);  // rule 4: whoever knows the outcome tells the others
  }
}

void ShardLog::On(const event::Retired&, Effects& out) {
  voting_ = false;
  ReturnQueueIfNotOwner(out);
}

LogIndex ShardLog::HighestDurable() const {
  if (Bug("consensus.barrier_highest_chosen")) return chosen_;
  for (auto it = slots_.rbegin(); it != slots_.rend(); ++it) {
    if (!it->second.durable().accepted.none()) return LogIndex{it->first};
  }
  return chosen_;
}

// --- acceptor -------------------------------------------------------------------------------------------------------

bool ShardLog::ConsiderVote(LogIndex index, Slot& slot, const PaxosMessage& m) {
  bool changed = false;
  Ballot asked = std::max(m.mine.promised, m.proposed);
  // Rule 16: a promise needs the configuration in force, so every value below; a lagging acceptor only accepts. It answers
  // the Prepare once it knows them (`AnswerEarlierPrepare`).
  if (index == Next(chosen_) && asked > slot.latest().promised) {
    slot.Promise(asked);
    changed = true;
  }
  changed |= ConsiderAccept(slot, m.proposed, m.proposed_digest);
  // A relayed vote is a proposal as well: its ballot was proposed with that value.
  changed |= ConsiderAccept(slot, m.mine.accepted, m.mine.digest);
  if (changed) slot.touched_at_us = moment_.now_us;
  return changed;
}

void ShardLog::AnswerEarlierPrepare(Effects& out) {
  auto it = slots_.find(chosen_.value + 1);
  if (it == slots_.end() || !may_vote()) return;
  Ballot asked = it->second.HighestPrepare(configuration_);
  if (asked <= it->second.latest().promised) return;
  Mark("shard_log.answered_earlier_prepare");
  it->second.Promise(asked);
  Persist(Next(chosen_), it->second, out);
}

bool ShardLog::ConsiderAccept(Slot& slot, Ballot ballot, const Digest& digest) {
  bool below_promise = ballot < slot.latest().promised && !Bug("consensus.accept_below_promise");
  if (ballot.none() || below_promise || ballot <= slot.latest().accepted) return false;
  SharedBytes value = slot.ValueOf(digest);
  if (value == nullptr || !AcceptableStamp(ballot, value)) return false;
  slot.Accept(ballot, digest, std::move(value));
  return true;
}

void ShardLog::HoldValue(Slot& slot, const PaxosMessage& m) const {
  if (m.value == nullptr) return;
  const Digest& digest = m.proposed.none() ? m.mine.digest : m.proposed_digest;
  if (slot.ValueOf(digest) != nullptr || Sha256(*m.value) != digest) return;
  slot.Hold(digest, m.value);
}

// transactions.md rule 9: only a fresh value may be refused for its stamp. A proposal of a later round may repeat a value
// that is possibly chosen, and refusing it would wedge the shard.
bool ShardLog::AcceptableStamp(Ballot ballot, const SharedBytes& value) const {
  bool fresh = ballot.round() == 0 || Bug("consensus.stamp_refused_when_adopting");
  if (!fresh || moment_.stamp_max_us == 0) return true;
  return PeekEnvelope(*value).stamp_us <= moment_.stamp_max_us + limits::kClockSkewMaxUs;
}

// Rule 18: peers believe only what we reported as durable; if that is more than we hold, our disk lost data.
bool ShardLog::BeliefIsNewer(const Slot& slot, const Record& belief) const {
  if (Bug("consensus.emptied_disk_votes")) return false;
  return belief.promised > slot.durable().promised || belief.accepted > slot.durable().accepted;
}

// Rule 8: one value per ballot, or somebody reused a ballot, and nothing here can be trusted.
void ShardLog::NoteDoubleProposal(const Slot& slot, const PaxosMessage& m, Effects& out) const {
  auto contradicts = [](const Record& known, Ballot ballot, const Digest& digest) {
    return !ballot.none() && known.accepted == ballot && known.digest != digest;
  };
  auto either = [&](const Record& known) {
    return contradicts(known, m.proposed, m.proposed_digest) ||
           contradicts(known, m.mine.accepted, m.mine.digest);
  };
  bool twice = either(slot.latest());
  for (const PeerView& view : slot.peers()) twice = twice || either(view.record);
  if (twice) out.fatal = "two values were proposed at one ballot (consensus.md rule 8)";
}

// --- messages -------------------------------------------------------------------------------------------------------

void ShardLog::Persist(LogIndex index, Slot& slot, Effects& out) {
  RecordWrite write;
  write.index = index;
  write.serial = next_serial_++;
  write.record = slot.latest();
  if (!Bug("consensus.vote_before_value")) write.value = slot.value();  // rule 8
  write.chosen_through = chosen_;
  slot.Writing(write.serial);
  slot.touched_at_us = moment_.now_us;
  slot.unanswered = 0;
  out.persist.push_back(std::move(write));
}

void ShardLog::SendTo(ReplicaId to, LogIndex index, Slot& slot, Reason reason, Effects& out) {
  if (!may_vote()) return;
  PeerView& peer = slot.peer(to);
  PaxosMessage m;
  m.shard = options_.shard;
  m.index = index;
  m.mine = slot.durable();
  if (Bug("consensus.revealed_before_durable")) m.mine = slot.latest();
  if (Bug("consensus.prepare_before_durable") && phase_ == Phase::kPromising) m.mine.promised = ballot_;
  m.yours = peer.record;
  m.ask = reason == Reason::kAsk;
  m.chosen = chosen_;
  m.chosen_digest = chosen_digest_;
  bool proposing = phase_ == Phase::kProposing && slot.latest().accepted == ballot_ && Next(chosen_) == index;
  Digest wanted;
  if (proposing && peer.record.accepted != ballot_) {
    m.proposed = ballot_;
    m.proposed_digest = slot.latest().digest;
    wanted = m.proposed_digest;
  } else if (reason == Reason::kAnswer && m.mine.promised > m.mine.accepted) {
    // An answer to a Prepare carries the value that the proposer may have to complete.
    wanted = m.mine.digest;
  }
  if (!wanted.none() && peer.record.digest != wanted &&
      (reason != Reason::kReport || peer.offered != wanted)) {
    m.value = slot.ValueOf(wanted);
    peer.offered = wanted;
  }
  peer.told = m.mine;
  peer.was_told = true;
  out.send.push_back({to, std::move(m)});
}

void ShardLog::SendToAll(LogIndex index, Slot& slot, Reason reason, Effects& out) {
  slot.sent_at_us = moment_.now_us;
  for (ReplicaId member : configuration_.members) {
    if (member != options_.self) SendTo(member, index, slot, reason, out);
  }
}

void ShardLog::SendChosenHint(ReplicaId to, LogIndex index, Effects& out) const {
  PaxosMessage m;
  m.shard = options_.shard;
  m.index = index;
  m.chosen = chosen_;
  m.chosen_digest = chosen_digest_;
  out.send.push_back({to, std::move(m)});
}

// Only the next index and the highest: what lies between follows from them, and a replica far behind holds many.
void ShardLog::Retransmit(Effects& out) {
  if (slots_.empty()) return;
  RetransmitSlot(LogIndex{slots_.begin()->first}, slots_.begin()->second, out);
  if (slots_.size() > 1) RetransmitSlot(LogIndex{slots_.rbegin()->first}, slots_.rbegin()->second, out);
}

void ShardLog::RetransmitSlot(LogIndex index, Slot& slot, Effects& out) {
  constexpr uint32_t kDoublingsMax = 4;
  constexpr uint32_t kFreshRepeatsMax = 2;
  if (!slot.touched() || !slot.settled()) return;
  bool active = phase_ != Phase::kIdle && index == Next(chosen_);
  // A vote that nobody seems to finish: its outcome may have been lost on the way here.
  int64_t wait_us = (active ? RetransmitAfter() : 4 * RetransmitAfter())
                    << std::min(slot.unanswered, kDoublingsMax);
  if (moment_.now_us - std::max(slot.sent_at_us, slot.touched_at_us) < wait_us) return;
  ++slot.unanswered;
  if (active && slot.unanswered > kFreshRepeatsMax && StampWasRefused(slot)) {
    Mark("shard_log.refused_stamp");
    StartPrepare(index, slot, out);
    return;
  }
  SendToAll(index, slot, Reason::kAsk, out);
}

// Acceptors refuse a fresh value for its stamp, for as long as clocks differ (transactions.md rule 9); under a later round they
// may not.
bool ShardLog::StampWasRefused(const Slot& slot) const {
  if (phase_ != Phase::kProposing || ballot_.round() > 0) return false;
  if (Bug("consensus.refused_stamp_insisted_on")) return false;
  return std::any_of(slot.peers().begin(), slot.peers().end(), [&](const PeerView& view) {
    return view.record.promised == ballot_ && view.record.accepted < ballot_;
  });
}

// --- bookkeeping ----------------------------------------------------------------------------------------------------

int64_t ShardLog::RetransmitAfter() const { return std::max(kRetransmitMinUs, 4 * moment_.round_trip_us); }
int64_t ShardLog::Patience() const { return std::max(kPatienceMinUs, 2 * moment_.round_trip_us); }

void ShardLog::PlanWake(Effects& out) const {
  auto wake = [&](int64_t at) { out.wake_at_us = std::min(out.wake_at_us, at); };
  if (may_vote() && phase_ == Phase::kIdle) {
    if (WantsEntry()) {
      auto it = slots_.find(chosen_.value + 1);
      int64_t earliest = it == slots_.end() ? not_before_us_ : EarliestPrepare(it->second);
      wake(std::max(earliest, EarliestWhileBehind()));
    } else if (lazy_since_us_ != 0) {
      wake(lazy_since_us_ + limits::kLazyCommandDelayUs);
    }
  }
  if (peer_chosen_ > chosen_) {
    wake(std::max(behind_since_us_ + Patience(),
                  fetched_at_us_ == 0 ? 0 : fetched_at_us_ + FetchAgainAfter()));
  }
  if (!slots_.empty()) wake(moment_.now_us + RetransmitAfter());
}

void ShardLog::CheckInvariants() const {
  // The ends of the map, since a replica far behind holds many and each step touches one of these, as a rule.
  if (!slots_.empty()) {
    Check(slots_.begin()->first > chosen_.value || Bug("consensus.chosen_answered_empty"),
          "what is chosen is no longer voted on");
    slots_.begin()->second.CheckInvariants();
    slots_.rbegin()->second.CheckInvariants();
  }
  Check(!batch_.has_value() || batch_->index == Next(chosen_), "a batch belongs to the index in flight");
  Check(phase_ == Phase::kIdle || !ballot_.none(), "a proposer has a ballot");
  Check(urgent_ <= queue_.size(), "urgent commands are in the queue");
}

}  // namespace paxledger
