// Members of a shard that change with its log (consensus.md rules 16 and 20), over shard logs whose messages and writes are
// carried by hand.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/mark.h"
#include "base/random.h"
#include "replication/core/envelope.h"
#include "replication/core/shard_log.h"

namespace paxledger {
namespace {

constexpr ReplicaId kOne{1}, kTwo{2}, kThree{3}, kFour{4};

class MembershipTest : public testing::Test {
 protected:
  void SetUp() override {
    Marks::Install(&marks_);
    for (ReplicaId id : {kOne, kTwo, kThree, kFour}) Boot(id);
  }
  void TearDown() override { Marks::Install(nullptr); }

  void Boot(ReplicaId id) {
    logs_[id] = std::make_unique<ShardLog>(
        ShardLogOptions{ShardId{0}, id, Incarnation{1}, {kOne, kTwo, kThree}, Digest{}, {}}, random_);
  }
  void Step(ReplicaId id, const ShardLogEvent& event) {
    Effects effects = logs_[id]->Step(event, Moment{now_, now_, 0, 1000});
    EXPECT_EQ(effects.fatal, "");
    for (RecordWrite& write : effects.persist) writes_[id].push_back(write);
    for (OutgoingPaxos& out : effects.send) flights_.push_back({id, out.to, std::move(out.message)});
    for (ChosenEntry& entry : effects.apply) applied_[id].push_back({entry.index, entry.value});
    returned_ += effects.returned.size();
  }
  void SyncOne(ReplicaId id) {
    RecordWrite write = writes_[id].front();
    writes_[id].pop_front();
    Step(id, event::Persisted{write.index, write.serial});
  }
  /// Everything becomes durable and arrives, but for what goes to or comes from `cut`.
  void Settle(ReplicaId cut = ReplicaId{}) {
    for (int i = 0; i < 1000; ++i) {
      bool moved = false;
      for (auto& [id, queue] : writes_) {
        if (queue.empty()) continue;
        SyncOne(id);
        moved = true;
      }
      if (!flights_.empty()) {
        Flight flight = std::move(flights_.front());
        flights_.pop_front();
        moved = true;
        if (flight.to != cut && flight.from != cut)
          Step(flight.to, event::Received{flight.from, flight.message});
      }
      if (!moved) return;
    }
    ADD_FAILURE() << "it does not come to rest";
  }
  void Propose(ReplicaId id, const std::string& what) {
    auto bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, what));
    Step(id, event::Proposed{{PendingCommand{bytes}}});
  }
  void Change(ReplicaId through, MembershipChange change, Owner next = {}) {
    Step(through, event::ChangeMembers{change, next});
  }
  LogIndex ChosenAt(ReplicaId id) { return logs_[id]->chosen(); }
  /// Hands over what `from` has chosen.
  void Teach(ReplicaId id, ReplicaId from) { Step(id, event::Learned{applied_[from]}); }

  struct Flight {
    ReplicaId from;
    ReplicaId to;
    PaxosMessage message;
  };
  Marks marks_{1};
  Random random_{1};
  int64_t now_ = 1'000'000;
  std::map<ReplicaId, std::unique_ptr<ShardLog>> logs_;
  std::map<ReplicaId, std::deque<RecordWrite>> writes_;
  std::map<ReplicaId, std::vector<ChosenValue>> applied_;
  std::deque<Flight> flights_;
  size_t returned_ = 0;
};

TEST_F(MembershipTest, OneReplicaTakesThePlaceOfAnotherAndVotesOnceItHoldsTheEntryThatAdmitsIt) {
  Propose(kOne, "first");
  Settle();
  Change(kOne, {LogIndex{0}, kThree, kFour});
  Settle();
  ASSERT_EQ(ChosenAt(kTwo), LogIndex{2});
  EXPECT_EQ(logs_[kTwo]->configuration(), (Configuration{LogIndex{2}, {kOne, kTwo, kFour}}));
  EXPECT_FALSE(logs_[kThree]->may_vote()) << "it left";
  EXPECT_GT(marks_.hits().at("shard_log.left"), 0u);
  EXPECT_FALSE(logs_[kFour]->member()) << "it does not know yet";

  Teach(kFour, kOne);
  EXPECT_TRUE(logs_[kFour]->member());
  EXPECT_FALSE(logs_[kFour]->may_vote()) << "nothing of it is durable";
  EXPECT_GT(marks_.hits().at("shard_log.joined"), 0u);
  while (!writes_[kFour].empty()) SyncOne(kFour);
  EXPECT_TRUE(logs_[kFour]->may_vote());

  Propose(kOne, "second");
  Settle(kTwo);
  EXPECT_EQ(ChosenAt(kOne), LogIndex{3}) << "the owner and the joiner are two of three";
  EXPECT_EQ(ChosenAt(kFour), LogIndex{3});
  EXPECT_EQ(ChosenAt(kThree), LogIndex{2}) << "who left is told nothing";
}

TEST_F(MembershipTest, AnOwnerThatLeavesNamesAnother) {
  Propose(kOne, "first");
  Settle();
  Change(kOne, {LogIndex{0}, kOne, ReplicaId{}}, Owner{kTwo, Incarnation{1}});
  Settle();
  EXPECT_FALSE(logs_[kOne]->member());
  EXPECT_TRUE(logs_[kTwo]->owns_next());
  Propose(kOne, "too late");
  EXPECT_EQ(returned_, 1u) << "it proposes nothing any more";
  Propose(kTwo, "second");
  Settle(kOne);
  EXPECT_EQ(ChosenAt(kThree), LogIndex{3});
}

TEST_F(MembershipTest, OfTwoChangesThatWereMadeAtOnceTheSecondChangesNothing) {
  Propose(kOne, "first");
  Settle();
  Change(kOne, {LogIndex{0}, kThree, kFour});
  Settle();
  Change(kOne, {LogIndex{0}, kTwo, kFour});
  Settle();
  EXPECT_EQ(ChosenAt(kOne), LogIndex{2});
  EXPECT_EQ(logs_[kOne]->configuration().members, (std::vector<ReplicaId>{kOne, kTwo, kFour}));
}

TEST_F(MembershipTest, VotesOfTheOldMembersDecideNothingUnderTheNew) {
  Propose(kOne, "first");
  Settle();
  Change(kOne, {LogIndex{0}, kThree, kFour});
  Settle(kTwo);  // one and three decide it
  ASSERT_EQ(ChosenAt(kOne), LogIndex{2});
  Propose(kOne, "second");
  Settle(kTwo);  // the leaver is there, the joiner has not learned
  EXPECT_EQ(ChosenAt(kOne), LogIndex{2}) << "one of {1, 2, 4} is no majority";
  Teach(kFour, kOne);
  Settle(kTwo);
  now_ += 1'000'000;
  Step(kOne, event::Tick{});
  Settle(kTwo);
  EXPECT_EQ(ChosenAt(kOne), LogIndex{3});
}

TEST_F(MembershipTest, AReplicaBehindPromisesOnlyOnceItKnowsEveryValueBelow) {
  Propose(kOne, "first");
  Settle();
  Propose(kOne, "second");
  Settle(kThree);
  ASSERT_EQ(ChosenAt(kThree), LogIndex{1});
  PaxosMessage prepare;
  prepare.index = LogIndex{3};
  prepare.mine.promised = Ballot::Of(1, kTwo);
  prepare.ask = true;
  Step(kThree, event::Received{kTwo, prepare});
  EXPECT_TRUE(writes_[kThree].empty()) << "the members at index 3 are not known yet";
  Teach(kThree, kOne);
  EXPECT_GT(marks_.hits().at("shard_log.answered_earlier_prepare"), 0u);
  flights_.clear();
  while (!writes_[kThree].empty()) SyncOne(kThree);
  ASSERT_FALSE(flights_.empty());
  EXPECT_EQ(flights_.back().to, kTwo);
  EXPECT_EQ(flights_.back().message.mine.promised, Ballot::Of(1, kTwo));
}

TEST_F(MembershipTest, ASnapshotMakesEverythingBelowChosenAndKeepsWhatStandsAbove) {
  PaxosMessage proposal;
  proposal.index = LogIndex{12};
  proposal.proposed = Ballot::Of(0, kOne);
  proposal.value = std::make_shared<const std::string>(EncodeEnvelope(Owner{kOne, Incarnation{1}}, now_, {}));
  proposal.proposed_digest = Sha256(*proposal.value);
  Step(kThree, event::Received{kOne, proposal});
  while (!writes_[kThree].empty()) SyncOne(kThree);
  Step(kThree, event::Installed{LogIndex{10}, Owner{kTwo, Incarnation{1}}, Sha256("value at 10"),
                                Configuration{LogIndex{7}, {kTwo, kThree, kFour}}});
  EXPECT_GT(marks_.hits().at("shard_log.installed"), 0u);
  EXPECT_EQ(ChosenAt(kThree), LogIndex{10});
  EXPECT_EQ(logs_[kThree]->owner(), (Owner{kTwo, Incarnation{1}}));
  EXPECT_EQ(logs_[kThree]->configuration().members, (std::vector<ReplicaId>{kTwo, kThree, kFour}));
  EXPECT_EQ(logs_[kThree]->HighestDurable(), LogIndex{12}) << "rule 20: the vote above is kept";
  Step(kThree, event::Installed{LogIndex{9}, {}, Digest{}, Configuration{LogIndex{0}, {kOne}}});
  EXPECT_EQ(ChosenAt(kThree), LogIndex{10}) << "an older one changes nothing";
}

TEST_F(MembershipTest, AReplicaThatDroppedItsRecordsVotesNowhereBelowWhereItLeft) {
  ShardLogOptions options{ShardId{0}, kThree, Incarnation{2}, {kOne, kTwo, kThree}, Digest{}, LogIndex{2}};
  logs_[kThree] = std::make_unique<ShardLog>(options, random_);
  EXPECT_TRUE(logs_[kThree]->member()) << "by the creation document";
  PaxosMessage prepare;
  prepare.index = LogIndex{1};
  prepare.mine.promised = Ballot::Of(1, kTwo);
  Step(kThree, event::Received{kTwo, prepare});
  EXPECT_TRUE(writes_[kThree].empty()) << "it may have promised something else before it forgot";
  Propose(kOne, "first");
  Settle(kThree);
  Change(kOne, {LogIndex{0}, kThree, ReplicaId{}});
  Settle(kThree);
  Teach(kThree, kOne);
  EXPECT_FALSE(logs_[kThree]->may_vote()) << "the log says that it left";
  Change(kOne, {LogIndex{2}, ReplicaId{}, kThree});
  Settle(kThree);
  Teach(kThree, kOne);
  while (!writes_[kThree].empty()) SyncOne(kThree);
  EXPECT_TRUE(logs_[kThree]->may_vote()) << "it was admitted again, and holds everything up to there";
}

}  // namespace
}  // namespace paxledger
