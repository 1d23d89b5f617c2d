#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/strong_id.h"

namespace paxledger {

/// The version of what nodes say to each other; checked when they greet.
inline constexpr uint32_t kProtocolVersion = 1;

/// One data centre of a cluster and the replica that it holds of every shard.
struct Member {
  ReplicaId replica;
  std::string data_centre;
  std::string peer_address;  // host:port
  friend bool operator==(const Member&, const Member&) = default;
};

/// What a cluster is, fixed when it is created (consensus.md rule 6). Every node holds the same.
struct Genesis {
  std::string cluster_id;  // 32 hexadecimal digits
  uint32_t protocol_version = kProtocolVersion;
  uint32_t shards = 0;
  std::vector<Member> members;  // replicas 1..n, in that order
  friend bool operator==(const Genesis&, const Genesis&) = default;

  /// nullptr: no such data centre.
  const Member* FindDataCentre(std::string_view name) const;
};

/// Invents a cluster: its id from `random`, replicas 1..n in the order of `members` (whose ids are ignored).
/// Errors: kInvalidArgument  the result would not be valid; the text says why
absl::StatusOr<Genesis> CreateGenesis(uint32_t shards, std::vector<Member> members, Random& random);

/// Errors: kInvalidArgument    not a valid document; the text names `source` and the key
///         kFailedPrecondition of a newer format or protocol
absl::StatusOr<Genesis> ParseGenesis(std::string_view json, std::string_view source);
std::string FormatGenesis(const Genesis& genesis);

/// The value at index 0 of every shard: SHA-256 over the canonical encoding. Addresses are not part of it:
/// they say where a node is found today, not what the cluster is.
/// Format:  docs/formats.md#genesis
Digest GenesisDigest(const Genesis& genesis);

}  // namespace paxledger
