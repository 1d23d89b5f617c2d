#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace paxledger {

/// How a transfer or a transaction ended. Recorded in the log: numbers are stable and never reused.
/// The order of the refusals IS the fixed order of checks (api.md, Outcomes): where a transfer breaks several rules, the
/// lowest number names the outcome; where several transfers of a transaction do, the lowest transfer does.
enum class Outcome : uint8_t {
  kCommitted = 0,
  kSameAccount = 1,
  kDebitAccountNotFound = 2,
  kCreditAccountNotFound = 3,
  kAssetMismatch = 4,
  kAccountClosed = 5,
  kAccountFrozen = 6,
  kNotPending = 7,
  kPendingExpired = 8,
  kAmountExceedsPending = 9,
  kConditionFailed = 10,
  kInsufficientFunds = 11,
  kCreditLimitExceeded = 12,
  kAmountOverflow = 13,
  kAccountNotEmpty = 14,
};

/// The stable name of api.md: "insufficient_funds".
std::string_view OutcomeCode(Outcome outcome);
std::optional<Outcome> OutcomeFromNumber(uint8_t number);

}  // namespace paxledger
