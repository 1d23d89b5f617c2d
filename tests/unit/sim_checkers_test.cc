#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/sim/journal_fold.h"
#include "tests/sim/order_graph.h"
#include "tests/sim/serializability.h"

namespace paxledger::sim {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// A history by hand. Times and positions are what the test says.
class Told {
 public:
  size_t Transaction(const std::string& name, int64_t invoked, std::optional<int64_t> responded) {
    history_.operations.push_back({name, invoked, responded});
    return history_.operations.size() - 1;
  }
  Told& Debit(size_t operation, const std::string& account, int64_t voted, int64_t done, Amount amount) {
    history_.effects[account].push_back({operation, voted, done, amount, 0});
    return *this;
  }
  void Read(const std::string& name, int64_t began, int64_t ended, const std::string& account,
            Amount debits) {
    history_.reads.push_back({history_.operations.size(), account, debits, 0});
    history_.operations.push_back({name, began, ended});
  }
  SerialVerdict Check() const { return CheckSerializable(history_); }

 private:
  SerialHistory history_;
};

TEST(Serializable, AHistoryWithoutOverlapIsInOrder) {
  Told told;
  size_t first = told.Transaction("first", 0, 10);
  size_t second = told.Transaction("second", 20, 30);
  told.Debit(first, "a", 1, 2, 5).Debit(second, "a", 3, 4, 7);
  told.Read("early", 11, 12, "a", 5);
  told.Read("late", 31, 32, "a", 12);
  SerialVerdict verdict = told.Check();
  EXPECT_THAT(verdict.failure, IsEmpty());
  EXPECT_EQ(verdict.reads_placed, 2U);
}

TEST(Serializable, AnAnswerMayNotPrecedeTheQuestionOfWhatTheLogPutsBefore) {
  // `later` was asked for when `earlier` had been answered, and yet the log of the account posted it before `earlier` was
  // even judged.
  Told told;
  size_t earlier = told.Transaction("earlier", 0, 10);
  size_t later = told.Transaction("later", 20, 30);
  told.Debit(later, "a", 1, 2, 7).Debit(earlier, "a", 3, 4, 5);
  EXPECT_THAT(told.Check().failure, HasSubstr("no order"));
}

TEST(Serializable, TwoThatOverlapInTheLogMayBePostedInAnyOrder) {
  Told told;
  size_t one = told.Transaction("one", 0, 10);
  size_t other = told.Transaction("other", 1, 11);
  told.Debit(one, "a", 1, 3, 5).Debit(other, "a", 2, 4, 7);
  told.Debit(other, "b", 1, 3, 7).Debit(one, "b", 2, 4, 5);
  EXPECT_THAT(told.Check().failure, IsEmpty());
}

TEST(Serializable, TwoAccountsMayNotPutTwoInOppositeOrders) {
  Told told;
  size_t one = told.Transaction("one", 0, std::nullopt);
  size_t other = told.Transaction("other", 0, std::nullopt);
  told.Debit(one, "a", 1, 2, 5).Debit(other, "a", 3, 4, 7);
  told.Debit(other, "b", 1, 2, 7).Debit(one, "b", 3, 4, 5);
  EXPECT_THAT(told.Check().failure, HasSubstr("no order"));
}

TEST(Serializable, TwoReadersMayNotSeeTwoInOppositeOrders) {
  Told told;
  size_t one = told.Transaction("one", 0, std::nullopt);
  size_t other = told.Transaction("other", 0, std::nullopt);
  told.Debit(one, "a", 1, 3, 5).Debit(other, "a", 2, 4, 7);
  told.Read("saw one", 1, 50, "a", 5);
  EXPECT_THAT(told.Check().failure, IsEmpty());
  told.Read("saw the other", 1, 50, "a", 7);
  EXPECT_THAT(told.Check().failure, HasSubstr("no order"));
}

TEST(Serializable, AReadMustSeeWhatWasAnsweredBeforeIt) {
  Told told;
  size_t one = told.Transaction("one", 0, 10);
  told.Debit(one, "a", 1, 2, 5);
  told.Read("blind", 11, 12, "a", 0);
  EXPECT_THAT(told.Check().failure, HasSubstr("blind"));
}

TEST(Serializable, AReadMayMissOrSeeWhatIsUnderWay) {
  Told told;
  size_t one = told.Transaction("one", 0, 20);
  told.Debit(one, "a", 1, 2, 5);
  told.Read("misses", 5, 12, "a", 0);
  told.Read("sees", 5, 12, "a", 5);
  EXPECT_THAT(told.Check().failure, IsEmpty());
}

TEST(Serializable, ALaterReadMaySeeNoLess) {
  Told told;
  size_t one = told.Transaction("one", 0, std::nullopt);
  told.Debit(one, "a", 1, 2, 5);
  told.Read("sees", 5, 12, "a", 5);
  told.Read("misses", 13, 14, "a", 0);
  EXPECT_THAT(told.Check().failure, HasSubstr("no order"));
}

TEST(Serializable, ACycleThroughSeveralAccountsAndRealTimeIsFound) {
  // one -> other on a, other -> third by real time, third -> one on b.
  Told told;
  size_t one = told.Transaction("one", 0, 100);
  size_t other = told.Transaction("other", 0, 10);
  size_t third = told.Transaction("third", 20, 30);
  told.Debit(one, "a", 1, 2, 5).Debit(other, "a", 3, 4, 7);
  told.Debit(third, "b", 1, 2, 3).Debit(one, "b", 3, 4, 5);
  std::string failure = told.Check().failure;
  for (const char* name : {"one", "other", "third", "real time", "log of a", "log of b"}) {
    EXPECT_THAT(failure, HasSubstr(name));
  }
}

TEST(Serializable, ABalanceThatNothingAddsUpToIsAFailure) {
  Told told;
  size_t one = told.Transaction("one", 0, 10);
  told.Debit(one, "a", 1, 2, 5);
  told.Read("odd", 1, 12, "a", 4);
  EXPECT_THAT(told.Check().failure, HasSubstr("add up"));
}

TEST(Serializable, WhatWasNotYetJudgedCannotBePartOfAnEarlierBalance) {
  // The second was judged after the first was posted, so 7 without 5 cannot have been seen.
  Told told;
  size_t one = told.Transaction("one", 0, std::nullopt);
  size_t other = told.Transaction("other", 0, std::nullopt);
  told.Debit(one, "a", 1, 2, 5).Debit(other, "a", 3, 4, 7);
  told.Read("odd", 1, 12, "a", 7);
  EXPECT_THAT(told.Check().failure, HasSubstr("add up"));
}

TEST(Serializable, OfAnAmbiguousBalanceOnlyWhatIsSureCounts) {
  // Either of two equal amounts may be the one that was seen.
  Told told;
  size_t one = told.Transaction("one", 0, std::nullopt);
  size_t other = told.Transaction("other", 0, std::nullopt);
  told.Debit(one, "a", 1, 3, 5).Debit(other, "a", 2, 4, 5);
  told.Read("one of them", 1, 50, "a", 5);
  told.Read("again", 1, 50, "a", 5);
  SerialVerdict verdict = told.Check();
  EXPECT_THAT(verdict.failure, IsEmpty());
  EXPECT_EQ(verdict.reads_ambiguous, 2U);
}

// --- the books ------------------------------------------------------------------------------------------------------

/// One shard with two accounts; `poor` may not be overdrawn.
class Journal {
 public:
  Journal() {
    AccountSpec spec;
    spec.asset = "USD/2";
    Add(OpenAccountCommand{{"main", "rich"}, spec});
    spec.limit = LimitRule::kDebitsMustNotExceedCredits;
    Add(OpenAccountCommand{{"main", "poor"}, spec});
  }
  static Transaction Pay(const std::string& id, const std::string& from, const std::string& to,
                         Amount amount) {
    Transaction transaction{"main", id, {}};
    Transfer& transfer = transaction.transfers.emplace_back();
    transfer.id = id;
    transfer.debit_account = from;
    transfer.credit_account = to;
    transfer.amount = amount;
    return transaction;
  }
  static Try TryOf(const Transaction& body, uint32_t attempt = 1) {
    return Try{{"main", body.id}, TransactionDigest(body), attempt};
  }
  void Add(const TxnCommand& command, std::optional<Decision> ended = std::nullopt) {
    index_ = Next(index_);
    fold_.Add(ShardId{0}, index_, command, [ended](const Try&, LogIndex) { return ended; });
  }
  void Execute(const Transaction& body, Decision ended) {
    Add(ExecuteCommand{TryOf(body), body, LogTime{}}, ended);
  }
  void Prepare(const Transaction& body, uint32_t attempt = 1) {
    Add(PrepareCommand{TryOf(body, attempt), {ShardId{0}}, 0, body, {}, LogTime{}});
  }
  void Finish(const Transaction& body, DecisionKind kind, uint32_t attempt = 1) {
    Add(FinishCommand{TryOf(body, attempt), {kind, Outcome::kCommitted, 0, LogTime{}}});
  }
  void End() { fold_.CheckEnd(); }
  std::vector<std::string> failures;

 private:
  LogIndex index_;
  JournalFold fold_{1, [this](std::string what) { failures.push_back(std::move(what)); }};
};

constexpr Decision kCommit{DecisionKind::kCommitted, Outcome::kCommitted, 0, LogTime{9}};
constexpr Decision kPoor{DecisionKind::kRefused, Outcome::kInsufficientFunds, 0, LogTime{}};

TEST(JournalFold, ALimitIsCrossedByTheTransferThatCrossesIt) {
  Journal journal;
  journal.Execute(Journal::Pay("in", "rich", "poor", 10), kCommit);
  journal.Execute(Journal::Pay("out", "poor", "rich", 10), kCommit);
  EXPECT_THAT(journal.failures, IsEmpty());
  journal.Execute(Journal::Pay("too much", "poor", "rich", 1), kCommit);
  EXPECT_THAT(journal.failures, testing::ElementsAre(HasSubstr("crossed its limit")));
}

TEST(JournalFold, TheSameExecuteTwiceHasOneEffectAndAnotherBodyNone) {
  Journal journal;
  Transaction in = Journal::Pay("in", "rich", "poor", 10);
  journal.Execute(in, kCommit);
  journal.Execute(in, kCommit);
  EXPECT_THAT(journal.failures, IsEmpty());
  journal.Execute(Journal::Pay("in", "rich", "poor", 11), kCommit);
  EXPECT_THAT(journal.failures, testing::ElementsAre(HasSubstr("second effect")));
}

TEST(JournalFold, OneTryIsDecidedOnce) {
  Journal journal;
  Transaction in = Journal::Pay("in", "rich", "poor", 10);
  journal.Prepare(in);
  journal.Finish(in, DecisionKind::kAborted);
  journal.Prepare(in, 2);
  journal.Finish(in, DecisionKind::kCommitted, 2);
  EXPECT_THAT(journal.failures, IsEmpty());
  journal.Finish(in, DecisionKind::kCommitted, 1);
  EXPECT_THAT(journal.failures, testing::ElementsAre(HasSubstr("was decided as")));
}

TEST(JournalFold, ARefusalIsTrueOrNot) {
  Journal journal;
  journal.Execute(Journal::Pay("in", "rich", "poor", 10), kCommit);
  journal.Execute(Journal::Pay("much", "poor", "rich", 11), kPoor);
  journal.End();
  EXPECT_THAT(journal.failures, IsEmpty());
  journal.Execute(Journal::Pay("little", "poor", "rich", 10), kPoor);
  journal.End();
  EXPECT_THAT(journal.failures, testing::ElementsAre(HasSubstr("never true")));
}

TEST(JournalFold, ARefusalForWhatWasInDoubtIsTrueIfThatCommitted) {
  for (DecisionKind end : {DecisionKind::kCommitted, DecisionKind::kAborted}) {
    Journal journal;
    journal.Execute(Journal::Pay("in", "rich", "poor", 10), kCommit);
    Transaction doubtful = Journal::Pay("doubtful", "poor", "rich", 5);
    journal.Prepare(doubtful);
    journal.Execute(Journal::Pay("refused", "poor", "rich", 6), kPoor);
    journal.Finish(doubtful, end);
    journal.End();
    EXPECT_EQ(journal.failures.empty(), end == DecisionKind::kCommitted);
  }
}

}  // namespace
}  // namespace paxledger::sim
