#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "api/json.h"
#include "base/limits.h"
#include "ops/bench/load.h"
#include "ops/ledgerctl/connection.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledger-bench";
constexpr char kHelp[] = R"(ledger-bench [flags]

Posts transfers between accounts drawn uniformly, over HTTPS, and reports the rate, latency percentiles and fsyncs. The
accounts have limits and are opened and funded first.

  ledger-bench --connections 64                    closed loop, single transfers
  ledger-bench --connections 8 --batch 1000        closed loop, batches
  ledger-bench --rate 2000                         open loop: requests are due at this rate, and latency counts from then

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 done; 1 refused; 2 wrong usage; 3 some transfers failed; 4 no data centre answers
)";

std::vector<Flag> BenchFlags() {
  return WithConnectionFlags({
      {"connections", "N", "64", "in all, spread over the data centres"},
      {"rate", "R", "0", "requests a second, in the open loop; 0: closed loop"},
      {"batch", "N", "1", "transfers in a request; 1: single transfers"},
      {"accounts", "N", "10000", "how many accounts to draw from"},
      {"prefix", "TEXT", "bench:", "of their ids"},
      {"asset", "CODE/SCALE", "USD/2", "of their money"},
      {"ids", "placed|arbitrary", "placed",
       "placed: the client library's, at home on the debit account's shard"},
      {"warmup", "DURATION", "3s", "before anything counts"},
      {"duration", "DURATION", "15s", "what counts"},
      {"seed", "N", "0", "of the random draws; 0: any"},
      {"events", "FILE", "", "every transfer as a line of CSV, warm-up included; single transfers only"},
  });
}

absl::StatusOr<LoadOptions> ReadOptions(const Arguments& arguments) {
  LoadOptions options;
  options.ledger = arguments.Get("ledger");
  options.ledger_path = LedgerPath(arguments);
  options.prefix = arguments.Get("prefix");
  options.asset = arguments.Get("asset");
  const absl::StatusOr<uint64_t> connections = arguments.GetNumber("connections", 1, 4096);
  if (!connections.ok()) return connections.status();
  options.connections = *connections;
  const absl::StatusOr<uint64_t> batch = arguments.GetNumber("batch", 1, limits::kBatchItemsMax);
  if (!batch.ok()) return batch.status();
  options.batch = *batch;
  if (options.batch != 1 && arguments.Given("events")) {
    return absl::InvalidArgumentError("--events is for single transfers");
  }
  const absl::StatusOr<uint64_t> accounts = arguments.GetNumber("accounts", 2, 10'000'000);
  if (!accounts.ok()) return accounts.status();
  options.accounts = static_cast<uint32_t>(*accounts);
  const absl::StatusOr<uint64_t> seed = arguments.GetNumber("seed", 0, UINT64_MAX);
  if (!seed.ok()) return seed.status();
  options.seed = *seed != 0 ? *seed : std::random_device{}();
  if (!absl::SimpleAtod(arguments.Get("rate"), &options.rate) || options.rate < 0 || options.rate > 1e6) {
    return absl::InvalidArgumentError("--rate must be a number of requests a second");
  }
  const std::string& ids = arguments.Get("ids");
  if (ids != "placed" && ids != "arbitrary")
    return absl::InvalidArgumentError("--ids is placed or arbitrary");
  options.ids = ids == "placed" ? IdKind::kPlaced : IdKind::kArbitrary;
  const absl::StatusOr<absl::Duration> warmup = arguments.GetDuration("warmup");
  if (!warmup.ok()) return warmup.status();
  options.warmup = *warmup;
  const absl::StatusOr<absl::Duration> duration = arguments.GetDuration("duration");
  if (!duration.ok()) return duration.status();
  options.duration = *duration;
  return options;
}

/// `paxledger_engine_syncs_total` of an endpoint; -1: it does not say.
double ReadSyncs(Client& client, size_t endpoint) {
  const ClientAnswer answer =
      client.Call({.target = "/metrics", .timeout = absl::Seconds(5), .only = endpoint});
  if (!AnswerStatus(answer).ok()) return -1;
  double sum = -1;
  for (const absl::string_view line : absl::StrSplit(answer.body, '\n')) {
    if (!absl::StartsWith(line, "paxledger_engine_syncs_total")) continue;
    double value = 0;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum = (sum < 0 ? 0 : sum) + value;
  }
  return sum;
}

struct Syncs {
  std::vector<double> before;
  std::vector<double> after;
};

std::vector<double> ReadAllSyncs(Client& client) {
  std::vector<double> syncs;
  for (size_t i = 0; i < client.endpoints(); ++i) syncs.push_back(ReadSyncs(client, i));
  return syncs;
}

/// Over all transfers of the run, warm-up included: the counters were read around it.
double PerTransfer(const Syncs& syncs, size_t i, double transfers) {
  if (syncs.before[i] < 0 || syncs.after[i] < 0 || transfers <= 0) return -1;
  return (syncs.after[i] - syncs.before[i]) / transfers;
}

struct Report {
  const LoadOptions& options;
  const LoadResult& result;
  const Client& client;
  const Syncs& syncs;

  double rate() const { return static_cast<double>(result.transfers) / result.seconds; }
  double share(uint64_t part) const {
    return result.transfers == 0 ? 0 : static_cast<double>(part) / static_cast<double>(result.transfers);
  }
  double syncs_per_transfer(size_t i) const {
    return PerTransfer(syncs, i, static_cast<double>(result.transfers_all));
  }
  double cpu_us_per_request() const {
    return result.requests == 0 ? 0 : result.cpu_seconds * 1e6 / static_cast<double>(result.requests);
  }
  uint64_t refused() const {
    uint64_t total = 0;
    for (const auto& [code, count] : result.refused) total += count;
    return total;
  }
};

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

void PrintJson(const Report& r) {
  std::string refused;
  for (const auto& [code, count] : r.result.refused) {
    absl::StrAppend(&refused, refused.empty() ? "" : ",", "\"", code, "\":", count);
  }
  std::string latency;
  for (const auto& [name, share] : kQuantiles) {
    absl::StrAppend(&latency, "\"", name, "\":", r.result.latency_us.Quantile(share), ",");
  }
  absl::StrAppendFormat(&latency, "\"max\":%d,\"mean\":%.1f", r.result.latency_us.max(),
                        r.result.latency_us.mean());
  std::string syncs;
  for (size_t i = 0; i < r.client.endpoints(); ++i) {
    const double value = r.syncs_per_transfer(i);
    absl::StrAppend(&syncs, i > 0 ? "," : "", "\"", r.client.endpoint(i),
                    "\":", value < 0 ? "null" : absl::StrFormat("%.4f", value));
  }
  const ClientCounters& counters = r.client.counters();
  std::string out = absl::StrFormat(
      R"({"loop":"%s","connections":%d,"rate":%g,"batch":%d,"ids":"%s","accounts":%d,"shards":%d,"warmup_s":%g,)"
      R"("duration_s":%g,"requests":%d,"requests_per_second":%.1f,"transfers":%d,"transfers_per_second":%.1f,)",
      r.options.rate > 0 ? "open" : "closed", r.options.connections, r.options.rate, r.options.batch,
      r.options.ids == IdKind::kPlaced ? "placed" : "arbitrary", r.options.accounts, r.options.shards,
      absl::ToDoubleSeconds(r.options.warmup), r.result.seconds, r.result.requests,
      static_cast<double>(r.result.requests) / r.result.seconds, r.result.transfers, r.rate());
  absl::StrAppendFormat(
      &out,
      R"("accepted":%d,"refused":%d,"refused_by_code":{%s},"failed":%d,"latency_us":{%s},"crossing_fraction":%.4f,)"
      R"("three_participants_fraction":%.4f,"syncs_per_transfer":{%s},"client_cpu_us_per_request":%.1f,)"
      R"("retries":%d,"failovers":%d,"connections_opened":%d,"first_failure":)",
      r.result.accepted, r.refused(), refused, r.result.failed, latency, r.share(r.result.crossing),
      r.share(r.result.three), syncs, r.cpu_us_per_request(), counters.retries, counters.failovers,
      counters.connections);
  AppendJsonString(&out, r.result.first_failure);
  std::printf("%s}\n", out.c_str());
}

void PrintTable(const Report& r) {
  std::string shape = absl::StrFormat(
      "%s loop, %d connections, %s", r.options.rate > 0 ? "open" : "closed", r.options.connections,
      r.options.batch == 1 ? "single transfers" : absl::StrCat("batches of ", r.options.batch));
  if (r.options.rate > 0) absl::StrAppendFormat(&shape, ", %g requests/s due", r.options.rate);
  std::printf("%s, %s ids, %s accounts, %.0f s\n\n", shape.c_str(),
              r.options.ids == IdKind::kPlaced ? "placed" : "arbitrary", Grouped(r.options.accounts).c_str(),
              r.result.seconds);
  Table table({"what", "figure"});
  table.Add({"transfers per second", Grouped(static_cast<uint64_t>(r.rate()))});
  table.Add({"accepted", Grouped(r.result.accepted)});
  for (const auto& [code, count] : r.result.refused)
    table.Add({absl::StrCat("refused ", code), Grouped(count)});
  table.Add({"failed", Grouped(r.result.failed)});
  for (const auto& [name, share] : kQuantiles) {
    table.Add({absl::StrCat("latency ", name, ", ms"),
               absl::StrFormat("%.2f", static_cast<double>(r.result.latency_us.Quantile(share)) / 1000)});
  }
  table.Add(
      {"latency max, ms", absl::StrFormat("%.2f", static_cast<double>(r.result.latency_us.max()) / 1000)});
  table.Add({"crossing shards", absl::StrFormat("%.1f%%", 100 * r.share(r.result.crossing))});
  table.Add({"three participants", absl::StrFormat("%.1f%%", 100 * r.share(r.result.three))});
  for (size_t i = 0; i < r.client.endpoints(); ++i) {
    const double syncs = r.syncs_per_transfer(i);
    table.Add({absl::StrCat("fsyncs per transfer, ", r.client.endpoint(i)),
               syncs < 0 ? "not told" : absl::StrFormat("%.4f", syncs)});
  }
  table.Add({"client CPU per request, us", absl::StrFormat("%.1f", r.cpu_us_per_request())});
  table.Add({"retries", Grouped(r.client.counters().retries)});
  std::printf("%s", table.Render().c_str());
  if (!r.result.first_failure.empty()) std::printf("\nfirst failure: %s\n", r.result.first_failure.c_str());
}

ExitCode RunBench(const std::vector<std::string>& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(BenchFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(BenchFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  if (!arguments->positional().empty())
    return ReportUsage(kName, absl::InvalidArgumentError("too many words"));
  absl::StatusOr<LoadOptions> options = ReadOptions(*arguments);
  if (!options.ok()) return ReportUsage(kName, options.status());
  // In the closed loop each endpoint has room for all, so that the others take over when one dies.
  const std::string& urls = arguments->Get("endpoints");
  const auto endpoints = static_cast<size_t>(1 + std::count(urls.begin(), urls.end(), ','));
  const size_t share = (options->connections + endpoints - 1) / endpoints;
  absl::StatusOr<std::unique_ptr<Client>> client =
      Connect(*arguments, options->rate > 0 ? share : options->connections);
  if (!client.ok()) return ReportUsage(kName, client.status());
  const absl::StatusOr<uint32_t> shards = ReadShardCount(**client);
  if (!shards.ok()) return ReportFailure(kName, shards.status());
  options->shards = *shards;
  std::unique_ptr<EventLog> events;
  if (const std::string& path = arguments->Get("events"); !path.empty()) {
    absl::StatusOr<std::unique_ptr<EventLog>> created = EventLog::Create(path);
    if (!created.ok()) return ReportUsage(kName, created.status());
    events = *std::move(created);
    options->events = events.get();
  }
  Load load(**client, *options);
  if (const absl::Status status = load.Prepare(); !status.ok()) return ReportFailure(kName, status);
  Syncs syncs;
  syncs.before = ReadAllSyncs(**client);
  const LoadResult result = load.Run();
  syncs.after = ReadAllSyncs(**client);
  if (events != nullptr) {
    if (const absl::Status closed = events->Close(); !closed.ok()) return ReportFailure(kName, closed);
  }
  const Report report{*options, result, **client, syncs};
  if (arguments->Given("json")) {
    PrintJson(report);
  } else {
    PrintTable(report);
  }
  return result.failed > 0 ? ExitCode::kUnfinished : ExitCode::kOk;
}

}  // namespace
}  // namespace paxledger

int main(int argc, char** argv) {
  return static_cast<int>(paxledger::RunBench(std::vector<std::string>(argv + 1, argv + argc)));
}
