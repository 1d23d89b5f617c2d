#include "ops/ledgerctl/postings_command.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "base/limits.h"
#include "ops/ledgerctl/decimal.h"
#include "ops/ledgerctl/json_read.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl account postings";
constexpr absl::Duration kTimeout = absl::Seconds(30);

std::string Decimal(std::string_view units, uint32_t scale) {
  const bool negative = !units.empty() && units[0] == '-';
  const Amount amount = ParseAmount(units.substr(negative ? 1 : 0)).value_or(0);
  return (negative ? "-" : "") + FormatDecimal(amount, scale);
}

void AddLine(const boost::json::object& line, uint32_t scale, Table* table) {
  const bool debit = JsonText(line, "side") == "debit";
  const std::string amount = Decimal(JsonText(line, "amount"), scale);
  table->Add({JsonText(line, "committed_at"), JsonText(line, "transfer_id"), JsonText(line, "counterpart"),
              debit ? amount : "", debit ? "" : amount, Decimal(JsonText(line, "balance"), scale),
              JsonText(line, "code"), JsonText(line, "reference")});
}

std::string FirstPage(const Arguments& arguments) {
  std::string query;
  for (const char* name : {"from", "until"}) {
    if (arguments.Given(name)) absl::StrAppend(&query, "&", name, "=", UrlEncode(arguments.Get(name)));
  }
  if (arguments.Given("newest-first")) query += "&order=newest_first";
  if (arguments.Given("local")) query += "&consistency=local";
  return query;
}

}  // namespace

ExitCode PrintPostings(const Arguments& arguments, Client& client, const std::string& account) {
  const absl::StatusOr<uint64_t> max = arguments.GetNumber("max", 0, UINT32_MAX);
  if (!max.ok()) return ReportUsage(kName, max.status());
  uint64_t left = *max == 0 ? UINT64_MAX : *max;
  const std::string path =
      absl::StrCat(LedgerPath(arguments), "/accounts/", UrlEncode(account), "/postings?limit=");
  Table table({"committed at", "transfer", "counterpart", "debit", "credit", "balance", "code", "reference"});
  std::string json;
  std::string rest = FirstPage(arguments);
  while (left > 0) {
    const uint64_t limit = std::min<uint64_t>(left, limits::kPageItemsMax);
    const ClientAnswer answer = client.Call({.target = absl::StrCat(path, limit, rest), .timeout = kTimeout});
    if (const absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
    const absl::StatusOr<boost::json::object> page = ParseJsonObject(answer.body);
    if (!page.ok()) return ReportFailure(kName, page.status());
    const absl::StatusOr<uint32_t> scale = AssetScale(JsonText(*page, "asset"));
    for (const boost::json::value& value : JsonArray(*page, "data")) {
      if (!value.is_object() || left == 0) continue;
      --left;
      AddLine(value.get_object(), scale.ok() ? *scale : 0, &table);
      if (arguments.Given("json"))
        absl::StrAppend(&json, json.empty() ? "" : ",", boost::json::serialize(value));
    }
    if (!JsonTrue(*page, "has_more")) break;
    rest = absl::StrCat("&cursor=", UrlEncode(JsonText(*page, "next_cursor")));
    if (arguments.Given("local")) rest += "&consistency=local";
  }
  std::printf("%s", arguments.Given("json") ? absl::StrCat("{\"data\":[", json, "]}\n").c_str()
                                            : table.Render().c_str());
  return ExitCode::kOk;
}

}  // namespace paxledger
