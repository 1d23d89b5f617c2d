#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"

namespace paxledger {

enum class NodeState : uint8_t {
  kActive = 1,    // may hold replicas
  kDraining = 2,  // its replicas go elsewhere
  kGone = 3,      // for ever: its number is never used again
};

/// One node of the cluster. A node that lost its disk comes back under its name with a new number (docs/adr/0008).
struct NodeEntry {
  ReplicaId number;  // the id of its replicas
  std::string name;  // unique among those that are not gone; its certificate carries it
  std::string data_centre;
  std::string peer_address{};   // host:port; empty: where the creation document says, by name
  std::string https_address{};  // host:port; empty: not known
  NodeState state = NodeState::kActive;
  std::string request{};  // the command that gave out the number; empty: the creation document did
  friend bool operator==(const NodeEntry&, const NodeEntry&) = default;
};

/// The wish that a shard's replica in the data centre of `node` be on that node.
struct Pin {
  ShardId shard;
  std::string node;  // by name, so that it outlives a replacement
  friend bool operator==(const Pin&, const Pin&) = default;
};

/// Who is in the cluster, and which node is to hold what: what is wanted, not what is. Shard 0's log decides it (see
/// ClusterMachine); everybody keeps the newest version that he heard of.
struct Directory {
  uint64_t version = 0;  // grows by one with each change
  uint32_t next_number = 1;
  std::vector<NodeEntry> nodes;  // by number
  std::vector<Pin> pins;         // by shard, then node
  friend bool operator==(const Directory&, const Directory&) = default;

  /// nullptr: no such node, or one that is gone for so long that it is not named any more.
  const NodeEntry* Find(ReplicaId number) const;
  /// Of those that are not gone.
  const NodeEntry* FindName(std::string_view name) const;
  /// The number was given out, and its node will not come back.
  bool IsGone(ReplicaId number) const;
};

/// Format:  docs/formats.md#directory
std::string EncodeDirectory(const Directory& directory);
/// Errors: kInvalidArgument  not the one encoding of a directory of a known version
absl::StatusOr<Directory> DecodeDirectory(std::string_view bytes);

/// 1..32 letters, digits, '-' or '_'.
bool IsNodeName(std::string_view name);
bool IsHostPort(std::string_view address);

std::string_view NodeStateName(NodeState state);

}  // namespace paxledger
