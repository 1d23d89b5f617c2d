#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/mark.h"
#include "tests/sim/core_driver.h"

namespace paxledger::sim {
namespace {

class CoreRandom : public testing::TestWithParam<uint32_t> {};

TEST_P(CoreRandom, KeepsEveryRuleAndDecidesEverythingInCalm) {
  CoreRunReport report = RunCore({.replicas = GetParam(), .seed = 1, .steps = 300'000});
  EXPECT_EQ(report.failure, "") << "world " << report.failed_world << ", step " << report.failed_step
                                << "; replay: ledger-sim --core-world " << report.failed_world
                                << " --replicas " << GetParam();
  EXPECT_GT(report.chosen, report.steps / 100) << "the worlds do hardly anything";
  EXPECT_GT(report.reads, 100U);
  EXPECT_GT(report.crashes, 100U);
}

TEST_P(CoreRandom, IsDeterministic) {
  CoreRunReport first = RunCore({.replicas = GetParam(), .seed = 7, .steps = 20'000});
  CoreRunReport second = RunCore({.replicas = GetParam(), .seed = 7, .steps = 20'000});
  EXPECT_EQ(first.hash, second.hash);
}

// A random run that never comes to a rare place proves nothing about it.
TEST_P(CoreRandom, ComesToTheRarePlaces) {
  Marks marks(1);
  Marks::Install(&marks);
  CoreRunReport report = RunCore({.replicas = GetParam(), .seed = 3, .steps = 400'000});
  Marks::Install(nullptr);
  EXPECT_EQ(report.failure, "");
  for (std::string_view name :
       {"shard_log.chosen_over_accepted", "shard_log.batch_requeued", "shard_log.fetch", "shard_log.prepare",
        "shard_log.adopt", "shard_log.lost_ballot", "shard_log.bytes_elsewhere", "shard_log.noop",
        "shard_log.refused_stamp", "core_world.refused"}) {
    EXPECT_GT(marks.hits().count(std::string(name)), 0U) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Replicas, CoreRandom, testing::Values(3U, 5U),
                         [](const auto& param) { return "Of" + std::to_string(param.param); });

}  // namespace
}  // namespace paxledger::sim
