#include "cluster/genesis.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "cluster/genesis.pb.h"
#include "cluster/json_document.h"

namespace paxledger {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr size_t kNameBytesMax = 32;

bool IsClusterId(std::string_view id) {
  if (id.size() != 32) return false;
  for (char c : id) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && (c < 'a' || c > 'f')) return false;
  }
  return true;
}

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
  }
  return true;
}

bool IsAddress(std::string_view address) {
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5) return false;
  uint32_t number = 0;
  for (char c : port) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number > 0 && number <= 65535;
}

// Text of the first rule that a genesis breaks; empty where it breaks none.
std::string BrokenRule(const Genesis& genesis) {
  if (!IsClusterId(genesis.cluster_id)) return "cluster_id: must be 32 hexadecimal digits";
  if (genesis.shards == 0 || genesis.shards > limits::kShardsMax) {
    return absl::StrCat("shards: must be 1..", limits::kShardsMax);
  }
  size_t n = genesis.members.size();
  if (n == 0 || n > limits::kReplicasMax) {
    return absl::StrCat("data_centres: must be 1..", limits::kReplicasMax, " of them");
  }
  std::set<std::string> names;
  std::set<std::string> addresses;
  for (size_t i = 0; i < n; ++i) {
    const Member& member = genesis.members[i];
    std::string at = absl::StrCat("data_centres[", i, "]");
    if (!IsName(member.data_centre)) return at + ".name: must be 1..32 letters, digits, '-' or '_'";
    if (!names.insert(member.data_centre).second) return at + ".name: stands there twice";
    if (member.replica.value != i + 1) return at + ".replica_id: replicas are numbered 1..n in order";
    if (!IsAddress(member.peer_address)) return at + ".peer_address: must be host:port";
    if (!addresses.insert(member.peer_address).second) return at + ".peer_address: stands there twice";
  }
  return "";
}

}  // namespace

const Member* Genesis::FindDataCentre(std::string_view name) const {
  for (const Member& member : members) {
    if (member.data_centre == name) return &member;
  }
  return nullptr;
}

absl::StatusOr<Genesis> CreateGenesis(uint32_t shards, std::vector<Member> members, Random& random) {
  std::string raw;
  ByteWriter id(&raw);
  id.U64(random.Next());
  id.U64(random.Next());
  Genesis genesis{.cluster_id = ToHex(raw), .shards = shards, .members = std::move(members)};
  uint16_t next = 1;
  for (Member& member : genesis.members) member.replica = ReplicaId{next++};
  if (std::string broken = BrokenRule(genesis); !broken.empty()) return absl::InvalidArgumentError(broken);
  return genesis;
}

absl::StatusOr<Genesis> ParseGenesis(std::string_view json, std::string_view source) {
  cluster::GenesisDocument document;
  if (absl::Status parsed = ParseJsonDocument(json, source, document); !parsed.ok()) return parsed;
  absl::string_view where = ToAbsl(source);
  if (document.format_version() > kFormatVersion || document.protocol_version() > kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat(where, ": format ", document.format_version(),
                                                      " with protocol ", document.protocol_version(),
                                                      " is newer than this program, which knows format ",
                                                      kFormatVersion, " and protocol ", kProtocolVersion));
  }
  if (document.format_version() == 0 || document.protocol_version() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": format_version and protocol_version must be there"));
  }
  Genesis genesis{.cluster_id = document.cluster_id(),
                  .protocol_version = document.protocol_version(),
                  .shards = document.shards(),
                  .members = {}};
  for (const cluster::DataCentre& one : document.data_centres()) {
    // What does not fit in 16 bits becomes 0, which BrokenRule refuses.
    uint32_t id = one.replica_id() <= UINT16_MAX ? one.replica_id() : 0;
    genesis.members.push_back(Member{ReplicaId{static_cast<uint16_t>(id)}, one.name(), one.peer_address()});
  }
  if (std::string broken = BrokenRule(genesis); !broken.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", broken));
  }
  return genesis;
}

std::string FormatGenesis(const Genesis& genesis) {
  cluster::GenesisDocument document;
  document.set_format_version(kFormatVersion);
  document.set_cluster_id(genesis.cluster_id);
  document.set_protocol_version(genesis.protocol_version);
  document.set_shards(genesis.shards);
  for (const Member& member : genesis.members) {
    cluster::DataCentre& one = *document.add_data_centres();
    one.set_name(member.data_centre);
    one.set_replica_id(member.replica.value);
    one.set_peer_address(member.peer_address);
  }
  return FormatJsonDocument(document);
}

Digest GenesisDigest(const Genesis& genesis) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.Raw("paxledger genesis");
  out.U8(kFormatVersion);
  out.Bytes(genesis.cluster_id);
  out.U32(genesis.protocol_version);
  out.U32(genesis.shards);
  out.Varint(genesis.members.size());
  for (const Member& member : genesis.members) {
    out.U16(member.replica.value);
    out.Bytes(member.data_centre);
  }
  return Sha256(bytes);
}

}  // namespace paxledger
