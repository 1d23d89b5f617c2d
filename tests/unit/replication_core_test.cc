#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/limits.h"
#include "base/mark.h"
#include "base/random.h"
#include "replication/core/barrier.h"
#include "replication/core/envelope.h"
#include "replication/core/shard_log.h"

namespace paxledger {
namespace {

constexpr ReplicaId kOne{1}, kTwo{2}, kThree{3};

TEST(BallotTest, OrdersByRoundThenReplica) {
  EXPECT_LT(Ballot{}, Ballot::Of(0, kOne));
  EXPECT_LT(Ballot::Of(0, kOne), Ballot::Of(0, kTwo));
  EXPECT_LT(Ballot::Of(0, kThree), Ballot::Of(1, kOne));
  EXPECT_EQ(Ballot::Of(5, kTwo).round(), 5u);
  EXPECT_EQ(Ballot::Of(5, kTwo).replica(), kTwo);
}

TEST(EnvelopeTest, ReadsBackWhatWasWritten) {
  std::string a = EncodeCommand(MachineId::kTxn, "first"), b = EncodeCommand(MachineId::kCluster, "");
  std::string value = EncodeEnvelope(Owner{kTwo, Incarnation{77}}, -5, {a, b});
  absl::StatusOr<Envelope> entry = DecodeEnvelope(value);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->owner, (Owner{kTwo, Incarnation{77}}));
  EXPECT_EQ(entry->stamp_us, -5);
  ASSERT_EQ(entry->commands.size(), 2u);
  EXPECT_EQ(entry->commands[0].bytes, "first");
  EXPECT_EQ(entry->commands[1].machine, MachineId::kCluster);
  EXPECT_EQ(PeekEnvelope(value).owner, entry->owner);
}

TEST(EnvelopeTest, RefusesEveryCutAndOtherVersions) {
  std::string value =
      EncodeEnvelope(Owner{kTwo, Incarnation{77}}, 1, {EncodeCommand(MachineId::kTxn, "command")});
  for (size_t cut = 0; cut < value.size(); ++cut) {
    EXPECT_FALSE(DecodeEnvelope(std::string_view(value).substr(0, cut)).ok()) << cut;
  }
  EXPECT_FALSE(DecodeEnvelope(value + "x").ok());
  value[0] = 2;
  EXPECT_FALSE(DecodeEnvelope(value).ok());
}

/// A reader that knows entries up to 5 chosen, and holds them.
class BarrierTest : public testing::Test {
 protected:
  void SetUp() override { Marks::Install(&marks_); }
  void TearDown() override { Marks::Install(nullptr); }
  Barrier::Local At(int64_t now_us, LogIndex chosen = LogIndex{5}) {
    return {members_, LogIndex{5}, chosen, now_us};
  }
  BarrierAnswer AnswerOf(uint64_t round, uint64_t highest = 5) {
    return {ShardId{0}, round, LogIndex{highest}, LogIndex{5}};
  }
  Marks marks_{1};
  Configuration members_{LogIndex{0}, {kOne, kTwo, kThree}};
  Barrier barrier_{ShardId{0}, 1};
};

TEST_F(BarrierTest, IsReadyOnceAMajorityAnsweredAndItsIndexIsChosen) {
  BarrierEffects start = barrier_.Read(1, At(0));
  ASSERT_TRUE(start.broadcast.has_value());
  EXPECT_TRUE(start.ready.empty());
  BarrierEffects majority = barrier_.Answer(kTwo, AnswerOf(start.broadcast->round, 6), At(10));
  EXPECT_TRUE(majority.ready.empty()) << "index 6 is in doubt";
  EXPECT_FALSE(barrier_.Overdue(9).has_value());
  EXPECT_EQ(barrier_.Overdue(10), LogIndex{6});
  EXPECT_EQ(barrier_.Chosen(At(11, LogIndex{6})).ready, std::vector<ReadTicket>({1}));
}

TEST_F(BarrierTest, AReadJoinsOnlyARoundThatWasNotSentYet) {
  uint64_t first = barrier_.Read(1, At(0)).broadcast->round;
  EXPECT_FALSE(barrier_.Read(2, At(1)).broadcast.has_value());
  EXPECT_FALSE(barrier_.Read(3, At(2)).broadcast.has_value());
  BarrierEffects end = barrier_.Answer(kTwo, AnswerOf(first), At(3));
  EXPECT_EQ(end.ready, std::vector<ReadTicket>({1}));
  ASSERT_TRUE(end.broadcast.has_value()) << "the others share the next round";
  EXPECT_TRUE(barrier_.Answer(kThree, AnswerOf(first), At(4)).ready.empty())
      << "an answer to an older round counts for nothing";
  BarrierEffects next = barrier_.Answer(kThree, AnswerOf(end.broadcast->round), At(5));
  EXPECT_EQ(next.ready, std::vector<ReadTicket>({2, 3}));
}

TEST_F(BarrierTest, TheSameMemberCountsOnceAndAStrangerNever) {
  members_.members = {kOne, kTwo, kThree, ReplicaId{4}, ReplicaId{5}};
  uint64_t round = barrier_.Read(1, At(0)).broadcast->round;
  EXPECT_TRUE(barrier_.Answer(kTwo, AnswerOf(round), At(1)).ready.empty());
  EXPECT_TRUE(barrier_.Answer(kTwo, AnswerOf(round), At(1)).ready.empty());
  EXPECT_TRUE(barrier_.Answer(ReplicaId{9}, AnswerOf(round), At(1)).ready.empty());
  EXPECT_EQ(barrier_.Answer(kThree, AnswerOf(round), At(1)).ready.size(), 1u);
}

TEST_F(BarrierTest, AReadIsRepeatedWhereWhatItWaitedForBroughtANewConfiguration) {
  uint64_t first = barrier_.Read(1, At(0)).broadcast->round;
  EXPECT_TRUE(barrier_.Answer(kTwo, AnswerOf(first, 6), At(1)).ready.empty());
  members_ = Configuration{LogIndex{6}, {kOne, kTwo, ReplicaId{4}}};
  BarrierEffects again = barrier_.Chosen(At(2, LogIndex{6}));
  EXPECT_TRUE(again.ready.empty()) << "a majority of the old members may miss what the new have chosen";
  ASSERT_TRUE(again.broadcast.has_value());
  EXPECT_EQ(marks_.hits().at("barrier.repeated"), 1u);
  EXPECT_TRUE(barrier_.Answer(kThree, AnswerOf(again.broadcast->round, 5), At(3, LogIndex{6})).ready.empty())
      << "it left";
  EXPECT_EQ(barrier_.Answer(ReplicaId{4}, AnswerOf(again.broadcast->round, 6), At(3, LogIndex{6})).ready,
            std::vector<ReadTicket>({1}));
}

TEST_F(BarrierTest, ARoundUnderWayIsAskedAnewUnderANewConfiguration) {
  uint64_t first = barrier_.Read(1, At(0)).broadcast->round;
  members_ = Configuration{LogIndex{6}, {kOne, kTwo, ReplicaId{4}}};
  BarrierEffects again = barrier_.Answer(kTwo, AnswerOf(first, 5), At(2, LogIndex{6}));
  EXPECT_TRUE(again.ready.empty());
  ASSERT_TRUE(again.broadcast.has_value());
  EXPECT_EQ(marks_.hits().at("barrier.restarted"), 1u);
  EXPECT_EQ(barrier_.Answer(kTwo, AnswerOf(again.broadcast->round, 6), At(3, LogIndex{6})).ready.size(), 1u);
}

// With the third member dead, nobody else would ever complete the majority.
TEST_F(BarrierTest, TheReadersOwnAnswerCountsFromWhenItMayAnswer) {
  Barrier::Local joining{members_, std::nullopt, LogIndex{5}, 0};
  uint64_t round = barrier_.Read(1, joining).broadcast->round;
  EXPECT_TRUE(barrier_.Answer(kTwo, AnswerOf(round), joining).ready.empty()) << "one of three";
  joining.now_us = 1'000;
  EXPECT_TRUE(barrier_.Tick(joining, 60'000).ready.empty());
  EXPECT_EQ(barrier_.Tick(At(2'000), 60'000).ready, std::vector<ReadTicket>({1}));
}

TEST(ConfigurationTest, AChangeCountsOnlyForTheConfigurationItWasMadeFor) {
  Configuration before{LogIndex{3}, {kOne, kTwo, kThree}};
  std::optional<Configuration> swapped = Changed(before, {LogIndex{3}, kThree, ReplicaId{4}}, LogIndex{9});
  ASSERT_TRUE(swapped.has_value());
  EXPECT_EQ(*swapped, (Configuration{LogIndex{9}, {kOne, kTwo, ReplicaId{4}}}));
  EXPECT_FALSE(Changed(*swapped, {LogIndex{3}, kTwo, ReplicaId{5}}, LogIndex{10}).has_value());
  EXPECT_FALSE(Changed(before, {LogIndex{3}, ReplicaId{8}, ReplicaId{4}}, LogIndex{9}).has_value());
  EXPECT_FALSE(Changed(before, {LogIndex{3}, ReplicaId{}, kTwo}, LogIndex{9}).has_value());
  EXPECT_FALSE(Changed({LogIndex{0}, {kOne}}, {LogIndex{0}, kOne, ReplicaId{}}, LogIndex{1}).has_value())
      << "nobody would be left";
}

TEST(EnvelopeTest, CarriesAMembershipChange) {
  MembershipChange change{LogIndex{7}, kTwo, ReplicaId{4}};
  std::string value = EncodeEnvelope(Owner{kOne, Incarnation{1}}, 5, {}, change);
  absl::StatusOr<Envelope> entry = DecodeEnvelope(value);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->change, change);
  EXPECT_EQ(PeekEnvelope(value).change, change);
  for (size_t cut = 0; cut < value.size(); ++cut) {
    EXPECT_FALSE(DecodeEnvelope(std::string_view(value).substr(0, cut)).ok()) << cut;
  }
}

class OneLog : public testing::Test {
 protected:
  Effects Step(const ShardLogEvent& event) { return log_.Step(event, Moment{now_, now_, 0, 1000}); }
  Random random_{1};
  int64_t now_ = 1'000'000;
  ShardLog log_{ShardLogOptions{ShardId{0}, kOne, Incarnation{9}, {kOne, kTwo, kThree}, Digest{}, {}},
                random_};
};

TEST_F(OneLog, AFirstWriteRevealsNothingBeforeItsPromiseIsDurable) {
  auto bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "pay"));
  Effects effects = Step(event::Proposed{{{bytes, Urgency::kNow, 0}}});
  ASSERT_EQ(effects.persist.size(), 1u);
  EXPECT_TRUE(effects.send.empty());
  EXPECT_EQ(effects.persist[0].record.promised, Ballot::Of(1, kOne));
  Effects durable = Step(event::Persisted{effects.persist[0].index, effects.persist[0].serial});
  EXPECT_EQ(durable.send.size(), 2u);
  EXPECT_EQ(durable.send[0].message.mine.promised, Ballot::Of(1, kOne));
}

TEST_F(OneLog, ALazyCommandWaitsForCompany) {
  auto bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "finish"));
  Effects effects = Step(event::Proposed{{{bytes, Urgency::kLazy, 0}}});
  EXPECT_TRUE(effects.persist.empty());
  EXPECT_EQ(effects.wake_at_us, now_ + limits::kLazyCommandDelayUs);
  now_ = effects.wake_at_us;
  EXPECT_EQ(Step(event::Tick{}).persist.size(), 1u);
}

TEST_F(OneLog, FindsAChosenValueWithTheAcceptorsWhenThePeerThatKnewTheOutcomeIsGone) {
  std::string pay = EncodeCommand(MachineId::kTxn, "pay");
  auto chosen = std::make_shared<const std::string>(EncodeEnvelope(Owner{kThree, Incarnation{1}}, 1, {pay}));
  PaxosMessage hint;
  hint.index = LogIndex{1};
  hint.chosen = LogIndex{1};
  hint.chosen_digest = Sha256(*chosen);
  Step(event::Received{kThree, hint});
  auto command = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "other"));
  EXPECT_TRUE(Step(event::Proposed{{{command, Urgency::kNow, 0}}}).persist.empty()) << "it fetches first";
  Effects effects;
  for (int i = 0; i < 100 && effects.persist.empty(); ++i) {
    now_ += 10'000;
    effects = Step(event::Tick{});
  }
  ASSERT_EQ(effects.persist.size(), 1u);
  Ballot ballot = effects.persist[0].record.promised;
  Step(event::Persisted{LogIndex{1}, effects.persist[0].serial});
  PaxosMessage promise;
  promise.index = LogIndex{1};
  promise.mine = Record{ballot, Ballot::Of(0, kThree), Sha256(*chosen)};
  promise.value = chosen;
  Effects learned = Step(event::Received{kTwo, promise});
  ASSERT_EQ(learned.apply.size(), 1u);
  EXPECT_EQ(learned.apply[0].digest, Sha256(*chosen));
}

TEST_F(OneLog, StopsVotingWhenToldOfARecordNewerThanItsDisk) {
  PaxosMessage message;
  message.index = LogIndex{1};
  message.yours.promised = Ballot::Of(4, kTwo);
  message.mine.promised = Ballot::Of(5, kTwo);
  message.ask = true;
  Marks marks(1);
  Marks::Install(&marks);
  Effects effects = Step(event::Received{kTwo, message});
  Marks::Install(nullptr);
  EXPECT_EQ(marks.hits().count("shard_log.lost_data"), 1U);
  EXPECT_FALSE(log_.voting());
  EXPECT_TRUE(effects.persist.empty());
  EXPECT_TRUE(effects.send.empty());
}

// Rule 19: what it promised and accepted up to there cannot be read any more, and it knows that.
TEST(DamagedLog, IsSilentUntilItKnowsWhatIsChosenAndVotesThen) {
  Random random(1);
  ShardLogOptions options{.shard = ShardId{0},
                          .self = kOne,
                          .incarnation = Incarnation{10},
                          .members = {kOne, kTwo, kThree},
                          .genesis = Sha256("genesis"),
                          .silent_below = LogIndex{2}};
  ShardLog log(options, random);
  auto step = [&log](const ShardLogEvent& event) { return log.Step(event, Moment{}); };
  PaxosMessage prepare;
  prepare.index = LogIndex{1};
  prepare.yours.promised = Ballot::Of(4, kTwo);  // more than its disk holds
  prepare.mine.promised = Ballot::Of(5, kTwo);
  prepare.ask = true;
  Effects effects = step(event::Received{kTwo, prepare});
  EXPECT_TRUE(effects.persist.empty());
  EXPECT_TRUE(effects.send.empty());
  EXPECT_TRUE(log.voting()) << "no sign of another disk";
  EXPECT_FALSE(log.may_vote());

  std::vector<ChosenValue> entries;
  for (uint64_t i = 1; i <= 2; ++i) {
    std::string value = EncodeEnvelope(Owner{kTwo, Incarnation{1}}, static_cast<int64_t>(i), {});
    entries.push_back({LogIndex{i}, std::make_shared<const std::string>(std::move(value))});
  }
  step(event::Learned{{entries[0]}});
  EXPECT_FALSE(log.may_vote());
  step(event::Learned{{entries[1]}});
  EXPECT_TRUE(log.may_vote());
  prepare.index = LogIndex{3};
  prepare.yours = Record{};
  effects = step(event::Received{kTwo, prepare});
  ASSERT_EQ(effects.persist.size(), 1u);
  EXPECT_EQ(effects.persist[0].record.promised, Ballot::Of(5, kTwo));
}

TEST_F(OneLog, TwoValuesAtOneBallotStopTheReplica) {
  auto first = std::make_shared<const std::string>(EncodeEnvelope(Owner{kTwo, Incarnation{1}}, 1, {}));
  auto second = std::make_shared<const std::string>(EncodeEnvelope(Owner{kTwo, Incarnation{1}}, 2, {}));
  PaxosMessage message;
  message.index = LogIndex{1};
  message.proposed = Ballot::Of(1, kTwo);
  message.proposed_digest = Sha256(*first);
  message.value = first;
  EXPECT_EQ(Step(event::Received{kTwo, message}).persist.size(), 1u);
  message.proposed_digest = Sha256(*second);
  message.value = second;
  EXPECT_FALSE(Step(event::Received{kTwo, message}).fatal.empty());
}

}  // namespace
}  // namespace paxledger
