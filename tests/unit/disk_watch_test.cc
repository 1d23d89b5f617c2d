#include "replication/disk_watch.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/memory_engine.h"

namespace paxledger {
namespace {

constexpr int64_t kSecond = 1'000'000;
const ReplicaId kSelf{1};
const ReplicaId kSecondOne{2};
const ReplicaId kThirdOne{3};
const std::vector<ReplicaId> kAll{kSelf, kSecondOne, kThirdOne};

class PressedEngine : public MemoryEngine {
 public:
  EnginePressure pressure() const override { return now; }
  EnginePressure now;
};

class Sent : public Transport {
 public:
  void Send(ReplicaId to, PeerMessage message) override {
    notices.emplace_back(to, std::get<DiskNotice>(message).full);
  }
  void Flush() override {}
  bool IsUp(ReplicaId) const override { return true; }
  void SetPeers(std::vector<PeerAddress>) override {}
  std::vector<std::pair<ReplicaId, bool>> notices;
};

class DiskWatchTest : public testing::Test {
 protected:
  PressedEngine engine_;
  Sent sent_;
  Metrics metrics_;
  DiskWatch watch_{kSelf, {kSecondOne, kThirdOne}, engine_, sent_, &metrics_};
};

TEST_F(DiskWatchTest, SaysNothingWhileThereIsRoom) {
  for (int64_t now = 0; now < 10 * kSecond; now += kSecond / 10) EXPECT_FALSE(watch_.Look(kAll, now));
  EXPECT_TRUE(sent_.notices.empty());
  EXPECT_TRUE(watch_.MayBegin(kAll).ok());
}

TEST_F(DiskWatchTest, TellsThePeersAtOnceAgainAndAgainAndWhenItIsOver) {
  engine_.now.no_room = true;
  watch_.Look(kAll, 0);
  EXPECT_EQ(sent_.notices, (std::vector<std::pair<ReplicaId, bool>>{{kSecondOne, true}, {kThirdOne, true}}));
  watch_.Look(kAll, kSecond / 10);
  EXPECT_EQ(sent_.notices.size(), 2u);
  watch_.Look(kAll, kSecond);
  EXPECT_EQ(sent_.notices.size(), 4u);
  engine_.now.no_room = false;
  watch_.Look(kAll, kSecond + 1);
  EXPECT_EQ(sent_.notices.back(), std::pair(kThirdOne, false));
  watch_.Look(kAll, 9 * kSecond);
  EXPECT_EQ(sent_.notices.size(), 6u);
}

TEST_F(DiskWatchTest, HandsOverOnceAfterASecondAndOnlyToAMajorityWithRoom) {
  engine_.now.no_room = true;
  EXPECT_FALSE(watch_.Look(kAll, 0));
  watch_.Heard(kSecondOne, {true}, 0);
  EXPECT_FALSE(watch_.Look(kAll, kSecond));  // two of three are full: nothing could be decided
  watch_.Heard(kSecondOne, {false}, kSecond);
  EXPECT_TRUE(watch_.Look(kAll, kSecond + 1));
  EXPECT_FALSE(watch_.Look(kAll, 3 * kSecond));
}

TEST_F(DiskWatchTest, RefusesToBeginWhereAMajorityIsFull) {
  watch_.Look(kAll, 0);
  watch_.Heard(kSecondOne, {true}, 0);
  EXPECT_FALSE(watch_.HasRoom(kSecondOne));
  EXPECT_TRUE(watch_.Begin(kAll).ok());
  watch_.Heard(kThirdOne, {true}, 0);
  absl::Status refused = watch_.Begin(kAll);
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(refused.message().find("disks of 2 of 3"), absl::string_view::npos) << refused;
  EXPECT_EQ(metrics_.counter("paxledger_disk_refusals_total").value(), 1u);
  // Of five it takes three.
  EXPECT_TRUE(watch_.MayBegin({kSelf, kSecondOne, kThirdOne, ReplicaId{4}, ReplicaId{5}}).ok());
}

TEST_F(DiskWatchTest, ForgetsWhatAPeerSaidIfItIsNotSaidAgain) {
  watch_.Look(kAll, 0);
  watch_.Heard(kSecondOne, {true}, 0);
  watch_.Heard(kThirdOne, {true}, 0);
  watch_.Look(kAll, kSecond);
  EXPECT_FALSE(watch_.MayBegin(kAll).ok());
  watch_.Look(kAll, 5 * kSecond);
  EXPECT_TRUE(watch_.MayBegin(kAll).ok());
}

TEST_F(DiskWatchTest, RefusesToBeginWhereWhatWaitsForTheOwnDiskHasReachedItsBound) {
  watch_.Look(kAll, 0);
  engine_.now = {true, false};
  EXPECT_TRUE(watch_.MayBegin(kAll).ok());  // the others decide, and it is learned in memory
  engine_.now = {true, true};
  EXPECT_NE(watch_.MayBegin(kAll).message().find("full"), absl::string_view::npos);
  engine_.now = {false, true};
  EXPECT_NE(watch_.MayBegin(kAll).message().find("slow"), absl::string_view::npos);
}

}  // namespace
}  // namespace paxledger
