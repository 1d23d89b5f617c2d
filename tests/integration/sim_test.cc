#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/sim/world.h"

namespace paxledger::sim {
namespace {

SimOptions OfSeed(uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  options.seconds = 20;
  options.transfers = 300;
  return options;
}

TEST(LedgerSim, SameSeedGivesTheSameTrace) {
  SimReport first = RunWorld(OfSeed(4), Verbosity::kQuiet);
  SimReport second = RunWorld(OfSeed(4), Verbosity::kQuiet);
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_EQ(first.events, second.events);
  SimReport other = RunWorld(OfSeed(5), Verbosity::kQuiet);
  EXPECT_NE(first.hash, other.hash);
}

class LedgerSimSeed : public testing::TestWithParam<uint64_t> {};

TEST_P(LedgerSimSeed, KeepsEveryPromiseUnderFaultsAndSettlesAfterThem) {
  SimReport report = RunWorld(OfSeed(GetParam()), Verbosity::kQuiet);
  EXPECT_EQ(report.failure, "") << "replay: ledger-sim --seed " << GetParam()
                                << " --seconds 20 --transfers 300";
  EXPECT_GT(report.committed, 0U);
}

INSTANTIATE_TEST_SUITE_P(Fixed, LedgerSimSeed, testing::Range(uint64_t{100}, uint64_t{140}));

class LedgerSimSeveralNodes : public testing::TestWithParam<uint64_t> {};

// Each node hosts some shards, and is a gateway to all.
TEST_P(LedgerSimSeveralNodes, KeepsEveryPromiseToo) {
  SimOptions options = OfSeed(GetParam());
  options.nodes_per_data_centre = 2 + static_cast<uint32_t>(GetParam() % 2);
  SimReport report = RunWorld(options, Verbosity::kQuiet);
  EXPECT_EQ(report.failure, "") << "replay: ledger-sim --seed " << GetParam() << " --nodes-per-dc "
                                << options.nodes_per_data_centre << " --seconds 20 --transfers 300";
  EXPECT_GT(report.committed, 0U);
}

INSTANTIATE_TEST_SUITE_P(Fixed, LedgerSimSeveralNodes, testing::Range(uint64_t{200}, uint64_t{220}));

TEST(LedgerSim, SuspectsSilentPeersAndEvensOutOwnersAfterThem) {
  std::map<std::string, uint64_t> marks;
  for (uint64_t seed = 200; seed < 212; ++seed) {
    for (const auto& [name, hits] : RunWorld(OfSeed(seed), Verbosity::kQuiet).marks) marks[name] += hits;
  }
  EXPECT_GT(marks["replica.suspects"], 0u);
  EXPECT_GT(marks["replica.hands_over"], 0u);
}

}  // namespace
}  // namespace paxledger::sim
