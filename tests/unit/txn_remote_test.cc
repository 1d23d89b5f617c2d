// Gateways to shards that are hosted on other nodes only: two nodes in each of three data centres.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "cluster/directory_command.h"
#include "tests/unit/txn_shell_cluster.h"
#include "txn/node_messages.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr uint32_t kTwo = 2;  // nodes in each data centre
const std::string kAlice = AccountOn(ShardId{0});
const std::string kBob = AccountOn(ShardId{1});
const std::string kCarol = AccountOn(ShardId{2});

/// The node of data centre 1 that does not host `shard`.
uint32_t GatewayOf(const ShellCluster& cluster, ShardId shard) {
  return cluster.HostIn(1, shard) == 1 ? 4 : 1;
}

/// The highest indexes that were applied anywhere, summed over the shards.
uint64_t Entries(ShellCluster& cluster) {
  uint64_t entries = 0;
  for (uint32_t shard = 0; shard < ShellCluster::kShards; ++shard)
    entries += cluster.MachineOf(ShardId{shard}).applied().value;
  return entries;
}

int64_t Watches(ShellCluster& cluster) {
  int64_t watches = 0;
  for (uint32_t id = 1; id <= cluster.nodes(); ++id) watches += cluster.Level(id, "paxledger_host_watches");
  return watches;
}

void Settle(ShellCluster& cluster) {
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
}

TEST(TxnRemote, EveryNodeIsAGatewayToEveryShard) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  for (uint32_t via = 1; via <= cluster.nodes(); ++via) {
    TransactionResult across = cluster.Pay(via, absl::StrCat("across-", via), kAlice, kBob, 10);
    EXPECT_EQ(across.state, TransactionState::kCommitted) << via;
    EXPECT_FALSE(across.replayed) << via;
    TransactionResult alone = cluster.Pay(via, PlacedTransactionId(absl::StrCat("alone-", via), ShardId{0}),
                                          kAlice, AccountOn(ShardId{0}, 1), 10);
    EXPECT_EQ(alone.state, TransactionState::kRefused) << via;
    EXPECT_EQ(alone.refusal, Outcome::kCreditAccountNotFound) << via;
    EXPECT_EQ(cluster.Pay(via, absl::StrCat("too-much-", via), kBob, kCarol, 5000).refusal,
              Outcome::kInsufficientFunds);
  }
  for (uint32_t via = 1; via <= cluster.nodes(); ++via) {
    EXPECT_EQ(cluster.Balance(via, kBob), 60) << via;
    absl::StatusOr<TransferRead> read = cluster.ReadTransaction(via, "across-3");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->transaction, Payment("across-3", kAlice, kBob, 10));
    EXPECT_EQ(read->result.assets, std::vector<std::string>({"USD/2"})) << via;
    absl::StatusOr<AccountPage> page = cluster.List(via, "", 3);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->accounts.size(), 3u);
    EXPECT_EQ(page->accounts[0].key.id, std::min({kAlice, kBob, kCarol}));
    EXPECT_TRUE(page->has_more) << "world";
    EXPECT_FALSE(cluster.List(via, "", 4)->has_more);
  }
}

TEST(TxnRemote, NoWatchIsLeftBehind) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  std::vector<Transaction> payments;
  for (int i = 0; i < 50; ++i) payments.push_back(Payment(absl::StrCat("p-", i), kAlice, kBob, 1));
  cluster.Execute(1, payments);
  Settle(cluster);
  cluster.RunFor(absl::Seconds(1));
  EXPECT_EQ(Watches(cluster), 0);
}

TEST(TxnRemote, AWatchOfAGatewayThatDiedIsForgotten) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  cluster.node(gateway).Execute({Payment("orphan", kAlice, kBob, 1)}, LogTime{},
                                cluster.In(gateway, absl::Seconds(1)), [](std::vector<TransactionResult>) {});
  ASSERT_TRUE(cluster.RunUntil([&] { return Watches(cluster) > 0; }, absl::Seconds(1)));
  cluster.Kill(gateway);
  cluster.RunFor(absl::Microseconds(limits::kVoteWatchUs + 1'000'000));
  EXPECT_EQ(Watches(cluster), 0);
}

TEST(TxnRemote, AReplayNeedsNoEntry) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  std::string within = PlacedTransactionId("within", ShardId{0});
  Transaction alone = Payment(within, kAlice, AccountOn(ShardId{0}, 1), 10);
  cluster.Open(AccountOn(ShardId{0}, 1));
  cluster.Pay(1, "pay", kAlice, kBob, 10);
  cluster.Execute(1, {alone});
  cluster.Pay(1, "too-much", kAlice, kBob, 5000);
  Settle(cluster);
  uint64_t entries = Entries(cluster);
  for (uint32_t via = 1; via <= cluster.nodes(); ++via) {
    EXPECT_TRUE(cluster.Pay(via, "pay", kAlice, kBob, 10).replayed) << via;
    EXPECT_TRUE(cluster.Execute(via, {alone}).front().replayed) << via;
    EXPECT_TRUE(cluster.Pay(via, "too-much", kAlice, kBob, 5000).replayed) << via;
    EXPECT_EQ(cluster.Pay(via, "pay", kAlice, kBob, 11).state, TransactionState::kConflict) << via;
  }
  EXPECT_EQ(Entries(cluster), entries);
}

TEST(TxnRemote, TheAssetOfAnAccountElsewhereIsAskedForOnce) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  EXPECT_EQ(cluster.Pay(gateway, "first", kAlice, kBob, 1).assets, std::vector<std::string>({"USD/2"}));
  uint64_t questions = cluster.Metric(gateway, "paxledger_remote_questions_total");
  EXPECT_EQ(cluster.Pay(gateway, "second", kAlice, kBob, 1).assets, std::vector<std::string>({"USD/2"}));
  EXPECT_EQ(cluster.Metric(gateway, "paxledger_remote_questions_total"), questions);
}

TEST(TxnRemote, WhereTheHostDiesAnotherDataCentreAnswers) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  cluster.Kill(cluster.HostIn(1, ShardId{0}));
  cluster.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(cluster.Pay(gateway, "pay", kAlice, kBob, 10).state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.Balance(gateway, kAlice), 990);
  EXPECT_TRUE(cluster.Pay(gateway, "pay", kAlice, kBob, 10).replayed);
  EXPECT_EQ(cluster.ReadTransaction(gateway, "pay")->result.state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.List(gateway, "")->accounts.size(), 3u);
  std::string another = AccountOn(ShardId{0}, 3);
  std::optional<OpenAccountResult> opened;
  AccountSpec spec;
  spec.asset = "USD/2";
  cluster.node(gateway).OpenAccounts({{LedgerKey{"main", another}, spec}},
                                     cluster.In(gateway, absl::Seconds(5)),
                                     [&](std::vector<OpenAccountResult> r) { opened = r.front(); });
  ASSERT_TRUE(cluster.RunUntil([&] { return opened.has_value(); }));
  EXPECT_TRUE(opened->failure.ok()) << opened->failure;
  EXPECT_EQ(opened->status, OpenStatus::kOpened);
}

// At every moment of a payment the host may die, whatever it did or said before.
TEST(TxnRemote, AHostThatDiesInTheMiddleCostsNoOutcome) {
  for (int64_t after_us = 100; after_us <= 6'000; after_us += 300) {
    ShellCluster cluster(static_cast<uint64_t>(after_us), kTwo);
    cluster.Fund(kAlice, 100);
    cluster.Fund(kBob, 0);
    Settle(cluster);
    uint32_t gateway = GatewayOf(cluster, ShardId{0});
    std::optional<TransactionResult> result;
    cluster.node(gateway).Execute({Payment("pay", kAlice, kBob, 100)}, LogTime{},
                                  cluster.In(gateway, absl::Seconds(5)),
                                  [&](std::vector<TransactionResult> r) { result = r.front(); });
    cluster.RunFor(absl::Microseconds(after_us));
    cluster.Kill(cluster.HostIn(1, ShardId{0}));
    ASSERT_TRUE(cluster.RunUntil([&] { return result.has_value(); }, absl::Seconds(6)));
    EXPECT_EQ(result->state, TransactionState::kCommitted) << after_us;
    EXPECT_EQ(cluster.Balance(gateway, kBob), 100) << after_us;
    Settle(cluster);
  }
}

TEST(TxnRemote, AHostThatStandsStillIsPassedOver) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  Settle(cluster);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  cluster.Pause(cluster.HostIn(1, ShardId{0}));
  int64_t began_us = cluster.clock(1).MonotonicMicros();
  EXPECT_EQ(cluster.Balance(gateway, kAlice), 1000);
  EXPECT_LT(cluster.clock(1).MonotonicMicros() - began_us, 500'000);
  began_us = cluster.clock(1).MonotonicMicros();
  EXPECT_EQ(cluster.Pay(gateway, "pay", kAlice, kBob, 10).state, TransactionState::kCommitted);
  EXPECT_LT(cluster.clock(1).MonotonicMicros() - began_us, 2'500'000);
  EXPECT_EQ(cluster.Balance(gateway, kAlice), 990);
  EXPECT_GT(cluster.Hits("txn.host_kept_waiting"), 0u);
}

/// Wishes, as an operator would, that `shard` be on `node`.
void Pin(ShellCluster& cluster, ShardId shard, uint32_t node) {
  std::string name = absl::StrCat("node", node);
  std::optional<absl::StatusOr<DirectoryResult>> result;
  cluster.node(2).ChangeCluster({absl::StrCat("pin-", shard.value, "-", node), 0, PinShard{shard, name}},
                                cluster.In(2, absl::Seconds(5)),
                                [&](absl::StatusOr<DirectoryResult> r) { result = std::move(r); });
  ASSERT_TRUE(cluster.RunUntil([&] { return result.has_value(); }));
  ASSERT_TRUE(result->ok()) << result->status();
  ASSERT_EQ((*result)->outcome, DirectoryOutcome::kDone);
}

// A gateway becomes the host and the host a gateway, while every node takes payments.
TEST(TxnRemote, AShardThatMovesServesAllTheWhile) {
  for (ShardId shard : {ShardId{0}, ShardId{2}}) {
    ShellCluster cluster(7, kTwo);
    std::string payer = AccountOn(shard);
    cluster.Fund(payer, 100'000);
    cluster.Fund(kBob, 0);
    uint32_t from = cluster.HostIn(1, shard);
    uint32_t to = GatewayOf(cluster, shard);
    Pin(cluster, shard, to);
    int64_t paid = 0;
    auto pay_everywhere = [&] {
      for (uint32_t via = 1; via <= cluster.nodes(); ++via) {
        std::string id = absl::StrCat("p-", ++paid);
        EXPECT_EQ(cluster.Pay(via, id, payer, kBob, 1).state, TransactionState::kCommitted) << id;
        EXPECT_EQ(cluster.Balance(via, kBob), paid);
        EXPECT_TRUE(cluster.Pay(from, id, payer, kBob, 1).replayed) << id;
      }
    };
    for (int turn = 0; turn < 300 && (!cluster.node(to).Hosts(shard) || cluster.node(from).Hosts(shard));
         ++turn)
      pay_everywhere();
    EXPECT_TRUE(cluster.node(to).Hosts(shard));
    EXPECT_FALSE(cluster.node(from).Hosts(shard));
    pay_everywhere();
    for (uint32_t id : {from, to}) {
      cluster.Kill(id);
      cluster.StartNode(id);
      cluster.RunFor(absl::Seconds(2));
    }
    EXPECT_TRUE(cluster.node(to).Hosts(shard));
    EXPECT_FALSE(cluster.node(from).Hosts(shard));
    pay_everywhere();
    Settle(cluster);
    EXPECT_EQ(cluster.Balance(from, payer), 100'000 - paid);
  }
}

TEST(TxnRemote, TheSweepOfOneDataCentreSettlesWhatAGatewayLeftBehind) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Settle(cluster);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  cluster.node(gateway).Execute({Payment("orphan", kAlice, kBob, 100)}, LogTime{},
                                cluster.In(gateway, absl::Seconds(1)), [](std::vector<TransactionResult>) {});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InDoubt() > 0; }, absl::Seconds(1)));
  cluster.Kill(gateway);
  cluster.RunFor(absl::Seconds(8));
  Settle(cluster);
  EXPECT_EQ(cluster.Balance(2, kAlice) + cluster.Balance(5, kBob), 100);
  uint32_t swept = 0;
  for (uint32_t id = 1; id <= cluster.nodes(); ++id) {
    if (cluster.Alive(id) && cluster.Metric(id, "paxledger_recovery_overdue_total") > 0) ++swept;
  }
  EXPECT_GE(swept, 1u);
  EXPECT_LE(swept, 2u) << "members of a shard are staggered";
}

/// A frame of questions for an account, as another node sends it.
std::string Questions(const std::string& account, uint64_t count) {
  std::string frame;
  for (uint64_t call = 1; call <= count; ++call) {
    AppendNodeMessage(
        Question{call, 1'000'000, AccountQuestion{{"main", account}, ReadMode::kStrong, LogTime{}}}, &frame);
  }
  return frame;
}

TEST(TxnRemote, AHostRefusesWhatIsTooMuch) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 100);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  uint32_t host = cluster.HostIn(1, ShardId{0});
  uint64_t more = 10;
  uint64_t before = cluster.Metric(host, "paxledger_host_questions_total");
  cluster.node(gateway).replica().SendApp(ReplicaId{static_cast<uint16_t>(host)},
                                          AppMessage{static_cast<uint32_t>(MachineId::kTxn),
                                                     Questions(kAlice, limits::kPeerQuestionsMax + more)});
  cluster.RunFor(absl::Seconds(1));
  EXPECT_EQ(cluster.Metric(host, "paxledger_host_questions_total") - before,
            limits::kPeerQuestionsMax + more);
  EXPECT_EQ(cluster.Metric(host, "paxledger_host_refused_total"), more);
  EXPECT_EQ(cluster.Balance(gateway, kAlice), 100);
}

TEST(TxnRemote, AMalformedMessageIsDropped) {
  ShellCluster cluster(1, kTwo);
  cluster.Fund(kAlice, 100);
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  uint32_t host = cluster.HostIn(1, ShardId{0});
  cluster.node(gateway).replica().SendApp(ReplicaId{static_cast<uint16_t>(host)},
                                          AppMessage{static_cast<uint32_t>(MachineId::kTxn), "nonsense"});
  cluster.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(cluster.Metric(host, "paxledger_node_messages_malformed_total"), 1u);
  EXPECT_EQ(cluster.Balance(gateway, kAlice), 100);
}

TEST(TxnRemote, IsReadyOnlyWhileAHostOfEveryShardIsUp) {
  ShellCluster cluster(1, kTwo);
  auto ready = [&](uint32_t id) {
    std::optional<absl::Status> status;
    cluster.node(id).Ready([&](absl::Status s) { status = s; });
    cluster.RunUntil([&] { return status.has_value(); });
    return status->ok();
  };
  uint32_t gateway = GatewayOf(cluster, ShardId{0});
  EXPECT_TRUE(ready(gateway));
  for (uint32_t dc = 1; dc <= 3; ++dc) cluster.Kill(cluster.HostIn(dc, ShardId{0}));
  cluster.RunFor(absl::Seconds(3));
  EXPECT_FALSE(ready(gateway));
  EXPECT_EQ(cluster.Read(gateway, kAlice).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(cluster.Pay(gateway, "pay", kAlice, kBob, 10).state, TransactionState::kUnavailable);
}

}  // namespace
}  // namespace paxledger
