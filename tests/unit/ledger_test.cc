// The pure rules of double entry: encodings, the interval judgement, the fixed order of checks.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "ledger/checks.h"
#include "ledger/encoding.h"
#include "ledger/outcome.h"
#include "ledger/posting.h"

namespace paxledger {
namespace {

constexpr Amount kAll = ~Amount{0};

std::string Encoded(const Account& account) {
  std::string bytes;
  ByteWriter out(&bytes);
  WriteAccount(out, account);
  return bytes;
}

OwnLegs Own(Amount debits, Amount credits) {
  OwnLegs own;
  own.debits.Add(debits);
  own.credits.Add(credits);
  return own;
}

TEST(Outcome, NamesAndNumbersAreThoseOfTheContract) {
  EXPECT_EQ(OutcomeCode(Outcome::kSameAccount), "same_account");
  EXPECT_EQ(OutcomeCode(Outcome::kInsufficientFunds), "insufficient_funds");
  EXPECT_EQ(OutcomeCode(Outcome::kAccountNotEmpty), "account_not_empty");
  EXPECT_EQ(OutcomeFromNumber(11), Outcome::kInsufficientFunds);
  EXPECT_EQ(OutcomeFromNumber(15), std::nullopt);
}

TEST(AmountEncoding, IsShortAndHasOneFormPerValue) {
  for (Amount amount :
       {Amount{0}, Amount{1}, Amount{255}, Amount{256}, Amount{UINT64_MAX}, kTransferAmountMax, kAll}) {
    std::string bytes;
    ByteWriter out(&bytes);
    WriteAmount(out, amount);
    ByteReader in(bytes);
    EXPECT_TRUE(ReadAmount(in) == amount);
    EXPECT_TRUE(in.AtEnd());
  }
  std::string bytes;
  ByteWriter out(&bytes);
  WriteAmount(out, 1050);
  EXPECT_EQ(ToHex(bytes), "021a04");
  for (std::string_view longer : {std::string_view("\x03\x1a\x04\x00", 4), std::string_view("\x11", 1)}) {
    ByteReader in(longer);
    ReadAmount(in);
    EXPECT_FALSE(in.ok());
  }
}

TEST(AccountEncoding, GoldenBytes) {
  Account account;
  account.spec = {"USD/2", Side::kCredit, LimitRule::kDebitsMustNotExceedCredits, 500, R"({"tier":"gold"})"};
  account.totals = {1, 1050, 0, 0};
  account.debits_in_doubt = 7;
  account.frozen = Frozen::kBoth;
  account.closed = true;
  account.version = 3;
  account.opened_at = LogTime{1'700'000'000'000'000};
  std::string bytes = Encoded(account);
  EXPECT_EQ(ToHex(bytes),
            "013b055553442f3202f4010f7b2274696572223a22676f6c64227d0101021a0400000107000300401e18240a0600");
  ByteReader in(bytes);
  Account again = ReadAccount(in);
  EXPECT_TRUE(in.AtEnd());
  EXPECT_EQ(Encoded(again), bytes);
  EXPECT_EQ(again.spec, account.spec);
  EXPECT_EQ(again.totals, account.totals);
  EXPECT_EQ(again.opened_at, account.opened_at);
}

TEST(TransactionEncoding, GoldenBytesAndDerivedIds) {
  Transaction body{"main", "pay-1", {}};
  body.transfers.push_back({"pay-1~0", "alice", "bob", 1050, "USD/2", 5, "invoice", "inv-77", "{}"});
  body.transfers.push_back({"other", "bob", "carol", 1, "", 0, "", "", ""});
  std::string bytes;
  ByteWriter out(&bytes);
  WriteTransaction(out, body);
  EXPECT_EQ(
      ToHex(bytes),
      "01046d61696e057061792d31023e05616c69636503626f62021a04055553442f32050000000000000007696e766f69636506"
      "696e762d3737027b7d0103626f62056361726f6c0101056f74686572");
  TransactionView view;
  ByteReader in(bytes);
  ReadTransaction(in, &view);
  EXPECT_TRUE(in.AtEnd());
  EXPECT_EQ(view.Own(), body);
}

TEST(TransactionEncoding, RefusesWhatBreaksABound) {
  auto accepted = [](const Transaction& body) {
    std::string bytes;
    ByteWriter out(&bytes);
    WriteTransaction(out, body);
    TransactionView view;
    ByteReader in(bytes);
    ReadTransaction(in, &view);
    return in.AtEnd();
  };
  Transaction sound{"main", "t", {{"t", "a", "b", 1, "", 0, "", "", ""}}};
  ASSERT_TRUE(accepted(sound));
  Transaction body = sound;
  body.transfers[0].amount = kTransferAmountMax;
  EXPECT_TRUE(accepted(body));
  body.transfers[0].amount = kTransferAmountMax + 1;
  EXPECT_FALSE(accepted(body));
  body.transfers[0].amount = 0;
  EXPECT_FALSE(accepted(body));
  body = sound;
  body.transfers.clear();
  EXPECT_FALSE(accepted(body));
  body.transfers.resize(1000, sound.transfers[0]);
  EXPECT_TRUE(accepted(body));
  body.transfers.resize(1001, sound.transfers[0]);
  EXPECT_FALSE(accepted(body));
  for (std::string id : {std::string(), std::string(65, 'x'), std::string("a\0b", 3), std::string("a b")}) {
    body = sound;
    body.transfers[0].debit_account = id;
    EXPECT_FALSE(accepted(body)) << id;
  }
  body = sound;
  body.transfers[0].metadata = std::string(4097, 'x');
  EXPECT_FALSE(accepted(body));
}

struct LimitCase {
  const char* name;
  Totals totals;
  Amount debits_in_doubt;
  Amount credits_in_doubt;
  Amount overdraft;
  OwnLegs own;
  Judgement expected;
};

class JudgeDebit : public testing::TestWithParam<LimitCase> {};

// Each case is also tried in the mirror: credits against credits_must_not_exceed_debits (rule 6).
TEST_P(JudgeDebit, AndItsMirror) {
  const LimitCase& c = GetParam();
  Account account;
  account.spec.limit = LimitRule::kDebitsMustNotExceedCredits;
  account.spec.overdraft = c.overdraft;
  account.totals = c.totals;
  account.debits_in_doubt = c.debits_in_doubt;
  account.credits_in_doubt = c.credits_in_doubt;
  EXPECT_EQ(JudgeLimit(account, c.own, Side::kDebit), c.expected);
  EXPECT_EQ(JudgeLimit(account, c.own, Side::kCredit), Judgement::kHolds);
  Account mirror;
  mirror.spec.limit = LimitRule::kCreditsMustNotExceedDebits;
  mirror.spec.overdraft = c.overdraft;
  mirror.totals = {c.totals.credits_posted, c.totals.debits_posted, c.totals.credits_pending,
                   c.totals.debits_pending};
  mirror.debits_in_doubt = c.credits_in_doubt;
  mirror.credits_in_doubt = c.debits_in_doubt;
  EXPECT_EQ(JudgeLimit(mirror, {c.own.credits, c.own.debits}, Side::kCredit), c.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Interval, JudgeDebit,
    testing::Values(
        LimitCase{"ExactBalance", {0, 100, 0, 0}, 0, 0, 0, Own(100, 0), Judgement::kHolds},
        LimitCase{"OneTooMany", {0, 100, 0, 0}, 0, 0, 0, Own(101, 0), Judgement::kFails},
        LimitCase{"OverdraftReached", {0, 100, 0, 0}, 0, 0, 5, Own(105, 0), Judgement::kHolds},
        LimitCase{"OverdraftCrossed", {0, 100, 0, 0}, 0, 0, 5, Own(106, 0), Judgement::kFails},
        // A debit in doubt may yet be released: refusing would be false.
        LimitCase{"DebitInDoubtInTheWay", {0, 100, 0, 0}, 60, 0, 0, Own(50, 0), Judgement::kInDoubt},
        LimitCase{"DebitInDoubtBeside", {0, 100, 0, 0}, 50, 0, 0, Own(50, 0), Judgement::kHolds},
        // A credit in doubt may already have been acknowledged to the payee.
        LimitCase{"CreditInDoubtNeeded", {0, 0, 0, 0}, 0, 50, 0, Own(50, 0), Judgement::kInDoubt},
        LimitCase{"CreditInDoubtNotEnough", {0, 0, 0, 0}, 0, 50, 0, Own(51, 0), Judgement::kFails},
        LimitCase{"PendingDebitIsGone", {0, 100, 60, 0}, 0, 0, 0, Own(50, 0), Judgement::kFails},
        LimitCase{"PendingCreditIsNotThere", {0, 0, 0, 100}, 0, 0, 0, Own(50, 0), Judgement::kFails},
        LimitCase{"OwnEarlierCreditCounts", {0, 0, 0, 0}, 0, 0, 0, Own(50, 50), Judgement::kHolds},
        LimitCase{
            "SumsDoNotOverflow", {kAll, kAll, 0, 0}, kAll, kAll, kAll, Own(kAll, 0), Judgement::kInDoubt}),
    [](const auto& info) { return info.param.name; });

TEST(JudgeOverflow, CountsWhatIsInDoubt) {
  Account account;
  account.totals.credits_posted = kAll - 10;
  EXPECT_EQ(JudgeOverflow(account, Own(0, 10), Side::kCredit), Judgement::kHolds);
  EXPECT_EQ(JudgeOverflow(account, Own(0, 11), Side::kCredit), Judgement::kFails);
  account.credits_in_doubt = 5;
  EXPECT_EQ(JudgeOverflow(account, Own(0, 10), Side::kCredit), Judgement::kInDoubt);
}

struct OrderCase {
  const char* name;
  void (*change)(LocalTransfer* transfer, Account* debit, Account* credit);
  Outcome expected;
};

class JudgeTransferOrder : public testing::TestWithParam<OrderCase> {};

// Every case breaks its rule and all later ones: so the lowest number is what is reported.
TEST_P(JudgeTransferOrder, LowestNumberNamesTheOutcome) {
  Account debit;
  debit.spec = {"USD/2", Side::kCredit, LimitRule::kDebitsMustNotExceedCredits, 0, ""};
  Account credit;
  credit.spec = {"USD/2", Side::kCredit, LimitRule::kCreditsMustNotExceedDebits, 0, ""};
  credit.totals.debits_posted = kAll;
  credit.totals.credits_posted = kAll;
  LocalTransfer transfer;
  transfer.debit = {true, &debit, Own(1, 0)};
  transfer.credit = {true, &credit, Own(0, 1)};
  GetParam().change(&transfer, &debit, &credit);
  TransferJudgement judged = JudgeTransfer(transfer);
  EXPECT_EQ(judged.judgement,
            GetParam().expected == Outcome::kCommitted ? Judgement::kHolds : Judgement::kFails);
  EXPECT_EQ(judged.refusal, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Precedence, JudgeTransferOrder,
    testing::Values(
        OrderCase{"SameAccount",
                  [](LocalTransfer* t, Account*, Account*) {
                    t->same_account = true;
                    t->debit.account = nullptr;
                    t->credit.account = nullptr;
                  },
                  Outcome::kSameAccount},
        OrderCase{"DebitNotFound",
                  [](LocalTransfer* t, Account*, Account*) {
                    t->debit.account = nullptr;
                    t->credit.account = nullptr;
                  },
                  Outcome::kDebitAccountNotFound},
        OrderCase{"CreditNotFound",
                  [](LocalTransfer* t, Account* d, Account*) {
                    t->credit.account = nullptr;
                    t->asset = "EUR/2";
                    d->closed = true;
                  },
                  Outcome::kCreditAccountNotFound},
        OrderCase{"AssetsDiffer",
                  [](LocalTransfer*, Account* d, Account* c) {
                    c->spec.asset = "EUR/2";
                    d->closed = true;
                    d->frozen = Frozen::kBoth;
                  },
                  Outcome::kAssetMismatch},
        OrderCase{"AssetGivenDiffers",
                  [](LocalTransfer* t, Account* d, Account*) {
                    t->asset = "EUR/2";
                    d->closed = true;
                  },
                  Outcome::kAssetMismatch},
        OrderCase{"Closed",
                  [](LocalTransfer*, Account* d, Account* c) {
                    c->closed = true;
                    d->frozen = Frozen::kDebits;
                  },
                  Outcome::kAccountClosed},
        OrderCase{"FrozenDebits", [](LocalTransfer*, Account* d, Account*) { d->frozen = Frozen::kDebits; },
                  Outcome::kAccountFrozen},
        OrderCase{"FrozenCredits", [](LocalTransfer*, Account*, Account* c) { c->frozen = Frozen::kCredits; },
                  Outcome::kAccountFrozen},
        OrderCase{"FrozenOtherSide",
                  [](LocalTransfer*, Account* d, Account* c) {
                    d->frozen = Frozen::kCredits;
                    c->frozen = Frozen::kDebits;
                  },
                  Outcome::kInsufficientFunds},
        OrderCase{"Funds", [](LocalTransfer*, Account*, Account*) {}, Outcome::kInsufficientFunds},
        OrderCase{"CreditLimit", [](LocalTransfer*, Account* d, Account*) { d->totals.credits_posted = 1; },
                  Outcome::kCreditLimitExceeded},
        OrderCase{"Overflow",
                  [](LocalTransfer*, Account* d, Account* c) {
                    d->totals.credits_posted = 1;
                    c->spec.limit = LimitRule::kNone;
                  },
                  Outcome::kAmountOverflow},
        OrderCase{"None",
                  [](LocalTransfer*, Account* d, Account* c) {
                    d->totals.credits_posted = 1;
                    c->spec.limit = LimitRule::kNone;
                    c->totals.credits_posted = 0;
                  },
                  Outcome::kCommitted}),
    [](const auto& info) { return info.param.name; });

TEST(JudgeTransfer, OneSideWithoutKnownAssetIsInDoubtWithNothingInTheWay) {
  Account debit;
  debit.spec = {"USD/2", Side::kCredit, LimitRule::kDebitsMustNotExceedCredits, 0, ""};
  LocalTransfer transfer;
  transfer.debit = {true, &debit, Own(1, 0)};
  TransferJudgement judged = JudgeTransfer(transfer);
  EXPECT_EQ(judged.judgement, Judgement::kInDoubt);
  EXPECT_FALSE(judged.debit_in_doubt);
  transfer.debit.account = nullptr;
  EXPECT_EQ(JudgeTransfer(transfer).refusal, Outcome::kDebitAccountNotFound);
}

TEST(JudgeTransfer, ATrueRefusalOfOneSideStandsBesideADoubtOfTheOther) {
  Account debit;
  debit.spec.limit = LimitRule::kDebitsMustNotExceedCredits;
  debit.credits_in_doubt = 1;
  Account credit;
  credit.spec.limit = LimitRule::kCreditsMustNotExceedDebits;
  LocalTransfer transfer;
  transfer.debit = {true, &debit, Own(1, 0)};
  transfer.credit = {true, &credit, Own(0, 1)};
  EXPECT_EQ(JudgeTransfer(transfer).judgement, Judgement::kFails);
  EXPECT_EQ(JudgeTransfer(transfer).refusal, Outcome::kCreditLimitExceeded);
}

TEST(Posting, ReservationBecomesPosting) {
  Account account;
  Reserve(account, {Side::kDebit, 5});
  EXPECT_TRUE(account.debits_in_doubt == 5 && account.totals == Totals{});
  Release(account, {Side::kDebit, 5});
  Post(account, {Side::kDebit, 5});
  EXPECT_TRUE(account.debits_in_doubt == 0 && account.totals == (Totals{5, 0, 0, 0}));
  EXPECT_DEATH(Release(account, {Side::kDebit, 1}), "released once");
}

}  // namespace
}  // namespace paxledger
