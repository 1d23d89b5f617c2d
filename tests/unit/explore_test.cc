#include <gtest/gtest.h>

#include "tests/sim/explore_core.h"
#include "tests/sim/explore_txn.h"

namespace paxledger::sim {
namespace {

// Deeper in tests/cmake/sim.cmake; here with the sanitizers on.
TEST(ExploreCore, FindsNothingWrongFromTheEmptyLog) {
  ExploreReport report = ExploreCore({.depth = 9});
  EXPECT_EQ(report.failure, "") << report.path;
  EXPECT_EQ(report.depth, 9U);
  EXPECT_GT(report.states, 10'000U) << "the explorer hardly goes anywhere";
}

TEST(ExploreCore, FindsNothingWrongWhereAReplicaOwnsTheNextIndex) {
  ExploreReport report = ExploreCore({.reads = 1, .hand_overs = 1, .start = CoreStart::kOwned, .depth = 7});
  EXPECT_EQ(report.failure, "") << report.path;
  EXPECT_GT(report.states, 10'000U) << "the explorer hardly goes anywhere";
  EXPECT_GT(report.compared, 0U) << "nobody looked whether equal states do the same";
}

TEST(ExploreCore, VisitsTheSameStatesInEveryRun) {
  ExploreReport first = ExploreCore({.depth = 8});
  ExploreReport second = ExploreCore({.depth = 8});
  EXPECT_EQ(first.states, second.states);
  EXPECT_EQ(first.transitions, second.transitions);
}

class ExploreTransactions : public testing::TestWithParam<uint32_t> {};

TEST_P(ExploreTransactions, FindsNothingWrong) {
  ExploreReport report = ExploreTxn({.scenario = static_cast<TxnScenario>(GetParam()), .depth = 11});
  EXPECT_EQ(report.failure, "") << report.path;
  EXPECT_EQ(report.depth, 11U);
  EXPECT_GT(report.states, 2'000U) << "the explorer hardly goes anywhere";
  EXPECT_GT(report.compared, 0U) << "nobody looked whether equal states do the same";
}

INSTANTIATE_TEST_SUITE_P(EveryScenario, ExploreTransactions, testing::Range(0U, kTxnScenarios));

TEST(ExploreTransactionsOfOneAttempt, ComesToAnEnd) {
  ExploreReport report = ExploreTxn({.attempts = 1, .recoveries = 0, .depth = 100});
  EXPECT_EQ(report.failure, "") << report.path;
  EXPECT_TRUE(report.exhausted);
}

}  // namespace
}  // namespace paxledger::sim
