// The directory, the mover and the replicas together, on whole nodes in virtual time.
#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "cluster/placement.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/txn_shell_cluster.h"

namespace paxledger {
namespace {

constexpr ReplicaId kFour{4};

/// Nodes dc1, dc2 and dc3 from the start, room for three more. Money goes round while things happen.
class ClusterInChange : public ShellCluster {
 public:
  explicit ClusterInChange(uint64_t seed = 1)
      : ShellCluster(seed, 2, Founders::kOnePerDataCentre), random_(seed) {
    for (uint32_t shard = 0; shard < kShards; ++shard) Fund(AccountOn(ShardId{shard}), 1'000);
  }

  template <class Change>
  absl::StatusOr<DirectoryResult> Wish(uint32_t via, Change change, std::string request = "",
                                       absl::Duration timeout = absl::Seconds(20)) {
    if (request.empty()) request = absl::StrCat("wish-", ++wishes_);
    std::optional<absl::StatusOr<DirectoryResult>> result;
    node(via).ChangeCluster({std::move(request), 0, std::move(change)}, In(via, timeout),
                            [&](absl::StatusOr<DirectoryResult> r) { result = std::move(r); });
    Check(RunUntil([&] { return result.has_value(); }, absl::Seconds(60)), "every wish is answered");
    return *result;
  }
  /// Adds node 4 to dc1, as dc1-b.
  void AddFour() {
    absl::StatusOr<DirectoryResult> added = Wish(2, AddNode{"dc1-b", "dc1", "host:1"});
    ASSERT_TRUE(added.ok()) << added.status();
    ASSERT_EQ(added->number, kFour);
    StartNode(4);
  }
  /// Every living node sees every shard where it is wanted, and nobody else holds anything.
  bool InPlace() {
    for (uint32_t id = 1; id <= nodes(); ++id) {
      if (!Alive(id)) continue;
      const Directory& directory = node(id).registrar().directory();
      for (uint32_t i = 0; i < kShards; ++i) {
        ShardId shard{i};
        std::vector<ReplicaId> wanted = WantedMembers(directory, shard);
        if (node(id).replica().MembersOf(shard).members != wanted) return false;
        bool is_wanted =
            std::binary_search(wanted.begin(), wanted.end(), ReplicaId{static_cast<uint16_t>(id)});
        if (node(id).replica().Hosts(shard) != is_wanted) return false;
      }
    }
    return true;
  }
  bool HasWhole(uint32_t id, ShardId shard) {
    std::optional<HeldThrough> held = node(id).replica().HeldAt(shard, ReplicaId{static_cast<uint16_t>(id)});
    return held.has_value() && held->durable > LogIndex{} && held->whole == held->durable;
  }
  bool IsReady(uint32_t id) {
    std::optional<absl::Status> ready;
    node(id).Ready([&ready](absl::Status status) { ready = std::move(status); });
    return RunUntil([&] { return ready.has_value(); }) && ready->ok();
  }
  void Pay(uint32_t via, int payments = 1) {
    for (int i = 0; i < payments; ++i) {
      std::string from = AccountOn(ShardId{static_cast<uint32_t>(random_.Below(kShards))});
      std::string to = AccountOn(ShardId{static_cast<uint32_t>(random_.Below(kShards))}, 0);
      if (from == to) continue;
      TransactionResult paid =
          ShellCluster::Pay(via, absl::StrCat("pay-", ++payments_), from, to, 1, absl::Seconds(20));
      EXPECT_THAT(paid.state, testing::AnyOf(TransactionState::kCommitted, TransactionState::kInDoubt));
    }
  }
  void ExpectMoneyAndDigests(uint32_t via) {
    EXPECT_TRUE(RunUntil([this] { return Settled(); }));
    int64_t sum = 0;
    for (uint32_t shard = 0; shard < kShards; ++shard) sum += Balance(via, AccountOn(ShardId{shard}));
    EXPECT_EQ(sum, 1'000 * int64_t{kShards});
  }

 private:
  Random random_;
  int wishes_ = 0;
  int payments_ = 0;
};

TEST(Membership, ANewNodeGetsItsPartAndADrainedOneLosesAll) {
  ClusterInChange cluster;
  cluster.AddFour();
  cluster.Pay(2, 5);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
  cluster.Pay(4, 5);  // a gateway like any other

  for (uint32_t shard = 0; shard < ShellCluster::kShards; ++shard) {
    ASSERT_TRUE(cluster.Wish(3, PinShard{ShardId{shard}, "dc1-b"}).ok());
  }
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.InPlace() && cluster.node(1).replica().Hosted().empty(); }));
  cluster.Pay(1, 5);

  absl::StatusOr<DirectoryResult> drained = cluster.Wish(1, SetNodeState{"dc1-b", NodeState::kDraining});
  ASSERT_TRUE(drained.ok()) << "through a node that holds no replica of shard 0";
  EXPECT_EQ(drained->outcome, DirectoryOutcome::kDone);
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.InPlace() && cluster.node(4).replica().Hosted().empty(); }));
  cluster.Pay(3, 5);
  cluster.ExpectMoneyAndDigests(1);
}

TEST(Membership, AReplicaThatWasGivenUpComesBack) {
  ClusterInChange cluster;
  cluster.AddFour();
  for (int round = 0; round < 3; ++round) {
    for (const char* name : {"dc1-b", "dc1"}) {
      ASSERT_TRUE(cluster.Wish(2, PinShard{ShardId{1}, name}).ok());
      cluster.Pay(3, 3);
      ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }))
          << "round " << round << ": "
          << DescribeStep(NextStep(cluster.node(2).registrar().directory(), ShardView{}), {});
    }
  }
  cluster.ExpectMoneyAndDigests(2);
}

/// With `node` cut off, so that it learns nothing, shard 1 is hosted on it anew a while after it left.
void ComeBackCutOff(ClusterInChange& cluster, uint32_t node) {
  cluster.AddFour();
  for (const char* name : {"dc1-b", "dc1", "dc1-b", "dc1"}) {
    ASSERT_TRUE(cluster.Wish(2, PinShard{ShardId{1}, name}).ok());
    cluster.Pay(3, 3);
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
    if (node == 1 && std::string_view(name) == "dc1-b") break;
  }
  ASSERT_FALSE(cluster.node(node).replica().Hosts(ShardId{1}));
  cluster.RunFor(absl::Seconds(1));  // until the rows are gone
  cluster.Isolate(node);
  cluster.node(node).replica().Host(ShardId{1});
  ASSERT_TRUE(cluster.node(node).replica().Hosts(ShardId{1}));
}

TEST(Membership, AFounderThatComesBackIsNotDroppedBeforeItsOwnLogSaysThatItLeft) {
  ClusterInChange cluster;
  ComeBackCutOff(cluster, 1);
  cluster.RunFor(absl::Seconds(1));
  EXPECT_TRUE(cluster.node(1).replica().Hosts(ShardId{1}));
}

TEST(Membership, WhoLeavesAgainWithoutHavingLearntAnythingStillVotesNowhereBelowWhereItLeftBefore) {
  ClusterInChange cluster;
  ComeBackCutOff(cluster, 4);
  Replica& replica = cluster.node(4).replica();
  LogIndex left_at = replica.Status(ShardId{1}).silent_below;
  EXPECT_GT(left_at, LogIndex{});
  ASSERT_TRUE(cluster.RunUntil([&] { return !replica.Hosts(ShardId{1}); }, absl::Seconds(1)));
  cluster.RunFor(absl::Seconds(1));
  replica.Host(ShardId{1});
  ASSERT_TRUE(replica.Hosts(ShardId{1}));
  EXPECT_EQ(replica.Status(ShardId{1}).silent_below, left_at);
}

TEST(Membership, StatementsAndEventsMoveWithTheirShard) {
  ClusterInChange cluster;
  cluster.AddFour();
  const ShardId shard{1};
  StatementRequest statement;
  statement.account = {"main", AccountOn(shard)};
  EventsRequest events;
  statement.limit = events.limit = 1000;
  size_t lines = 0, told = 0;
  for (const char* name : {"dc1", "dc1-b", "dc1", "dc1-b"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(cluster.Wish(2, PinShard{shard, name}).ok());
    cluster.Pay(3, 20);
    uint32_t host = std::string(name) == "dc1" ? 1 : 4;
    ASSERT_TRUE(cluster.RunUntil([&] {
      return cluster.InPlace() && cluster.Settled() && cluster.RowsOf(host, shard, Table::kQueues) > 0;
    }));
    for (Table table : {Table::kState, Table::kQueues, Table::kTables}) {
      EXPECT_GT(cluster.RowsOf(host, shard, table), 0u);
      EXPECT_TRUE(cluster.RunUntil([&] { return cluster.RowsOf(5 - host, shard, table) == 0; }))
          << "a replica that leaves takes all of its rows along";
    }
    // The same through every node, whether the shard is there or not, and more than before.
    for (uint32_t via : {5 - host, host, 2u, 3u}) {
      absl::StatusOr<StatementPage> page = cluster.ReadStatement(via, statement);
      absl::StatusOr<EventsPage> feed = cluster.ReadEvents(via, events);
      ASSERT_TRUE(page.ok() && feed.ok()) << page.status() << feed.status();
      if (via == 5 - host) {
        EXPECT_GT(page->lines.size(), lines);
        EXPECT_GT(feed->events.size(), told);
        lines = page->lines.size();
        told = feed->events.size();
      }
      EXPECT_EQ(page->lines.size(), lines) << "via " << via;
      EXPECT_EQ(feed->events.size(), told) << "via " << via;
      const LedgerLine& last = page->lines.back().line;
      EXPECT_EQ(static_cast<int64_t>(last.credits_after) - static_cast<int64_t>(last.debits_after),
                cluster.Balance(via, statement.account.id));
    }
  }
}

/// So that whoever joins takes snapshots.
CatchUpOptions SmallCatchUp() {
  CatchUpOptions options;
  options.snapshot_behind_entries = 8;
  options.snapshot_empty_entries = 4;
  options.part_bytes = 300;
  options.ingest_bytes = 2'000;
  return options;
}

TEST(Membership, WhoLeavesKeepsItsJournalUntilAMajorityHasAllOfIt) {
  ClusterInChange cluster;
  cluster.Pay(2, 120);
  cluster.catch_up = SmallCatchUp();
  cluster.catch_up.backfill_bytes_per_second = 1;  // never done
  for (uint32_t id : {1u, 2u, 3u}) {
    // The sources too: else all that is wanted comes at once, in one part.
    cluster.Kill(id);
    cluster.StartNode(id);
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.IsReady(id); }));
  }
  constexpr ShardId kMoved{1};
  cluster.AddFour();
  absl::StatusOr<DirectoryResult> fifth = cluster.Wish(2, AddNode{"dc2-b", "dc2", "host:1"});
  ASSERT_TRUE(fifth.ok());
  ASSERT_EQ(fifth->number, ReplicaId{5});
  cluster.StartNode(5);
  ASSERT_TRUE(cluster.Wish(3, PinShard{kMoved, "dc1-b"}).ok());
  ASSERT_TRUE(cluster.Wish(3, PinShard{kMoved, "dc2-b"}).ok());
  const std::vector<ReplicaId> wanted{ReplicaId{3}, kFour, ReplicaId{5}};
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.node(3).replica().MembersOf(kMoved).members == wanted; }));
  EXPECT_GE(cluster.Hits("snapshot.received"), 2u);
  cluster.Pay(4, 5);  // they serve all the while
  EXPECT_FALSE(cluster.HasWhole(4, kMoved) || cluster.HasWhole(5, kMoved));
  cluster.RunFor(absl::Seconds(10));
  // Two of the three new members hold a state, and the third alone has the journal: as long as nobody else has, it is kept.
  EXPECT_TRUE(cluster.node(1).replica().Hosts(kMoved) || cluster.node(2).replica().Hosts(kMoved));
  cluster.catch_up = SmallCatchUp();
  for (uint32_t id : {4u, 5u}) {
    cluster.Kill(id);
    cluster.StartNode(id);
  }
  cluster.Kill(3);  // so that the journal comes from those who left
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.HasWhole(4, kMoved) && cluster.HasWhole(5, kMoved); }));
  cluster.StartNode(3);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.IsReady(3); }));
  cluster.ExpectMoneyAndDigests(4);
}

TEST(Membership, ADeadNodeIsReplacedUnderItsName) {
  ClusterInChange cluster;
  cluster.Kill(2);
  cluster.RunFor(absl::Seconds(3));
  absl::StatusOr<DirectoryResult> replaced = cluster.Wish(1, ReplaceNode{.name = "dc2"}, "the wish");
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_EQ(replaced->number, kFour);
  replaced = cluster.Wish(3, ReplaceNode{.name = "dc2"}, "the wish");
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_EQ(replaced->number, kFour) << "a retry through another node gives out no second number";
  cluster.StartNode(4);
  cluster.Pay(1, 5);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
  for (uint32_t shard = 0; shard < ShellCluster::kShards; ++shard) {
    EXPECT_TRUE(cluster.node(4).replica().Hosts(ShardId{shard}));
  }
  cluster.ExpectMoneyAndDigests(4);
}

TEST(Membership, AFourthDataCentreMakesFourMembers) {
  ClusterInChange cluster;
  absl::StatusOr<DirectoryResult> added = cluster.Wish(1, AddNode{"dc4", "dc4", "host:1"});
  ASSERT_TRUE(added.ok() && added->number == kFour);
  cluster.StartNode(4);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
  EXPECT_EQ(cluster.node(1).replica().MembersOf(ShardId{0}).members.size(), 4u);
  cluster.Kill(1);
  cluster.Pay(4, 5);
  cluster.ExpectMoneyAndDigests(4);
}

TEST(Membership, ARefusalIsHeardAndChangesNothing) {
  ClusterInChange cluster;
  absl::StatusOr<DirectoryResult> refused = cluster.Wish(3, SetNodeState{"dc2", NodeState::kDraining});
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->outcome, DirectoryOutcome::kLastOfDataCentre);
  EXPECT_EQ(cluster.node(1).registrar().directory().version, 0u);
}

TEST(Membership, WhoWasAwayHearsOfTheNewestDirectory) {
  ClusterInChange cluster;
  cluster.Kill(3);
  ASSERT_TRUE(cluster.Wish(1, PinShard{ShardId{0}, "dc1"}).ok());
  ASSERT_TRUE(cluster.Wish(2, PinShard{ShardId{1}, "dc1"}).ok());
  cluster.StartNode(3);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.node(3).registrar().directory().version == 2; }));
  cluster.RunFor(absl::Milliseconds(100));  // for its disk
  // All at once: what a node heard is on its disk.
  for (uint32_t id = 1; id <= 3; ++id) cluster.Kill(id);
  for (uint32_t id = 1; id <= 3; ++id) cluster.StartNode(id);
  for (uint32_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.node(id).registrar().directory().version, 2u);
}

TEST(Membership, MovesEndThoughNodesCrashAllTheTime) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    ClusterInChange cluster(seed);
    if (seed > 4) {
      cluster.Pay(1, 30);
      cluster.catch_up = SmallCatchUp();
    }
    Random random(seed * 977);
    cluster.AddFour();
    if (testing::Test::HasFatalFailure()) return;
    for (uint32_t shard = 0; shard < ShellCluster::kShards; ++shard) {
      ASSERT_TRUE(cluster.Wish(2, PinShard{ShardId{shard}, seed % 2 == 0 ? "dc1-b" : "dc1"}).ok());
    }
    if (seed % 2 == 0) {
      ASSERT_TRUE(cluster.Wish(3, SetNodeState{"dc1", NodeState::kDraining}).ok());
    }
    for (int crash = 0; crash < 6; ++crash) {
      cluster.RunFor(absl::Milliseconds(random.Between(10, 700)));
      uint32_t victim = static_cast<uint32_t>(random.Between(1, 4));
      cluster.Kill(victim);
      cluster.RunFor(absl::Milliseconds(random.Between(10, 1'500)));
      cluster.StartNode(victim);
    }
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.InPlace(); }));
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.IsReady(4); })) << "it was started a moment ago";
    cluster.Pay(4, 3);
    cluster.ExpectMoneyAndDigests(3);
  }
}

}  // namespace
}  // namespace paxledger
