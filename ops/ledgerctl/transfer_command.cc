#include <chrono>
#include <cstdio>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/client_requests.h"
#include "base/bytes.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/decimal.h"
#include "ops/ledgerctl/json_read.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl transfer";
constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr char kHelp[] =
    R"(ledgerctl transfer post --debit ID --credit ID --amount DECIMAL [--asset CODE/SCALE] [--id ID]
ledgerctl transfer get ID

Posts one transfer, or shows one with its outcome. The same id and body again give the same outcome, from any data centre.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 posted, or found; 1 refused, or not found; 2 wrong usage; 3 the outcome is not known: post it again with the
            same --id; 4 no data centre answers
)";

std::vector<Flag> TransferFlags() {
  return WithConnectionFlags({
      {"debit", "ID", "", "post: the account that pays; needed"},
      {"credit", "ID", "", "post: the account that is paid; needed"},
      {"amount", "DECIMAL", "", "post: as 10.50; needed"},
      {"asset", "CODE/SCALE", "", "post: as USD/2; else the paying account's"},
      {"id", "ID", "", "post: the transfer's id; else one is made and shown"},
  });
}

void PrintTransfer(const boost::json::object& transfer) {
  const absl::StatusOr<uint32_t> scale = AssetScale(JsonText(transfer, "asset"));
  Table table({"transfer", JsonText(transfer, "id")});
  for (const char* name : {"debit_account", "credit_account"}) table.Add({name, JsonText(transfer, name)});
  table.Add({"amount", FormatDecimal(JsonAmount(transfer, "amount"), scale.ok() ? *scale : 0)});
  for (const char* name : {"asset", "status", "refusal", "committed_at"}) {
    if (const std::string text = JsonText(transfer, name); !text.empty()) table.Add({name, text});
  }
  std::printf("%s", table.Render().c_str());
}

ExitCode PrintAnswer(const Arguments& arguments, const ClientAnswer& answer) {
  if (absl::IsDeadlineExceeded(answer.failure)) {
    ReportFailure(kName, answer.failure);
    return ExitCode::kUnfinished;
  }
  if (const absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
  if (arguments.Given("json")) {
    std::printf("%s\n", answer.body.c_str());
    return ExitCode::kOk;
  }
  const absl::StatusOr<boost::json::object> transfer = ParseJsonObject(answer.body);
  if (!transfer.ok()) return ReportFailure(kName, transfer.status());
  PrintTransfer(*transfer);
  return ExitCode::kOk;
}

/// The scale of an amount follows from the asset: the given one, or the paying account's.
absl::StatusOr<std::string> FindAsset(const Arguments& arguments, Client& client) {
  if (!arguments.Get("asset").empty()) return arguments.Get("asset");
  const ClientAnswer answer = client.Call(
      {.target = absl::StrCat(LedgerPath(arguments), "/accounts/", UrlEncode(arguments.Get("debit"))),
       .timeout = kTimeout});
  if (const absl::Status status = AnswerStatus(answer); !status.ok()) return status;
  const absl::StatusOr<boost::json::object> account = ParseJsonObject(answer.body);
  if (!account.ok()) return account.status();
  return JsonText(*account, "asset");
}

absl::StatusOr<std::string> FindId(const Arguments& arguments, Client& client) {
  if (!arguments.Get("id").empty()) return arguments.Get("id");
  const absl::StatusOr<uint32_t> shards = ReadShardCount(client);
  if (!shards.ok()) return shards.status();
  std::random_device device;
  TransferIds ids(arguments.Get("ledger"), *shards, (uint64_t{device()} << 32) | device());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return ids.Make(arguments.Get("debit"), std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

ExitCode Post(const Arguments& arguments, Client& client) {
  for (const char* needed : {"debit", "credit", "amount"}) {
    if (arguments.Get(needed).empty()) {
      return ReportUsage(kName, absl::InvalidArgumentError(absl::StrCat("--", needed, " is needed")));
    }
  }
  const absl::StatusOr<std::string> asset = FindAsset(arguments, client);
  if (!asset.ok()) return ReportFailure(kName, asset.status());
  const absl::StatusOr<uint32_t> scale = AssetScale(*asset);
  if (!scale.ok()) return ReportUsage(kName, scale.status());
  const absl::StatusOr<Amount> amount = ParseDecimal(arguments.Get("amount"), *scale);
  if (!amount.ok()) return ReportUsage(kName, amount.status());
  const absl::StatusOr<std::string> id = FindId(arguments, client);
  if (!id.ok()) return ReportFailure(kName, id.status());
  std::string body;
  AppendTransferJson(&body, {.id = *id,
                             .debit_account = arguments.Get("debit"),
                             .credit_account = arguments.Get("credit"),
                             .amount = *amount,
                             .asset = *asset});
  const ClientAnswer answer = client.Call({.method = HttpMethod::kPost,
                                           .target = absl::StrCat(LedgerPath(arguments), "/transfers"),
                                           .body = std::move(body),
                                           .timeout = kTimeout});
  if (!AnswerStatus(answer).ok())
    std::fprintf(stderr, "%s: id %s\n", std::string(kName).c_str(), id->c_str());
  return PrintAnswer(arguments, answer);
}

}  // namespace

ExitCode RunTransfer(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(TransferFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(TransferFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  const std::vector<std::string>& given = arguments->positional();
  const std::string verb = given.empty() ? "" : given[0];
  if (!((verb == "post" && given.size() == 1) || (verb == "get" && given.size() == 2))) {
    return ReportUsage(kName, absl::InvalidArgumentError("'post' or 'get ID' is needed"));
  }
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 1);
  if (!client.ok()) return ReportUsage(kName, client.status());
  if (verb == "post") return Post(*arguments, **client);
  return PrintAnswer(
      *arguments,
      (*client)->Call({.target = absl::StrCat(LedgerPath(*arguments), "/transfers/", UrlEncode(given[1])),
                       .timeout = kTimeout}));
}

}  // namespace paxledger
