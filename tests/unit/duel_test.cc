#include <gtest/gtest.h>

#include <tuple>

#include "tests/sim/duel_rounds.h"

namespace paxledger::sim {
namespace {

using Over = DuelOptions::Over;

class Duel : public testing::TestWithParam<std::tuple<Over, uint32_t, uint32_t>> {};

// docs/costs.md has the table of `ledger-sim --duel-rounds`.
TEST_P(Duel, TakesFewRoundsHoweverLongItLasts) {
  auto [over, replicas, proposers] = GetParam();
  DuelReport report = RunDuel({.over = over, .replicas = replicas, .proposers = proposers, .indexes = 500});
  EXPECT_EQ(report.failure, "");
  EXPECT_EQ(report.decided(), 500U);
  EXPECT_LE(report.MeanRound(), 1.1);
  EXPECT_LE(report.RoundOf(990), 2U);
  EXPECT_LE(report.prepares, 500U * proposers * 2) << "who lost learns before it prepares again (rule 13)";
}

INSTANTIATE_TEST_SUITE_P(OverTheNextIndex, Duel,
                         testing::Combine(testing::Values(Over::kOwnersIndex, Over::kNobodysIndex),
                                          testing::Values(3U, 5U), testing::Values(2U, 3U)));

TEST(OneProposer, PreparesOnceAndThenOwnsEveryIndex) {
  DuelReport report = RunDuel({.proposers = 1, .indexes = 500});
  EXPECT_EQ(report.failure, "");
  EXPECT_EQ(report.prepares, 1U);
  ASSERT_EQ(report.indexes.size(), 2U);
  EXPECT_EQ(report.indexes[0], 499U);
}

}  // namespace
}  // namespace paxledger::sim
