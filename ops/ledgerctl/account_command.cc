#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/client_requests.h"
#include "api/fields.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/decimal.h"
#include "ops/ledgerctl/json_read.h"
#include "ops/ledgerctl/postings_command.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl account";
constexpr absl::Duration kTimeout = absl::Seconds(15);
constexpr char kHelp[] = R"(ledgerctl account open ID --asset CODE/SCALE [flags]
ledgerctl account get ID [flags]
ledgerctl account list [flags]
ledgerctl account postings ID [flags]

Opens an account (again: no change), shows one with its balances, lists them in order of id, or prints the statement of one.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 done; 1 refused or not found; 2 wrong usage; 4 no data centre answers
)";

std::vector<Flag> AccountFlags() {
  return WithConnectionFlags({
      {"asset", "CODE/SCALE", "", "open: as USD/2; needed"},
      {"limit", "RULE", "none",
       "open: none, debits_must_not_exceed_credits or credits_must_not_exceed_debits"},
      {"normal-side", "SIDE", "credit", "open: credit or debit"},
      {"prefix", "TEXT", "", "list: ids that begin so"},
      {"max", "N", "100", "list, postings: at most so many; 0: all"},
      {"from", "TIME", "", "postings: committed at this time (RFC 3339, UTC) or later"},
      {"until", "TIME", "", "postings: committed at this time or before"},
      {"newest-first", "", "", "postings: the newest line first"},
      {"local", "", "", "get, list, postings: from the answering replica alone, perhaps stale"},
  });
}

std::string Balance(const boost::json::object& account) {
  const boost::json::object& balances = JsonObject(account, "balances");
  const std::string text = JsonText(balances, "balance");
  const absl::StatusOr<uint32_t> scale = AssetScale(JsonText(account, "asset"));
  if (!scale.ok() || text.empty()) return text;
  const bool negative = text[0] == '-';
  const Amount units = ParseAmount(std::string_view(text).substr(negative ? 1 : 0)).value_or(0);
  return (negative ? "-" : "") + FormatDecimal(units, *scale);
}

void PrintAccount(const boost::json::object& account) {
  const absl::StatusOr<uint32_t> scale = AssetScale(JsonText(account, "asset"));
  const boost::json::object& balances = JsonObject(account, "balances");
  Table table({"account", JsonText(account, "id")});
  for (const char* name : {"asset", "normal_side", "limit", "frozen", "status"}) {
    table.Add({name, JsonText(account, name)});
  }
  for (const char* name : {"debits_posted", "credits_posted", "debits_pending", "credits_pending"}) {
    table.Add({name, FormatDecimal(JsonAmount(balances, name), scale.ok() ? *scale : 0)});
  }
  table.Add({"balance", Balance(account)});
  table.Add({"opened", JsonText(account, "created_at")});
  std::printf("%s", table.Render().c_str());
}

ExitCode PrintAnswer(const Arguments& arguments, const ClientAnswer& answer) {
  if (const absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
  if (arguments.Given("json")) {
    std::printf("%s\n", answer.body.c_str());
    return ExitCode::kOk;
  }
  const absl::StatusOr<boost::json::object> account = ParseJsonObject(answer.body);
  if (!account.ok()) return ReportFailure(kName, account.status());
  PrintAccount(*account);
  return ExitCode::kOk;
}

ExitCode Open(const Arguments& arguments, Client& client, const std::string& id) {
  if (const absl::StatusOr<uint32_t> scale = AssetScale(arguments.Get("asset")); !scale.ok()) {
    return ReportUsage(kName,
                       absl::InvalidArgumentError(absl::StrCat("--asset: ", scale.status().message())));
  }
  std::string body;
  AppendAccountJson(&body, {.id = id,
                            .asset = arguments.Get("asset"),
                            .limit = arguments.Get("limit"),
                            .normal_side = arguments.Get("normal-side")});
  return PrintAnswer(arguments, client.Call({.method = HttpMethod::kPost,
                                             .target = absl::StrCat(LedgerPath(arguments), "/accounts"),
                                             .body = std::move(body),
                                             .timeout = kTimeout}));
}

ExitCode Get(const Arguments& arguments, Client& client, const std::string& id) {
  std::string target = absl::StrCat(LedgerPath(arguments), "/accounts/", UrlEncode(id));
  if (arguments.Given("local")) target += "?consistency=local";
  return PrintAnswer(arguments, client.Call({.target = std::move(target), .timeout = kTimeout}));
}

/// Pages are printed as one list, whatever their number.
ExitCode List(const Arguments& arguments, Client& client) {
  const absl::StatusOr<uint64_t> max = arguments.GetNumber("max", 0, UINT32_MAX);
  if (!max.ok()) return ReportUsage(kName, max.status());
  uint64_t left = *max == 0 ? UINT64_MAX : *max;
  Table table({"account", "asset", "limit", "status", "balance"});
  std::string json;
  std::string cursor;
  do {
    std::string target = absl::StrCat(LedgerPath(arguments),
                                      "/accounts?limit=", std::min<uint64_t>(left, limits::kPageItemsMax));
    // A cursor keeps its filters.
    if (!cursor.empty()) {
      absl::StrAppend(&target, "&cursor=", UrlEncode(cursor));
    } else {
      absl::StrAppend(&target, "&prefix=", UrlEncode(arguments.Get("prefix")));
      if (arguments.Given("local")) target += "&consistency=local";
    }
    const ClientAnswer answer = client.Call({.target = std::move(target), .timeout = kTimeout});
    if (const absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
    const absl::StatusOr<boost::json::object> page = ParseJsonObject(answer.body);
    if (!page.ok()) return ReportFailure(kName, page.status());
    for (const boost::json::value& value : JsonArray(*page, "data")) {
      if (!value.is_object() || left == 0) continue;
      --left;
      const boost::json::object& account = value.get_object();
      table.Add({JsonText(account, "id"), JsonText(account, "asset"), JsonText(account, "limit"),
                 JsonText(account, "status"), Balance(account)});
      if (arguments.Given("json"))
        absl::StrAppend(&json, json.empty() ? "" : ",", boost::json::serialize(value));
    }
    cursor = JsonTrue(*page, "has_more") ? JsonText(*page, "next_cursor") : std::string();
  } while (!cursor.empty() && left > 0);
  std::printf("%s", arguments.Given("json") ? absl::StrCat("{\"data\":[", json, "]}\n").c_str()
                                            : table.Render().c_str());
  return ExitCode::kOk;
}

}  // namespace

ExitCode RunAccount(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(AccountFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(AccountFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  const std::vector<std::string>& given = arguments->positional();
  const std::string verb = given.empty() ? "" : given[0];
  const size_t wanted = verb == "list" ? 1 : 2;
  const bool known = verb == "open" || verb == "get" || verb == "list" || verb == "postings";
  if (!known || given.size() != wanted) {
    return ReportUsage(kName,
                       absl::InvalidArgumentError("'open ID', 'get ID', 'list' or 'postings ID' is needed"));
  }
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 1);
  if (!client.ok()) return ReportUsage(kName, client.status());
  if (verb == "open") return Open(*arguments, **client, given[1]);
  if (verb == "get") return Get(*arguments, **client, given[1]);
  if (verb == "postings") return PrintPostings(*arguments, **client, given[1]);
  return List(*arguments, **client);
}

}  // namespace paxledger
