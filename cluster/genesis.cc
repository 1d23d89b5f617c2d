#include "cluster/genesis.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "cluster/genesis.pb.h"
#include "cluster/json_document.h"
#include "cluster/placement.h"

namespace paxledger {
namespace {

constexpr uint32_t kFormatOfDataCentres = 1;  // one node in each, which bears its name
constexpr uint32_t kFormatOfNodes = 2;

bool IsClusterId(std::string_view id) {
  if (id.size() != 32) return false;
  for (char c : id) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && (c < 'a' || c > 'f')) return false;
  }
  return true;
}

uint32_t FormatOf(const Genesis& genesis) {
  for (const Member& member : genesis.members) {
    if (member.name != member.data_centre) return kFormatOfNodes;
  }
  return kFormatOfDataCentres;
}

// Text of the first rule that a genesis breaks; empty where it breaks none.
std::string BrokenRule(const Genesis& genesis, uint32_t format) {
  if (!IsClusterId(genesis.cluster_id)) return "cluster_id: must be 32 hexadecimal digits";
  if (genesis.shards == 0 || genesis.shards > limits::kShardsMax) {
    return absl::StrCat("shards: must be 1..", limits::kShardsMax);
  }
  const bool of_nodes = format == kFormatOfNodes;
  absl::string_view list = of_nodes ? "nodes" : "data_centres";
  size_t n = genesis.members.size();
  if (n == 0 || n > limits::kNodesMax)
    return absl::StrCat(list, ": must be 1..", limits::kNodesMax, " of them");
  std::set<std::string> names;
  std::set<std::string> data_centres;
  std::set<std::string> addresses;
  for (size_t i = 0; i < n; ++i) {
    const Member& member = genesis.members[i];
    std::string at = absl::StrCat(list, "[", i, "]");
    if (!IsNodeName(member.name)) return at + ".name: must be 1..32 letters, digits, '-' or '_'";
    if (!IsNodeName(member.data_centre))
      return at + ".data_centre: must be 1..32 letters, digits, '-' or '_'";
    if (!names.insert(member.name).second) return at + ".name: stands there twice";
    data_centres.insert(member.data_centre);
    if (member.replica.value != i + 1) {
      return at + (of_nodes ? ".number: nodes" : ".replica_id: replicas") + " are numbered 1..n in order";
    }
    if (!IsHostPort(member.peer_address)) return at + ".peer_address: must be host:port";
    if (!addresses.insert(member.peer_address).second) return at + ".peer_address: stands there twice";
  }
  if (data_centres.size() > limits::kReplicasMax) {
    return absl::StrCat(list, ": at most ", limits::kReplicasMax, " data centres");
  }
  return "";
}

// What does not fit in 16 bits becomes 0, which BrokenRule refuses.
ReplicaId NumberOf(uint32_t number) {
  return ReplicaId{static_cast<uint16_t>(number <= UINT16_MAX ? number : 0)};
}

}  // namespace

const Member* Genesis::FindNode(std::string_view name) const {
  for (const Member& member : members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

std::vector<const Member*> Genesis::InDataCentre(std::string_view data_centre) const {
  std::vector<const Member*> found;
  for (const Member& member : members) {
    if (member.data_centre == data_centre) found.push_back(&member);
  }
  return found;
}

absl::StatusOr<Genesis> CreateGenesis(uint32_t shards, std::vector<Member> members, Random& random) {
  std::string raw;
  ByteWriter id(&raw);
  id.U64(random.Next());
  id.U64(random.Next());
  Genesis genesis{.cluster_id = ToHex(raw), .shards = shards, .members = std::move(members)};
  uint16_t next = 1;
  for (Member& member : genesis.members) member.replica = ReplicaId{next++};
  std::string broken = BrokenRule(genesis, FormatOf(genesis));
  if (!broken.empty()) return absl::InvalidArgumentError(broken);
  return genesis;
}

std::string_view ShardModeName(ShardMode mode) {
  switch (mode) {
    case ShardMode::kLeaderless:
      return "leaderless";
    case ShardMode::kPrimary:
      return "primary";
  }
  return "";
}

absl::StatusOr<ShardMode> ParseShardMode(std::string_view name) {
  for (ShardMode mode : {ShardMode::kLeaderless, ShardMode::kPrimary}) {
    if (name == ShardModeName(mode)) return mode;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("must be leaderless or primary, not \"", ToAbsl(name), "\""));
}

namespace {

// `genesis` holds everything else already.
absl::Status ReadModes(const cluster::GenesisDocument& document, Genesis& genesis) {
  if (!document.mode().empty()) {
    absl::StatusOr<ShardMode> mode = ParseShardMode(document.mode());
    if (!mode.ok()) return absl::InvalidArgumentError(absl::StrCat("mode: ", mode.status().message()));
    genesis.mode = *mode;
  }
  if (document.shard_modes().empty()) return absl::OkStatus();
  std::vector<std::vector<ReplicaId>> placement = CreationPlacement(genesis);
  for (int i = 0; i < document.shard_modes_size(); ++i) {
    const cluster::ShardModeEntry& entry = document.shard_modes(i);
    std::string at = absl::StrCat("shard_modes[", i, "]");
    absl::StatusOr<ShardMode> mode = ParseShardMode(entry.mode());
    if (!mode.ok()) return absl::InvalidArgumentError(absl::StrCat(at, ".mode: ", mode.status().message()));
    if (entry.shard() >= genesis.shards) {
      return absl::InvalidArgumentError(
          absl::StrCat(at, ".shard: there are only ", genesis.shards, " shards"));
    }
    ReplicaId primary = NumberOf(entry.primary());
    const std::vector<ReplicaId>& members = placement[entry.shard()];
    bool wanted = *mode == ShardMode::kPrimary;
    bool is_member = std::find(members.begin(), members.end(), primary) != members.end();
    if (entry.primary() != 0 && (!wanted || !is_member)) {
      return absl::InvalidArgumentError(
          absl::StrCat(at, ".primary: must be a member of the shard, and in mode primary only"));
    }
    if (!genesis.shard_modes.emplace(entry.shard(), ShardRouting{*mode, primary}).second) {
      return absl::InvalidArgumentError(absl::StrCat(at, ".shard: stands there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Genesis> ParseGenesis(std::string_view json, std::string_view source) {
  cluster::GenesisDocument document;
  if (absl::Status parsed = ParseJsonDocument(json, source, document); !parsed.ok()) return parsed;
  absl::string_view where = ToAbsl(source);
  if (document.format_version() > kFormatOfNodes || document.protocol_version() > kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat(where, ": format ", document.format_version(),
                                                      " with protocol ", document.protocol_version(),
                                                      " is newer than this program, which knows format ",
                                                      kFormatOfNodes, " and protocol ", kProtocolVersion));
  }
  if (document.format_version() == 0 || document.protocol_version() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": format_version and protocol_version must be there"));
  }
  Genesis genesis{.cluster_id = document.cluster_id(),
                  .protocol_version = document.protocol_version(),
                  .shards = document.shards(),
                  .members = {}};
  bool of_nodes = document.format_version() == kFormatOfNodes;
  if (of_nodes ? document.data_centres_size() > 0 : document.nodes_size() > 0) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": format ", document.format_version(), " has no ",
                                                   of_nodes ? "data_centres" : "nodes"));
  }
  for (const cluster::DataCentre& one : document.data_centres()) {
    genesis.members.push_back(Member{NumberOf(one.replica_id()), one.name(), one.name(), one.peer_address()});
  }
  for (const cluster::GenesisNode& one : document.nodes()) {
    genesis.members.push_back(
        Member{NumberOf(one.number()), one.name(), one.data_centre(), one.peer_address()});
  }
  if (std::string broken = BrokenRule(genesis, document.format_version()); !broken.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", broken));
  }
  if (absl::Status read = ReadModes(document, genesis); !read.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", read.message()));
  }
  return genesis;
}

std::string FormatGenesis(const Genesis& genesis) {
  cluster::GenesisDocument document;
  uint32_t format = FormatOf(genesis);
  document.set_format_version(format);
  document.set_cluster_id(genesis.cluster_id);
  document.set_protocol_version(genesis.protocol_version);
  document.set_shards(genesis.shards);
  for (const Member& member : genesis.members) {
    if (format == kFormatOfDataCentres) {
      cluster::DataCentre& one = *document.add_data_centres();
      one.set_name(member.data_centre);
      one.set_replica_id(member.replica.value);
      one.set_peer_address(member.peer_address);
    } else {
      cluster::GenesisNode& one = *document.add_nodes();
      one.set_name(member.name);
      one.set_number(member.replica.value);
      one.set_data_centre(member.data_centre);
      one.set_peer_address(member.peer_address);
    }
  }
  if (genesis.mode != ShardMode::kLeaderless) document.set_mode(std::string(ShardModeName(genesis.mode)));
  for (const auto& [shard, routing] : genesis.shard_modes) {
    cluster::ShardModeEntry& entry = *document.add_shard_modes();
    entry.set_shard(shard);
    entry.set_mode(std::string(ShardModeName(routing.mode)));
    entry.set_primary(routing.primary.value);
  }
  return FormatJsonDocument(document);
}

Directory CreationDirectory(const Genesis& genesis) {
  Directory directory;
  for (const Member& member : genesis.members) {
    directory.nodes.push_back(
        NodeEntry{.number = member.replica, .name = member.name, .data_centre = member.data_centre});
  }
  directory.next_number = static_cast<uint32_t>(genesis.members.size()) + 1;
  return directory;
}

std::vector<std::vector<ReplicaId>> CreationPlacement(const Genesis& genesis) {
  Directory directory = CreationDirectory(genesis);
  std::vector<std::vector<ReplicaId>> placement;
  for (uint32_t shard = 0; shard < genesis.shards; ++shard) {
    placement.push_back(WantedMembers(directory, ShardId{shard}));
  }
  return placement;
}

std::vector<ShardRouting> CreationRouting(const Genesis& genesis) {
  std::vector<std::vector<ReplicaId>> placement = CreationPlacement(genesis);
  std::vector<ShardRouting> routing;
  for (uint32_t shard = 0; shard < genesis.shards; ++shard) {
    auto own = genesis.shard_modes.find(shard);
    ShardRouting one =
        own == genesis.shard_modes.end() ? ShardRouting{genesis.mode, ReplicaId{}} : own->second;
    if (one.mode == ShardMode::kPrimary && one.primary == ReplicaId{}) {
      one.primary = placement[shard][shard % placement[shard].size()];
    }
    routing.push_back(one);
  }
  return routing;
}

Digest GenesisDigest(const Genesis& genesis) {
  std::string bytes;
  ByteWriter out(&bytes);
  uint32_t format = FormatOf(genesis);
  out.Raw("paxledger genesis");
  out.U8(static_cast<uint8_t>(format));
  out.Bytes(genesis.cluster_id);
  out.U32(genesis.protocol_version);
  out.U32(genesis.shards);
  out.Varint(genesis.members.size());
  for (const Member& member : genesis.members) {
    out.U16(member.replica.value);
    if (format == kFormatOfNodes) out.Bytes(member.name);
    out.Bytes(member.data_centre);
  }
  return Sha256(bytes);
}

}  // namespace paxledger
