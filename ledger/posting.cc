#include "ledger/posting.h"

#include "base/check.h"

namespace paxledger {
namespace {

Amount& InDoubt(Account& account, Side side) {
  return side == Side::kDebit ? account.debits_in_doubt : account.credits_in_doubt;
}

Amount& Posted(Account& account, Side side) {
  return side == Side::kDebit ? account.totals.debits_posted : account.totals.credits_posted;
}

}  // namespace

void Reserve(Account& account, Leg leg) {
  Amount& sum = InDoubt(account, leg.side);
  sum += leg.amount;
  Check(sum >= leg.amount, "reservations were judged not to overflow");
}

void Release(Account& account, Leg leg) {
  Amount& sum = InDoubt(account, leg.side);
  Check(sum >= leg.amount, "a reservation is released once");
  sum -= leg.amount;
}

void Post(Account& account, Leg leg) {
  Amount& sum = Posted(account, leg.side);
  sum += leg.amount;
  Check(sum >= leg.amount, "postings were judged not to overflow");
}

void PostToClearing(Account& account, Leg leg) { Posted(account, leg.side) += leg.amount; }

}  // namespace paxledger
