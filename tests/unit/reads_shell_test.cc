// What reads promise while transactions are in doubt (transactions.md rule 10), on whole nodes in virtual time.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/txn_shell_cluster.h"

namespace paxledger {
namespace {

const std::string kAlice = AccountOn(ShardId{0});
const std::string kBob = AccountOn(ShardId{1});
const std::string kDave = AccountOn(ShardId{0}, 1);

/// With several nodes in each data centre a node hosts some shards, and is a gateway to all.
class Reads : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(NodesPerDataCentre, Reads, testing::Values(1u, 2u));

TEST_P(Reads, AStrongReadShowsWhatWasAcknowledgedAMomentAgo) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  for (int i = 1; i <= 10; ++i) {
    ASSERT_EQ(cluster.Pay(1, absl::StrCat("pay-", i), kAlice, kBob, 10).state, TransactionState::kCommitted);
    ASSERT_EQ(cluster.Balance(2, kBob), 10 * i);
    ASSERT_EQ(cluster.Balance(3, kAlice), 1000 - 10 * i);
  }
  EXPECT_GT(cluster.Hits("txn.doubtful_read"), 0u);
}

// Rule 10: the Finish of what is committed does not come through, so nothing lifts the shard's clock.
TEST_P(Reads, AStrongReadNeverMissesWhatIsCommittedAndNotFinished) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  Transaction body = Payment(IdAt(ShardId{1}, "unfinished"), kAlice, kBob, 100);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 60'000'000;
  for (ShardId shard : {ShardId{0}, ShardId{1}}) HandTo(cluster, {shard}, PrepareOf(body, 1, deadline_us));
  std::optional<absl::StatusOr<AccountRead>> result;
  uint32_t host = cluster.HostIn(1, ShardId{0});
  cluster.node(host).ReadAccount(LedgerKey{"main", kAlice}, ReadMode::kStrong, LogTime{},
                                 cluster.In(host, absl::Seconds(50)),
                                 [&](absl::StatusOr<AccountRead> r) { result = std::move(r); });
  cluster.RunFor(absl::Microseconds(300));  // the barrier's question has left
  for (uint32_t peer : {2u, 3u, 5u, 6u}) {
    if (peer <= cluster.nodes()) cluster.network().Cut(host, peer);
  }
  cluster.RunFor(absl::Seconds(12));
  EXPECT_EQ(cluster.Hits("txn.doubtful_read"), 1u);
  cluster.network().HealAll();
  ASSERT_TRUE(cluster.RunUntil([&] { return result.has_value(); }));
  if (result->ok()) EXPECT_EQ((*result)->account->totals.debits_posted, 100u);
}

// Seed 35813214002561 of b5552d3: nobody could be asked for the vote at first, and so the answer was "in doubt" at once.
TEST(ReadsElsewhere, AReadOfATransactionWaitsAMomentForVotesOfHostsThatAreAway) {
  ShellCluster cluster(1, 2);  // so that a node does not host each shard
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  Transaction body = Payment(IdAt(ShardId{0}, "pay"), kAlice, kBob, 10);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 60'000'000;
  HandTo(cluster, {ShardId{0}, ShardId{1}}, PrepareOf(body, 1, deadline_us));
  for (uint32_t dc = 1; dc <= 3; ++dc) cluster.Kill(cluster.HostIn(dc, ShardId{1}));
  cluster.RunFor(absl::Milliseconds(100));
  std::optional<absl::StatusOr<TransferRead>> result;
  uint32_t host = cluster.HostIn(1, ShardId{0});
  cluster.node(host).ReadTransaction(LedgerKey{"main", body.id}, "", cluster.In(host, absl::Seconds(5)),
                                     [&](absl::StatusOr<TransferRead> r) { result = std::move(r); });
  cluster.RunFor(absl::Milliseconds(200));
  EXPECT_FALSE(result.has_value());
  for (uint32_t dc = 1; dc <= 3; ++dc) cluster.StartNode(cluster.HostIn(dc, ShardId{1}));
  ASSERT_TRUE(cluster.RunUntil([&] { return result.has_value(); }));
  ASSERT_TRUE(result->ok()) << result->status();
  EXPECT_EQ((*result)->result.state, TransactionState::kCommitted);
}

// ADR 0011 (seed 35813214002494 of 28d4585): both fall into one read, and the first has the later timestamp, because the clock of its
// other shard runs ahead.
TEST_P(Reads, AStrongReadThatShowsATransactionShowsWhatWasAcknowledgedBeforeThatBegan) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Fund(kDave, 0);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  int64_t deadline_us = cluster.clock(2).WallMicros() + 60'000'000;
  const std::vector<ShardId> both = {ShardId{0}, ShardId{1}};
  HandTo(cluster, both, PrepareOf(Payment(IdAt(ShardId{1}, "earlier"), kAlice, kBob, 10), 1, deadline_us));
  std::optional<absl::StatusOr<AccountRead>> result;
  uint32_t host = cluster.HostIn(3, ShardId{0});
  cluster.node(host).ReadAccount(LedgerKey{"main", kAlice}, ReadMode::kStrong, LogTime{},
                                 cluster.In(host, absl::Seconds(50)),
                                 [&](absl::StatusOr<AccountRead> r) { result = std::move(r); });
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Hits("txn.doubtful_read") == 1; }));
  // It knows, or asked other nodes, about "earlier", and now finishes it, which does not come through.
  if (GetParam() > 1) cluster.RunFor(absl::Microseconds(300));
  for (uint32_t peer = 1; peer <= cluster.nodes(); ++peer) {
    if (peer != host) cluster.network().Cut(host, peer);
  }
  HandTo(cluster, {ShardId{1}}, CloseCommand{LogTime{cluster.clock(2).WallMicros() + 400'000}});
  HandTo(cluster, both, PrepareOf(Payment(IdAt(ShardId{1}, "first"), kAlice, kBob, 20), 1, deadline_us));
  Transaction second = Payment(IdAt(ShardId{0}, "second"), kAlice, kDave, 5);
  HandTo(cluster, {ShardId{0}}, ExecuteCommand{TryOf(second, 1), second, LogTime{}});
  ASSERT_FALSE(result.has_value());
  cluster.network().HealAll();
  ASSERT_TRUE(cluster.RunUntil([&] { return result.has_value(); }));
  ASSERT_TRUE(result->ok()) << result->status();
  EXPECT_EQ((*result)->account->totals.debits_posted, 35u);
  EXPECT_GE(cluster.Hits("txn.read_again"), 1u);
}

TEST_P(Reads, AStrongListShowsWhatWasAcknowledgedInOrderOfId) {
  ShellCluster cluster(1, GetParam());
  for (int i = 0; i < 10; ++i) cluster.Fund(absl::StrCat("list-", i), 0);
  cluster.Fund("other", 0);
  cluster.Pay(1, "pay-1", "world", "list-3", 30);
  absl::StatusOr<AccountPage> page = cluster.List(2, "list-", 6);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->accounts.size(), 6u);
  EXPECT_TRUE(page->has_more);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(page->accounts[static_cast<size_t>(i)].key.id, absl::StrCat("list-", i));
    EXPECT_EQ(page->accounts[static_cast<size_t>(i)].account.totals.credits_posted,
              i == 3 ? Amount{30} : Amount{0});
  }
  EXPECT_FALSE(cluster.List(2, "list-", 10)->has_more);
}

}  // namespace
}  // namespace paxledger
