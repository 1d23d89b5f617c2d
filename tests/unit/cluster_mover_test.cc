// The next step of a shard: what it is in each situation, and that steps lead to where the directory wants the shard, though
// any of them is lost, comes twice or too late, and any node is down for a while.
#include <algorithm>
#include <deque>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "cluster/directory_command.h"
#include "cluster/mover.h"
#include "cluster/placement.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace paxledger {
namespace {

constexpr ShardId kShard{0};
constexpr ReplicaId kNobody{};

Directory DirectoryOf(const std::vector<std::string>& data_centres) {
  Directory directory;
  for (const std::string& data_centre : data_centres) {
    uint32_t number = directory.next_number++;
    directory.nodes.push_back(NodeEntry{.number = ReplicaId{static_cast<uint16_t>(number)},
                                        .name = absl::StrCat("node-", number),
                                        .data_centre = data_centre});
  }
  return directory;
}

template <class Change>
DirectoryResult Do(Directory& directory, Change change) {
  static int requests = 0;
  return ApplyDirectoryCommand({absl::StrCat("r", ++requests), 0, std::move(change)}, 12, directory);
}

std::vector<ReplicaId> Numbers(std::initializer_list<uint16_t> numbers) {
  std::vector<ReplicaId> ids;
  for (uint16_t number : numbers) ids.push_back(ReplicaId{number});
  return ids;
}

/// All members hold everything, all nodes are up.
ShardView ViewOf(const Directory& directory, std::vector<ReplicaId> members) {
  ShardView view{.shard = kShard,
                 .members = {LogIndex{5}, std::move(members)},
                 .newest = LogIndex{1000},
                 .hosts = {},
                 .up = {}};
  for (ReplicaId member : view.members.members) view.hosts[member] = LogIndex{1000};
  for (const NodeEntry& node : directory.nodes) view.up.insert(node.number);
  return view;
}

/// Three nodes in three data centres, and a fourth in the first, which the shard is pinned to.
struct MoveToFour : testing::Test {
  MoveToFour() {
    Do(directory, PinShard{kShard, "node-4"});
    view = ViewOf(directory, Numbers({1, 2, 3}));
  }
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3", "dc1"});
  ShardView view;
};

TEST_F(MoveToFour, AsksTheJoinerFirst) {
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Host{ReplicaId{4}}));
}

TEST_F(MoveToFour, WaitsForAJoinerThatIsDown) {
  view.up.erase(ReplicaId{4});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Waiting{move::Obstacle::kJoinerDown, ReplicaId{4}}));
}

TEST_F(MoveToFour, LetsTheLearnerFetch) {
  view.hosts[ReplicaId{4}] = LogIndex{0};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Fetching{ReplicaId{4}, LogIndex{0}, LogIndex{1000}}));
  view.hosts[ReplicaId{4}] = LogIndex{1000 - kLearnerLagMax - 1};
  EXPECT_TRUE(std::holds_alternative<move::Fetching>(NextStep(directory, view)));
}

TEST_F(MoveToFour, PutsItInThePlaceOfTheOneOfItsDataCentre) {
  view.hosts[ReplicaId{4}] = LogIndex{1000 - kLearnerLagMax};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{1}, ReplicaId{4}}}));
}

TEST_F(MoveToFour, ProposesNothingThatWouldLeaveNoMajority) {
  view.hosts[ReplicaId{4}] = LogIndex{1000};
  view.up.erase(ReplicaId{2});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{1}, ReplicaId{4}}}));
  view.up.erase(ReplicaId{3});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Waiting{move::Obstacle::kNoMajority, ReplicaId{4}}));
}

TEST_F(MoveToFour, IsInPlaceThen) {
  view.members.members = Numbers({2, 3, 4});
  view.hosts[ReplicaId{4}] = LogIndex{1000};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::InPlace{}));
}

TEST_F(MoveToFour, TheOldReplicaIsGivenUpWhenAMajorityHoldsTheChange) {
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{1})) << "a member";
  view.members = {LogIndex{1001}, Numbers({2, 3, 4})};
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{1})) << "nobody holds the change durably";
  view.hosts[ReplicaId{2}] = LogIndex{1001};
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{1})) << "one of three";
  view.hosts[ReplicaId{1}] = LogIndex{1002};
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{1})) << "the leaver itself is no member";
  view.hosts[ReplicaId{4}] = LogIndex{1001};
  EXPECT_TRUE(MayDrop(directory, view, ReplicaId{1}));
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{4}));
}

TEST_F(MoveToFour, ALearnerThatIsWantedKeepsItsReplica) {
  view.hosts[ReplicaId{4}] = LogIndex{10};
  EXPECT_FALSE(MayDrop(directory, view, ReplicaId{4}));
  Do(directory, UnpinShard{kShard, ""});
  Do(directory, PinShard{kShard, "node-1"});
  EXPECT_TRUE(MayDrop(directory, view, ReplicaId{4})) << "the wish was taken back";
}

TEST(NextStep, ALostNodeIsReplacedUnderItsName) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3"});
  ASSERT_EQ(Do(directory, ReplaceNode{.name = "node-2"}).number, ReplicaId{4});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  view.up = {ReplicaId{1}, ReplicaId{3}, ReplicaId{4}};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Host{ReplicaId{4}}));
  view.hosts[ReplicaId{4}] = LogIndex{1000};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{2}, ReplicaId{4}}}));
}

TEST(NextStep, AReplacementTakesThePlaceOfItsNameBeforeAnyOther) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3", "dc2"});
  Do(directory, PinShard{kShard, "node-4"});
  ASSERT_EQ(Do(directory, ReplaceNode{.name = "node-4"}).number, ReplicaId{5});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3, 4}));
  view.hosts[ReplicaId{5}] = LogIndex{1000};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{4}, ReplicaId{5}}}));
}

TEST(NextStep, ANewDataCentreAddsAReplica) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3", "dc4", "dc5"});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  view.hosts[ReplicaId{5}] = LogIndex{1000};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Host{ReplicaId{4}}));
  view.up.erase(ReplicaId{4});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, kNobody, ReplicaId{5}}}))
      << "who is down holds up no other";
}

TEST(NextStep, AGivenUpDataCentreLeavesWhenAllJoinersAreIn) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3", "dc4"});
  Do(directory, SetNodeState{"node-1", NodeState::kDraining, LastOfDataCentre::kAllow});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  view.hosts[ReplicaId{4}] = LogIndex{1000};
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, kNobody, ReplicaId{4}}}));
  view.members.members = Numbers({1, 2, 3, 4});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{1}, kNobody}}));
}

TEST(NextStep, TheDeadLeaveBeforeTheLiving) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3"});
  Do(directory, SetNodeState{"node-1", NodeState::kDraining, LastOfDataCentre::kAllow});
  Do(directory, SetNodeState{"node-3", NodeState::kDraining, LastOfDataCentre::kAllow});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  view.up.erase(ReplicaId{3});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Change{{LogIndex{5}, ReplicaId{3}, kNobody}}))
      << "without node 1 only one of {2, 3} would answer";
}

TEST(NextStep, AMemberThatHoldsNothingIsAskedAgain) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3"});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  view.hosts.erase(ReplicaId{2});
  EXPECT_EQ(NextStep(directory, view), MoveStep(move::Host{ReplicaId{2}}));
}

TEST(NextStep, NobodyIsLeft) {
  Directory directory = DirectoryOf({"dc1"});
  directory.nodes[0].state = NodeState::kDraining;
  EXPECT_EQ(NextStep(directory, ViewOf(directory, Numbers({1}))),
            MoveStep(move::Waiting{move::Obstacle::kNobodyIsLeft, kNobody}));
}

TEST(Mover, IsTheOwnerOrTheFirstMemberThatAnswers) {
  Directory directory = DirectoryOf({"dc1", "dc2", "dc3", "dc1"});
  ShardView view = ViewOf(directory, Numbers({1, 2, 3}));
  EXPECT_EQ(MoverOf(view, ReplicaId{3}), ReplicaId{3});
  EXPECT_EQ(MoverOf(view, kNobody), ReplicaId{1});
  EXPECT_EQ(MoverOf(view, ReplicaId{4}), ReplicaId{1}) << "an owner that is no member owns nothing";
  view.up.erase(ReplicaId{1});
  EXPECT_EQ(MoverOf(view, ReplicaId{1}), ReplicaId{2});
  view.up.clear();
  EXPECT_EQ(MoverOf(view, ReplicaId{1}), kNobody);
}

/// A shard and its nodes as they are. Steps are carried out, or not.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  /// What went wrong; empty: nothing.
  std::string Run() {
    for (int round = 0; round < 40 && failure_.empty(); ++round) {
      Disturb();
      TakeStep();
    }
    if (!failure_.empty()) return failure_;
    // All come back, nothing is lost any more: it ends, in a bounded number of steps.
    for (const NodeEntry& node : directory_.nodes) {
      if (node.state != NodeState::kGone) up_.insert(node.number);
    }
    calm_ = true;
    for (int round = 0; round < 80 && !InPlace(); ++round) TakeStep();
    if (!InPlace()) return absl::StrCat("stuck: ", DescribeStep(NextStep(directory_, View()), directory_));
    Advance();  // the members write on, and hold everything up to the last change
    for (auto [node, durable] : std::map(hosts_)) {
      if (!members_.Contains(node) && up_.contains(node) && !MayDrop(directory_, View(), node)) {
        return absl::StrCat("node ", node.value, " may not give its replica up");
      }
    }
    return failure_;
  }

 private:
  ShardView View() const {
    ShardView view{.shard = kShard, .members = members_, .newest = {}, .hosts = hosts_, .up = up_};
    for (auto [node, durable] : hosts_) view.newest = std::max(view.newest, durable);
    return view;
  }
  bool InPlace() const { return std::holds_alternative<move::InPlace>(NextStep(directory_, View())); }
  bool Chance(uint32_t percent) { return !calm_ && random_.Chance(percent, 100); }

  void Disturb() {
    // The operator wishes something, whatever it is; refusals change nothing.
    if (Chance(15)) {
      std::string name = absl::StrCat("node-", random_.Between(1, 7));
      std::string data_centre = absl::StrCat("dc", random_.Between(1, 5));
      switch (random_.Below(6)) {
        case 0:
          Do(directory_, AddNode{name, data_centre, "h:1"});
          break;
        case 1:
          // With fewer disks than a majority no step can mend it.
          if (SurvivesLossOf(name)) Do(directory_, ReplaceNode{.name = name});
          break;
        case 2:
          Do(directory_, SetNodeState{name, NodeState::kDraining});
          break;
        case 3:
          Do(directory_, SetNodeState{name, NodeState::kActive});
          break;
        case 4:
          Do(directory_, PinShard{kShard, name});
          break;
        default:
          Do(directory_, SetNodeState{name, NodeState::kDraining, LastOfDataCentre::kAllow});
          break;
      }
      for (ReplicaId node : std::set(up_)) {
        if (directory_.IsGone(node)) up_.erase(node);
      }
    }
    if (Chance(30)) {  // one node is down at a time, or comes back
      for (const NodeEntry& node : directory_.nodes) {
        if (node.state != NodeState::kGone) up_.insert(node.number);
      }
      if (Chance(50) && !members_.members.empty()) {
        up_.erase(members_.members[random_.Below(members_.members.size())]);
      }
    }
    if (Chance(40) && HasMajority()) Advance();
    // Replicas that may be given up are.
    for (auto [node, durable] : std::map(hosts_)) {
      if (up_.contains(node) && MayDrop(directory_, View(), node) && Chance(50)) hosts_.erase(node);
    }
  }

  bool HasMajority() const {
    size_t answer = 0;
    for (ReplicaId member : members_.members) answer += up_.count(member);
    return answer >= members_.majority();
  }
  bool SurvivesLossOf(const std::string& name) const {
    auto left = std::count_if(members_.members.begin(), members_.members.end(), [&](ReplicaId member) {
      const NodeEntry* node = directory_.Find(member);
      return node != nullptr && node->state != NodeState::kGone && node->name != name;
    });
    return static_cast<size_t>(left) >= members_.majority();
  }
  void Advance() {
    ++last_.value;
    for (ReplicaId member : members_.members) {
      if (up_.contains(member) && hosts_.contains(member)) hosts_[member] = last_;
    }
  }

  void TakeStep() {
    MoveStep step = NextStep(directory_, View());
    if (Chance(20)) return;  // its mover crashed before it did anything
    if (const auto* host = std::get_if<move::Host>(&step)) {
      hosts_.emplace(host->joiner, LogIndex{});
    } else if (const auto* fetching = std::get_if<move::Fetching>(&step)) {
      LogIndex& durable = hosts_[fetching->joiner];
      durable.value = std::min(last_.value, durable.value + 500);
    } else if (const auto* change = std::get_if<move::Change>(&step)) {
      proposed_.push_back(change->change);
      if (Chance(20)) return;  // it is chosen later, perhaps
    }
    while (!proposed_.empty()) {
      MembershipChange change = proposed_.front();
      if (!Chance(10)) proposed_.pop_front();  // else it is chosen twice
      if (HasMajority()) Choose(change);
    }
  }

  void Choose(const MembershipChange& change) {
    Advance();
    std::optional<Configuration> after = Changed(members_, change, last_);
    if (!after.has_value()) return;
    size_t before = members_.members.size();
    size_t now = after->members.size();
    if (std::max(before, now) - std::min(before, now) > 1) failure_ = "more than one member changed at once";
    members_ = *std::move(after);
    // A joiner that fetched nearly all fetches the rest.
    if (hosts_.contains(change.add)) hosts_[change.add] = last_;
  }

  Random random_;
  Directory directory_ = DirectoryOf({"dc1", "dc2", "dc3"});
  Configuration members_{LogIndex{}, Numbers({1, 2, 3})};
  std::map<ReplicaId, LogIndex> hosts_{
      {ReplicaId{1}, LogIndex{900}}, {ReplicaId{2}, LogIndex{900}}, {ReplicaId{3}, LogIndex{900}}};
  LogIndex last_{900};
  std::set<ReplicaId> up_{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
  std::deque<MembershipChange> proposed_;
  bool calm_ = false;
  std::string failure_;
};

TEST(Mover, LeadsToWhatIsWantedWhateverIsLostOnTheWay) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) ASSERT_EQ(World(seed).Run(), "") << "seed " << seed;
}

}  // namespace
}  // namespace paxledger
