#include "ops/ledgerd/init_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/limits.h"
#include "base/random.h"
#include "cluster/genesis.h"
#include "ops/ledgerctl/arguments.h"

namespace paxledger {
namespace {

constexpr uint64_t kNodesPerDataCentreMax = 26;  // they are named by letters

struct InitOptions {
  std::vector<Member> members;
  uint32_t shards = 0;
  ShardMode mode = ShardMode::kLeaderless;
  std::string out;
};

// Nodes of a data centre are called as it, where it has one, or else dc1-a, dc1-b, ...
std::string NodeName(absl::string_view data_centre, uint64_t node, uint64_t nodes_per_data_centre) {
  if (nodes_per_data_centre == 1) return std::string(data_centre);
  return absl::StrCat(data_centre, "-", std::string(1, static_cast<char>('a' + node)));
}

// `names` are data centres, "dc1,dc2"; `peers` says where their nodes are, "dc1=host:port,dc2=host:port", in any order.
absl::StatusOr<std::vector<Member>> ReadMembers(const std::string& names, uint64_t nodes_per_data_centre,
                                                const std::string& peers) {
  std::map<std::string, std::string> addresses;
  for (absl::string_view pair : absl::StrSplit(peers, ',', absl::SkipEmpty())) {
    std::vector<std::string> parts = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || !addresses.emplace(parts[0], parts[1]).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--peers: \"", pair, "\" is not name=host:port, or comes twice"));
    }
  }
  std::vector<Member> members;
  for (absl::string_view data_centre : absl::StrSplit(names, ',')) {
    for (uint64_t node = 0; node < nodes_per_data_centre; ++node) {
      std::string name = NodeName(data_centre, node, nodes_per_data_centre);
      auto address = addresses.extract(name);
      if (address.empty()) {
        return absl::InvalidArgumentError(absl::StrCat("--peers has no address of \"", name, "\""));
      }
      members.push_back(Member{ReplicaId{}, name, std::string(data_centre), address.mapped()});
    }
  }
  if (!addresses.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--peers names \"", addresses.begin()->first, "\", which --data-centres does not"));
  }
  return members;
}

absl::StatusOr<InitOptions> ReadOptions(const std::vector<std::string>& words) {
  absl::StatusOr<Arguments> line = Arguments::Parse({{"data-centres", "NAME,...", "", ""},
                                                     {"nodes-per-dc", "N", "1", ""},
                                                     {"peers", "NAME=HOST:PORT,...", "", ""},
                                                     {"shards", "N", "12", ""},
                                                     {"mode", "leaderless|primary", "leaderless", ""},
                                                     {"out", "FILE", "genesis.json", ""}},
                                                    words);
  if (!line.ok()) return line.status();
  if (!line->positional().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", line->positional()[0], "\""));
  }
  if (!line->Given("data-centres") || !line->Given("peers")) {
    return absl::InvalidArgumentError("--data-centres and --peers must be given");
  }
  absl::StatusOr<uint64_t> nodes = line->GetNumber("nodes-per-dc", 1, kNodesPerDataCentreMax);
  if (!nodes.ok()) return nodes.status();
  absl::StatusOr<std::vector<Member>> members =
      ReadMembers(line->Get("data-centres"), *nodes, line->Get("peers"));
  if (!members.ok()) return members.status();
  absl::StatusOr<uint64_t> shards = line->GetNumber("shards", 1, limits::kShardsMax);
  if (!shards.ok()) return shards.status();
  absl::StatusOr<ShardMode> mode = ParseShardMode(line->Get("mode"));
  if (!mode.ok()) return absl::InvalidArgumentError(absl::StrCat("--mode ", mode.status().message()));
  return InitOptions{*std::move(members), static_cast<uint32_t>(*shards), *mode, line->Get("out")};
}

// Made anew and synced, or nothing.
bool WriteNewFile(const std::string& path, const std::string& text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  bool written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  int failure = errno;
  ::close(fd);
  if (!written) ::unlink(path.c_str());
  errno = failure;
  return written;
}

}  // namespace

NodeExit RunInit(const std::vector<std::string>& words) {
  absl::StatusOr<InitOptions> options = ReadOptions(words);
  if (!options.ok()) {
    std::fprintf(stderr, "ledgerd init: %s\n", std::string(options.status().message()).c_str());
    return NodeExit::kUsage;
  }
  std::random_device device;
  Random random((uint64_t{device()} << 32) | device());
  absl::StatusOr<Genesis> genesis = CreateGenesis(options->shards, options->members, random);
  if (!genesis.ok()) {
    std::fprintf(stderr, "ledgerd init: %s\n", std::string(genesis.status().message()).c_str());
    return NodeExit::kUsage;
  }
  genesis->mode = options->mode;
  if (!WriteNewFile(options->out, FormatGenesis(*genesis))) {
    std::fprintf(stderr, "ledgerd init: %s: %s\n", options->out.c_str(), std::strerror(errno));
    return NodeExit::kMachine;
  }
  std::printf("%s: cluster %s of %zu nodes and %u shards\n", options->out.c_str(),
              genesis->cluster_id.c_str(), genesis->members.size(), genesis->shards);
  return NodeExit::kOk;
}

}  // namespace paxledger
