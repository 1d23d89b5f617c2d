#include "txn/tally.h"

#include <gtest/gtest.h>

namespace paxledger {
namespace {

constexpr ShardId kHome{0};
constexpr ShardId kOther{3};

Try Attempt(uint32_t attempt) { return Try{LedgerKey{"main", "pay"}, Sha256("body"), attempt}; }

Vote Of(VoteKind kind, uint32_t attempt, int64_t at = 0) {
  Vote vote;
  vote.kind = kind;
  vote.of = Attempt(attempt);
  vote.at = LogTime{at};
  return vote;
}

Vote Finished(DecisionKind kind, uint32_t attempt) {
  Vote vote = Of(VoteKind::kFinished, attempt);
  vote.finished.kind = kind;
  return vote;
}

TEST(Tally, IsOpenUntilAllParticipantsVoted) {
  Tally tally(Attempt(1), {kHome, kOther});
  EXPECT_FALSE(tally.See(kHome, Of(VoteKind::kRefused, 1)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kOpen);
  EXPECT_EQ(tally.Missing(), std::vector<ShardId>{kOther});
}

TEST(Tally, CommitsAtTheLargestPrepareTimestamp) {
  Tally tally(Attempt(1), {kHome, kOther});
  tally.See(kHome, Of(VoteKind::kPrepared, 1, 7));
  EXPECT_TRUE(tally.See(kOther, Of(VoteKind::kPrepared, 1, 9)));
  EXPECT_EQ(tally.decision().kind, DecisionKind::kCommitted);
  EXPECT_EQ(tally.decision().committed_at, LogTime{9});
  EXPECT_FALSE(tally.was_told());
}

TEST(Tally, IgnoresVotesOfEarlierAttempts) {
  Tally tally(Attempt(2), {kHome, kOther});
  tally.See(kHome, Of(VoteKind::kPrepared, 1));
  tally.See(kOther, Finished(DecisionKind::kAborted, 1));
  EXPECT_EQ(tally.Missing().size(), 2u);
  EXPECT_EQ(tally.standing(), Tally::Standing::kOpen);
}

TEST(Tally, ALaterAttemptProvesThatThisOneAborted) {
  Tally tally(Attempt(1), {kHome, kOther});
  tally.See(kHome, Of(VoteKind::kPrepared, 1));
  EXPECT_TRUE(tally.See(kOther, Of(VoteKind::kSuperseded, 3)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kSuperseded);
  EXPECT_EQ(tally.superseded_by(), 3u);
  EXPECT_EQ(tally.decision().kind, DecisionKind::kAborted);
  EXPECT_EQ(tally.decided_try().attempt, 1u);
}

// An earlier attempt's command is told of this one; to take that for a later one would abort what may commit.
TEST(Tally, IsNotSupersededByItself) {
  Tally tally(Attempt(2), {kHome, kOther});
  EXPECT_FALSE(tally.See(kOther, Of(VoteKind::kSuperseded, 2)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kOpen);
  EXPECT_EQ(tally.Missing().size(), 2u);
}

TEST(Tally, AnOutcomeIsFinalWhateverAttemptItIsOf) {
  Tally tally(Attempt(3), {kHome, kOther});
  EXPECT_TRUE(tally.See(kOther, Finished(DecisionKind::kRefused, 2)));
  EXPECT_EQ(tally.decided_try().attempt, 2u);
}

TEST(Tally, AFinishedShardTellsTheOutcomeAndItsAttempt) {
  Tally tally(Attempt(1), {kHome, kOther});
  EXPECT_TRUE(tally.See(kOther, Finished(DecisionKind::kCommitted, 2)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kDecided);
  EXPECT_TRUE(tally.was_told());
  EXPECT_EQ(tally.decided_try().attempt, 2u);
  EXPECT_EQ(tally.Unfinished(), std::vector<ShardId>{kHome});
}

TEST(Tally, AnAbortedLaterAttemptIsNoOutcome) {
  Tally tally(Attempt(1), {kHome, kOther});
  EXPECT_TRUE(tally.See(kOther, Finished(DecisionKind::kAborted, 2)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kSuperseded);
}

TEST(Tally, WaitsForNobodyWhoSaidConflictButStillTellsIt) {
  Tally tally(Attempt(1), {kHome, kOther});
  tally.See(kHome, Of(VoteKind::kConflict, 1));
  tally.See(kOther, Of(VoteKind::kPrepared, 1));
  EXPECT_EQ(tally.decision().kind, DecisionKind::kConflict);
  EXPECT_EQ(tally.Unfinished().size(), 2u);
  EXPECT_TRUE(tally.See(kOther, Finished(DecisionKind::kConflict, 1)));
  EXPECT_TRUE(tally.finished_everywhere());
}

// Its reservation is of the very try that committed: it waits for that Finish.
TEST(Tally, AShardThatHoldsTheDecidedTryIsNotFinished) {
  Tally told_first(Attempt(1), {kHome, kOther});
  told_first.See(kOther, Finished(DecisionKind::kCommitted, 2));
  told_first.See(kHome, Of(VoteKind::kPrepared, 2));
  EXPECT_EQ(told_first.Unfinished(), std::vector<ShardId>{kHome});
  EXPECT_FALSE(told_first.finished_everywhere());

  Tally told_last(Attempt(1), {kHome, kOther});
  told_last.See(kHome, Of(VoteKind::kPrepared, 2));
  told_last.See(kOther, Finished(DecisionKind::kCommitted, 2));
  EXPECT_EQ(told_last.decided_try().attempt, 2u);
  EXPECT_EQ(told_last.Unfinished(), std::vector<ShardId>{kHome});
  EXPECT_TRUE(told_last.See(kHome, Finished(DecisionKind::kCommitted, 2)));
  EXPECT_TRUE(told_last.finished_everywhere());
}

TEST(Tally, RestartForgetsEverything) {
  Tally tally(Attempt(1), {kHome, kOther});
  tally.See(kHome, Of(VoteKind::kBlocked, 1));
  tally.See(kOther, Of(VoteKind::kPrepared, 1));
  EXPECT_EQ(tally.decision().kind, DecisionKind::kAborted);
  tally.Restart(2);
  EXPECT_EQ(tally.standing(), Tally::Standing::kOpen);
  EXPECT_EQ(tally.of().attempt, 2u);
  EXPECT_EQ(tally.Missing().size(), 2u);
}

TEST(Tally, IgnoresShardsThatAreNoParticipants) {
  Tally tally(Attempt(1), {kHome, kOther});
  EXPECT_FALSE(tally.See(ShardId{2}, Finished(DecisionKind::kCommitted, 1)));
  EXPECT_EQ(tally.standing(), Tally::Standing::kOpen);
}

}  // namespace
}  // namespace paxledger
