#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/strong_id.h"
#include "cluster/directory.h"
#include "replication/routing.h"

namespace paxledger {

/// The version of what nodes say to each other; checked when they greet.
inline constexpr uint32_t kProtocolVersion = 1;

/// One node of a cluster as it was created. Its number is the id of its replicas (docs/adr/0008).
struct Member {
  ReplicaId replica;
  std::string name;  // unique in the cluster; its certificate carries it
  std::string data_centre;
  std::string peer_address;  // host:port
  friend bool operator==(const Member&, const Member&) = default;
};

/// What a cluster is, fixed when it is created (consensus.md rule 6). Every node holds the same.
struct Genesis {
  std::string cluster_id;  // 32 hexadecimal digits
  uint32_t protocol_version = kProtocolVersion;
  uint32_t shards = 0;
  std::vector<Member> members;  // nodes 1..n, in that order
  ShardMode mode = ShardMode::kLeaderless;
  std::map<uint32_t, ShardRouting>
      shard_modes{};  // by shard, where it differs; without a primary: see CreationRouting
  friend bool operator==(const Genesis&, const Genesis&) = default;

  /// nullptr: no such node.
  const Member* FindNode(std::string_view name) const;
  std::vector<const Member*> InDataCentre(std::string_view data_centre) const;
};

/// Invents a cluster: its id from `random`, nodes 1..n in the order of `members` (whose ids are ignored). A document
/// of one node in each data centre, which bears the name of that, is of format 1, any other of format 2.
/// Errors: kInvalidArgument  the result would not be valid; the text says why
absl::StatusOr<Genesis> CreateGenesis(uint32_t shards, std::vector<Member> members, Random& random);

/// "leaderless" and "primary".
std::string_view ShardModeName(ShardMode mode);
/// Errors: kInvalidArgument  no such mode
absl::StatusOr<ShardMode> ParseShardMode(std::string_view name);

/// Errors: kInvalidArgument    not a valid document; the text names `source` and the key
///         kFailedPrecondition of a newer format or protocol
absl::StatusOr<Genesis> ParseGenesis(std::string_view json, std::string_view source);
std::string FormatGenesis(const Genesis& genesis);

/// The directory that the cluster begins with: version 0, of these nodes, without their addresses, which are not the
/// same in every copy of the document (docs/adr/0006).
Directory CreationDirectory(const Genesis& genesis);

/// By shard: its members at index 0.
std::vector<std::vector<ReplicaId>> CreationPlacement(const Genesis& genesis);

/// By shard: how its writer is chosen. Where no primary is named, the members at index 0 take turns.
std::vector<ShardRouting> CreationRouting(const Genesis& genesis);

/// The value at index 0 of every shard: SHA-256 over the canonical encoding. Addresses are not part of it:
/// they say where a node is found today, not what the cluster is. Nor are modes: they are routing, and change no promise
/// (consensus.md rule 15).
/// Format:  docs/formats.md#genesis
Digest GenesisDigest(const Genesis& genesis);

}  // namespace paxledger
