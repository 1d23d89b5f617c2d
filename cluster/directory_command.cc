#include "cluster/directory_command.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/limits.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
enum class Kind : uint8_t { kAdd = 1, kReplace = 2, kSetState = 3, kSetAddresses = 4, kPin = 5, kUnpin = 6 };

/// Carries out one kind of change. What it changes it counts, so that what is so already leaves the version.
class Change {
 public:
  Change(const DirectoryCommand& command, uint32_t shards, Directory& directory)
      : command_(command), shards_(shards), directory_(directory) {}

  DirectoryOutcome operator()(const AddNode& add);
  DirectoryOutcome operator()(const ReplaceNode& replace);
  DirectoryOutcome operator()(const SetNodeState& set);
  DirectoryOutcome operator()(const SetNodeAddresses& set);
  DirectoryOutcome operator()(const PinShard& pin);
  DirectoryOutcome operator()(const UnpinShard& unpin);

  ReplicaId number() const { return number_; }
  bool changed() const { return changed_; }

 private:
  NodeEntry* Find(std::string_view name) {
    return const_cast<NodeEntry*>(std::as_const(directory_).FindName(name));
  }
  /// The number that this very command gave out before.
  bool FoundOwnNumber() {
    for (const NodeEntry& node : directory_.nodes) {
      if (node.request != command_.request) continue;
      number_ = node.number;
      return true;
    }
    return false;
  }
  bool HasRoom(std::string_view data_centre) const;
  void GiveNumber(NodeEntry node);
  void MakeGone(NodeEntry& node);
  bool IsLastOfDataCentre(const NodeEntry& node) const;
  static bool IsAddress(std::string_view address) {
    return address.empty() || (address.size() <= 255 && IsHostPort(address));
  }
  void Set(std::string* field, const std::string& value) {
    if (value.empty() || *field == value) return;
    *field = value;
    changed_ = true;
  }

  const DirectoryCommand& command_;
  uint32_t shards_;
  Directory& directory_;
  ReplicaId number_;
  bool changed_ = false;
};

bool Change::HasRoom(std::string_view data_centre) const {
  if (directory_.next_number > UINT16_MAX) return false;
  size_t nodes = 0;
  std::set<std::string_view> data_centres{data_centre};
  for (const NodeEntry& node : directory_.nodes) {
    if (node.state == NodeState::kGone) continue;
    ++nodes;
    data_centres.insert(node.data_centre);
  }
  return nodes < limits::kNodesMax && data_centres.size() <= limits::kReplicasMax;
}

void Change::GiveNumber(NodeEntry node) {
  node.number = number_ = ReplicaId{static_cast<uint16_t>(directory_.next_number++)};
  node.request = command_.request;
  directory_.nodes.push_back(std::move(node));
  changed_ = true;
}

void Change::MakeGone(NodeEntry& node) {
  node.state = NodeState::kGone;
  changed_ = true;
  auto is_gone = [](const NodeEntry& each) { return each.state == NodeState::kGone; };
  auto gone = std::count_if(directory_.nodes.begin(), directory_.nodes.end(), is_gone);
  if (gone <= static_cast<std::ptrdiff_t>(limits::kNodesGoneKept)) return;
  directory_.nodes.erase(std::find_if(directory_.nodes.begin(), directory_.nodes.end(), is_gone));
}

bool Change::IsLastOfDataCentre(const NodeEntry& node) const {
  return std::none_of(directory_.nodes.begin(), directory_.nodes.end(), [&](const NodeEntry& other) {
    return other.number != node.number && other.state == NodeState::kActive &&
           other.data_centre == node.data_centre;
  });
}

DirectoryOutcome Change::operator()(const AddNode& add) {
  if (FoundOwnNumber()) return DirectoryOutcome::kDone;
  if (!IsNodeName(add.name) || !IsNodeName(add.data_centre) || add.peer_address.empty() ||
      !IsAddress(add.peer_address) || !IsAddress(add.https_address)) {
    return DirectoryOutcome::kMalformedField;
  }
  if (const NodeEntry* there = Find(add.name)) {
    number_ = there->number;
    bool same = there->data_centre == add.data_centre && there->peer_address == add.peer_address;
    return same ? DirectoryOutcome::kDone : DirectoryOutcome::kNameTaken;
  }
  if (!HasRoom(add.data_centre)) return DirectoryOutcome::kFull;
  GiveNumber(NodeEntry{.number = {},  // given below
                       .name = add.name,
                       .data_centre = add.data_centre,
                       .peer_address = add.peer_address,
                       .https_address = add.https_address});
  return DirectoryOutcome::kDone;
}

DirectoryOutcome Change::operator()(const ReplaceNode& replace) {
  if (FoundOwnNumber()) return DirectoryOutcome::kDone;
  if (!IsAddress(replace.peer_address) || !IsAddress(replace.https_address)) {
    return DirectoryOutcome::kMalformedField;
  }
  NodeEntry* old = Find(replace.name);
  if (old == nullptr) return DirectoryOutcome::kUnknownNode;
  if (directory_.next_number > UINT16_MAX) return DirectoryOutcome::kFull;
  NodeEntry fresh = *old;
  Set(&fresh.peer_address, replace.peer_address);
  Set(&fresh.https_address, replace.https_address);
  MakeGone(*old);
  GiveNumber(std::move(fresh));
  return DirectoryOutcome::kDone;
}

DirectoryOutcome Change::operator()(const SetNodeState& set) {
  NodeEntry* node = Find(set.name);
  if (node == nullptr) return DirectoryOutcome::kUnknownNode;
  number_ = node->number;
  if (node->state == set.state) return DirectoryOutcome::kDone;
  if (set.state == NodeState::kGone) {
    if (node->state != NodeState::kDraining) return DirectoryOutcome::kWrongState;
    std::erase_if(directory_.pins, [&](const Pin& pin) { return pin.node == set.name; });
    MakeGone(*node);
    return DirectoryOutcome::kDone;
  }
  if (set.state == NodeState::kDraining) {
    auto others =
        std::count_if(directory_.nodes.begin(), directory_.nodes.end(), [&](const NodeEntry& other) {
          return other.number != node->number && other.state == NodeState::kActive;
        });
    if (others == 0 || (set.last == LastOfDataCentre::kRefuse && IsLastOfDataCentre(*node))) {
      return DirectoryOutcome::kLastOfDataCentre;
    }
  }
  node->state = set.state;
  changed_ = true;
  return DirectoryOutcome::kDone;
}

DirectoryOutcome Change::operator()(const SetNodeAddresses& set) {
  if (!IsAddress(set.peer_address) || !IsAddress(set.https_address)) return DirectoryOutcome::kMalformedField;
  NodeEntry* node = Find(set.name);
  if (node == nullptr) return DirectoryOutcome::kUnknownNode;
  number_ = node->number;
  Set(&node->peer_address, set.peer_address);
  Set(&node->https_address, set.https_address);
  return DirectoryOutcome::kDone;
}

DirectoryOutcome Change::operator()(const PinShard& pin) {
  if (pin.shard.value >= shards_) return DirectoryOutcome::kUnknownShard;
  const NodeEntry* node = Find(pin.node);
  if (node == nullptr) return DirectoryOutcome::kUnknownNode;
  number_ = node->number;
  std::vector<Pin> before = directory_.pins;
  std::erase_if(directory_.pins, [&](const Pin& other) {
    if (other.shard != pin.shard) return false;
    return Find(other.node)->data_centre == node->data_centre;
  });
  Pin wanted{pin.shard, pin.node};
  auto at = std::find_if(directory_.pins.begin(), directory_.pins.end(), [&](const Pin& other) {
    return std::pair(other.shard, other.node) > std::pair(wanted.shard, wanted.node);
  });
  directory_.pins.insert(at, std::move(wanted));
  changed_ = directory_.pins != before;
  return DirectoryOutcome::kDone;
}

DirectoryOutcome Change::operator()(const UnpinShard& unpin) {
  if (unpin.shard.value >= shards_) return DirectoryOutcome::kUnknownShard;
  changed_ = std::erase_if(directory_.pins, [&](const Pin& pin) {
               return pin.shard == unpin.shard && (unpin.node.empty() || pin.node == unpin.node);
             }) > 0;
  return DirectoryOutcome::kDone;
}

struct Writer {
  ByteWriter& out;
  void operator()(const AddNode& add) const {
    Begin(Kind::kAdd);
    for (const std::string* field : {&add.name, &add.data_centre, &add.peer_address, &add.https_address}) {
      out.Bytes(*field);
    }
  }
  void operator()(const ReplaceNode& replace) const {
    Begin(Kind::kReplace);
    for (const std::string* field : {&replace.name, &replace.peer_address, &replace.https_address}) {
      out.Bytes(*field);
    }
  }
  void operator()(const SetNodeState& set) const {
    Begin(Kind::kSetState);
    out.Bytes(set.name);
    out.U8(static_cast<uint8_t>(set.state));
    out.U8(static_cast<uint8_t>(set.last));
  }
  void operator()(const SetNodeAddresses& set) const {
    Begin(Kind::kSetAddresses);
    for (const std::string* field : {&set.name, &set.peer_address, &set.https_address}) out.Bytes(*field);
  }
  void operator()(const PinShard& pin) const {
    Begin(Kind::kPin);
    out.Varint(pin.shard.value);
    out.Bytes(pin.node);
  }
  void operator()(const UnpinShard& unpin) const {
    Begin(Kind::kUnpin);
    out.Varint(unpin.shard.value);
    out.Bytes(unpin.node);
  }
  void Begin(Kind kind) const { out.U8(static_cast<uint8_t>(kind)); }
};

std::string ReadText(ByteReader& in) { return std::string(in.Bytes()); }

ShardId ReadShard(ByteReader& in) {
  uint64_t shard = in.Varint();
  if (shard > UINT32_MAX) in.Fail();
  return ShardId{static_cast<uint32_t>(shard)};
}

SetNodeState ReadSetState(ByteReader& in) {
  SetNodeState set{.name = ReadText(in)};
  uint8_t state = in.U8();
  uint8_t last = in.U8();
  if (state < 1 || state > 3 || last > 1) in.Fail();
  set.state = static_cast<NodeState>(state);
  set.last = static_cast<LastOfDataCentre>(last);
  return set;
}

}  // namespace

DirectoryResult ApplyDirectoryCommand(const DirectoryCommand& command, uint32_t shards,
                                      Directory& directory) {
  if (command.if_version != 0 && command.if_version != directory.version) {
    return {DirectoryOutcome::kVersionMismatch, ReplicaId{}, directory.version};
  }
  Change change(command, shards, directory);
  DirectoryOutcome outcome = std::visit(change, command.change);
  if (change.changed()) ++directory.version;
  return {outcome, change.number(), directory.version};
}

std::string EncodeDirectoryCommand(const DirectoryCommand& command) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kVersion);
  out.Bytes(command.request);
  out.Varint(command.if_version);
  std::visit(Writer{out}, command.change);
  return bytes;
}

absl::StatusOr<DirectoryCommand> DecodeDirectoryCommand(std::string_view bytes) {
  ByteReader in(bytes);
  DirectoryCommand command;
  if (in.U8() != kVersion) return absl::InvalidArgumentError("not a directory command of a known version");
  command.request = ReadText(in);
  if (command.request.empty() || command.request.size() > limits::kIdBytesMax) in.Fail();
  command.if_version = in.Varint();
  uint8_t kind = in.U8();
  if (kind < 1 || kind > 6) return absl::InvalidArgumentError("not a directory command of a known kind");
  switch (static_cast<Kind>(kind)) {
    case Kind::kAdd: {
      AddNode add;
      for (std::string* field : {&add.name, &add.data_centre, &add.peer_address, &add.https_address}) {
        *field = ReadText(in);
      }
      command.change = std::move(add);
      break;
    }
    case Kind::kReplace: {
      ReplaceNode replace;
      for (std::string* field : {&replace.name, &replace.peer_address, &replace.https_address}) {
        *field = ReadText(in);
      }
      command.change = std::move(replace);
      break;
    }
    case Kind::kSetState:
      command.change = ReadSetState(in);
      break;
    case Kind::kSetAddresses: {
      SetNodeAddresses set;
      for (std::string* field : {&set.name, &set.peer_address, &set.https_address}) *field = ReadText(in);
      command.change = std::move(set);
      break;
    }
    case Kind::kPin: {
      ShardId shard = ReadShard(in);
      command.change = PinShard{shard, ReadText(in)};
      break;
    }
    case Kind::kUnpin: {
      ShardId shard = ReadShard(in);
      command.change = UnpinShard{shard, ReadText(in)};
      break;
    }
  }
  if (!in.AtEnd()) return absl::InvalidArgumentError("malformed directory command");
  return command;
}

std::string_view DirectoryOutcomeText(DirectoryOutcome outcome) {
  switch (outcome) {
    case DirectoryOutcome::kDone:
      return "done";
    case DirectoryOutcome::kVersionMismatch:
      return "the directory was changed meanwhile";
    case DirectoryOutcome::kUnknownNode:
      return "no node has this name";
    case DirectoryOutcome::kNameTaken:
      return "a node with other fields has this name";
    case DirectoryOutcome::kMalformedField:
      return "a name or an address is malformed";
    case DirectoryOutcome::kLastOfDataCentre:
      return "it is the last active node of its data centre, which would have no replicas any more";
    case DirectoryOutcome::kWrongState:
      return "the node must be drained first";
    case DirectoryOutcome::kFull:
      return "too many nodes or data centres";
    case DirectoryOutcome::kUnknownShard:
      return "no such shard";
  }
  return "";
}

}  // namespace paxledger
