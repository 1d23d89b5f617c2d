#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "api/json.h"
#include "api/problem.h"
#include "ledger/account.h"
#include "ledger/transfer.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// An account or a transfer as a body describes it; of no use where `errors` is not empty. The id may be
/// missing.
struct ParsedAccount {
  OpenAccountRequest account;
  std::vector<FieldError> errors;
};
struct ParsedTransfer {
  Transaction transaction;  // of one transfer
  std::vector<FieldError> errors;
};

ParsedAccount ParseAccount(JsonValue value, std::string_view ledger);
ParsedTransfer ParseTransfer(JsonValue value, std::string_view ledger);

/// An item of a batch that is malformed; the others are not touched by it.
struct InvalidItem {
  size_t index = 0;
  std::optional<std::string> id;  // where it has one
  std::vector<FieldError> errors;
};

/// A batch: what can be done, in order, and what cannot.
template <class Item>
struct ParsedBatch {
  std::vector<Item> items;
  std::vector<InvalidItem> invalid;  // by index; the items fill the places between
  std::vector<FieldError> errors;    // of the batch as a whole: nothing of it is done
};

ParsedBatch<OpenAccountRequest> ParseAccounts(JsonValue root, std::string_view ledger);
/// Ids may be missing.
ParsedBatch<Transaction> ParseTransfers(JsonValue root, std::string_view ledger);

}  // namespace paxledger
