#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/state_writer.h"
#include "txn/command.h"

namespace paxledger {

/// What is known here of one try: the votes of its participants, and where it is finished (transactions.md
/// rules 2, 3). Pure; fed with votes in any order and any number of times.
/// Threads: the node's strand.
class Tally {
 public:
  enum class Standing : uint8_t {
    kOpen,        // votes are missing
    kDecided,     // `decision()` holds
    kSuperseded,  // a later attempt was seen, so this one aborted; `superseded_by()` names it
  };

  Tally(Try of, std::vector<ShardId> participants);

  /// Takes in what `shard` said. True: the standing changed, or the last participant finished. Votes of other
  /// digests must not be given.
  bool See(ShardId shard, const Vote& vote);
  /// Begins again as `attempt` of the same body, with nothing known.
  void Restart(uint32_t attempt);

  const Try& of() const { return of_; }
  const std::vector<ShardId>& participants() const { return participants_; }
  Standing standing() const { return standing_; }
  /// Rule 2 over all votes, or the outcome that a finished participant told. Only when decided.
  const Decision& decision() const { return decision_; }
  /// The try that the decision is of: a later attempt may have been finished (rule 3).
  Try decided_try() const;
  /// The decision was told by a shard that had finished, before all votes were seen here.
  bool was_told() const { return told_; }
  uint32_t superseded_by() const { return superseded_by_; }

  /// Participants whose vote is not known here.
  std::vector<ShardId> Missing() const;
  bool IsMissing(ShardId shard) const;
  /// `shard` said that its vote, or the outcome, is a conflict.
  bool IsConflictAt(ShardId shard) const;
  /// Participants that may not have recorded the outcome.
  std::vector<ShardId> Unfinished() const;
  /// No participant holds a reservation of the try any more.
  bool finished_everywhere() const { return unfinished_ == 0; }
  /// What the Blocked votes name.
  std::vector<Blocker> Blockers() const;
  /// Everything that the tally will say depends on what this writes, and on its participants. Times are left out.
  void WriteState(StateWriter& out) const;

 private:
  struct Seat {
    bool voted = false;
    bool finished = false;  // holds nothing of the try, or of a later one
    bool told = false;      // said that it is finished
    uint32_t holds = 0;     // the later attempt that it has moved on to; 0: none
  };

  void Record(size_t seat, const Vote& vote);
  void Finish(size_t seat);
  /// The participant has seen a later attempt, and records that one.
  void MoveOn(size_t seat, uint32_t attempt);
  /// Whoever moved on to the attempt that turns out to be decided holds the very try of the decision.
  void ReopenHolders();
  void Supersede(uint32_t attempt);

  Try of_;
  std::vector<ShardId> participants_;
  std::vector<ShardVote> votes_;  // parallel to participants_; without `of`, which is of_
  std::vector<Seat> seats_;
  size_t missing_ = 0;
  size_t unfinished_ = 0;
  Standing standing_ = Standing::kOpen;
  Decision decision_;
  uint32_t decided_attempt_ = 0;
  uint32_t superseded_by_ = 0;
  bool told_ = false;
};

}  // namespace paxledger
