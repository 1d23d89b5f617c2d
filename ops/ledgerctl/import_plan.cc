#include "ops/ledgerctl/import_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "api/fields.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/limits.h"
#include "ops/ledgerctl/column_template.h"
#include "ops/ledgerctl/csv.h"
#include "ops/ledgerctl/decimal.h"

namespace paxledger {
namespace {

struct PaymentTemplates {
  ColumnTemplate id;
  ColumnTemplate debit;
  ColumnTemplate credit;
  ColumnTemplate amount;
};

absl::StatusOr<PaymentTemplates> ParseTemplates(const ImportOptions& options,
                                                const std::vector<std::string>& header) {
  PaymentTemplates out;
  const std::pair<const std::string&, ColumnTemplate*> all[] = {{options.id, &out.id},
                                                                {options.debit, &out.debit},
                                                                {options.credit, &out.credit},
                                                                {options.amount, &out.amount}};
  for (const auto& [text, parsed] : all) {
    absl::StatusOr<ColumnTemplate> one = ColumnTemplate::Parse(text, header);
    if (!one.ok()) return one.status();
    *parsed = *std::move(one);
  }
  return out;
}

/// Adds the row, or what is wrong with it.
void AddRow(const ImportOptions& options, const PaymentTemplates& templates,
            const std::vector<std::string>& fields, size_t columns, uint64_t number, ImportPlan* plan) {
  std::string id;
  const auto bad = [&](std::string code, std::string why) {
    plan->bad_rows.push_back({number, id, std::move(code), std::move(why)});
  };
  if (fields.size() != columns) {
    return bad("malformed_row", absl::StrCat(fields.size(), " fields where the header has ", columns));
  }
  std::string debit;
  std::string credit;
  std::string amount;
  templates.id.Render(fields, number, &id);
  templates.debit.Render(fields, number, &debit);
  templates.credit.Render(fields, number, &credit);
  templates.amount.Render(fields, number, &amount);
  if (!IsId(id)) return bad("invalid_id", absl::StrCat("transfer id '", id, "'"));
  if (!IsId(debit)) return bad("invalid_id", absl::StrCat("debit account '", debit, "'"));
  if (!IsId(credit)) return bad("invalid_id", absl::StrCat("credit account '", credit, "'"));
  const absl::StatusOr<Amount> units = ParseDecimal(amount, options.scale);
  if (!units.ok()) return bad("invalid_amount", std::string(units.status().message()));
  if (*units == 0) return bad("invalid_amount", "the amount is zero");
  const uint32_t debit_number = plan->AccountNumber(debit);
  const uint32_t credit_number = plan->AccountNumber(credit);
  plan->rows.push_back({number, std::move(id), debit_number, credit_number, *units});
}

absl::Status ReadPayments(const ImportOptions& options, std::string_view csv, ImportPlan* plan) {
  CsvReader reader(csv, options.delimiter);
  std::vector<std::string> header;
  if (!reader.Next(&header)) {
    return reader.status().ok() ? absl::InvalidArgumentError("the file has no header line") : reader.status();
  }
  const absl::StatusOr<PaymentTemplates> templates = ParseTemplates(options, header);
  if (!templates.ok()) return templates.status();
  std::vector<std::string> fields;
  for (uint64_t number = options.row_base; reader.Next(&fields); ++number) {
    AddRow(options, *templates, fields, header.size(), number, plan);
  }
  return reader.status();
}

/// `fund-{account}`; where that is too long for an id, the account's digest stands for it, so that it stays
/// the same.
std::string FundingId(const ImportOptions& options, const std::string& account) {
  std::string id = absl::StrReplaceAll(options.fund_id, {{"{account}", account}});
  if (id.size() <= limits::kIdBytesMax) return id;
  const std::string stand_in = Sha256(account).hex().substr(0, 32);
  return absl::StrReplaceAll(options.fund_id, {{"{account}", stand_in}});
}

absl::Status PlanFunding(const ImportOptions& options, ImportPlan* plan) {
  if (options.fund.empty()) return absl::OkStatus();
  Amount fixed = 0;
  if (options.fund != "exact") {
    const absl::StatusOr<Amount> amount = ParseDecimal(options.fund, options.scale);
    if (!amount.ok()) return amount.status();
    fixed = *amount;
  }
  std::vector<Amount> sums(plan->accounts.size(), 0);
  std::vector<uint32_t> sources;  // in order of their first payment
  for (const ImportPlan::Row& row : plan->rows) {
    if (sums[row.debit] == 0) sources.push_back(row.debit);
    sums[row.debit] += row.amount;
  }
  for (const uint32_t source : sources) {
    const Amount amount = options.fund == "exact" ? sums[source] : fixed;
    if (amount == 0 || plan->accounts[source] == options.funding_account) continue;
    plan->fundings.push_back({FundingId(options, plan->accounts[source]), source, amount});
  }
  return absl::OkStatus();
}

absl::Status ReadAccounts(const ImportOptions& options, std::string_view csv, ImportPlan* plan) {
  CsvReader reader(csv, options.accounts_delimiter);
  std::vector<std::string> header;
  if (!reader.Next(&header)) {
    return reader.status().ok() ? absl::InvalidArgumentError("the accounts file has no header line")
                                : reader.status();
  }
  const absl::StatusOr<ColumnTemplate> id_template = ColumnTemplate::Parse(options.account_id, header);
  if (!id_template.ok()) return id_template.status();
  const absl::StatusOr<ColumnTemplate> fund_template = ColumnTemplate::Parse(options.account_fund, header);
  if (!fund_template.ok()) return fund_template.status();
  std::vector<std::string> fields;
  std::string id;
  std::string fund;
  for (uint64_t number = options.row_base; reader.Next(&fields); ++number) {
    const auto bad = [&](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat("accounts file, line ", reader.line(), ": ", why));
    };
    if (fields.size() != header.size()) return bad("not as many fields as the header has");
    id_template->Render(fields, number, &id);
    if (!IsId(id)) return bad(absl::StrCat("account id '", id, "'"));
    const uint32_t account = plan->AccountNumber(id);
    fund_template->Render(fields, number, &fund);
    if (fund.empty()) continue;
    const absl::StatusOr<Amount> amount = ParseDecimal(fund, options.scale);
    if (!amount.ok()) return bad(amount.status().message());
    if (*amount > 0) plan->fundings.push_back({FundingId(options, id), account, *amount});
  }
  return reader.status();
}

}  // namespace

uint32_t ImportPlan::AccountNumber(std::string_view id) {
  const auto [at, added] = numbers_.try_emplace(std::string(id), static_cast<uint32_t>(accounts.size()));
  if (added) accounts.emplace_back(id);
  return at->second;
}

absl::StatusOr<ImportPlan> PlanImport(const ImportOptions& options, std::string_view payments_csv,
                                      std::optional<std::string_view> accounts_csv) {
  ImportPlan plan;
  if (absl::Status status = ReadPayments(options, payments_csv, &plan); !status.ok()) return status;
  if (absl::Status status = PlanFunding(options, &plan); !status.ok()) return status;
  if (accounts_csv.has_value()) {
    if (absl::Status status = ReadAccounts(options, *accounts_csv, &plan); !status.ok()) return status;
  }
  return plan;
}

}  // namespace paxledger
