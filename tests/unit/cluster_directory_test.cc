// The directory and its commands, the machine that folds them, and where shards are wanted.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/random.h"
#include "cluster/cluster_machine.h"
#include "cluster/cluster_message.h"
#include "cluster/directory.h"
#include "cluster/directory_command.h"
#include "cluster/placement.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/memory_engine.h"

namespace paxledger {
namespace {

using testing::ElementsAre;

constexpr uint32_t kShards = 12;

Directory ThreeNodes() {
  Directory directory;
  for (uint16_t i = 1; i <= 3; ++i) {
    directory.nodes.push_back(NodeEntry{
        .number = ReplicaId{i}, .name = absl::StrCat("dc", i), .data_centre = absl::StrCat("dc", i)});
  }
  directory.next_number = 4;
  return directory;
}

/// Gives commands requests of their own, and carries them out.
struct Clerk {
  Directory directory = ThreeNodes();
  int requests = 0;

  template <class Change>
  DirectoryResult Do(Change change, std::string request = "", uint64_t if_version = 0) {
    if (request.empty()) request = absl::StrCat("request-", ++requests);
    return ApplyDirectoryCommand({std::move(request), if_version, std::move(change)}, kShards, directory);
  }
  NodeState StateOf(std::string_view name) const { return directory.FindName(name)->state; }
};

AddNode Fourth() { return {.name = "dc1-b", .data_centre = "dc1", .peer_address = "10.0.0.4:7200"}; }

TEST(DirectoryCommands, AddGivesOutTheNextNumberOnce) {
  Clerk clerk;
  EXPECT_EQ(clerk.Do(Fourth(), "add"), (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{4}, 1}));
  EXPECT_EQ(clerk.Do(Fourth(), "add"), (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{4}, 1}))
      << "a retry";
  EXPECT_EQ(clerk.Do(Fourth(), "again"), (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{4}, 1}))
      << "it is so already";
  AddNode other = Fourth();
  other.peer_address = "10.0.0.5:7200";
  EXPECT_EQ(clerk.Do(other).outcome, DirectoryOutcome::kNameTaken);
  other.name = "dc1-c";
  EXPECT_EQ(clerk.Do(other), (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{5}, 2}));
  EXPECT_EQ(clerk.directory.next_number, 6u);
}

TEST(DirectoryCommands, AddRefusesWhatIsMalformedAndTooMany) {
  Clerk clerk;
  AddNode add = Fourth();
  add.name = "no spaces";
  EXPECT_EQ(clerk.Do(add).outcome, DirectoryOutcome::kMalformedField);
  add = Fourth();
  add.peer_address = "";
  EXPECT_EQ(clerk.Do(add).outcome, DirectoryOutcome::kMalformedField);
  add.peer_address = "10.0.0.1";
  EXPECT_EQ(clerk.Do(add).outcome, DirectoryOutcome::kMalformedField);
  EXPECT_EQ(clerk.directory, ThreeNodes()) << "a refused command changes nothing";
  for (int i = 4; i <= 7; ++i) {
    add = {.name = absl::StrCat("dc", i), .data_centre = absl::StrCat("dc", i), .peer_address = "h:1"};
    EXPECT_EQ(clerk.Do(add).outcome, DirectoryOutcome::kDone);
  }
  add.name = add.data_centre = "dc8";
  EXPECT_EQ(clerk.Do(add).outcome, DirectoryOutcome::kFull) << "a shard has seven replicas at most";
}

TEST(DirectoryCommands, ReplaceGivesANewNumberUnderTheSameName) {
  Clerk clerk;
  ASSERT_EQ(clerk.Do(PinShard{ShardId{5}, "dc2"}).outcome, DirectoryOutcome::kDone);
  EXPECT_EQ(clerk.Do(ReplaceNode{.name = "dc2"}, "replace"),
            (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{4}, 2}));
  EXPECT_EQ(clerk.Do(ReplaceNode{.name = "dc2"}, "replace"),
            (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{4}, 2}))
      << "a retry gives out no second number";
  EXPECT_TRUE(clerk.directory.IsGone(ReplicaId{2}));
  EXPECT_FALSE(clerk.directory.IsGone(ReplicaId{4}));
  EXPECT_FALSE(clerk.directory.IsGone(ReplicaId{5})) << "not given out yet";
  EXPECT_EQ(clerk.directory.FindName("dc2")->number, ReplicaId{4});
  EXPECT_EQ(clerk.directory.FindName("dc2")->data_centre, "dc2");
  EXPECT_EQ(clerk.directory.pins, (std::vector{Pin{ShardId{5}, "dc2"}})) << "pins are of names";
  EXPECT_EQ(clerk.Do(ReplaceNode{.name = "dc2", .peer_address = "new:1"}, "second").number, ReplicaId{5});
  EXPECT_EQ(clerk.directory.FindName("dc2")->peer_address, "new:1");
  EXPECT_EQ(clerk.Do(ReplaceNode{.name = "dc2"}, "replace").number, ReplicaId{4})
      << "an old retry does not replace the replacement";
  EXPECT_EQ(clerk.Do(ReplaceNode{.name = "dc9"}).outcome, DirectoryOutcome::kUnknownNode);
}

TEST(DirectoryCommands, ANodeIsDrainedBeforeItIsGone) {
  Clerk clerk;
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1", NodeState::kDraining}).outcome, DirectoryOutcome::kLastOfDataCentre);
  ASSERT_EQ(clerk.Do(Fourth()).outcome, DirectoryOutcome::kDone);
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1", NodeState::kGone}).outcome, DirectoryOutcome::kWrongState);
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1", NodeState::kDraining}).outcome, DirectoryOutcome::kDone);
  uint64_t version = clerk.directory.version;
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1", NodeState::kDraining}).version, version) << "it is so already";
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1-b", NodeState::kDraining}).outcome,
            DirectoryOutcome::kLastOfDataCentre);
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1", NodeState::kActive}).outcome, DirectoryOutcome::kDone);
  EXPECT_EQ(clerk.StateOf("dc1"), NodeState::kActive);
  ASSERT_EQ(clerk.Do(PinShard{ShardId{1}, "dc1-b"}).outcome, DirectoryOutcome::kDone);
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1-b", NodeState::kDraining}).outcome, DirectoryOutcome::kDone);
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1-b", NodeState::kGone}).outcome, DirectoryOutcome::kDone);
  EXPECT_TRUE(clerk.directory.pins.empty());
  EXPECT_EQ(clerk.Do(SetNodeState{"dc1-b", NodeState::kActive}).outcome, DirectoryOutcome::kUnknownNode)
      << "gone is for ever";
  EXPECT_EQ(clerk.Do(Fourth()).number, ReplicaId{5}) << "the name is free again, the number is not";
}

TEST(DirectoryCommands, ADataCentreIsGivenUpOnlyWhereThatIsSaid) {
  Clerk clerk;
  for (const char* name : {"dc1", "dc2"}) {
    EXPECT_EQ(clerk.Do(SetNodeState{name, NodeState::kDraining, LastOfDataCentre::kAllow}).outcome,
              DirectoryOutcome::kDone);
  }
  EXPECT_EQ(clerk.Do(SetNodeState{"dc3", NodeState::kDraining, LastOfDataCentre::kAllow}).outcome,
            DirectoryOutcome::kLastOfDataCentre)
      << "somebody must hold the shards";
}

TEST(DirectoryCommands, ConditionalOnTheVersion) {
  Clerk clerk;
  ASSERT_EQ(clerk.Do(Fourth()).version, 1u);
  EXPECT_EQ(clerk.Do(PinShard{ShardId{1}, "dc1"}, "a", 2).outcome, DirectoryOutcome::kVersionMismatch);
  EXPECT_EQ(clerk.Do(PinShard{ShardId{1}, "dc1"}, "b", 1),
            (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{1}, 2}));
}

TEST(DirectoryCommands, OnePinForAShardInADataCentre) {
  Clerk clerk;
  ASSERT_EQ(clerk.Do(Fourth()).outcome, DirectoryOutcome::kDone);
  clerk.Do(PinShard{ShardId{7}, "dc2"});
  clerk.Do(PinShard{ShardId{3}, "dc1"});
  clerk.Do(PinShard{ShardId{3}, "dc1-b"});
  EXPECT_EQ(clerk.directory.pins, (std::vector<Pin>{{ShardId{3}, "dc1-b"}, {ShardId{7}, "dc2"}}));
  uint64_t version = clerk.directory.version;
  EXPECT_EQ(clerk.Do(PinShard{ShardId{3}, "dc1-b"}).version, version);
  EXPECT_EQ(clerk.Do(UnpinShard{ShardId{3}, "dc1"}).version, version) << "it is not pinned there";
  EXPECT_EQ(clerk.Do(UnpinShard{ShardId{3}, ""}).version, version + 1);
  EXPECT_EQ(clerk.Do(PinShard{ShardId{kShards}, "dc1"}).outcome, DirectoryOutcome::kUnknownShard);
  EXPECT_EQ(clerk.Do(PinShard{ShardId{1}, "dc7"}).outcome, DirectoryOutcome::kUnknownNode);
}

TEST(DirectoryCommands, TheGoneAreForgottenAtLastAndStayGone) {
  Clerk clerk;
  for (size_t i = 0; i < limits::kNodesGoneKept + 10; ++i) clerk.Do(ReplaceNode{.name = "dc2"});
  EXPECT_EQ(clerk.directory.nodes.size(), 3 + limits::kNodesGoneKept);
  EXPECT_TRUE(clerk.directory.IsGone(ReplicaId{2}));
  auto again = DecodeDirectory(EncodeDirectory(clerk.directory));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, clerk.directory);
}

std::vector<DirectoryCommand> OneOfEachKind() {
  return {{"r1", 0, AddNode{"dc1-b", "dc1", "h:1", "h:2"}},
          {"r2", 7, ReplaceNode{"dc1", "h:3", ""}},
          {"r3", 0, SetNodeState{"dc1", NodeState::kDraining, LastOfDataCentre::kAllow}},
          {"r4", 0, SetNodeAddresses{"dc1", "", "h:4"}},
          {"r5", 0, PinShard{ShardId{300}, "dc1"}},
          {"r6", 0, UnpinShard{ShardId{3}, ""}}};
}

TEST(DirectoryCommands, GoldenBytes) {
  std::vector<std::string> hex;
  for (const DirectoryCommand& command : OneOfEachKind())
    hex.push_back(ToHex(EncodeDirectoryCommand(command)));
  EXPECT_THAT(hex, ElementsAre("01027231000105"
                               "6463312d62"
                               "03646331"
                               "03683a31"
                               "03683a32",
                               "01027232070203646331"
                               "03683a33"
                               "00",
                               "010272330003036463310201",
                               "0102723400040364633100"
                               "03683a34",
                               "010272350005ac0203646331",
                               "01027236000603"
                               "00"));
}

TEST(DirectoryCommands, ReadsBackWhatItWroteAndNothingElse) {
  for (const DirectoryCommand& command : OneOfEachKind()) {
    std::string bytes = EncodeDirectoryCommand(command);
    auto again = DecodeDirectoryCommand(bytes);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, command);
    for (size_t i = 0; i < bytes.size(); ++i) EXPECT_FALSE(DecodeDirectoryCommand(bytes.substr(0, i)).ok());
    EXPECT_FALSE(DecodeDirectoryCommand(bytes + "x").ok());
  }
  EXPECT_FALSE(DecodeDirectoryCommand(EncodeDirectoryCommand({"", 0, PinShard{}})).ok()) << "no request";
}

TEST(Directory, GoldenBytesAndNothingUnsound) {
  Clerk clerk;
  clerk.Do(Fourth(), "add");
  clerk.Do(PinShard{ShardId{2}, "dc3"}, "pin");
  std::string bytes = EncodeDirectory(clerk.directory);
  EXPECT_EQ(ToHex(bytes),
            "01020504"
            "01000103646331036463310000000200010364633203646332000000030001036463330364633300000004000105"
            "6463312d6203646331"
            "0d31302e302e302e343a37323030"
            "0003616464"
            "010203646333");
  for (size_t i = 0; i < bytes.size(); ++i) EXPECT_FALSE(DecodeDirectory(bytes.substr(0, i)).ok());
  Directory unsound = clerk.directory;
  unsound.pins[0].node = "nobody";
  EXPECT_FALSE(DecodeDirectory(EncodeDirectory(unsound)).ok());
  unsound = clerk.directory;
  unsound.nodes[3].name = "dc1";
  EXPECT_FALSE(DecodeDirectory(EncodeDirectory(unsound)).ok()) << "a name twice";
  unsound = clerk.directory;
  unsound.next_number = 4;
  EXPECT_FALSE(DecodeDirectory(EncodeDirectory(unsound)).ok()) << "a number that was not given out";
  unsound = clerk.directory;
  std::swap(unsound.nodes[0], unsound.nodes[1]);
  EXPECT_FALSE(DecodeDirectory(EncodeDirectory(unsound)).ok());
}

// --- messages between nodes ---

std::vector<ClusterMessage> OneMessageOfEachKind() {
  Clerk clerk;
  clerk.Do(Fourth(), "add");
  DirectoryResult result{DirectoryOutcome::kDone, ReplicaId{4}, 1};
  return {HaveDirectory{7},
          AskDirectory{},
          DirectoryNews{clerk.directory},
          ProposeCommand{9, {"r1", 0, PinShard{ShardId{1}, "dc1"}}},
          CommandDone{9, result, clerk.directory},
          CommandDone{9, std::nullopt, {}},
          HostShard{ShardId{11}, 3}};
}

TEST(ClusterMessage, ReadsBackWhatItWroteAndNothingElse) {
  for (const ClusterMessage& message : OneMessageOfEachKind()) {
    std::string bytes = EncodeClusterMessage(message);
    auto again = DecodeClusterMessage(bytes);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, message);
    for (size_t i = 0; i < bytes.size(); ++i) EXPECT_FALSE(DecodeClusterMessage(bytes.substr(0, i)).ok());
    EXPECT_FALSE(DecodeClusterMessage(bytes + "x").ok());
  }
  EXPECT_EQ(ToHex(EncodeClusterMessage(HaveDirectory{7})), "010107");
  EXPECT_EQ(ToHex(EncodeClusterMessage(AskDirectory{})), "0102");
  EXPECT_EQ(ToHex(EncodeClusterMessage(HostShard{ShardId{11}, 3})), "01060b00000003");
}

// --- the machine ---

struct Shard0 {
  MemoryEngine engine;
  ClusterMachine machine{ThreeNodes(), kShards, engine};
  LogIndex last;

  void Apply(ClusterMachine& to, LogIndex index, const std::vector<DirectoryCommand>& commands) {
    std::vector<std::string> bytes;
    Envelope entry;
    for (const DirectoryCommand& command : commands) bytes.push_back(EncodeDirectoryCommand(command));
    for (const std::string& one : bytes) entry.commands.push_back({MachineId::kCluster, one});
    entry.commands.push_back({MachineId::kTxn, "of the ledger"});
    to.Apply(index, entry);
    while (engine.Pump()) {
    }
  }
  void Apply(const std::vector<DirectoryCommand>& commands) { Apply(machine, last = Next(last), commands); }
};

TEST(ClusterMachine, ACommandCountsOnceHoweverOftenItIsWritten) {
  Shard0 shard;
  int changes = 0;
  shard.machine.set_observer([&] { ++changes; });
  DirectoryCommand pin{"pin", 0, PinShard{ShardId{1}, "dc1"}};
  shard.Apply({pin, pin});
  shard.Apply({{"unpin", 0, UnpinShard{ShardId{1}, ""}}});
  shard.Apply({pin});
  EXPECT_TRUE(shard.machine.directory().pins.empty());
  EXPECT_EQ(shard.machine.directory().version, 2u);
  EXPECT_EQ(shard.machine.FindResult("pin"), (DirectoryResult{DirectoryOutcome::kDone, ReplicaId{1}, 1}));
  EXPECT_EQ(shard.machine.FindResult("another"), std::nullopt);
  EXPECT_EQ(changes, 2);
}

TEST(ClusterMachine, TheProposerReadsARefusal) {
  Shard0 shard;
  shard.Apply({{"bad", 0, PinShard{ShardId{1}, "nobody"}}});
  EXPECT_EQ(shard.machine.FindResult("bad")->outcome, DirectoryOutcome::kUnknownNode);
  EXPECT_EQ(shard.machine.directory(), ThreeNodes());
}

TEST(ClusterMachine, WhatCannotBeDecodedCountsAsNothing) {
  Shard0 shard;
  Envelope entry;
  entry.commands.push_back({MachineId::kCluster, "garbage"});
  shard.machine.Apply(LogIndex{1}, entry);
  EXPECT_EQ(shard.machine.directory(), ThreeNodes());
}

TEST(ClusterMachine, AReplayAppliesNothingTwiceWhereverItBegins) {
  Shard0 shard;
  std::vector<std::vector<DirectoryCommand>> log;
  for (int i = 0; i < 5; ++i) {
    log.push_back({{absl::StrCat("replace-", i), 0, ReplaceNode{.name = "dc2"}}});
    log.push_back({});
  }
  for (const auto& commands : log) shard.Apply(commands);
  Directory before = shard.machine.directory();
  EXPECT_EQ(before.next_number, 9u);
  // The ledger's checkpoint may be of any index: entries from the one after it come again.
  for (size_t from = 0; from <= log.size(); ++from) {
    ClusterMachine recovered(ThreeNodes(), kShards, shard.engine);
    ASSERT_TRUE(recovered.Recover().ok());
    for (size_t i = from; i < log.size(); ++i) shard.Apply(recovered, LogIndex{i + 1}, log[i]);
    EXPECT_EQ(recovered.directory(), before) << "from " << from;
    EXPECT_TRUE(recovered.FindResult("replace-3").has_value());
  }
}

TEST(ClusterMachine, OldResultsAreForgottenYetNumbersAreNotGivenOutTwice) {
  Shard0 shard;
  DirectoryCommand replace{"replace", 0, ReplaceNode{.name = "dc2"}};
  shard.Apply({replace});
  for (int i = 0; i < 100; ++i) shard.Apply({{absl::StrCat("pin-", i), 0, PinShard{ShardId{1}, "dc1"}}});
  EXPECT_EQ(shard.machine.FindResult("replace"), std::nullopt);
  shard.Apply({replace});
  EXPECT_EQ(shard.machine.FindResult("replace")->number, ReplicaId{4});
  EXPECT_EQ(shard.machine.directory().next_number, 5u);
}

TEST(ClusterMachine, ADamagedRowIsFound) {
  Shard0 shard;
  shard.Apply({{"pin", 0, PinShard{ShardId{1}, "dc1"}}});
  std::string key("\0\0\0\0\x40", 5);
  auto row = shard.engine.Get(Table::kState, key);
  ASSERT_TRUE(row.ok() && row->has_value());
  for (size_t i = 0; i < (*row)->size(); ++i) {
    std::string damaged = **row;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EngineBatch batch;
    batch.Add(EngineBatch::Put{Table::kState, key, damaged});
    shard.engine.Write(std::move(batch), Durability::kSync, [] {});
    ASSERT_TRUE(shard.engine.Pump());
    ClusterMachine recovered(ThreeNodes(), kShards, shard.engine);
    EXPECT_EQ(recovered.Recover().code(), absl::StatusCode::kDataLoss);
  }
}

// --- placement ---

/// `per` nodes in each of `data_centres`.
Directory Grid(int data_centres, int per) {
  Directory directory;
  for (int dc = 1; dc <= data_centres; ++dc) {
    for (int node = 0; node < per; ++node) {
      directory.nodes.push_back(
          NodeEntry{.number = ReplicaId{static_cast<uint16_t>(directory.next_number++)},
                    .name = absl::StrCat("dc", dc, "-", std::string(1, static_cast<char>('a' + node))),
                    .data_centre = absl::StrCat("dc", dc)});
    }
  }
  return directory;
}

TEST(NodePlacement, GoldenScores) {
  EXPECT_EQ(PlacementScore(ShardId{0}, "dc1-a"), 7110835025544368746u);
  EXPECT_EQ(PlacementScore(ShardId{7}, "dc1-a"), 15026219845149343147u);
  EXPECT_EQ(PlacementScore(ShardId{1023}, "dc3-b"), 4886243103640286294u);
}

TEST(NodePlacement, OneReplicaInEachDataCentreAndSpreadEvenly) {
  for (int per = 1; per <= 5; ++per) {
    Directory directory = Grid(3, per);
    std::map<ReplicaId, int> load;
    for (uint32_t shard = 0; shard < 1024; ++shard) {
      std::vector<ReplicaId> wanted = WantedMembers(directory, ShardId{shard});
      ASSERT_EQ(wanted.size(), 3u);
      std::set<std::string> data_centres;
      for (ReplicaId number : wanted) {
        data_centres.insert(directory.Find(number)->data_centre);
        ++load[number];
      }
      EXPECT_EQ(data_centres.size(), 3u);
    }
    ASSERT_EQ(load.size(), directory.nodes.size());
    for (auto [number, shards] : load) {
      EXPECT_NEAR(shards, 1024.0 / per, 4 * std::sqrt(1024.0 / per))
          << per << " nodes, number " << number.value;
    }
  }
}

TEST(NodePlacement, OnlyWhatMustMoveMoves) {
  Directory before = Grid(3, 4);
  Directory after = before;
  after.nodes[5].state = NodeState::kDraining;
  ReplicaId left = after.nodes[5].number;
  int moved = 0;
  for (uint32_t shard = 0; shard < 1024; ++shard) {
    std::vector<ReplicaId> was = WantedMembers(before, ShardId{shard});
    std::vector<ReplicaId> is = WantedMembers(after, ShardId{shard});
    EXPECT_FALSE(std::binary_search(is.begin(), is.end(), left));
    bool held = std::binary_search(was.begin(), was.end(), left);
    moved += held ? 1 : 0;
    if (!held) {
      EXPECT_EQ(was, is);
    }
  }
  EXPECT_NEAR(moved, 256, 64);
}

TEST(NodePlacement, AReplacementTakesTheSameShards) {
  Clerk clerk;
  clerk.directory = Grid(3, 3);
  Directory before = clerk.directory;
  ASSERT_EQ(clerk.Do(ReplaceNode{.name = "dc2-b"}).number, ReplicaId{10});
  for (uint32_t shard = 0; shard < 256; ++shard) {
    std::vector<ReplicaId> expected = WantedMembers(before, ShardId{shard});
    std::replace(expected.begin(), expected.end(), ReplicaId{5}, ReplicaId{10});
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(WantedMembers(clerk.directory, ShardId{shard}), expected);
  }
}

TEST(NodePlacement, APinDecidesWhileItsNodeIsActive) {
  Clerk clerk;
  clerk.directory = Grid(3, 3);
  for (const char* name : {"dc1-a", "dc1-b", "dc1-c"}) {
    clerk.Do(PinShard{ShardId{3}, name});
    std::vector<ReplicaId> wanted = WantedMembers(clerk.directory, ShardId{3});
    EXPECT_EQ(wanted.size(), 3u);
    EXPECT_TRUE(std::binary_search(wanted.begin(), wanted.end(), clerk.directory.FindName(name)->number));
  }
  std::vector<ReplicaId> unpinned = WantedMembers(Grid(3, 3), ShardId{3});
  clerk.Do(PinShard{ShardId{3}, "dc1-a"});
  clerk.Do(SetNodeState{"dc1-a", NodeState::kDraining});
  std::vector<ReplicaId> wanted = WantedMembers(clerk.directory, ShardId{3});
  EXPECT_FALSE(std::binary_search(wanted.begin(), wanted.end(), ReplicaId{1}));
  clerk.Do(UnpinShard{ShardId{3}, ""});
  clerk.Do(SetNodeState{"dc1-a", NodeState::kActive});
  EXPECT_EQ(WantedMembers(clerk.directory, ShardId{3}), unpinned);
}

}  // namespace
}  // namespace paxledger
