#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/client.h"
#include "ledger/account.h"

namespace paxledger {

/// What a node says of itself at `GET /v1/audit/status`.
struct NodeStatus {
  struct Digests {
    uint64_t index = 0;
    std::string journal_hash;
    std::string state_digest;
  };
  struct Clearing {
    uint32_t counterpart = 0;
    std::string asset;
    Totals totals;
  };
  struct AssetTotals {
    std::string asset;
    Totals totals;
  };
  struct Shard {
    uint32_t shard = 0;
    bool hosted = true;  // false: nothing but the owner is known of it here
    uint64_t applied = 0;
    uint64_t highest_seen = 0;
    uint64_t owner = 0;
    uint64_t in_doubt = 0;
    Digests digests;                    // at `applied`
    std::optional<Digests> digests_at;  // at the index that was asked for
    std::vector<AssetTotals> totals;
    std::vector<Clearing> clearing;
  };

  std::string endpoint;
  /// Not OK: nothing else is known.
  absl::Status failure;
  std::string cluster_id;
  std::string data_centre;
  bool has_quorum = false;
  int64_t clock_offset_us = 0;
  uint64_t disk_bytes = 0;
  size_t peers_up = 0;
  std::vector<Shard> shards;

  uint64_t applied_total() const;
  uint64_t in_doubt_total() const;
};

/// Errors: kInternal  not such a document
[[nodiscard]] absl::StatusOr<NodeStatus> ParseNodeStatus(std::string_view json);

/// Asks every endpoint at once; `indexes`, by shard, are those whose digests are wanted.
std::vector<NodeStatus> ReadNodeStatuses(Client& client, const std::vector<uint64_t>& indexes);

}  // namespace paxledger
