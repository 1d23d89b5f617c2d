#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/ballot.h"

namespace paxledger {

/// How a replica looks from here.
enum class Health : uint8_t {
  kDown,  // not connected
  kSuspected,  // connected, but silent for longer than is usual (replication/peer_watch.h), or its disk takes no writes
  kUp,  // connected and heard, or this replica itself
};

/// How a shard chooses its writer. Ballots, owners and barriers are the same in both (consensus.md rule 15).
enum class ShardMode : uint8_t {
  kLeaderless,  // whoever owns the next index; owners are evened out over the living
  kPrimary,     // one fixed replica, others only while it is down or suspected
};

struct ShardRouting {
  ShardMode mode = ShardMode::kLeaderless;
  ReplicaId primary;  // only in mode kPrimary
  friend bool operator==(const ShardRouting&, const ShardRouting&) = default;
};

/// Says who proposes for each shard: routing, not election (design §3). Any choice is safe; a good one saves a Prepare.
///
/// Preferred is the owner of the next index, at first an even spread. A shard whose preferred replica is down or suspected
/// gets an heir among the living at that moment, so that the shards of a lost one are spread evenly, and that nodes with the
/// same view of owners name the same heirs, without a word between them. A lost replica that is back owns nothing: who owns at
/// least two shards more than it hands one over, and then no other for a while (rule 14), so that it is not trampled down.
/// Of shards in mode kPrimary the primary is the preferred owner: others hand them back to it, at the same pace.
///
/// Pure: time is an input. Threads: one owner.
class Router {
 public:
  static constexpr int64_t kHandOverEveryUs = 400'000;
  static constexpr int64_t kSettledUs =
      2'000'000;  // nothing is handed over so soon after a replica came or went
  static constexpr uint64_t kLagMax =
      4;  // entries that a receiver of a shard may lack, or not have told of yet

  struct Choice {
    ReplicaId to;
    bool takes_over =
        false;  // it is not the preferred one: it is to propose by Prepare, and not to route again
  };
  struct HandOver {
    ShardId shard;
    ReplicaId to;
  };

  Router(ReplicaId self, const std::vector<ReplicaId>& members, uint32_t shards);

  void SetMembers(ShardId shard, std::vector<ReplicaId> members);
  void SetRouting(ShardId shard, ShardRouting routing);
  /// The owner of the next index of `shard` and the highest index that is chosen, as known here.
  void SetOwner(ShardId shard, ReplicaId owner, LogIndex chosen);
  /// `replica` said that it knows everything up to `chosen`.
  void NoteChosenAt(ShardId shard, ReplicaId replica, LogIndex chosen);
  /// True: it was up and is no more, so that what was sent to it is better submitted again.
  bool SetHealth(ReplicaId replica, Health health, int64_t now_us);
  Health HealthOf(ReplicaId replica) const;

  /// `attempt` counts the caller's tries from 0. An owner that looks healthy and yet has nothing chosen is passed over from
  /// the fourth on, and then this replica proposes (consensus.md rule 12: that needs no proof of death).
  Choice Choose(ShardId shard, uint32_t attempt) const;
  ReplicaId Preferred(ShardId shard) const;

  /// The shard that this replica is to hand over now. Having said one it says none for kHandOverEveryUs.
  std::optional<HandOver> NextHandOver(int64_t now_us);

 private:
  struct Shard {
    std::vector<ReplicaId> members;
    ShardRouting routing;
    ReplicaId owner;
    LogIndex chosen;
    std::map<ReplicaId, LogIndex> chosen_at;
    ReplicaId writer;  // the preferred one, or its heir while it is not up
  };

  bool Up(ReplicaId replica) const { return HealthOf(replica) == Health::kUp; }
  static bool Has(const std::vector<ReplicaId>& members, ReplicaId replica);
  static bool HasPrimary(const Shard& shard);
  void Resolve(uint32_t number);
  void Assign(Shard& shard, ReplicaId writer);
  ReplicaId FewestOf(const Shard& shard, uint32_t number) const;
  uint32_t LoadOf(ReplicaId replica) const;
  bool MayReceive(const Shard& shard, ReplicaId replica) const;
  std::optional<ReplicaId> ReceiverOf(const Shard& shard) const;

  ReplicaId self_;
  std::vector<Shard> shards_;
  std::map<ReplicaId, Health> health_;
  std::map<ReplicaId, uint32_t> load_;  // shards that it writes
  int64_t changed_us_ = 0;              // when a replica came or went
  int64_t handed_over_us_ = 0;          // the last time
  uint32_t turn_ = 0;                   // the shard to look at first
};

}  // namespace paxledger
