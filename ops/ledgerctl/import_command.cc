#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/json.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/csv.h"
#include "ops/ledgerctl/decimal.h"
#include "ops/ledgerctl/import.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl import";
constexpr char kHelp[] = R"(ledgerctl import FILE [flags]

Replays a CSV file of payments (RFC 4180, with a header line). Templates name its columns: 'acct:{account_id}'; {row} is the
number of the data row, {{ a brace. The rendered id is the transfer's id, so running an import again changes nothing, and
an import that was interrupted is finished by running it again.

  ledgerctl import order.csv --delimiter ';' --id 'ord-{order_id}' \
    --debit 'acct:{account_id}' --credit 'ext:{bank_to}:{account_to}' --amount '{amount}' --asset CZK/2 \
    --open-accounts debits_must_not_exceed_credits --fund exact --funding-account world --rejects rejects.csv

Order: rows are posted in any order, unless --ordered is given or --clients is 1. Then rows that share an account run one
after another in file order, so that every row ends as if the file were posted line by line.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 every row has its outcome, accepted or refused; 1 the cluster or a file refused; 2 wrong usage;
            3 some rows have no known outcome (run it again); 4 no data centre answers
)";

std::vector<Flag> ImportFlags() {
  return WithConnectionFlags({
      {"delimiter", "CHAR", ",", "between fields; 'tab' is a tabulator"},
      {"id", "TEMPLATE", "", "the transfer's id; needed"},
      {"debit", "TEMPLATE", "", "the account that pays; needed"},
      {"credit", "TEMPLATE", "", "the account that is paid; needed"},
      {"amount", "TEMPLATE", "", "a decimal number, as 163.3; needed"},
      {"asset", "CODE/SCALE", "", "of all amounts, as CZK/2; needed"},
      {"row-base", "N", "1", "the number {row} of the first data row"},
      {"open-accounts", "LIMIT", "",
       "open all accounts first, with this limit rule: none, debits_must_not_exceed_credits"
       " or credits_must_not_exceed_debits"},
      {"fund", "exact|AMOUNT", "", "give each paying account the sum of its rows, or a fixed sum, first"},
      {"fund-id", "TEMPLATE", "fund-{account}", "ids of the funding transfers"},
      {"funding-account", "ID", "world", "where that money comes from; opened without a limit"},
      {"accounts", "FILE", "", "a second CSV file, of accounts to open and fund too"},
      {"accounts-delimiter", "CHAR", "", "of that file; else as --delimiter"},
      {"account-id", "TEMPLATE", "", "the id, over the columns of that file"},
      {"account-fund", "TEMPLATE|AMOUNT", "", "what each of its accounts gets"},
      {"rejects", "FILE", "", "write refused and failed rows here: row,id,code"},
      {"ordered", "", "", "keep the order of the file on each account"},
      {"clients", "N", "4", "requests under way at once"},
      {"batch", "N", "1000", "rows in one request; 1: single transfers"},
      {"give-up", "DURATION", "120s", "how long a row is tried until it counts as failed"},
  });
}

absl::StatusOr<char> Delimiter(const std::string& text) {
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() != 1 || text == "\"" || text == "\n" || text == "\r") {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a delimiter"));
  }
  return text[0];
}

/// The flags that say what the columns mean.
absl::StatusOr<ImportOptions> ReadOptions(const Arguments& arguments) {
  for (const char* needed : {"id", "debit", "credit", "amount", "asset"}) {
    if (arguments.Get(needed).empty())
      return absl::InvalidArgumentError(absl::StrCat("--", needed, " is needed"));
  }
  ImportOptions options;
  options.id = arguments.Get("id");
  options.debit = arguments.Get("debit");
  options.credit = arguments.Get("credit");
  options.amount = arguments.Get("amount");
  options.asset = arguments.Get("asset");
  options.open_limit = arguments.Get("open-accounts");
  options.fund = arguments.Get("fund");
  options.fund_id = arguments.Get("fund-id");
  options.funding_account = arguments.Get("funding-account");
  options.account_id = arguments.Get("account-id");
  options.account_fund = arguments.Get("account-fund");
  const absl::StatusOr<char> delimiter = Delimiter(arguments.Get("delimiter"));
  if (!delimiter.ok()) return delimiter.status();
  options.delimiter = *delimiter;
  options.accounts_delimiter = *delimiter;
  if (!arguments.Get("accounts-delimiter").empty()) {
    const absl::StatusOr<char> other = Delimiter(arguments.Get("accounts-delimiter"));
    if (!other.ok()) return other.status();
    options.accounts_delimiter = *other;
  }
  const absl::StatusOr<uint64_t> row_base = arguments.GetNumber("row-base", 0, UINT32_MAX);
  if (!row_base.ok()) return row_base.status();
  options.row_base = *row_base;
  const absl::StatusOr<uint32_t> scale = AssetScale(options.asset);
  if (!scale.ok()) return scale.status();
  options.scale = *scale;
  return options;
}

/// What does not fit together.
absl::Status CheckTogether(const Arguments& arguments, const ImportOptions& options) {
  const std::string& limit = options.open_limit;
  if (!limit.empty() && limit != "none" && limit != "debits_must_not_exceed_credits" &&
      limit != "credits_must_not_exceed_debits") {
    return absl::InvalidArgumentError(absl::StrCat("--open-accounts: '", limit, "' is not a limit rule"));
  }
  if (!options.fund.empty() && options.fund != "exact") {
    const absl::StatusOr<Amount> fixed = ParseDecimal(options.fund, options.scale);
    if (!fixed.ok()) return absl::InvalidArgumentError(absl::StrCat("--fund: ", fixed.status().message()));
  }
  if (options.fund_id.find("{account}") == std::string::npos) {
    return absl::InvalidArgumentError("--fund-id must contain {account}");
  }
  const bool has_accounts = !arguments.Get("accounts").empty();
  if (has_accounts == options.account_id.empty()) {
    return absl::InvalidArgumentError("--accounts and --account-id go together");
  }
  if (!options.account_fund.empty() && (!has_accounts || !options.fund.empty())) {
    return absl::InvalidArgumentError("--account-fund needs --accounts and excludes --fund");
  }
  return absl::OkStatus();
}

absl::StatusOr<BatchLimits> ReadLimits(const Arguments& arguments) {
  const absl::StatusOr<uint64_t> clients = arguments.GetNumber("clients", 1, 1024);
  if (!clients.ok()) return clients.status();
  const absl::StatusOr<uint64_t> batch = arguments.GetNumber("batch", 1, limits::kBatchItemsMax);
  if (!batch.ok()) return batch.status();
  const absl::StatusOr<absl::Duration> give_up = arguments.GetDuration("give-up");
  if (!give_up.ok()) return give_up.status();
  return BatchLimits{.clients = *clients, .batch = *batch, .give_up = *give_up};
}

absl::Status WriteRejects(const std::string& path, const std::vector<Import::Reject>& rejects) {
  std::string text = "row,id,code\r\n";
  for (const Import::Reject& reject : rejects) {
    absl::StrAppend(&text, reject.row, ",");
    AppendCsvField(&text, reject.id);
    absl::StrAppend(&text, ",", reject.code, "\r\n");
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.flush();
  if (!file) return absl::InternalError(absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
  return absl::OkStatus();
}

void PrintJson(const ImportResult& result) {
  std::string refused;
  for (const auto& [code, count] : result.refused) {
    absl::StrAppend(&refused, refused.empty() ? "" : ",");
    AppendJsonString(&refused, code);
    absl::StrAppend(&refused, ":", count);
  }
  std::printf("%s\n",
              absl::StrFormat(R"({"rows":%d,"accepted":%d,"refused":%d,"refused_by_code":{%s},"failed":%d,)"
                              R"("replayed":%d,"retried":%d,"accounts_opened":%d,"accounts_existing":%d,)"
                              R"("funded":%d,"seconds":%.3f})",
                              result.rows, result.accepted, result.refused_total(), refused, result.failed,
                              result.replayed, result.retried, result.accounts_opened,
                              result.accounts_existing, result.funded, result.seconds)
                  .c_str());
}

void PrintTable(const ImportResult& result) {
  Table table({"outcome", "rows"});
  table.Add({"accepted", Grouped(result.accepted)});
  for (const auto& [code, count] : result.refused)
    table.Add({absl::StrCat("refused ", code), Grouped(count)});
  table.Add({"failed", Grouped(result.failed)});
  table.Add({"total", Grouped(result.rows)});
  std::printf("%s", table.Render().c_str());
  const double rate = result.seconds > 0 ? static_cast<double>(result.rows) / result.seconds : 0;
  std::printf(
      "\n%s replayed, %s retried; %s accounts opened, %s there before; %s funded; %.1f s, %s rows/s\n",
      Grouped(result.replayed).c_str(), Grouped(result.retried).c_str(),
      Grouped(result.accounts_opened).c_str(), Grouped(result.accounts_existing).c_str(),
      Grouped(result.funded).c_str(), result.seconds, Grouped(static_cast<uint64_t>(rate)).c_str());
}

ExitCode Finish(const Arguments& arguments, const Import& import) {
  if (!arguments.Get("rejects").empty()) {
    if (const absl::Status written = WriteRejects(arguments.Get("rejects"), import.rejects());
        !written.ok()) {
      return ReportFailure(kName, written);
    }
  }
  if (arguments.Given("json")) {
    PrintJson(import.result());
  } else {
    PrintTable(import.result());
  }
  return import.result().failed > 0 ? ExitCode::kUnfinished : ExitCode::kOk;
}

ExitCode Execute(const Arguments& arguments, const ImportOptions& options, const ImportPlan& plan,
                 const BatchLimits& limits) {
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(arguments, limits.clients);
  if (!client.ok()) return ReportUsage(kName, client.status());
  if (const absl::StatusOr<uint32_t> shards = ReadShardCount(**client); !shards.ok()) {
    return ReportFailure(kName, shards.status());
  }
  for (size_t i = 0; i < plan.bad_rows.size() && i < 5; ++i) {
    std::fprintf(stderr, "row %llu: %s\n", static_cast<unsigned long long>(plan.bad_rows[i].number),
                 plan.bad_rows[i].why.c_str());
  }
  Import import(**client, LedgerPath(arguments), options, plan, limits);
  absl::Status status = import.OpenAccounts();
  if (status.ok()) status = import.Fund();
  if (!status.ok()) return ReportFailure(kName, status);
  const bool ordered = arguments.Given("ordered") || limits.clients == 1;
  status = import.PostRows(ordered ? Import::Order::kPerAccount : Import::Order::kFree);
  if (!status.ok()) return ReportFailure(kName, status);
  return Finish(arguments, import);
}

}  // namespace

ExitCode RunImport(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(ImportFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(ImportFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  if (arguments->positional().size() != 1) {
    return ReportUsage(kName, absl::InvalidArgumentError("one FILE is needed"));
  }
  absl::StatusOr<ImportOptions> options = ReadOptions(*arguments);
  if (!options.ok()) return ReportUsage(kName, options.status());
  if (const absl::Status together = CheckTogether(*arguments, *options); !together.ok()) {
    return ReportUsage(kName, together);
  }
  const absl::StatusOr<BatchLimits> limits = ReadLimits(*arguments);
  if (!limits.ok()) return ReportUsage(kName, limits.status());
  const absl::StatusOr<std::string> payments = ReadFile(arguments->positional()[0]);
  if (!payments.ok()) return ReportFailure(kName, payments.status());
  std::optional<std::string> accounts;
  if (!arguments->Get("accounts").empty()) {
    absl::StatusOr<std::string> text = ReadFile(arguments->Get("accounts"));
    if (!text.ok()) return ReportFailure(kName, text.status());
    accounts = *std::move(text);
  }
  const absl::StatusOr<ImportPlan> plan = PlanImport(*options, *payments, accounts);
  if (!plan.ok()) return ReportUsage(kName, plan.status());
  return Execute(*arguments, *options, *plan, *limits);
}

}  // namespace paxledger
