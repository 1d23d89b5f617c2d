#include "ledger/checks.h"

#include "base/planted.h"

namespace paxledger {
namespace {

// Both sides of "spent must not exceed earned plus overdraft", from the view of the side that the limit holds
// back.
struct Interval {
  Amount posted, pending, in_doubt;
  WideAmount own;
};

Interval Of(const Account& a, const OwnLegs& own, Side side) {
  switch (side) {
    case Side::kDebit:
      return {a.totals.debits_posted, a.totals.debits_pending, a.debits_in_doubt, own.debits};
    case Side::kCredit:
      return {a.totals.credits_posted, a.totals.credits_pending, a.credits_in_doubt, own.credits};
  }
  return {};
}

bool Limits(LimitRule limit, Side side) {
  switch (limit) {
    case LimitRule::kNone:
      return false;
    case LimitRule::kDebitsMustNotExceedCredits:
      return side == Side::kDebit;
    case LimitRule::kCreditsMustNotExceedDebits:
      return side == Side::kCredit;
  }
  return false;
}

bool Freezes(Frozen frozen, Side side) {
  switch (frozen) {
    case Frozen::kNone:
      return false;
    case Frozen::kDebits:
      return side == Side::kDebit;
    case Frozen::kCredits:
      return side == Side::kCredit;
    case Frozen::kBoth:
      return true;
  }
  return false;
}

TransferJudgement Fails(Outcome refusal) { return {Judgement::kFails, refusal, false, false}; }

bool AssetDiffers(const LocalTransfer& t) {
  const Account* debit = t.debit.account;
  const Account* credit = t.credit.account;
  if (debit != nullptr && credit != nullptr && debit->spec.asset != credit->spec.asset) return true;
  if (t.asset.empty()) return false;
  return (debit != nullptr && debit->spec.asset != t.asset) ||
         (credit != nullptr && credit->spec.asset != t.asset);
}

}  // namespace

Judgement JudgeLimit(const Account& account, const OwnLegs& own, Side side) {
  if (!Limits(account.spec.limit, side)) return Judgement::kHolds;
  Interval spent = Of(account, own, side);
  Interval earned = Of(account, own, side == Side::kDebit ? Side::kCredit : Side::kDebit);
  // Pending amounts of the limited side count in both cases: nothing but a resolution in doubt could release
  // them, and pending amounts of the other side are not there yet in either.
  WideAmount spent_best = spent.own;
  spent_best.Add(spent.posted);
  spent_best.Add(spent.pending);
  WideAmount earned_worst = earned.own;
  earned_worst.Add(earned.posted);
  earned_worst.Add(account.spec.overdraft);
  WideAmount spent_worst = spent_best;
  if (!Bug("txn.reservations_not_counted")) spent_worst.Add(spent.in_doubt);
  if (spent_worst <= earned_worst) return Judgement::kHolds;
  WideAmount earned_best = earned_worst;
  earned_best.Add(earned.in_doubt);
  return spent_best <= earned_best ? Judgement::kInDoubt : Judgement::kFails;
}

Judgement JudgeOverflow(const Account& account, const OwnLegs& own, Side side) {
  Interval moved = Of(account, own, side);
  WideAmount best = moved.own;
  best.Add(moved.posted);
  best.Add(moved.pending);
  if (best.high != 0) return Judgement::kFails;
  WideAmount worst = best;
  worst.Add(moved.in_doubt);
  return worst.high == 0 ? Judgement::kHolds : Judgement::kInDoubt;
}

TransferJudgement JudgeTransfer(const LocalTransfer& t) {
  if (t.same_account && t.debit.here) return Fails(Outcome::kSameAccount);
  if (t.debit.here && t.debit.account == nullptr) return Fails(Outcome::kDebitAccountNotFound);
  if (t.credit.here && t.credit.account == nullptr) return Fails(Outcome::kCreditAccountNotFound);
  const Account* debit = t.debit.account;
  const Account* credit = t.credit.account;
  if (AssetDiffers(t)) return Fails(Outcome::kAssetMismatch);
  // A refusal by a later rule could hide a mismatch that only the other shard can see.
  if (t.asset.empty() && (debit == nullptr) != (credit == nullptr))
    return {Judgement::kInDoubt, {}, false, false};
  if ((debit != nullptr && debit->closed) || (credit != nullptr && credit->closed)) {
    return Fails(Outcome::kAccountClosed);
  }
  if ((debit != nullptr && Freezes(debit->frozen, Side::kDebit)) ||
      (credit != nullptr && Freezes(credit->frozen, Side::kCredit))) {
    return Fails(Outcome::kAccountFrozen);
  }
  TransferJudgement result;
  auto judge = [&result](Judgement judgement, Outcome refusal, bool* in_doubt) {
    if (judgement == Judgement::kFails && result.judgement != Judgement::kFails) {
      result.judgement = Judgement::kFails;
      result.refusal = refusal;
    } else if (judgement == Judgement::kInDoubt) {
      if (result.judgement == Judgement::kHolds) result.judgement = Judgement::kInDoubt;
      *in_doubt = true;
    }
  };
  if (debit != nullptr) {
    judge(JudgeLimit(*debit, t.debit.own, Side::kDebit), Outcome::kInsufficientFunds, &result.debit_in_doubt);
  }
  if (credit != nullptr) {
    judge(JudgeLimit(*credit, t.credit.own, Side::kCredit), Outcome::kCreditLimitExceeded,
          &result.credit_in_doubt);
  }
  if (debit != nullptr) {
    judge(JudgeOverflow(*debit, t.debit.own, Side::kDebit), Outcome::kAmountOverflow, &result.debit_in_doubt);
  }
  if (credit != nullptr) {
    judge(JudgeOverflow(*credit, t.credit.own, Side::kCredit), Outcome::kAmountOverflow,
          &result.credit_in_doubt);
  }
  return result;
}

}  // namespace paxledger
