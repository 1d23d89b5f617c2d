// Who writes which shard, on whole nodes in virtual time: losses, returns, primaries; and what a strong read costs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/unit/txn_shell_cluster.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr uint32_t kManyShards = 12;

std::string AccountOfMany(uint32_t shard, int n) {
  for (int i = 0;; ++i) {
    std::string id = absl::StrCat("account-", i);
    if (ShardOfAccount("main", id, kManyShards).value == shard && n-- == 0) return id;
  }
}

/// Twelve shards with two accounts each, and payments within each shard.
class Routed {
 public:
  explicit Routed(std::vector<ShardRouting> routing = {}, uint32_t nodes_per_dc = 1)
      : cluster(7, nodes_per_dc, ShellCluster::Founders::kAll, kManyShards, std::move(routing)) {
    cluster.RunFor(absl::Seconds(1));  // until all are connected, not only a majority
    for (uint32_t shard = 0; shard < kManyShards; ++shard) {
      cluster.Fund(AccountOfMany(shard, 0), 1'000'000);
      cluster.Fund(AccountOfMany(shard, 1), 0);
    }
    PayOnce(1);
  }

  /// A payment in each shard through a gateway; returns how long the longest took.
  int64_t PayOnce(uint32_t via) {
    int64_t began_us = cluster.now_us();
    std::vector<Transaction> payments;
    for (uint32_t shard = 0; shard < kManyShards; ++shard) {
      payments.push_back(Payment(PlacedTransactionId(absl::StrCat("pay-", ++paid_), ShardId{shard}),
                                 AccountOfMany(shard, 0), AccountOfMany(shard, 1), 1));
    }
    for (const TransactionResult& result : cluster.Execute(via, std::move(payments))) {
      EXPECT_EQ(result.state, TransactionState::kCommitted) << result.reason;
    }
    return cluster.now_us() - began_us;
  }

  /// By replica, as node `at` sees it, of the shards that it hosts.
  std::map<uint32_t, int> Owned(uint32_t at) {
    std::map<uint32_t, int> owned;
    for (uint32_t shard = 0; shard < kManyShards; ++shard) {
      if (!cluster.node(at).Hosts(ShardId{shard})) continue;
      ++owned[cluster.node(at).replica().Status(ShardId{shard}).owner.replica.value];
    }
    return owned;
  }

  ShellCluster cluster;

 private:
  int paid_ = 0;
};

using Owned = std::map<uint32_t, int>;

/// Clients that each have one payment under way, always, through any gateway but the one that is left out.
class Payers {
 public:
  Payers(ShellCluster& cluster, int clients, uint32_t left_out = 0) : cluster_(cluster), left_out_(left_out) {
    for (int client = 0; client < clients; ++client) PayNext();
  }
  void LeaveOut(uint32_t gateway) { left_out_ = gateway; }
  void Stop() {
    stopped_ = true;
    EXPECT_TRUE(cluster_.RunUntil([this] { return under_way_ == 0; }, absl::Seconds(10)));
  }
  uint64_t paid() const { return paid_; }
  /// Of the payments that were sent since the last call.
  int64_t TakeLongest() { return std::exchange(longest_us_, 0); }

 private:
  void PayNext() {
    if (stopped_) return;
    uint64_t number = next_++;
    uint32_t via = 1 + static_cast<uint32_t>(number % 3);
    if (via == left_out_) via = via % 3 + 1;
    uint32_t from = static_cast<uint32_t>(random_.Below(kManyShards));
    uint32_t to = static_cast<uint32_t>(random_.Below(kManyShards));
    std::vector<Transaction> payment{
        Payment(PlacedTransactionId(absl::StrCat("load-", number), ShardId{from}), AccountOfMany(from, 0),
                AccountOfMany(to, 1), 1)};
    int64_t sent_us = cluster_.now_us();
    ++under_way_;
    cluster_.node(via).Execute(std::move(payment), LogTime{}, cluster_.In(via, absl::Seconds(5)),
                               [this, sent_us](std::vector<TransactionResult> results) {
                                 --under_way_;
                                 EXPECT_EQ(results.front().state, TransactionState::kCommitted)
                                     << results.front().reason;
                                 longest_us_ = std::max(longest_us_, cluster_.now_us() - sent_us);
                                 ++paid_;
                                 PayNext();
                               });
  }

  ShellCluster& cluster_;
  uint32_t left_out_;
  Random random_{11};
  uint64_t next_ = 0;
  uint64_t paid_ = 0;
  int under_way_ = 0;
  int64_t longest_us_ = 0;
  bool stopped_ = false;
};

TEST(Routing, ShardsOfADeadDataCentreGoEvenlyToTheOthersAndComeBackOneByOne) {
  Routed routed;
  ShellCluster& cluster = routed.cluster;
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));

  cluster.Kill(2);
  int64_t longest_us = 0;
  for (int i = 0; i < 20; ++i) longest_us = std::max(longest_us, routed.PayOnce(i % 2 == 0 ? 1 : 3));
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 6}, {3, 6}}));
  EXPECT_LT(longest_us, 100'000) << "the connection was reset, so nobody waited for a deadline";

  cluster.StartNode(2);
  int64_t back_us = cluster.now_us();
  std::vector<int64_t> came_back_us;
  while (cluster.now_us() < back_us + 15'000'000) {
    int before = routed.Owned(1)[2];
    longest_us = std::max(longest_us, routed.PayOnce(1 + static_cast<uint32_t>(came_back_us.size()) % 3));
    for (int n = before; n < routed.Owned(1)[2]; ++n) came_back_us.push_back(cluster.now_us() - back_us);
  }
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));
  ASSERT_EQ(came_back_us.size(), 4u) << "and no shard went to and fro";
  EXPECT_GE(came_back_us.front(), Router::kSettledUs);
  for (size_t i = 2; i < came_back_us.size(); ++i) {
    EXPECT_GE(came_back_us[i] - came_back_us[i - 2], Router::kHandOverEveryUs / 2)
        << "one from each owner at most";
  }
  EXPECT_LT(longest_us, 100'000) << "while shards come back nobody waits for them";
  std::printf("shards came back after");
  for (int64_t at_us : came_back_us) std::printf(" %.1f", static_cast<double>(at_us) / 1e6);
  std::printf(" s; longest payment %.1f ms\n", static_cast<double>(longest_us) / 1e3);
}

TEST(Routing, AFrozenDataCentreIsPassedOverSoon) {
  Routed routed;
  ShellCluster& cluster = routed.cluster;
  cluster.RunFor(absl::Seconds(3));
  cluster.Pause(2);
  int64_t longest_us = 0;
  for (int i = 0; i < 10; ++i) longest_us = std::max(longest_us, routed.PayOnce(i % 2 == 0 ? 1 : 3));
  EXPECT_LT(longest_us, 300'000);
  EXPECT_GT(longest_us, 100'000) << "silence is not death at once";
  EXPECT_EQ(routed.Owned(3), (Owned{{1, 6}, {3, 6}}));
  EXPECT_GT(cluster.Hits("replica.suspects"), 0u);
  std::printf("longest payment %.1f ms\n", static_cast<double>(longest_us) / 1e3);

  cluster.RunFor(absl::Seconds(2));
  cluster.Resume(2);
  bool unready = false;
  for (int i = 0; i < 500 && !unready; ++i) {
    cluster.node(2).Ready([&](absl::Status status) { unready = unready || !status.ok(); });
    cluster.RunFor(absl::Microseconds(100));
  }
  EXPECT_TRUE(unready) << "it does not know yet what it missed";
  int64_t end_us = cluster.now_us() + 15'000'000;
  while (cluster.now_us() < end_us) routed.PayOnce(1);
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));
  bool ready = false;
  cluster.node(2).Ready([&](absl::Status status) { ready = status.ok(); });
  cluster.RunFor(absl::Milliseconds(1));
  EXPECT_TRUE(ready);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

// What was on its way to the old owner goes to the new one, and does not take the shard back.
TEST(Routing, UnderLoadNobodyWaitsWhileShardsComeBack) {
  Routed routed;
  ShellCluster& cluster = routed.cluster;
  cluster.Kill(2);
  Payers payers(cluster, 60, 2);
  cluster.RunFor(absl::Seconds(1));
  cluster.StartNode(2);
  cluster.RunFor(absl::Seconds(1));
  payers.TakeLongest();
  uint64_t prepares = cluster.Hits("shard_log.prepare");
  cluster.RunFor(absl::Seconds(3));
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));
  EXPECT_LT(payers.TakeLongest(), 100'000);
  EXPECT_LE(cluster.Hits("shard_log.prepare"), prepares + 4) << "nobody duels for what is handed over";
  EXPECT_GT(payers.paid(), 1000u);
  payers.Stop();
}

// What waited in the frozen node's queues goes to those who own the shards by now.
TEST(Routing, UnderLoadWhoStoodStillDoesNotDuelWithTheOwners) {
  Routed routed;
  ShellCluster& cluster = routed.cluster;
  Payers payers(cluster, 60);
  cluster.RunFor(absl::Milliseconds(500));
  cluster.Pause(2);
  Payers others(cluster, 60, 2);
  cluster.RunFor(absl::Seconds(1));
  others.TakeLongest();
  payers.LeaveOut(2);
  cluster.Resume(2);
  cluster.RunFor(absl::Seconds(5));
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));
  EXPECT_LT(others.TakeLongest(), 300'000);
  payers.Stop();
  others.Stop();
}

// A peer that is slow to answer, and only that, is no reason to take its shards.
TEST(Routing, NobodyIsSuspectedOnAQuietNetwork) {
  Routed routed;
  for (int i = 0; i < 50; ++i) {
    routed.PayOnce(1 + static_cast<uint32_t>(i) % 3);
    routed.cluster.RunFor(absl::Milliseconds(i % 7 == 0 ? 400 : 20));
  }
  EXPECT_EQ(routed.cluster.Hits("replica.suspects"), 0u);
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 4}, {2, 4}, {3, 4}}));
}

// Each node hosts half of the shards, so that every other payment goes through one that can only forward it.
TEST(Routing, WhoDoesNotHostAShardPassesALostDataCentreOverAsSoon) {
  for (bool frozen : {false, true}) {
    Routed routed({}, 2);
    ShellCluster& cluster = routed.cluster;
    cluster.RunFor(absl::Seconds(3));
    for (uint32_t node : {2u, 5u}) {
      if (frozen) {
        cluster.Pause(node);
      } else {
        cluster.Kill(node);
      }
    }
    int64_t longest_us = 0;
    for (uint32_t via : {1u, 4u, 3u, 6u, 1u, 4u, 3u, 6u}) {
      longest_us = std::max(longest_us, routed.PayOnce(via));
    }
    EXPECT_LT(longest_us, frozen ? 300'000 : 100'000);
    std::map<uint32_t, int> owned;
    for (uint32_t node : {1u, 4u}) {  // together they host each shard once
      for (auto [owner, shards] : routed.Owned(node)) owned[owner] += shards;
    }
    EXPECT_EQ(owned, (Owned{{1, 3}, {3, 3}, {4, 3}, {6, 3}})) << "evenly over the survivors";
    std::printf("two nodes in each data centre, one %s: longest payment %.1f ms\n",
                frozen ? "frozen" : "dead", static_cast<double>(longest_us) / 1e3);
  }
}

TEST(RoutingPrimary, OneReplicaWritesAllUntilItIsLostAndAfterItIsBack) {
  Routed routed(std::vector<ShardRouting>(kManyShards, {ShardMode::kPrimary, ReplicaId{2}}));
  ShellCluster& cluster = routed.cluster;
  EXPECT_EQ(routed.Owned(1), (Owned{{2, 12}}));
  cluster.RunFor(absl::Seconds(10));
  routed.PayOnce(3);
  EXPECT_EQ(routed.Owned(1), (Owned{{2, 12}})) << "primaries are not evened out";

  cluster.Kill(2);
  int64_t longest_us = routed.PayOnce(1);
  EXPECT_EQ(routed.Owned(1), (Owned{{1, 6}, {3, 6}}));
  EXPECT_LT(longest_us, 100'000);

  cluster.StartNode(2);
  int64_t end_us = cluster.now_us() + 20'000'000;
  while (cluster.now_us() < end_us) longest_us = std::max(longest_us, routed.PayOnce(1));
  EXPECT_EQ(routed.Owned(1), (Owned{{2, 12}}));
  EXPECT_LT(longest_us, 100'000) << "it gets its shards back from their owners, not by Prepare";
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

TEST(RoutingPrimary, IsPassedOverWhileItIsFrozen) {
  Routed routed(std::vector<ShardRouting>(kManyShards, {ShardMode::kPrimary, ReplicaId{2}}));
  routed.cluster.RunFor(absl::Seconds(3));
  routed.cluster.Pause(2);
  EXPECT_LT(routed.PayOnce(1), 300'000);
  routed.cluster.RunFor(absl::Milliseconds(50));  // until node 3 knows as well
  EXPECT_EQ(routed.Owned(3), (Owned{{1, 6}, {3, 6}}));
}

// --- what a strong read costs ---------------------------------------------------------------------------------------

struct Cost {
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t syncs = 0;
  uint64_t entries = 0;
  int64_t longest_us = 0;
};

/// `readers` strong reads of one account at once, through one gateway, with nothing in doubt.
Cost ReadAtOnce(ShellCluster& cluster, uint32_t via, size_t readers) {
  auto count = [&](Cost& cost, int sign) {
    auto add = [sign](uint64_t& sum, uint64_t value) { sum += sign > 0 ? value : -value; };
    add(cost.messages, cluster.network().messages());
    add(cost.bytes, cluster.network().bytes());
    for (uint32_t id = 1; id <= 3; ++id) {
      add(cost.syncs, cluster.Syncs(id));
      add(cost.entries, cluster.Metric(id, "paxledger_log_entries_total"));
    }
  };
  Cost cost;
  count(cost, -1);
  int64_t began_us = cluster.now_us();
  size_t answered = 0;
  for (size_t i = 0; i < readers; ++i) {
    cluster.node(via).ReadAccount(LedgerKey{"main", AccountOn(ShardId{0})}, ReadMode::kStrong, LogTime{},
                                  cluster.In(via, absl::Seconds(5)), [&](absl::StatusOr<AccountRead> read) {
                                    EXPECT_TRUE(read.ok() && read->account.has_value());
                                    ++answered;
                                    cost.longest_us = cluster.now_us() - began_us;
                                  });
  }
  EXPECT_TRUE(cluster.RunUntil([&] { return answered == readers; }));
  cluster.RunFor(absl::Milliseconds(2));  // answers that were not waited for
  count(cost, 1);
  return cost;
}

TEST(StrongRead, CostsOneRoundToAMajorityAndNoWrite) {
  ShellCluster cluster(3);
  cluster.Fund(AccountOn(ShardId{0}), 1000);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }));
  cluster.RunFor(absl::Milliseconds(1'237));  // between the notices that nodes send every half second
  Cost idle;
  {
    uint64_t before = cluster.network().bytes();
    cluster.RunFor(absl::Milliseconds(5));
    idle.bytes = cluster.network().bytes() - before;
  }
  for (size_t readers : {size_t{1}, size_t{64}}) {
    Cost cost = ReadAtOnce(cluster, 2, readers);
    for (int more = 0; more < 5; ++more) {  // the notices of every half second may fall into one
      cluster.RunFor(absl::Milliseconds(73));
      Cost again = ReadAtOnce(cluster, 2, readers);
      if (again.messages < cost.messages) cost = again;
    }
    // The first reader's round leaves at once, and the others share the next one.
    uint64_t rounds = readers == 1 ? 1 : 2;
    EXPECT_EQ(cost.messages, rounds * 4) << "a request and an answer for each of the two others";
    EXPECT_EQ(cost.syncs, 0u);
    EXPECT_EQ(cost.entries, 0u);
    EXPECT_LE(cost.longest_us, static_cast<int64_t>(rounds) * 2 * 1'500)
        << "there and back, 1.5 ms each at most";
    EXPECT_LT(cost.bytes, rounds * 4 * 120 + 500);
    std::printf(
        "%zu readers: %.3f rounds, %.3f messages and %.1f bytes a read (idle %llu bytes in 5 ms), %llu "
        "syncs, "
        "%llu entries, longest %.2f ms\n",
        readers, static_cast<double>(rounds) / static_cast<double>(readers),
        static_cast<double>(cost.messages) / static_cast<double>(readers),
        static_cast<double>(cost.bytes) / static_cast<double>(readers),
        static_cast<unsigned long long>(idle.bytes), static_cast<unsigned long long>(cost.syncs),
        static_cast<unsigned long long>(cost.entries), static_cast<double>(cost.longest_us) / 1e3);
    cluster.RunFor(absl::Milliseconds(20));
  }
}

TEST(LocalRead, AnswersWithoutAMajorityAndSaysHowStaleItIs) {
  ShellCluster cluster(5);
  cluster.Fund(AccountOn(ShardId{0}), 1000);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }));
  cluster.Isolate(1);
  cluster.RunFor(absl::Seconds(4));
  absl::StatusOr<AccountRead> local = cluster.Read(1, AccountOn(ShardId{0}), ReadMode::kLocal);
  ASSERT_TRUE(local.ok()) << local.status();
  ASSERT_TRUE(local->account.has_value());
  EXPECT_EQ(local->account->totals.credits_posted, Amount{1000});
  EXPECT_GE(local->staleness_us, 4'000'000);
  absl::StatusOr<AccountRead> strong = cluster.Read(1, AccountOn(ShardId{0}), ReadMode::kStrong);
  EXPECT_EQ(strong.status().code(), absl::StatusCode::kUnavailable) << strong.status();
}

}  // namespace
}  // namespace paxledger
