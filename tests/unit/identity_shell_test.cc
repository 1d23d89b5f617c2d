// A disk that is not the one that its peers knew: emptied, or an old image of it (consensus.md rules 1 and 18, ADR 0010).
#include "gtest/gtest.h"
#include "tests/unit/txn_shell_cluster.h"

namespace paxledger {
namespace {

constexpr uint32_t kVictim = 3;

class ReplicaIdentity : public testing::Test {
 protected:
  ReplicaIdentity() {
    cluster_.Fund("alice", 100);
    cluster_.network().on_rejected = [this](uint32_t node) { rejected_ = node; };
  }
  void Restart() {
    cluster_.Kill(kVictim);
    cluster_.StartNode(kVictim);
    cluster_.RunFor(absl::Seconds(1));
  }
  /// Each process dies before it could speak to anybody; its incarnation is durable by then.
  void StartSeveralTimesAlone() {
    cluster_.Isolate(kVictim);
    for (int i = 0; i < 5; ++i) {
      cluster_.StartNode(kVictim);
      cluster_.RunFor(absl::Seconds(1));
      cluster_.Kill(kVictim);
    }
    cluster_.network().HealAll();
  }
  void StartWithAll() {
    cluster_.StartNode(kVictim);
    cluster_.RunFor(absl::Seconds(5));
  }

  ShellCluster cluster_;
  uint32_t rejected_ = 0;
};

TEST_F(ReplicaIdentity, ANodeThatStartedSeveralTimesAloneIsHeard) {
  cluster_.Kill(kVictim);
  StartSeveralTimesAlone();
  StartWithAll();
  EXPECT_EQ(rejected_, 0u);
  cluster_.Fund("bob", 100);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Settled(); }));
}

TEST_F(ReplicaIdentity, AnEmptiedDiskIsRefusedHoweverOftenItWasStartedAlone) {
  cluster_.Kill(kVictim);
  sim::Rows nothing[kTableCount];
  cluster_.DiskOf(kVictim).Replace(nothing);
  StartSeveralTimesAlone();
  StartWithAll();
  EXPECT_EQ(rejected_, kVictim);
}

TEST_F(ReplicaIdentity, AnOldImageIsRefusedHoweverOftenItWasStartedAlone) {
  sim::Rows image[kTableCount];
  cluster_.Kill(kVictim);
  cluster_.DiskOf(kVictim).CopyRowsTo(image);
  StartWithAll();
  Restart();
  cluster_.Kill(kVictim);
  cluster_.DiskOf(kVictim).Replace(image);
  StartSeveralTimesAlone();
  StartWithAll();
  EXPECT_EQ(rejected_, kVictim);
}

}  // namespace
}  // namespace paxledger
