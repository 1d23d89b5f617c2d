#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/json.h"
#include "ops/ledgerctl/audit_quick.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl audit";
constexpr absl::Duration kRoundPause = absl::Milliseconds(300);
constexpr char kHelp[] = R"(ledgerctl audit quick [flags]

Reads the totals and digests of every shard from every data centre and checks that
  - posted debits equal posted credits, per shard and asset
  - clearing accounts pair off between shards, once nothing is in doubt
  - journal and state digests at equal indexes are equal in all data centres
What is in flight or catching up is asked for again until --wait is over. A data centre that does not answer is named, and
the others are judged.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 pass; 2 wrong usage; 3 incomplete: something was still in flight or behind; 4 no data centre answers;
            5 a difference was found
)";

std::vector<Flag> AuditFlags() {
  return WithConnectionFlags({{"wait", "DURATION", "20s", "how long to ask again for what is in flight"}});
}

std::string_view Verdict(const AuditFindings& findings) {
  if (!findings.differences.empty()) return "fail";
  return findings.open.empty() ? "pass" : "incomplete";
}

void AppendList(std::string* out, std::string_view name, const std::vector<std::string>& texts) {
  absl::StrAppend(out, ",\"", absl::string_view(name.data(), name.size()), "\":[");
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendJsonString(out, texts[i]);
  }
  out->push_back(']');
}

void PrintJson(const AuditFindings& findings, const std::vector<NodeStatus>& nodes) {
  std::string out =
      absl::StrCat("{\"verdict\":\"", std::string(Verdict(findings)),
                   "\",\"books_balanced\":", findings.books_balanced ? "true" : "false",
                   ",\"clearing_settled\":", findings.pairs_settled ? "true" : "false",
                   ",\"data_centres\":", findings.data_centres, ",\"shards\":", findings.shards,
                   ",\"digests_compared\":", findings.digests_compared, ",\"in_doubt\":", findings.in_doubt);
  AppendList(&out, "differences", findings.differences);
  AppendList(&out, "open", findings.open);
  AppendList(&out, "unreachable", findings.unreachable);
  std::map<std::string, uint64_t> applied;  // by data centre, over its nodes
  for (const NodeStatus& node : nodes) {
    if (node.failure.ok()) applied[node.data_centre] += node.applied_total();
  }
  absl::StrAppend(&out, ",\"applied\":{");
  bool first = true;
  for (const auto& [data_centre, entries] : applied) {
    absl::StrAppend(&out, first ? "" : ",");
    first = false;
    AppendJsonString(&out, data_centre);
    absl::StrAppend(&out, ":", entries);
  }
  std::printf("%s}}\n", out.c_str());
}

void PrintList(const char* title, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) std::printf("%s: %s\n", title, text.c_str());
}

void PrintTable(const AuditFindings& findings, const std::vector<NodeStatus>& nodes) {
  Table table({"data centre", "shards", "entries applied", "in doubt"});
  for (const NodeStatus& node : nodes) {
    if (!node.failure.ok()) continue;
    const auto hosted = std::count_if(node.shards.begin(), node.shards.end(),
                                      [](const NodeStatus::Shard& shard) { return shard.hosted; });
    table.Add({node.data_centre, absl::StrCat(hosted), Grouped(node.applied_total()),
               Grouped(node.in_doubt_total())});
  }
  std::printf("%s\n", table.Render().c_str());
  PrintList("unreachable", findings.unreachable);
  PrintList("open", findings.open);
  PrintList("difference", findings.differences);
  std::printf("books balanced: %s\n", findings.books_balanced ? "yes" : "NO");
  std::printf("clearing accounts pair off: %s\n", findings.pairs_settled ? "yes" : "not yet, or not at all");
  std::printf("digests compared: %zu, over %zu shards and %zu data centres\n", findings.digests_compared,
              findings.shards, findings.data_centres);
  std::printf("verdict: %s\n", std::string(Verdict(findings)).c_str());
}

struct Round {
  std::vector<NodeStatus> nodes;
  AuditFindings findings;
};

Round AskOnce(Client& client, const std::vector<NodeStatus>& before) {
  const std::vector<uint64_t> indexes = LowestApplied(ReadNodeStatuses(client, {}));
  Round round;
  round.nodes = ReadNodeStatuses(client, indexes);
  round.findings = JudgeStatuses(round.nodes, before);
  return round;
}

}  // namespace

ExitCode RunAudit(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(AuditFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(AuditFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  if (arguments->positional() != std::vector<std::string>{"quick"}) {
    return ReportUsage(kName, absl::InvalidArgumentError("'quick' is needed"));
  }
  const absl::StatusOr<absl::Duration> wait = arguments->GetDuration("wait");
  if (!wait.ok()) return ReportUsage(kName, wait.status());
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 2);
  if (!client.ok()) return ReportUsage(kName, client.status());
  const absl::Time until = absl::Now() + *wait;
  Round round = AskOnce(**client, {});
  while (!round.findings.open.empty() && round.findings.differences.empty() && absl::Now() < until) {
    (*client)->After(kRoundPause, [&] { (*client)->Stop(); });
    (*client)->Run();
    round = AskOnce(**client, round.nodes);
  }
  if (round.findings.data_centres == 0) {
    const std::vector<std::string>& why = round.findings.unreachable;
    return ReportFailure(kName, absl::UnavailableError(why.empty() ? "no data centre answers" : why[0]));
  }
  if (arguments->Given("json")) {
    PrintJson(round.findings, round.nodes);
  } else {
    PrintTable(round.findings, round.nodes);
  }
  if (!round.findings.differences.empty()) return ExitCode::kDifference;
  return round.findings.open.empty() ? ExitCode::kOk : ExitCode::kUnfinished;
}

}  // namespace paxledger
