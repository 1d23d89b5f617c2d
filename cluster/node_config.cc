#include "cluster/node_config.h"

#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "cluster/json_document.h"
#include "cluster/node_config.pb.h"

namespace paxledger {
namespace {

constexpr uint32_t kMemoryBudgetMibDefault = 96;
constexpr uint32_t kMemoryBudgetMibMin = 32;
constexpr uint32_t kMemoryBudgetMibMax = 1 << 20;
constexpr uint32_t kMinFreeMibDefault = 512;
constexpr uint32_t kMinFreeMibMin = 48;  // a memtable of each table, being written, and the write-ahead log
constexpr uint32_t kMinFreeMibMax = 1 << 20;
constexpr uint32_t kApiThreadsMax = 64;

/// Collects the first thing that is wrong, so that the reader below stays a list of keys.
class Findings {
 public:
  Findings(std::string source, std::filesystem::path folder)
      : source_(std::move(source)), folder_(std::move(folder)) {}

  void Wrong(std::string_view key, std::string_view why) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(absl::StrCat(source_, ": ", ToAbsl(key), ": ", ToAbsl(why)));
  }
  std::string Text(std::string_view key, const std::string& value) {
    if (value.empty()) Wrong(key, "must be there");
    return value;
  }
  std::string Path(std::string_view key, const std::string& value) {
    if (Text(key, value).empty()) return value;
    return (folder_ / value).lexically_normal().string();  // an absolute `value` replaces the folder
  }
  void Address(std::string_view key, const std::string& value, DoorConfig& door) {
    if (Text(key, value).empty()) return;
    auto address = ParseHostPort(value);
    if (!address.ok()) return Wrong(key, ToStd(address.status().message()));
    std::tie(door.host, door.port) = *std::move(address);
  }
  uint32_t Number(std::string_view key, uint32_t value, uint32_t least, uint32_t most) {
    if (value < least || value > most) Wrong(key, absl::StrCat("must be ", least, "..", most));
    return value;
  }
  const absl::Status& status() const { return status_; }

 private:
  std::string source_;
  std::filesystem::path folder_;
  absl::Status status_;
};

ApiKeyConfig ReadApiKey(const cluster::ApiKey& document, std::string_view at, Findings& findings) {
  ApiKeyConfig key;
  key.name = findings.Text(absl::StrCat(ToAbsl(at), ".name"), document.name());
  std::string raw;
  for (char c : document.sha256()) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) raw = "?";
  }
  if (raw.empty() && document.sha256().size() == 64) raw = absl::HexStringToBytes(document.sha256());
  if (raw.size() != 32) findings.Wrong(absl::StrCat(ToAbsl(at), ".sha256"), "must be 64 hexadecimal digits");
  key.sha256 = Digest::FromRaw(raw);
  if (document.scopes().empty()) findings.Wrong(absl::StrCat(ToAbsl(at), ".scopes"), "must be there");
  key.scopes.assign(document.scopes().begin(), document.scopes().end());
  return key;
}

NodeConfig ReadConfig(const cluster::NodeDocument& document, Findings& findings) {
  NodeConfig config;
  config.genesis_path = findings.Path("genesis", document.genesis());
  config.node = document.node();
  config.data_centre = document.data_centre();
  if (config.node.empty()) findings.Text("data_centre", document.data_centre());
  config.data_dir = findings.Path("data_dir", document.data_dir());

  findings.Address("https.listen", document.https().listen(), config.https);
  config.https.certificate_path = findings.Path("https.certificate", document.https().certificate());
  config.https.private_key_path = findings.Path("https.private_key", document.https().private_key());

  if (!document.peers().listen().empty()) {
    findings.Address("peers.listen", document.peers().listen(), config.peers);
  }
  config.peers.certificate_path = findings.Path("peers.certificate", document.peers().certificate());
  config.peers.private_key_path = findings.Path("peers.private_key", document.peers().private_key());
  config.peer_ca_path = findings.Path("peers.ca", document.peers().ca());

  for (int i = 0; i < document.api_keys_size(); ++i) {
    config.api_keys.push_back(ReadApiKey(document.api_keys(i), absl::StrCat("api_keys[", i, "]"), findings));
  }
  uint32_t budget = document.memory_budget_mib();
  if (budget == 0) budget = kMemoryBudgetMibDefault;
  config.memory_budget_bytes =
      size_t{findings.Number("memory_budget_mib", budget, kMemoryBudgetMibMin, kMemoryBudgetMibMax)} << 20;
  uint32_t min_free = document.min_free_mib() == 0 ? kMinFreeMibDefault : document.min_free_mib();
  config.min_free_bytes = uint64_t{findings.Number("min_free_mib", min_free, kMinFreeMibMin, kMinFreeMibMax)}
                          << 20;
  config.api_threads = document.api_threads() == 0
                           ? 1
                           : findings.Number("api_threads", document.api_threads(), 1, kApiThreadsMax);
  std::string level = document.log_level().empty() ? "info" : document.log_level();
  std::optional<LogLevel> known = LogLevelFromName(level);
  if (!known.has_value()) findings.Wrong("log_level", "must be debug, info, warn or error");
  config.log_level = known.value_or(LogLevel::kInfo);
  return config;
}

/// This node as the creation document has it, or as one that joins later.
Member FindSelf(const NodeConfig& config, const Genesis& genesis, Findings& findings) {
  if (config.node.empty()) {
    std::vector<const Member*> there = genesis.InDataCentre(config.data_centre);
    if (there.size() == 1) return *there[0];
    if (there.empty()) {
      findings.Wrong("data_centre",
                     absl::StrCat("\"", config.data_centre, "\" is not in ", config.genesis_path,
                                  "; a node that joins has a name of its own: node"));
    } else {
      findings.Wrong("node",
                     absl::StrCat("data centre ", config.data_centre, " has several nodes: say which"));
    }
    return {};
  }
  if (const Member* self = genesis.FindNode(config.node)) {
    if (!config.data_centre.empty() && config.data_centre != self->data_centre) {
      findings.Wrong("data_centre", absl::StrCat(config.node, " is in ", self->data_centre));
    }
    return *self;
  }
  if (!IsNodeName(config.node)) findings.Wrong("node", "must be 1..32 letters, digits, '-' or '_'");
  if (!IsNodeName(config.data_centre)) findings.Wrong("data_centre", "must be there for a node that joins");
  return Member{ReplicaId{}, config.node, config.data_centre, ""};
}

}  // namespace

absl::StatusOr<std::pair<std::string, uint16_t>> ParseHostPort(std::string_view address) {
  size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(ToAbsl(address.substr(colon + 1)), &port) || port > UINT16_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(address), "\" is not host:port"));
  }
  return std::pair(std::string(address.substr(0, colon)), static_cast<uint16_t>(port));
}

absl::StatusOr<NodeSetup> LoadNodeSetup(const std::string& path) {
  absl::StatusOr<std::string> json = ReadTextFile(path);
  if (!json.ok()) return json.status();
  cluster::NodeDocument document;
  if (absl::Status parsed = ParseJsonDocument(*json, path, document); !parsed.ok()) return parsed;

  Findings findings(path, std::filesystem::path(path).parent_path());
  NodeSetup setup;
  setup.config = ReadConfig(document, findings);
  if (!findings.status().ok()) return findings.status();

  absl::StatusOr<std::string> genesis_json = ReadTextFile(setup.config.genesis_path);
  if (!genesis_json.ok()) return genesis_json.status();
  absl::StatusOr<Genesis> genesis = ParseGenesis(*genesis_json, setup.config.genesis_path);
  if (!genesis.ok()) return genesis.status();
  setup.genesis = *std::move(genesis);

  setup.self = FindSelf(setup.config, setup.genesis, findings);
  if (setup.config.peers.host.empty()) {
    findings.Address("peers.listen", setup.self.peer_address, setup.config.peers);
  }
  if (!findings.status().ok()) return findings.status();
  return setup;
}

}  // namespace paxledger
