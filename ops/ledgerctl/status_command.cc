#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/json.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/node_status.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl status";
constexpr char kHelp[] = R"(ledgerctl status [flags]

Asks every data centre how it is: whether it takes requests, hears a quorum, how many peers it hears, how many log entries
it lies behind the others, how many transactions it holds in doubt, and how far its clock is from the others'.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 all are ready; 2 wrong usage; 3 some are not; 4 none answers
)";

/// Whether `/readyz` says 200, per endpoint.
std::vector<bool> ReadReady(Client& client) {
  std::vector<bool> ready(client.endpoints());
  size_t missing = client.endpoints();
  for (size_t i = 0; i < client.endpoints(); ++i) {
    client.Send({.target = "/readyz", .timeout = absl::Seconds(8), .only = i}, [&, i](ClientAnswer answer) {
      ready[i] = answer.failure.ok() && answer.http_status == 200;
      if (--missing == 0) client.Stop();
    });
  }
  while (missing > 0) client.Run();
  return ready;
}

/// Entries that another data centre has applied, or this one knows of, and this one has not applied.
uint64_t Lag(const NodeStatus& node, const std::vector<NodeStatus>& all) {
  uint64_t lag = 0;
  for (const NodeStatus::Shard& shard : node.shards) {
    if (!shard.hosted) continue;
    uint64_t highest = shard.applied;
    for (const NodeStatus& other : all) {
      if (shard.shard < other.shards.size()) highest = std::max(highest, other.shards[shard.shard].applied);
    }
    lag += highest - shard.applied;
  }
  return lag;
}

std::string YesNo(const bool yes) { return yes ? "yes" : "NO"; }

void PrintTable(const std::vector<NodeStatus>& nodes, const std::vector<bool>& ready) {
  Table table({"data centre", "endpoint", "ready", "quorum", "peers up", "applied", "lag", "in doubt",
               "disk MiB", "clock offset"});
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeStatus& node = nodes[i];
    if (!node.failure.ok()) {
      table.Add({"?", node.endpoint, YesNo(ready[i]), "?", "?", "?", "?", "?", "?", "?"});
      continue;
    }
    table.Add({node.data_centre, node.endpoint, YesNo(ready[i]), YesNo(node.has_quorum),
               absl::StrCat(node.peers_up), Grouped(node.applied_total()), Grouped(Lag(node, nodes)),
               Grouped(node.in_doubt_total()), Grouped((node.disk_bytes + (1 << 20) - 1) >> 20),
               absl::StrFormat("%+.3f ms", static_cast<double>(node.clock_offset_us) / 1000)});
  }
  std::printf("%s", table.Render().c_str());
  for (const NodeStatus& node : nodes) {
    if (node.failure.ok()) continue;
    std::printf("%s: %s\n", node.endpoint.c_str(), std::string(node.failure.message()).c_str());
  }
}

void PrintJson(const std::vector<NodeStatus>& nodes, const std::vector<bool>& ready) {
  std::string out;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeStatus& node = nodes[i];
    absl::StrAppend(&out, i > 0 ? "," : "", "{\"endpoint\":");
    AppendJsonString(&out, node.endpoint);
    absl::StrAppend(&out, ",\"ready\":", ready[i] ? "true" : "false");
    if (!node.failure.ok()) {
      out += ",\"failure\":";
      AppendJsonString(&out, std::string(node.failure.message()));
    } else {
      out += ",\"data_centre\":";
      AppendJsonString(&out, node.data_centre);
      absl::StrAppend(&out, ",\"quorum\":", node.has_quorum ? "true" : "false",
                      ",\"peers_up\":", node.peers_up, ",\"applied\":", node.applied_total(),
                      ",\"lag\":", Lag(node, nodes), ",\"in_doubt\":", node.in_doubt_total(),
                      ",\"disk_bytes\":", node.disk_bytes, ",\"clock_offset_us\":", node.clock_offset_us);
    }
    out += "}";
  }
  std::printf("{\"data_centres\":[%s]}\n", out.c_str());
}

}  // namespace

ExitCode RunStatus(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(WithConnectionFlags({}), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(WithConnectionFlags({})).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  if (!arguments->positional().empty())
    return ReportUsage(kName, absl::InvalidArgumentError("too many words"));
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 1);
  if (!client.ok()) return ReportUsage(kName, client.status());
  const std::vector<bool> ready = ReadReady(**client);
  const std::vector<NodeStatus> nodes = ReadNodeStatuses(**client, {});
  if (arguments->Given("json")) {
    PrintJson(nodes, ready);
  } else {
    PrintTable(nodes, ready);
  }
  const auto answers = [](const NodeStatus& node) { return !absl::IsUnavailable(node.failure); };
  if (std::none_of(nodes.begin(), nodes.end(), answers)) return ExitCode::kUnreachable;
  const bool all_ready = std::find(ready.begin(), ready.end(), false) == ready.end();
  return all_ready ? ExitCode::kOk : ExitCode::kUnfinished;
}

}  // namespace paxledger
