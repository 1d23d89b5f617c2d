#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "cluster/directory.h"

namespace paxledger {

/// A new node, under the next number.
struct AddNode {
  std::string name;
  std::string data_centre;
  std::string peer_address;
  std::string https_address{};
  friend bool operator==(const AddNode&, const AddNode&) = default;
};
/// A node that lost its disk: the same name, the next number; the old number is gone.
struct ReplaceNode {
  std::string name;
  std::string peer_address{};   // empty: as before
  std::string https_address{};  // empty: as before
  friend bool operator==(const ReplaceNode&, const ReplaceNode&) = default;
};
/// Whether a data centre may be left without an active node, and so without replicas.
enum class LastOfDataCentre : uint8_t { kRefuse = 0, kAllow = 1 };
/// active to draining and back; draining to gone.
struct SetNodeState {
  std::string name;
  NodeState state = NodeState::kActive;
  LastOfDataCentre last = LastOfDataCentre::kRefuse;
  friend bool operator==(const SetNodeState&, const SetNodeState&) = default;
};
struct SetNodeAddresses {
  std::string name;
  std::string peer_address{};   // empty: as before
  std::string https_address{};  // empty: as before
  friend bool operator==(const SetNodeAddresses&, const SetNodeAddresses&) = default;
};
/// Takes the place of another pin of the shard in the node's data centre.
struct PinShard {
  ShardId shard;
  std::string node;
  friend bool operator==(const PinShard&, const PinShard&) = default;
};
struct UnpinShard {
  ShardId shard;
  std::string node;  // empty: in all data centres
  friend bool operator==(const UnpinShard&, const UnpinShard&) = default;
};

/// A wish to change the directory: a command of machine 2 in shard 0's log.
struct DirectoryCommand {
  std::string request;      // names the wish, however often it is written: 1..64 bytes
  uint64_t if_version = 0;  // the version that it is made for; 0: any
  std::variant<AddNode, ReplaceNode, SetNodeState, SetNodeAddresses, PinShard, UnpinShard> change;
  friend bool operator==(const DirectoryCommand&, const DirectoryCommand&) = default;
};

/// What became of a command. Numbers are stored.
enum class DirectoryOutcome : uint8_t {
  kDone = 1,             // or it was so already
  kVersionMismatch = 2,  // of `if_version`
  kUnknownNode = 3,
  kNameTaken = 4,         // by a node with other fields
  kMalformedField = 5,    // a name or an address
  kLastOfDataCentre = 6,  // the data centre would have no active node
  kWrongState = 7,        // only a draining node can be gone
  kFull = 8,              // too many nodes or data centres, or no number left
  kUnknownShard = 9,
};

struct DirectoryResult {
  DirectoryOutcome outcome = DirectoryOutcome::kDone;
  ReplicaId number;      // of the node that the command names, as it is after it; 0: none
  uint64_t version = 0;  // of the directory after it
  friend bool operator==(const DirectoryResult&, const DirectoryResult&) = default;
};

/// Carries `command` out on `directory`, of a cluster of `shards` shards; a refused one changes nothing. A function of its
/// arguments. The same add or replace again (by `request`) gives out no second number.
DirectoryResult ApplyDirectoryCommand(const DirectoryCommand& command, uint32_t shards, Directory& directory);

/// Format:  docs/formats.md#directory-commands
std::string EncodeDirectoryCommand(const DirectoryCommand& command);
/// Errors: kInvalidArgument  not the one encoding of a command of a known version
absl::StatusOr<DirectoryCommand> DecodeDirectoryCommand(std::string_view bytes);

/// For a sentence: "the version is another one".
std::string_view DirectoryOutcomeText(DirectoryOutcome outcome);

}  // namespace paxledger
