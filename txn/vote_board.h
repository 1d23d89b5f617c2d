#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "txn/shard_machine.h"
#include "txn/tally.h"
#include "txn/wakeup.h"

namespace paxledger {

/// Where the tasks of a node learn what its shards did: every node holds a replica of every shard, so votes
/// are learned by watching the local state machines. Costs a look at an empty map where nobody waits. Owns:
/// nothing; watches stand in the frames of their tasks and leave when destroyed. Must outlive them. Threads:
/// the node's strand.
class VoteBoard : public ShardObserver {
 public:
  class TallyWatch;
  class OpenWatch;
  class ClockWatch;

  explicit VoteBoard(uint32_t shards) : clocks_(shards), clock_watches_(shards) {}

  // ShardObserver
  void OnVote(ShardId shard, const Vote& vote) override;
  void OnOpened(ShardId shard, const LedgerKey& key, const AccountSpec& asked, OpenStatus status) override;
  void OnApplied(ShardId shard, LogIndex index, LogTime at) override;

 private:
  absl::flat_hash_map<Digest, TallyWatch*> tallies_;  // the digest holds the id (transactions.md, Words)
  absl::flat_hash_map<LedgerKey, OpenWatch*> opens_;
  std::vector<LogTime> clocks_;  // before the entry that is being applied
  std::vector<ClockWatch*> clock_watches_;
};

/// Keeps a tally up to date while it stands, and wakes its task when the standing changes or all have
/// finished.
class VoteBoard::TallyWatch {
 public:
  TallyWatch(VoteBoard& board, WakeQueue& wakes, Try of, std::vector<ShardId> participants);
  TallyWatch(const TallyWatch&) = delete;
  TallyWatch& operator=(const TallyWatch&) = delete;
  ~TallyWatch();

  Tally& tally() { return tally_; }
  Wakeup& wakeup() { return wakeup_; }
  /// The outcome was told by an entry that did not make it: the id had it before. Not seen of a refused
  /// Execute, nor where the entry that made it is applied here only now.
  bool replayed() const { return replayed_; }

 private:
  friend class VoteBoard;
  void See(ShardId shard, const Vote& vote, LogTime clock_before);

  VoteBoard& board_;
  Tally tally_;
  Wakeup wakeup_;
  bool replayed_ = false;
  TallyWatch* next_ = nullptr;
};

/// Waits for one account to be opened with these fields.
class VoteBoard::OpenWatch {
 public:
  /// `open_count` is lowered, and at 0 `wakeup` set, when the answer is there.
  OpenWatch(VoteBoard& board, const LedgerKey& key, const AccountSpec& spec, size_t& open_count,
            Wakeup& wakeup);
  OpenWatch(const OpenWatch&) = delete;
  OpenWatch& operator=(const OpenWatch&) = delete;
  ~OpenWatch();

  const std::optional<OpenStatus>& status() const { return status_; }

 private:
  friend class VoteBoard;
  VoteBoard& board_;
  const LedgerKey& key_;
  const AccountSpec& spec_;
  size_t& open_count_;
  Wakeup& wakeup_;
  std::optional<OpenStatus> status_;
  OpenWatch* next_ = nullptr;
};

/// Wakes when the clock of `shard` reaches `at`.
class VoteBoard::ClockWatch {
 public:
  ClockWatch(VoteBoard& board, ShardId shard, LogTime at, Wakeup& wakeup);
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;
  ~ClockWatch();

 private:
  friend class VoteBoard;
  VoteBoard& board_;
  ShardId shard_;
  LogTime at_;
  Wakeup& wakeup_;
  ClockWatch* next_ = nullptr;
};

}  // namespace paxledger
