#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/planted.h"
#include "base/random.h"
#include "base/strong_id.h"
#include "replication/core/ballot.h"
#include "replication/core/configuration.h"
#include "replication/core/envelope.h"
#include "replication/core/message.h"
#include "replication/core/slot.h"
#include "replication/core/state_writer.h"

namespace paxledger {

struct ShardLogOptions {
  ShardId shard;
  ReplicaId self;
  Incarnation incarnation;  // durable before the log is made (consensus.md rule 1)
  std::vector<ReplicaId>
      members;     // at index 0, sorted; without `self` it is a learner until an entry admits it
  Digest genesis;  // digest of the value at index 0
  /// What a replica here knew up to this index is dropped or damaged (rules 16 and 19): it neither votes nor answers
  /// barriers before it knows what is chosen up to there.
  LogIndex silent_below;
};

/// The time and its measures, an input of every step. Microseconds.
struct Moment {
  int64_t now_us = 0;   // monotonic
  int64_t wall_us = 0;  // the proposer's clock
  int64_t stamp_max_us =
      0;  // median of the replicas' clocks plus limits::kClockSkewMaxUs (transactions.md rule 9)
  int64_t round_trip_us = 1000;  // measured, to a majority
};

/// A command that waits for its turn. `bytes` is as `EncodeCommand` made it.
struct PendingCommand {
  SharedBytes bytes;
  Urgency urgency = Urgency::kNow;
  uint32_t hops = 0;
};

namespace event {
/// Time passes; wanted at `Effects::wake_at_us` at the latest.
struct Tick {};
struct Received {
  ReplicaId from;
  PaxosMessage message;
};
/// Commands to have chosen through this replica: by the fast path where it owns the next index, else by Prepare.
struct Proposed {
  std::vector<PendingCommand> commands;
};
/// A write of `Effects::persist` is durable.
struct Persisted {
  LogIndex index;
  uint64_t serial = 0;
};
/// These values are chosen, as a peer that knows it says (rule 7).
struct Learned {
  std::vector<ChosenValue> entries;
};
/// Everything up to `through` is to be decided, by no-ops where nothing was proposed (rules 5 and 11).
struct CompletionWanted {
  LogIndex through;
};
/// The next value proposed here names `next` (rule 14).
struct HandOver {
  Owner next;
};
/// The next value proposed here changes the members (rule 16); `next` owns the index after it where this replica leaves.
/// Forgotten once the configuration that it changes is no longer in force.
struct ChangeMembers {
  MembershipChange change;
  Owner next;
};
/// A snapshot at `index` is installed, durably (rule 20): everything up to there is chosen.
struct Installed {
  LogIndex index;
  Owner owner;  // of the index after it
  Digest digest;
  Configuration members;  // in force after it
};
/// A member says that everything up to `chosen` is chosen there, without the digest.
struct ToldChosen {
  ReplicaId from;
  LogIndex chosen;
};
/// A connection to `peer` stands again: it may have missed the last outcome, or a proposal that is under way.
struct PeerUp {
  ReplicaId peer;
};
/// This replica lost data, as another of its shards was told (rule 18): it votes no more.
struct Retired {};
}  // namespace event

using ShardLogEvent =
    std::variant<event::Tick, event::Received, event::Proposed, event::Persisted, event::Learned,
                 event::CompletionWanted, event::HandOver, event::ChangeMembers, event::Installed,
                 event::ToldChosen, event::PeerUp, event::Retired>;

/// One row of the log as it must stand on disk.
struct RecordWrite {
  LogIndex index;
  uint64_t serial = 0;
  Record record;
  bool chosen = false;      // the value is the chosen one; `record` keeps only the promise (rule 7)
  SharedBytes value;        // null where nothing is accepted
  LogIndex chosen_through;  // known when this was written
  std::optional<Configuration> members;  // that this chosen entry brings into force
};

struct OutgoingPaxos {
  ReplicaId to;
  PaxosMessage message;
};

struct ChosenEntry {
  LogIndex index;
  SharedBytes value;
  Digest digest;
};

struct FetchWanted {
  ReplicaId from;
  LogIndex first;
  LogIndex last;
};

/// What the caller must do after `Step`, in this order. Nothing here has happened yet.
struct Effects {
  std::vector<RecordWrite> persist;  // 1. one group commit; reported back as event::Persisted
  std::vector<OutgoingPaxos> send;   // 2. reveals only what is durable already; may be lost
  std::vector<ChosenEntry> apply;    // 3. contiguous, in log order
  std::vector<PendingCommand>
      returned;  // 4. not chosen, and this replica does not own the next index: route them anew
  std::optional<FetchWanted> fetch;  // 5. chosen entries that a peer holds and we lack
  std::string fatal;                 // not empty: the process must stop, with this reason (rule 8)
  int64_t wake_at_us = INT64_MAX;    // send a Tick then
};

/// The PaxosLog of one shard on one replica: the pure core (consensus.md rules 1-16 and 21, the refusal of 18).
/// Takes events, returns effects; sees no clock, disk or socket. Indexes run one after another: while one is in flight
/// commands queue, and become the value of the next.
/// Threads: one owner.
/// Source:  PaxosStore (VLDB 2017) §3; consensus.md
class ShardLog {
 public:
  /// `random` outlives the log.
  ShardLog(ShardLogOptions options, Random& random);

  /// Before the first step: what the disk holds. `chosen` and its value's owner and digest first, then records above it.
  /// `members`: in force after `chosen`; without it those of index 0.
  void RestoreChosen(LogIndex chosen, Owner owner, const Digest& digest,
                     std::optional<Configuration> members = std::nullopt);
  void RestoreRecord(LogIndex index, const Record& record, SharedBytes value);

  Effects Step(const ShardLogEvent& event, const Moment& moment);

  LogIndex chosen() const { return chosen_; }
  const Digest& chosen_digest() const { return chosen_digest_; }
  /// Owner of the index after `chosen()`.
  Owner owner() const { return owner_; }
  /// Rule 16: an owner outside of the configuration owns nothing.
  bool owns_next() const {
    if (Bug("consensus.ballot_zero_after_restart")) return owner_.replica == options_.self;
    return owner_ == self() && may_vote();
  }
  /// In force for the index after `chosen()`.
  const Configuration& configuration() const { return configuration_; }
  bool member() const { return configuration_.Contains(options_.self); }
  /// A member that lost nothing and durably holds everything up to the entry that admitted it (rule 16): it votes, proposes
  /// and answers barriers.
  bool may_vote() const {
    bool forgot = chosen_ < options_.silent_below && !Bug("consensus.dropped_votes_forgotten");
    return voting_ && member() && !admitted_by_.has_value() && !forgot;
  }
  LogIndex silent_below() const { return options_.silent_below; }
  /// The answer to a barrier: the highest index with a durable accepted or chosen value here (rule 9).
  LogIndex HighestDurable() const;
  /// The highest index that any member is known to have chosen or proposed.
  LogIndex highest_seen() const { return highest_seen_; }
  /// False after this replica was told of a record newer than its disk holds (rule 18): it votes and answers no more.
  bool voting() const { return voting_; }
  size_t queued_bytes() const { return queued_bytes_; }
  bool idle() const { return phase_ == Phase::kIdle && queue_.empty() && !batch_.has_value(); }
  Owner self() const { return {options_.self, options_.incarnation}; }
  /// Everything that the log will do depends on what this writes, its options and its random source.
  void WriteState(StateWriter& out) const;

 private:
  enum class Phase : uint8_t {
    kIdle,
    kPromising,  // own promise is on its way to disk or to the others
    kProposing,  // own value is
  };
  /// Commands that were proposed in a value of ours, until their index is decided (rule 12).
  struct Batch {
    LogIndex index;
    Digest digest;
    SharedBytes value;
    std::vector<PendingCommand> commands;
  };

  void On(const event::Tick&, Effects& out);
  void On(const event::Received& e, Effects& out);
  void On(const event::Proposed& e, Effects& out);
  void On(const event::Persisted& e, Effects& out);
  void On(const event::Learned& e, Effects& out);
  void On(const event::CompletionWanted& e, Effects& out);
  void On(const event::HandOver& e, Effects& out);
  void On(const event::ChangeMembers& e, Effects& out);
  void On(const event::Installed& e, Effects& out);
  void On(const event::ToldChosen& e, Effects& out);
  void On(const event::PeerUp& e, Effects& out);
  void On(const event::Retired&, Effects& out);

  // Acceptor
  bool ConsiderVote(LogIndex index, Slot& slot, const PaxosMessage& m);
  void AnswerEarlierPrepare(Effects& out);
  bool ConsiderAccept(Slot& slot, Ballot ballot, const Digest& digest);
  void HoldValue(Slot& slot, const PaxosMessage& m) const;
  bool AcceptableStamp(Ballot ballot, const SharedBytes& value) const;
  bool BeliefIsNewer(const Slot& slot, const Record& belief) const;
  void NoteDoubleProposal(const Slot& slot, const PaxosMessage& m, Effects& out) const;

  // Proposer
  void MaybePropose(Effects& out);
  bool WantsEntry() const;
  int64_t EarliestWhileBehind() const;
  int64_t EarliestPrepare(const Slot& slot) const;
  void ProposeFast(LogIndex index, Slot& slot, Effects& out);
  void StartPrepare(LogIndex index, Slot& slot, Effects& out);
  void ContinueProposer(LogIndex index, Slot& slot, Effects& out);
  void ProposeUnderPromise(LogIndex index, Slot& slot, Effects& out);
  Record HighestAccepted(const Slot& slot) const;
  void LoseBallot(Effects& out);
  bool StampWasRefused(const Slot& slot) const;
  const Batch& MintBatch(LogIndex index);
  SharedBytes MintNoop() const;
  int64_t Stamp() const;

  // Learner
  void LearnHint(ReplicaId from, const PaxosMessage& m);
  void NoteChosenAt(ReplicaId from, LogIndex chosen);
  void CountVotes(Slot& slot);
  void Decide(Slot& slot, const Digest& digest);
  void Advance(Effects& out);
  Owner OwnerAfter(const Slot& slot, const SharedBytes& value) const;
  void BecomeChosen(LogIndex index, SharedBytes value, const Digest& digest, Effects& out);
  void SettleBatch(LogIndex index, const Digest& digest, Effects& out);
  void Requeue(Batch batch);

  // Membership
  void ComeIntoForce(Configuration next, uint64_t serial);
  void NoteDurable(uint64_t serial, Effects& out);
  void ReturnQueueIfNotOwner(Effects& out);
  void MaybeFetch(Effects& out);
  void Fetch(Effects& out);
  int64_t FetchAgainAfter() const;

  // Messages
  enum class Reason : uint8_t {
    kReport,  // our record changed; a value that was offered is not sent twice
    kAnswer,  // we were asked
    kAsk,     // we want an answer
  };
  void Persist(LogIndex index, Slot& slot, Effects& out);
  void SendTo(ReplicaId to, LogIndex index, Slot& slot, Reason reason, Effects& out);
  void SendToAll(LogIndex index, Slot& slot, Reason reason, Effects& out);
  void SendChosenHint(ReplicaId to, LogIndex index, Effects& out) const;
  void Retransmit(Effects& out);
  void RetransmitSlot(LogIndex index, Slot& slot, Effects& out);

  Slot& SlotAt(LogIndex index) { return slots_[index.value]; }
  int64_t RetransmitAfter() const;
  int64_t Patience() const;
  void PlanWake(Effects& out) const;
  void CheckInvariants() const;

  ShardLogOptions options_;
  Random& random_;
  Moment moment_;

  // What is chosen here.
  LogIndex chosen_;
  Digest chosen_digest_;
  Owner owner_;
  Configuration configuration_;          // in force for the next index
  std::optional<uint64_t> admitted_by_;  // the write that must be durable before a joiner counts (rule 16)
  bool voting_ = true;

  // What is known above it.
  std::map<uint64_t, Slot> slots_;
  LogIndex highest_seen_;
  LogIndex peer_chosen_;      // the highest index that a peer said is chosen...
  ReplicaId peer_chosen_at_;  // ...and which peer
  int64_t behind_since_us_ = 0;
  int64_t fetched_at_us_ = 0;

  // What is proposed here.
  Phase phase_ = Phase::kIdle;
  Ballot ballot_;
  std::deque<PendingCommand> queue_;
  size_t queued_bytes_ = 0;
  size_t urgent_ = 0;          // commands in the queue that are not lazy
  int64_t lazy_since_us_ = 0;  // when the oldest lazy command came; 0: none waits
  std::optional<Batch> batch_;
  LogIndex complete_through_;
  LogIndex asked_about_;  // the index whose outcome was asked for before a reader's Prepare (rule 11)
  std::optional<Owner> hand_over_;
  std::optional<event::ChangeMembers> change_;
  int64_t not_before_us_ = 0;  // backoff in a duel (rule 13)
  uint32_t lost_ballots_ = 0;  // in a row
  uint64_t next_serial_ = 1;
};

}  // namespace paxledger
