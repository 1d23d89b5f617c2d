#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "cluster/directory.h"
#include "cluster/directory_command.h"

namespace paxledger {

/// "This is the version that I have": who has a newer one sends it, who has an older one says so.
struct HaveDirectory {
  uint64_t version = 0;
  friend bool operator==(const HaveDirectory&, const HaveDirectory&) = default;
};
/// Whatever version the receiver has, for a guest.
struct AskDirectory {
  friend bool operator==(const AskDirectory&, const AskDirectory&) = default;
};
struct DirectoryNews {
  Directory directory;
  friend bool operator==(const DirectoryNews&, const DirectoryNews&) = default;
};
/// To a node that holds shard 0. `ticket` names the answer.
struct ProposeCommand {
  uint64_t ticket = 0;
  DirectoryCommand command;
  friend bool operator==(const ProposeCommand&, const ProposeCommand&) = default;
};
struct CommandDone {
  uint64_t ticket = 0;
  std::optional<DirectoryResult>
      result;           // nullopt: not known within the time; ask again with the same request
  Directory directory;  // as it is after it, where the result is known
  friend bool operator==(const CommandDone&, const CommandDone&) = default;
};
/// "Hold a replica of it", from who moves the shard. Void for a receiver whose directory is older than `version`.
struct HostShard {
  ShardId shard;
  uint64_t version = 0;
  friend bool operator==(const HostShard&, const HostShard&) = default;
};

/// What nodes say to each other about the cluster: messages of machine 2 between peers.
using ClusterMessage =
    std::variant<HaveDirectory, AskDirectory, DirectoryNews, ProposeCommand, CommandDone, HostShard>;

/// Format:  docs/formats.md#cluster-messages
std::string EncodeClusterMessage(const ClusterMessage& message);
/// Errors: kInvalidArgument  not the one encoding of a message of a known version
absl::StatusOr<ClusterMessage> DecodeClusterMessage(std::string_view bytes);

}  // namespace paxledger
