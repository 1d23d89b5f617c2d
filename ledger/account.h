#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/strong_id.h"

namespace paxledger {

/// Minor units of one asset. Totals never exceed 2^128-1; one transfer moves at most 2^127-1.
using Amount = Uint128;
inline constexpr Amount kTransferAmountMax = (Amount{1} << 127) - 1;

enum class Side : uint8_t { kDebit = 0, kCredit = 1 };

enum class LimitRule : uint8_t {
  kNone = 0,
  kDebitsMustNotExceedCredits = 1,
  kCreditsMustNotExceedDebits = 2,
};

enum class Frozen : uint8_t { kNone = 0, kDebits = 1, kCredits = 2, kBoth = 3 };

/// Names an account or a transaction within a cluster; the two kinds are separate namespaces (transactions.md, Words).
struct LedgerKey {
  std::string ledger;
  std::string id;
  friend bool operator==(const LedgerKey&, const LedgerKey&) = default;
  friend auto operator<=>(const LedgerKey&, const LedgerKey&) = default;
  template <class H>
  friend H AbslHashValue(H state, const LedgerKey& key) {
    return H::combine(std::move(state), key.ledger, key.id);
  }
};

/// What the client says when it opens an account; the same again is a replay, other fields are a conflict.
struct AccountSpec {
  std::string asset;  // "USD/2"
  Side normal_side = Side::kCredit;
  LimitRule limit = LimitRule::kNone;
  Amount overdraft = 0;  // with a limit: how far it may be crossed
  std::string metadata;  // a JSON object as the client wrote it, or empty
  friend bool operator==(const AccountSpec&, const AccountSpec&) = default;
};

struct Totals {
  Amount debits_posted = 0;
  Amount credits_posted = 0;
  Amount debits_pending = 0;
  Amount credits_pending = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

/// An account as a fold over its shard's journal.
struct Account {
  AccountSpec spec;
  Totals totals;
  // Sums of the reservations in doubt (transactions.md rule 6); part of neither the balance nor the totals.
  Amount debits_in_doubt = 0;
  Amount credits_in_doubt = 0;
  Frozen frozen = Frozen::kNone;
  bool closed = false;
  uint64_t version = 1;  // of the settings, not of the balances
  LogTime opened_at;
};

}  // namespace paxledger
