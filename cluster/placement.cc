#include "cluster/placement.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "base/bytes.h"
#include "base/digest.h"

namespace paxledger {

uint64_t PlacementScore(ShardId shard, std::string_view node) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U32(shard.value);
  out.Raw(node);
  return PlacementHash64(bytes);
}

std::vector<ReplicaId> WantedMembers(const Directory& directory, ShardId shard) {
  auto is_pinned = [&](const NodeEntry& node) {
    return std::any_of(directory.pins.begin(), directory.pins.end(),
                       [&](const Pin& pin) { return pin.shard == shard && pin.node == node.name; });
  };
  using Claim = std::tuple<bool, uint64_t, ReplicaId>;  // pinned, score, number
  std::map<std::string_view, Claim> best;               // by data centre
  for (const NodeEntry& node : directory.nodes) {
    if (node.state != NodeState::kActive) continue;
    Claim claim{is_pinned(node), PlacementScore(shard, node.name), node.number};
    auto [at, first] = best.try_emplace(node.data_centre, claim);
    if (!first && claim > at->second) at->second = claim;
  }
  std::vector<ReplicaId> wanted;
  for (const auto& [data_centre, claim] : best) wanted.push_back(std::get<ReplicaId>(claim));
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

}  // namespace paxledger
