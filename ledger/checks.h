#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "ledger/account.h"
#include "ledger/outcome.h"

namespace paxledger {

/// A sum of amounts that cannot overflow: up to 2^32 of them.
struct WideAmount {
  uint32_t high = 0;  // times 2^128
  Amount low = 0;
  void Add(Amount amount) {
    low += amount;
    if (low < amount) ++high;
  }
  void Add(const WideAmount& other) {
    Add(other.low);
    high += other.high;
  }
  friend constexpr bool operator==(const WideAmount&, const WideAmount&) = default;
  friend constexpr auto operator<=>(const WideAmount&, const WideAmount&) = default;
};

/// What the transfers of one transaction, up to the one that is judged and with it, do to one account (rule
/// 8).
struct OwnLegs {
  WideAmount debits;
  WideAmount credits;
};

/// The interval judgement of transactions.md rule 6.
enum class Judgement : uint8_t {
  kHolds,    // even in the worst case
  kInDoubt,  // only in the best case
  kFails,    // even in the best case
};

/// The limit of `account` as a debit or credit (`side`) meets it.
Judgement JudgeLimit(const Account& account, const OwnLegs& own, Side side);
/// That the totals of `account` stay below 2^128.
Judgement JudgeOverflow(const Account& account, const OwnLegs& own, Side side);

/// One side of a transfer as one shard sees it.
struct LocalSide {
  bool here = false;                 // the account's shard is this one
  const Account* account = nullptr;  // nullptr, and `here`: not found
  OwnLegs own;
};

/// One transfer as one shard sees it.
struct LocalTransfer {
  bool same_account = false;  // debit and credit account are one
  LocalSide debit;
  LocalSide credit;
  std::string_view asset;  // empty: not known to this shard
};

struct TransferJudgement {
  Judgement judgement = Judgement::kHolds;
  Outcome refusal = Outcome::kCommitted;  // where it fails: the lowest rule broken
  // Where in doubt: the accounts whose reservations stand in the way; none where the asset is not known.
  bool debit_in_doubt = false;
  bool credit_in_doubt = false;
};

/// All rules in their fixed order (ledger/outcome.h), each over the accounts that are here.
TransferJudgement JudgeTransfer(const LocalTransfer& transfer);

}  // namespace paxledger
