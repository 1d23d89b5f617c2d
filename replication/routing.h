#pragma once

#include <cstdint>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/ballot.h"

namespace paxledger {

/// How a member looks from here.
struct MemberHealth {
  ReplicaId replica;
  bool up = false;         // connected, or this replica itself
  bool suspected = false;  // connected, but silent for longer than its heartbeat allows
};

/// Chooses who proposes for a shard: routing, not election (design §3). Any choice is safe; a good one saves a Prepare.
/// Preferred is the owner of the last chosen value, at first an even spread. The shards of a dead member spread evenly over
/// the living. `attempt` counts the caller's tries: a suspected owner is passed over from the second try on, a silent one
/// from the fourth, and then this replica proposes (consensus.md rule 12: that needs no proof of death).
ReplicaId ChooseProposer(ShardId shard, Owner owner, const std::vector<MemberHealth>& members, ReplicaId self,
                         uint32_t attempt);

}  // namespace paxledger
