#pragma once

#include "ledger/account.h"

namespace paxledger {

/// One side of a transfer on one account.
struct Leg {
  Side side = Side::kDebit;
  Amount amount = 0;
};

/// Counts `leg` among the reservations in doubt (transactions.md rule 6).
void Reserve(Account& account, Leg leg);
/// Takes it out again: it became a posting, or nothing.
void Release(Account& account, Leg leg);

/// Books `leg` on an account whose limits were judged.
void Post(Account& account, Leg leg);
/// Books `leg` on a clearing account, which nothing limits: its totals, like the sums of a shard, count
/// modulo 2^128.
void PostToClearing(Account& account, Leg leg);

}  // namespace paxledger
