#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/json_read.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl events";
constexpr uint64_t kWaitSeconds = 20;
constexpr char kHelp[] = R"(ledgerctl events [flags]

Prints committed transactions, a line each, as the cluster's feed has them: every one once, in the order of each shard. The
last line names the cursor from which a later call goes on.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 done; 1 refused (also: the cursor is too old); 2 wrong usage; 4 no data centre answers
)";

std::vector<Flag> EventFlags() {
  return WithConnectionFlags({
      {"follow", "", "", "go on waiting for more, until interrupted"},
      {"start", "WHERE", "oldest", "without a cursor: oldest or newest"},
      {"cursor", "CURSOR", "", "go on from here"},
      {"max", "N", "100", "at most so many; 0: all that there are; with --follow only where it is given"},
  });
}

void PrintEvent(const boost::json::value& value, const bool json) {
  if (!value.is_object()) return;
  if (json) {
    std::printf("%s\n", boost::json::serialize(value).c_str());
    return;
  }
  const boost::json::object& event = value.get_object();
  const boost::json::object& transaction = JsonObject(event, "transaction");
  for (const boost::json::value& item : JsonArray(transaction, "transfers")) {
    if (!item.is_object()) continue;
    const boost::json::object& transfer = item.get_object();
    std::printf("%s  %s  %s -> %s  %s %s\n", JsonText(event, "committed_at").c_str(),
                JsonText(transfer, "id").c_str(), JsonText(transfer, "debit_account").c_str(),
                JsonText(transfer, "credit_account").c_str(), JsonText(transfer, "amount").c_str(),
                JsonText(transfer, "asset").c_str());
  }
}

/// Reads pages until there is no more, or for ever.
ExitCode Follow(const Arguments& arguments, Client& client, uint64_t left) {
  const bool follow = arguments.Given("follow");
  const bool json = arguments.Given("json");
  std::string cursor = arguments.Get("cursor");
  while (left > 0) {
    std::string target = absl::StrCat(LedgerPath(arguments),
                                      "/events?limit=", std::min<uint64_t>(left, limits::kPageItemsMax));
    if (follow) absl::StrAppend(&target, "&wait=", kWaitSeconds);
    if (cursor.empty()) {
      absl::StrAppend(&target, "&start=", UrlEncode(arguments.Get("start")));
    } else {
      absl::StrAppend(&target, "&cursor=", UrlEncode(cursor));
    }
    // The server waits by the parameter, longer than it takes for other answers.
    const ClientAnswer answer = client.Call({.target = std::move(target),
                                             .timeout = absl::Seconds(2 * kWaitSeconds),
                                             .server_deadline = absl::Seconds(kWaitSeconds + 5)});
    if (const absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
    const absl::StatusOr<boost::json::object> page = ParseJsonObject(answer.body);
    if (!page.ok()) return ReportFailure(kName, page.status());
    const boost::json::array& events = JsonArray(*page, "data");
    for (const boost::json::value& event : events) PrintEvent(event, json);
    std::fflush(stdout);
    left -= std::min<uint64_t>(left, events.size());
    cursor = JsonText(*page, "next_cursor");
    if (!follow && !JsonTrue(*page, "has_more")) break;
  }
  std::printf(json ? "{\"next_cursor\":\"%s\"}\n" : "next cursor: %s\n", cursor.c_str());
  return ExitCode::kOk;
}

}  // namespace

ExitCode RunEvents(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(EventFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(EventFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  if (!arguments->positional().empty())
    return ReportUsage(kName, absl::InvalidArgumentError("too many words"));
  const absl::StatusOr<uint64_t> max = arguments->GetNumber("max", 0, UINT32_MAX);
  if (!max.ok()) return ReportUsage(kName, max.status());
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 1);
  if (!client.ok()) return ReportUsage(kName, client.status());
  const bool unbounded = *max == 0 || (arguments->Given("follow") && !arguments->Given("max"));
  return Follow(*arguments, **client, unbounded ? UINT64_MAX : *max);
}

}  // namespace paxledger
