#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ledger/account.h"

namespace paxledger {

/// What `ledgerctl import` was asked to do with a file of payments.
struct ImportOptions {
  char delimiter = ',';
  uint64_t row_base = 1;  // the number of the first data row
  std::string id;         // templates over the columns of the payments
  std::string debit;
  std::string credit;
  std::string amount;
  std::string asset;
  uint32_t scale = 0;

  std::string open_limit;  // the limit rule of opened accounts; empty: open none
  /// What each source gets first. "": nothing, "exact": the sum of its rows, else a decimal amount.
  std::string fund;
  std::string fund_id = "fund-{account}";
  std::string funding_account;

  // A second file, of accounts to be opened and funded whether or not a payment names them.
  char accounts_delimiter = ',';
  std::string account_id;
  std::string account_fund;  // template of a decimal amount; empty: not funded
};

/// A file of payments as it will be sent: rows with their ids, each account once, and the money each gets
/// first.
struct ImportPlan {
  struct Row {
    uint64_t number = 0;  // as `{row}` counts
    std::string id;
    uint32_t debit = 0;  // index into `accounts`
    uint32_t credit = 0;
    Amount amount = 0;
  };
  /// A row that cannot be sent: it never leaves this machine, and counts as refused.
  struct BadRow {
    uint64_t number = 0;
    std::string id;
    std::string code;
    std::string why;
  };
  struct Funding {
    std::string id;
    uint32_t account = 0;
    Amount amount = 0;
  };

  std::vector<Row> rows;
  std::vector<BadRow> bad_rows;
  std::vector<std::string> accounts;
  std::vector<Funding> fundings;

  uint32_t AccountNumber(std::string_view id);

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

/// Reads the texts of the files; `accounts_csv` is nullopt where there is none.
/// Errors: kInvalidArgument  a template that the header does not fit, broken quotes, amounts of the accounts
/// file
[[nodiscard]] absl::StatusOr<ImportPlan> PlanImport(const ImportOptions& options,
                                                    std::string_view payments_csv,
                                                    std::optional<std::string_view> accounts_csv);

}  // namespace paxledger
