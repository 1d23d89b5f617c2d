// What a strong read costs where nothing is in doubt: docs/costs.md says it, this test counts it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/txn_shell_cluster.h"

namespace paxledger {
namespace {

constexpr int kReads = 50;
// Of the cluster's network: a round trip is twice 500 to 1500 us; and some hops through the strand.
constexpr int64_t kRoundTripUsMin = 2 * 500;
constexpr int64_t kRoundTripUsMax = 2 * 1'500 + 100;

struct Cost {
  uint64_t syncs = 0;  // on any node
  uint64_t messages = 0;
  uint64_t bytes = 0;
  int64_t took_us = 0;
};

uint64_t SyncsOf(ShellCluster& cluster) {
  uint64_t syncs = 0;
  for (uint32_t id = 1; id <= cluster.nodes(); ++id) syncs += cluster.Syncs(id);
  return syncs;
}

Cost CostOfRead(ShellCluster& cluster, uint32_t via, const std::string& account) {
  uint64_t syncs = SyncsOf(cluster);
  uint64_t messages = cluster.network().messages();
  uint64_t bytes = cluster.network().bytes();
  int64_t began_us = cluster.clock(via).MonotonicMicros();
  absl::StatusOr<AccountRead> read = cluster.Read(via, account);
  EXPECT_TRUE(read.ok()) << read.status();
  int64_t took_us = cluster.clock(via).MonotonicMicros() - began_us;
  cluster.RunFor(absl::Milliseconds(10));  // the answers that it did not wait for
  return {SyncsOf(cluster) - syncs, cluster.network().messages() - messages,
          cluster.network().bytes() - bytes, took_us};
}

TEST(StrongReadWithNothingInDoubt, CostsOneRoundTripAndNoSync) {
  ShellCluster cluster;
  std::string account = AccountOn(ShardId{2});
  cluster.Fund(account, 100);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }));
  cluster.RunFor(absl::Seconds(5));
  for (uint32_t via = 1; via <= cluster.nodes(); ++via) {
    Cost least{UINT64_MAX, UINT64_MAX, UINT64_MAX, INT64_MAX};
    Cost most;
    for (int i = 0; i < kReads; ++i) {
      Cost cost = CostOfRead(cluster, via, account);
      most.syncs = std::max(most.syncs, cost.syncs);
      most.took_us = std::max(most.took_us, cost.took_us);
      least.messages = std::min(least.messages, cost.messages);
      least.bytes = std::min(least.bytes, cost.bytes);
      least.took_us = std::min(least.took_us, cost.took_us);
    }
    EXPECT_EQ(most.syncs, 0U) << "a strong read writes nothing";
    EXPECT_GE(least.took_us, kRoundTripUsMin) << "no majority can have been asked";
    EXPECT_LE(most.took_us, kRoundTripUsMax) << "more than one round trip";
    // A question to each of the two others, and an answer of each. The least of many: heartbeats come between.
    EXPECT_EQ(least.messages, 4U);
    EXPECT_LE(least.bytes, 400U);
    testing::Test::RecordProperty("bytes_via_" + std::to_string(via), static_cast<int>(least.bytes));
  }
}

}  // namespace
}  // namespace paxledger
