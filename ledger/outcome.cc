#include "ledger/outcome.h"

#include "base/check.h"

namespace paxledger {

std::string_view OutcomeCode(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCommitted:
      return "committed";
    case Outcome::kSameAccount:
      return "same_account";
    case Outcome::kDebitAccountNotFound:
      return "debit_account_not_found";
    case Outcome::kCreditAccountNotFound:
      return "credit_account_not_found";
    case Outcome::kAssetMismatch:
      return "asset_mismatch";
    case Outcome::kAccountClosed:
      return "account_closed";
    case Outcome::kAccountFrozen:
      return "account_frozen";
    case Outcome::kNotPending:
      return "not_pending";
    case Outcome::kPendingExpired:
      return "pending_expired";
    case Outcome::kAmountExceedsPending:
      return "amount_exceeds_pending";
    case Outcome::kConditionFailed:
      return "condition_failed";
    case Outcome::kInsufficientFunds:
      return "insufficient_funds";
    case Outcome::kCreditLimitExceeded:
      return "credit_limit_exceeded";
    case Outcome::kAmountOverflow:
      return "amount_overflow";
    case Outcome::kAccountNotEmpty:
      return "account_not_empty";
  }
  Check(false, "an outcome is one of the enumerated");
  return {};
}

std::optional<Outcome> OutcomeFromNumber(uint8_t number) {
  if (number > static_cast<uint8_t>(Outcome::kAccountNotEmpty)) return std::nullopt;
  return static_cast<Outcome>(number);
}

}  // namespace paxledger
