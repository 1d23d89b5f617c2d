#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "txn/shard_machine.h"
#include "txn/tally.h"
#include "txn/wakeup.h"

namespace paxledger {

class VoteSource;

/// Hears of every vote of the shards that are hosted here, for the gateways of other nodes.
class VoteRelay {
 public:
  virtual ~VoteRelay() = default;
  /// Inside Apply, as ShardObserver::OnVote. `clock_before` is the shard's clock before the entry.
  virtual void OnVote(ShardId shard, const Vote& vote, LogTime clock_before) = 0;
};

/// Where the tasks of a node learn what shards did: of those that are hosted here by watching the local state
/// machines, of others through `VoteSource`. Costs a look at an empty map where nobody waits.
/// Owns:    nothing; watches stand in the frames of their tasks and leave when destroyed. Must outlive them.
/// Threads: the node's strand.
class VoteBoard : public ShardObserver {
 public:
  class TallyWatch;
  class OpenWatch;
  class ClockWatch;
  class EntryWatch;

  VoteBoard(uint32_t shards, VoteSource& source) : source_(source), clocks_(shards), clock_watches_(shards) {}
  /// Null: nobody.
  void set_relay(VoteRelay* relay) { relay_ = relay; }

  // ShardObserver
  void OnVote(ShardId shard, const Vote& vote) override;
  void OnOpened(ShardId shard, const LedgerKey& key, const AccountSpec& asked, OpenStatus status) override;
  void OnApplied(ShardId shard, LogIndex index, LogTime at) override;

 private:
  VoteSource& source_;
  VoteRelay* relay_ = nullptr;
  absl::flat_hash_map<Digest, TallyWatch*> tallies_;  // the digest holds the id (transactions.md, Words)
  absl::flat_hash_map<LedgerKey, OpenWatch*> opens_;
  std::vector<LogTime> clocks_;  // before the entry that is being applied
  std::vector<ClockWatch*> clock_watches_;
  EntryWatch* entry_watches_ = nullptr;
};

/// The votes of shards that are hosted on other nodes only.
class VoteSource {
 public:
  virtual ~VoteSource() = default;
  virtual bool Hosts(ShardId shard) const = 0;
  /// Has a host of `shard` tell `watch` the vote on its try, now and whenever it changes: another
  /// host in another `round`.
  virtual uint64_t Watch(VoteBoard::TallyWatch& watch, ShardId shard, uint32_t round) = 0;
  virtual void EndWatch(uint64_t id) = 0;
  /// Where the host has not said anything yet: others are asked before it for a while.
  virtual void DoubtUnheard(uint64_t id) = 0;
};

/// Keeps a tally up to date while it stands, and wakes its task when the standing changes, when all have
/// finished, or when the last host that was asked has answered.
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

  /// Asks hosts of the participants that are not hosted here, for the attempt that the tally is of: once, and
  /// again after `Tally::Restart`, or where what was asked may be lost, which is better asked elsewhere.
  enum class Whom : uint8_t { kSame, kOthers };
  void AskHosts(Whom whom);
  /// Some participants are not hosted here.
  bool asks_hosts() const { return !remote_.empty(); }
  /// Hosts that were asked and have not answered yet.
  size_t unheard() const { return unheard_; }
  /// They keep everybody waiting: for a while others are asked first.
  void DoubtUnheard();
  /// What a host said.
  enum class Hearing : uint8_t { kFirst, kLater };
  void Hear(ShardId shard, const std::optional<Vote>& vote, LogTime clock_before, Hearing hearing);

 private:
  friend class VoteBoard;
  void See(ShardId shard, const Vote& vote, LogTime clock_before);
  void EndRemote();

  VoteBoard& board_;
  Tally tally_;
  Wakeup wakeup_;
  bool replayed_ = false;
  std::vector<uint64_t> remote_;  // watches at hosts
  size_t unheard_ = 0;
  uint32_t round_ = 0;
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

/// Wakes when an entry was applied, of whatever shard.
class VoteBoard::EntryWatch {
 public:
  EntryWatch(VoteBoard& board, Wakeup& wakeup) : board_(board), wakeup_(wakeup), next_(board.entry_watches_) {
    board.entry_watches_ = this;
  }
  EntryWatch(const EntryWatch&) = delete;
  EntryWatch& operator=(const EntryWatch&) = delete;
  ~EntryWatch();

 private:
  friend class VoteBoard;
  VoteBoard& board_;
  Wakeup& wakeup_;
  EntryWatch* next_;
};

}  // namespace paxledger
