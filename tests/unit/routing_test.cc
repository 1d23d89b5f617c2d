#include "replication/routing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "replication/peer_watch.h"

namespace paxledger {
namespace {

constexpr ReplicaId R(uint16_t id) { return ReplicaId{id}; }
constexpr ShardId S(uint32_t id) { return ShardId{id}; }
constexpr int64_t kLongAgo = 0;
constexpr int64_t kSettled = Router::kSettledUs + 1'000'000;

std::vector<ReplicaId> Members(uint16_t count) {
  std::vector<ReplicaId> members;
  for (uint16_t id = 1; id <= count; ++id) members.push_back(R(id));
  return members;
}

Router AllUp(ReplicaId self, uint16_t members, uint32_t shards) {
  Router router(self, Members(members), shards);
  for (ReplicaId member : Members(members)) router.SetHealth(member, Health::kUp, kLongAgo);
  return router;
}

std::map<ReplicaId, uint32_t> Spread(const Router& router, uint32_t shards) {
  std::map<ReplicaId, uint32_t> spread;
  for (uint32_t i = 0; i < shards; ++i) ++spread[router.Choose(S(i), 0).to];
  return spread;
}

TEST(Router, SpreadsShardsThatNobodyOwnsEvenly) {
  Router router = AllUp(R(1), 3, 12);
  EXPECT_EQ(Spread(router, 12), (std::map<ReplicaId, uint32_t>{{R(1), 4}, {R(2), 4}, {R(3), 4}}));
  EXPECT_FALSE(router.Choose(S(1), 0).takes_over) << "nobody owns it, so nobody is passed over";
}

TEST(Router, FollowsTheOwnerOfTheLastValue) {
  Router router = AllUp(R(1), 3, 12);
  router.SetOwner(S(0), R(3), LogIndex{7});
  EXPECT_EQ(router.Choose(S(0), 0).to, R(3));
  EXPECT_FALSE(router.Choose(S(0), 0).takes_over);
  EXPECT_EQ(router.Choose(S(0), 2).to, R(3)) << "a living owner is given time";
  EXPECT_EQ(router.Choose(S(0), 3).to, R(1)) << "but not for ever: rule 12 needs no proof of death";
  EXPECT_TRUE(router.Choose(S(0), 3).takes_over);
}

struct Loss {
  std::string name;
  uint16_t members;
  uint32_t shards;
  Health health;  // of the lost one
};
class RouterSpreads : public testing::TestWithParam<Loss> {};

// The owners lie anywhere, as they do after some losses, and not in the order of the shards.
TEST_P(RouterSpreads, ShardsOfALostMemberEvenlyAndAlikeAtEachSurvivor) {
  const Loss& loss = GetParam();
  std::vector<std::vector<ReplicaId>> writers;
  for (uint16_t self = 1; self <= loss.members; ++self) {
    if (self == 2) continue;
    Router router = AllUp(R(self), loss.members, loss.shards);
    for (uint32_t i = 0; i < loss.shards; ++i) {
      router.SetOwner(S(i), R(static_cast<uint16_t>(1 + (i / 2) % loss.members)), LogIndex{1});
    }
    EXPECT_TRUE(router.SetHealth(R(2), loss.health, 1'000'000));
    std::map<ReplicaId, uint32_t> spread = Spread(router, loss.shards);
    EXPECT_EQ(spread.count(R(2)), 0u);
    EXPECT_EQ(spread.size(), loss.members - 1u);
    auto [fewest, most] = std::minmax_element(
        spread.begin(), spread.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    EXPECT_LE(most->second - fewest->second, 1u) << "evenly over the survivors";
    writers.emplace_back();
    for (uint32_t i = 0; i < loss.shards; ++i) {
      Router::Choice choice = router.Choose(S(i), 0);
      writers.back().push_back(choice.to);
      bool was_of_lost = 1 + (i / 2) % loss.members == 2;
      EXPECT_EQ(choice.takes_over, was_of_lost) << i;
    }
  }
  for (const auto& of_one : writers) EXPECT_EQ(of_one, writers.front()) << "no word is needed between them";
}
INSTANTIATE_TEST_SUITE_P(Numbers, RouterSpreads,
                         testing::Values(Loss{"ThreeDead", 3, 12, Health::kDown},
                                         Loss{"ThreeSuspected", 3, 12, Health::kSuspected},
                                         Loss{"FiveDead", 5, 64, Health::kDown},
                                         Loss{"FiveMany", 5, 1024, Health::kDown}),
                         [](const auto& info) { return info.param.name; });

TEST(Router, KeepsAnHeirWhileShardsAreTakenOver) {
  Router router = AllUp(R(1), 3, 12);
  for (uint32_t i = 0; i < 12; ++i) router.SetOwner(S(i), R(static_cast<uint16_t>(1 + i % 3)), LogIndex{1});
  router.SetHealth(R(2), Health::kDown, 1'000'000);
  ReplicaId heir = router.Choose(S(10), 0).to;
  router.SetOwner(S(1), router.Choose(S(1), 0).to, LogIndex{2});
  router.SetOwner(S(4), router.Choose(S(4), 0).to, LogIndex{2});
  EXPECT_EQ(router.Choose(S(10), 0).to, heir);
  router.SetHealth(heir == R(1) ? R(3) : heir, Health::kDown, 1'000'000);
  EXPECT_EQ(router.Choose(S(10), 0).to, R(1)) << "unless it is lost as well";
}

TEST(Router, SaysWhenSomebodyWasLost) {
  Router router = AllUp(R(1), 3, 3);
  EXPECT_TRUE(router.SetHealth(R(2), Health::kSuspected, 1));
  EXPECT_FALSE(router.SetHealth(R(2), Health::kDown, 2)) << "that was told when it was suspected";
  EXPECT_FALSE(router.SetHealth(R(2), Health::kUp, 3));
  EXPECT_TRUE(router.SetHealth(R(2), Health::kDown, 4));
}

/// A cluster of routers that see the same: hand-overs of each are carried out at once.
struct Cluster {
  Cluster(uint16_t members, uint32_t shard_count) : shards(shard_count) {
    for (ReplicaId member : Members(members)) routers.push_back(AllUp(member, members, shards));
  }
  void SetOwner(uint32_t shard, ReplicaId owner) {
    owners[shard] = owner;
    for (Router& router : routers) router.SetOwner(S(shard), owner, LogIndex{1000});
  }
  void SetHealth(ReplicaId replica, Health health, int64_t now_us) {
    for (Router& router : routers) router.SetHealth(replica, health, now_us);
  }
  void NoteChosen(ReplicaId replica, LogIndex chosen) {
    for (Router& router : routers) {
      for (uint32_t i = 0; i < shards; ++i) router.NoteChosenAt(S(i), replica, chosen);
    }
  }
  /// Hand-overs within a millisecond.
  int Tick(int64_t now_us) {
    int moved = 0;
    for (Router& router : routers) {
      auto next = router.NextHandOver(now_us);
      if (!next.has_value()) continue;
      SetOwner(next->shard.value, next->to);
      ++moved;
    }
    return moved;
  }
  std::map<ReplicaId, int> Owned() const {
    std::map<ReplicaId, int> owned;
    for (const auto& [shard, owner] : owners) ++owned[owner];
    return owned;
  }
  uint32_t shards;
  std::vector<Router> routers;
  std::map<uint32_t, ReplicaId> owners;
};

TEST(Router, HandsOneShardAfterTheOtherToWhoIsBack) {
  Cluster cluster(3, 12);
  for (uint32_t i = 0; i < 12; ++i) cluster.SetOwner(i, R(i % 2 == 0 ? 1 : 3));
  cluster.SetHealth(R(2), Health::kDown, 1'000'000);
  for (ReplicaId member : Members(3)) cluster.NoteChosen(member, LogIndex{1000});
  EXPECT_EQ(cluster.Tick(100'000'000), 0) << "six and six: nothing to even out";

  int64_t back_us = 200'000'000;
  cluster.SetHealth(R(2), Health::kUp, back_us);
  int moved = 0;
  int most_in_a_period = 0;
  int in_this_period = 0;
  for (int64_t now_us = back_us; now_us < back_us + 60'000'000; now_us += 1'000) {
    if ((now_us - back_us) % Router::kHandOverEveryUs == 0) in_this_period = 0;
    int of_tick = cluster.Tick(now_us);
    if (now_us < back_us + Router::kSettledUs) {
      EXPECT_EQ(of_tick, 0) << "it may be gone again in a moment";
    }
    moved += of_tick;
    in_this_period += of_tick;
    most_in_a_period = std::max(most_in_a_period, in_this_period);
  }
  EXPECT_EQ(moved, 4) << "and then it rests";
  EXPECT_LE(most_in_a_period, 2) << "one from each of the two owners";
  EXPECT_EQ(cluster.Owned(), (std::map<ReplicaId, int>{{R(1), 4}, {R(2), 4}, {R(3), 4}}));
}

TEST(Router, ComesToRestWithAnyNumbers) {
  for (uint16_t members : {uint16_t{3}, uint16_t{5}}) {
    for (uint32_t shards = 1; shards < 40; ++shards) {
      Cluster cluster(members, shards);
      for (uint32_t i = 0; i < shards; ++i) cluster.SetOwner(i, R(1));
      for (ReplicaId member : Members(members)) cluster.NoteChosen(member, LogIndex{1000});
      int64_t now_us = kSettled;
      int moved = 0;
      for (int tick = 0; tick < 400; ++tick, now_us += 50'000) moved += cluster.Tick(now_us);
      EXPECT_LE(moved, static_cast<int>(shards));
      std::map<ReplicaId, int> owned = cluster.Owned();
      for (ReplicaId member : Members(members)) {
        EXPECT_GE(owned[member], static_cast<int>(shards) / members) << shards << " shards, " << members;
        EXPECT_LE(owned[member], static_cast<int>(shards) / members + 1) << shards << " shards, " << members;
      }
    }
  }
}

TEST(Router, HandsNothingToWhoLagsIsSuspectedOrUnknown) {
  for (const char* why : {"lags", "suspected", "unknown", "well"}) {
    Router router = AllUp(R(1), 3, 6);
    for (uint32_t i = 0; i < 6; ++i) router.SetOwner(S(i), R(1), LogIndex{1000});
    std::string reason = why;
    for (uint32_t i = 0; i < 6 && reason != "unknown"; ++i) {
      router.NoteChosenAt(S(i), R(2), LogIndex{reason == "lags" ? 999 - Router::kLagMax : 999});
    }
    router.SetHealth(R(3), Health::kDown, kLongAgo);
    if (reason == "suspected") router.SetHealth(R(2), Health::kSuspected, kLongAgo);
    EXPECT_EQ(router.NextHandOver(kSettled).has_value(), reason == "well") << why;
  }
}

TEST(Router, LeavesAShardToItsMembers) {
  Router router = AllUp(R(1), 4, 4);
  for (uint32_t i = 0; i < 4; ++i) {
    router.SetMembers(S(i), {R(1), R(2), R(3)});
    router.SetOwner(S(i), R(1), LogIndex{1});
    router.NoteChosenAt(S(i), R(4), LogIndex{1});
  }
  EXPECT_FALSE(router.NextHandOver(kSettled).has_value()) << "4 is no member, and 2 and 3 said nothing";
  router.SetOwner(S(0), R(4), LogIndex{2});
  router.SetHealth(R(4), Health::kDown, kLongAgo);
  EXPECT_NE(router.Choose(S(0), 0).to, R(4));
}

// --- mode primary (consensus.md rule 15) ----------------------------------------------------------------------------

Router WithPrimary(ReplicaId self, ReplicaId primary) {
  Router router = AllUp(self, 3, 6);
  for (uint32_t i = 0; i < 6; ++i) router.SetRouting(S(i), {ShardMode::kPrimary, primary});
  return router;
}

TEST(RouterPrimary, SendsEverythingToThePrimary) {
  Router router = WithPrimary(R(1), R(3));
  EXPECT_EQ(Spread(router, 6), (std::map<ReplicaId, uint32_t>{{R(3), 6}}));
  for (uint32_t i = 0; i < 6; ++i) router.SetOwner(S(i), R(3), LogIndex{5});
  EXPECT_EQ(Spread(router, 6), (std::map<ReplicaId, uint32_t>{{R(3), 6}}));
}

TEST(RouterPrimary, FailsOverOnSuspicionAndBackByHandOver) {
  Router router = WithPrimary(R(1), R(3));
  for (uint32_t i = 0; i < 6; ++i) router.SetOwner(S(i), R(3), LogIndex{5});
  EXPECT_TRUE(router.SetHealth(R(3), Health::kSuspected, kLongAgo));
  EXPECT_EQ(Spread(router, 6), (std::map<ReplicaId, uint32_t>{{R(1), 3}, {R(2), 3}}));
  EXPECT_TRUE(router.Choose(S(0), 0).takes_over);
  ReplicaId heir = router.Choose(S(0), 0).to;
  router.SetOwner(S(0), heir, LogIndex{6});
  router.SetHealth(R(3), Health::kUp, kLongAgo);
  EXPECT_EQ(router.Choose(S(0), 0).to, heir)
      << "until it hands over, the one that took over has the fast path";
  EXPECT_EQ(router.Choose(S(1), 0).to, R(3));
}

TEST(RouterPrimary, HandsBackWhatItTookOver) {
  Router router = WithPrimary(R(1), R(3));
  router.SetOwner(S(2), R(1), LogIndex{100});
  EXPECT_FALSE(router.NextHandOver(kSettled).has_value()) << "not before the primary has caught up";
  router.NoteChosenAt(S(2), R(3), LogIndex{99});
  auto back = router.NextHandOver(kSettled);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->shard, S(2));
  EXPECT_EQ(back->to, R(3));
}

TEST(RouterPrimary, IsNotEvenedOut) {
  Router router = WithPrimary(R(1), R(1));
  for (uint32_t i = 0; i < 6; ++i) {
    router.SetOwner(S(i), R(1), LogIndex{5});
    router.NoteChosenAt(S(i), R(2), LogIndex{5});
  }
  EXPECT_FALSE(router.NextHandOver(kSettled).has_value());
}

TEST(RouterPrimary, ThatLeftTheShardIsNone) {
  Router router = WithPrimary(R(1), R(3));
  router.SetMembers(S(0), {R(1), R(2)});
  EXPECT_NE(router.Choose(S(0), 0).to, R(3));
}

// --- the watch over a peer ------------------------------------------------------------------------------------------

/// Heard every `every_us` for a while; returns when it was heard last.
int64_t HearRegularly(PeerWatch& watch, int64_t from_us, int64_t every_us, int times) {
  for (int i = 0; i < times; ++i) watch.Heard(from_us += every_us);
  return from_us;
}

TEST(PeerWatch, SuspectsARegularPeerSoon) {
  for (int64_t every_us : {500, 10'000, 50'000}) {
    PeerWatch watch;
    EXPECT_TRUE(watch.Silent(1)) << "never heard";
    watch.Connected(1);
    int64_t last_us = HearRegularly(watch, 1, every_us, static_cast<int>(5'000'000 / every_us));
    EXPECT_FALSE(watch.Silent(last_us + 140'000));
    EXPECT_TRUE(watch.Silent(last_us + 151'000)) << every_us;
  }
}

TEST(PeerWatch, IsPatientWithAPeerThatStutters) {
  PeerWatch watch;
  watch.Connected(1);
  int64_t now_us = 1;
  for (int i = 0; i < 50; ++i) {
    now_us = HearRegularly(watch, now_us, 10'000, 20);
    watch.Heard(now_us += 140'000);
  }
  EXPECT_FALSE(watch.Silent(now_us + 200'000));
  EXPECT_TRUE(watch.Silent(now_us + PeerWatch::kDeadlineMaxUs + 1)) << "but within bounds";
}

TEST(PeerWatch, ForgetsALongSilence) {
  PeerWatch watch;
  watch.Connected(1);
  int64_t now_us = HearRegularly(watch, 1, 50'000, 100);
  watch.Heard(now_us += 30'000'000);
  EXPECT_LE(watch.deadline_us(), PeerWatch::kDeadlineMaxUs);
  now_us = HearRegularly(watch, now_us, 50'000, 100);  // five seconds
  EXPECT_LE(watch.deadline_us(), 160'000);
}

TEST(PeerWatch, ExcusesThePeerWhereThisProcessStoodStill) {
  PeerWatch watch;
  watch.Connected(1);
  int64_t last_us = HearRegularly(watch, 1, 50'000, 100);
  int64_t now_us = last_us + 3'000'000;
  EXPECT_TRUE(watch.Silent(now_us));
  watch.Excuse(2'980'000, now_us);
  EXPECT_FALSE(watch.Silent(now_us));
}

TEST(PeerWatch, SmoothsRoundTripsAndIgnoresNonsense) {
  PeerWatch watch;
  EXPECT_EQ(watch.round_trip_us(), 0);
  watch.RoundTrip(8'000);
  EXPECT_EQ(watch.round_trip_us(), 8'000);
  watch.RoundTrip(-5);
  watch.RoundTrip(int64_t{1} << 50);
  EXPECT_EQ(watch.round_trip_us(), 8'000);
  for (int i = 0; i < 200; ++i) watch.RoundTrip(2'000);
  EXPECT_NEAR(static_cast<double>(watch.round_trip_us()), 2'000, 20);
}

}  // namespace
}  // namespace paxledger
