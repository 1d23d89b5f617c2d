#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/strong_id.h"
#include "cluster/directory.h"

namespace paxledger {

/// How much a node wants a shard: XXH64 with seed 0 over {shard, name}. Of each data centre the node with the highest
/// score holds the shard (rendezvous hashing), so a node that comes or goes moves only its own part. By name, so that a
/// node that lost its disk gets the same shards under its new number.
/// Format:  docs/formats.md#placement
uint64_t PlacementScore(ShardId shard, std::string_view node);

/// The replicas that `shard` is to have: one node of each data centre that has an active one, pins before scores. Sorted.
std::vector<ReplicaId> WantedMembers(const Directory& directory, ShardId shard);

}  // namespace paxledger
