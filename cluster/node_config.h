#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/log.h"
#include "cluster/genesis.h"

namespace paxledger {

/// Where a node listens, and the PEM files that it shows.
struct DoorConfig {
  std::string host;
  uint16_t port = 0;
  std::string certificate_path;
  std::string private_key_path;
};

/// A client that may call. The key itself is kept nowhere.
struct ApiKeyConfig {
  std::string name;
  Digest sha256;
  std::vector<std::string> scopes;  // "*" is all
};

/// The configuration of one node. Paths are absolute, or relative to the process.
struct NodeConfig {
  std::string genesis_path;
  std::string node;         // its name; empty: the only one of the data centre
  std::string data_centre;  // empty: that of the node
  std::string data_dir;
  DoorConfig https;
  DoorConfig peers;
  std::string peer_ca_path;
  std::vector<ApiKeyConfig> api_keys;
  size_t memory_budget_bytes = 0;
  uint64_t min_free_bytes = 0;  // on the disk of the data directory, below which nothing is written
  LogLevel log_level = LogLevel::kInfo;
  size_t api_threads = 1;
};

/// A node's configuration and the cluster that it names.
struct NodeSetup {
  NodeConfig config;
  Genesis genesis;
  /// As in the creation document. Of a node that joined later: number 0 and no address.
  Member self;
};

/// Reads the configuration at `path` and the genesis document that it names.
/// Errors: kInvalidArgument     a wrong or missing key, a wrong value; the text names file and key
///         kFailedPrecondition  the genesis document is of a newer format or protocol
///         kNotFound, kPermissionDenied, kUnavailable  a file cannot be read
absl::StatusOr<NodeSetup> LoadNodeSetup(const std::string& path);

/// Splits "host:port".
/// Errors: kInvalidArgument
absl::StatusOr<std::pair<std::string, uint16_t>> ParseHostPort(std::string_view address);

}  // namespace paxledger
