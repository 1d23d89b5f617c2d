#include <gtest/gtest.h>

#include "tests/sim/explore_core.h"

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

TEST(ExploreCore, ComesToAnEndWhereLittleCanHappen) {
  CoreExploreOptions little{
      .replicas = 3, .proposers = 1, .crashes = 0, .rounds = 1, .indexes = 1, .depth = 100};
  ExploreReport report = ExploreCore(little);
  EXPECT_EQ(report.failure, "") << report.path;
  EXPECT_TRUE(report.exhausted);
}

TEST(ExploreCore, VisitsTheSameStatesInEveryRun) {
  ExploreReport first = ExploreCore({.depth = 8});
  ExploreReport second = ExploreCore({.depth = 8});
  EXPECT_EQ(first.states, second.states);
  EXPECT_EQ(first.transitions, second.transitions);
}

}  // namespace
}  // namespace paxledger::sim
