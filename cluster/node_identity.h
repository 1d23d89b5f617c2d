#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_id.h"

namespace paxledger {

/// Who the node of a data directory is, where the creation document does not say: it joined later, or came back with an
/// empty disk. The file NODE in the directory.
/// Format:  docs/formats.md#data-directory
struct NodeIdentity {
  std::string cluster_id;
  std::string name;
  std::string
      request;  // names the wish for a number, so that a number is given out once for it; empty: it joined
  ReplicaId number;  // 0: asked for, not yet given
  friend bool operator==(const NodeIdentity&, const NodeIdentity&) = default;
};

/// nullopt: there is no such file.
/// Errors: kDataLoss  it is damaged; kUnavailable, kPermissionDenied  it cannot be read
absl::StatusOr<std::optional<NodeIdentity>> ReadNodeIdentity(const std::string& data_dir);

/// Durable when it returns; makes the directory.
/// Errors: kInternal  the machine refused; the message says what
[[nodiscard]] absl::Status WriteNodeIdentity(const std::string& data_dir, const NodeIdentity& identity);

/// Whether a node has run from `data_dir`: it holds a database.
bool HoldsDatabase(const std::string& data_dir);

}  // namespace paxledger
