#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/client.h"
#include "ops/ledgerctl/batch_sender.h"
#include "ops/ledgerctl/import_plan.h"

namespace paxledger {

/// How an import ended.
struct ImportResult {
  uint64_t rows = 0;
  uint64_t accepted = 0;
  uint64_t replayed =
      0;  // of the accepted and refused: the outcome was there before, where the server says so
  std::map<std::string, uint64_t> refused;  // by code
  uint64_t failed = 0;                      // without a known outcome
  uint64_t accounts_opened = 0;
  uint64_t accounts_existing = 0;
  uint64_t funded = 0;
  uint64_t retried = 0;
  double seconds = 0;  // of the transfers

  uint64_t refused_total() const;
};

/// Opens the accounts, funds them, and posts the rows, in this order.
/// Owns:  nothing; borrows client, options and plan.
class Import {
 public:
  struct Reject {
    uint64_t row = 0;
    std::string id;
    std::string code;
  };

  Import(Client& client, std::string ledger_path, const ImportOptions& options, const ImportPlan& plan,
         BatchLimits limits)
      : client_(client), path_(std::move(ledger_path)), options_(options), plan_(plan), limits_(limits) {}

  /// kFailedPrecondition: an account exists with other fields, or was funded otherwise; no row was posted.
  /// Else as BatchSender::Run. The rows' own refusals are no error.
  [[nodiscard]] absl::Status OpenAccounts();
  [[nodiscard]] absl::Status Fund();
  /// `ordered`: rows on one account one after another.
  enum class Order : uint8_t { kFree, kPerAccount };
  [[nodiscard]] absl::Status PostRows(Order order);

  const ImportResult& result() const { return result_; }
  /// Of refused and failed rows, by row.
  std::vector<Reject> rejects() const;

 private:
  absl::Status RunSetup(std::string what, BatchWork work);
  void CountRow(uint32_t row, const ItemResult& item);

  Client& client_;
  const std::string path_;
  const ImportOptions& options_;
  const ImportPlan& plan_;
  const BatchLimits limits_;
  ImportResult result_;
  std::vector<Reject> rejects_;
};

}  // namespace paxledger
