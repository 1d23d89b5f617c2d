#include "cluster/directory.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "base/bytes.h"
#include "base/limits.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kAddressBytesMax = 255;
constexpr size_t kPinsMax = limits::kShardsMax * limits::kReplicasMax;

bool IsAddressOrNone(std::string_view address) {
  return address.empty() || (address.size() <= kAddressBytesMax && IsHostPort(address));
}

/// Whether `directory` is one that commands can make.
bool IsSound(const Directory& directory) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < directory.nodes.size(); ++i) {
    const NodeEntry& node = directory.nodes[i];
    if (node.number == ReplicaId{} || node.number.value >= directory.next_number) return false;
    if (i > 0 && !(directory.nodes[i - 1].number < node.number)) return false;
    if (!IsNodeName(node.name) || !IsNodeName(node.data_centre)) return false;
    if (!IsAddressOrNone(node.peer_address) || !IsAddressOrNone(node.https_address)) return false;
    if (node.request.size() > limits::kIdBytesMax) return false;
    if (node.state != NodeState::kGone && !names.insert(node.name).second) return false;
  }
  for (size_t i = 0; i < directory.pins.size(); ++i) {
    const Pin& pin = directory.pins[i];
    if (pin.shard.value >= limits::kShardsMax || !names.contains(pin.node)) return false;
    if (i == 0) continue;
    const Pin& before = directory.pins[i - 1];
    if (std::pair(before.shard, before.node) >= std::pair(pin.shard, pin.node)) return false;
  }
  return true;
}

}  // namespace

const NodeEntry* Directory::Find(ReplicaId number) const {
  auto at = std::lower_bound(nodes.begin(), nodes.end(), number,
                             [](const NodeEntry& node, ReplicaId wanted) { return node.number < wanted; });
  return at != nodes.end() && at->number == number ? &*at : nullptr;
}

const NodeEntry* Directory::FindName(std::string_view name) const {
  for (const NodeEntry& node : nodes) {
    if (node.state != NodeState::kGone && node.name == name) return &node;
  }
  return nullptr;
}

bool Directory::IsGone(ReplicaId number) const {
  if (number == ReplicaId{} || number.value >= next_number) return false;
  const NodeEntry* node = Find(number);
  return node == nullptr || node->state == NodeState::kGone;
}

std::string EncodeDirectory(const Directory& directory) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kVersion);
  out.Varint(directory.version);
  out.Varint(directory.next_number);
  out.Varint(directory.nodes.size());
  for (const NodeEntry& node : directory.nodes) {
    out.U16(node.number.value);
    out.U8(static_cast<uint8_t>(node.state));
    out.Bytes(node.name);
    out.Bytes(node.data_centre);
    out.Bytes(node.peer_address);
    out.Bytes(node.https_address);
    out.Bytes(node.request);
  }
  out.Varint(directory.pins.size());
  for (const Pin& pin : directory.pins) {
    out.Varint(pin.shard.value);
    out.Bytes(pin.node);
  }
  return bytes;
}

absl::StatusOr<Directory> DecodeDirectory(std::string_view bytes) {
  ByteReader in(bytes);
  Directory directory;
  if (in.U8() != kVersion) return absl::InvalidArgumentError("not a directory of a known version");
  directory.version = in.Varint();
  uint64_t next_number = in.Varint();
  uint64_t nodes = in.Varint();
  if (next_number == 0 || next_number > uint64_t{UINT16_MAX} + 1 ||
      nodes > limits::kNodesMax + limits::kNodesGoneKept) {
    in.Fail();
  }
  directory.next_number = static_cast<uint32_t>(next_number);
  for (uint64_t i = 0; i < nodes && in.ok(); ++i) {
    NodeEntry node;
    node.number = ReplicaId{in.U16()};
    uint8_t state = in.U8();
    if (state < 1 || state > 3) in.Fail();
    node.state = static_cast<NodeState>(state);
    node.name = in.Bytes();
    node.data_centre = in.Bytes();
    node.peer_address = in.Bytes();
    node.https_address = in.Bytes();
    node.request = in.Bytes();
    directory.nodes.push_back(std::move(node));
  }
  uint64_t pins = in.Varint();
  if (pins > kPinsMax) in.Fail();
  for (uint64_t i = 0; i < pins && in.ok(); ++i) {
    uint64_t shard = in.Varint();
    if (shard >= limits::kShardsMax) in.Fail();
    directory.pins.push_back(Pin{ShardId{static_cast<uint32_t>(shard)}, std::string(in.Bytes())});
  }
  if (!in.AtEnd() || !IsSound(directory)) return absl::InvalidArgumentError("malformed directory");
  return directory;
}

bool IsNodeName(std::string_view name) {
  if (name.empty() || name.size() > limits::kNodeNameBytesMax) return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
  }
  return true;
}

bool IsHostPort(std::string_view address) {
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  for (char c : address.substr(0, colon)) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
  }
  std::string_view port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5) return false;
  uint32_t number = 0;
  for (char c : port) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number > 0 && number <= 65535;
}

std::string_view NodeStateName(NodeState state) {
  switch (state) {
    case NodeState::kActive:
      return "active";
    case NodeState::kDraining:
      return "draining";
    case NodeState::kGone:
      return "gone";
  }
  return "";
}

}  // namespace paxledger
