#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cluster/genesis.h"
#include "cluster/node_config.h"
#include "cluster/node_identity.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace paxledger {
namespace {

using testing::HasSubstr;

std::vector<Member> ThreeMembers() {
  return {{ReplicaId{0}, "dc1", "dc1", "127.0.0.1:7201"},
          {ReplicaId{0}, "dc2", "dc2", "127.0.0.1:7202"},
          {ReplicaId{0}, "dc3", "dc3", "127.0.0.1:7203"}};
}

Genesis TwoInEachOfThree() {
  std::vector<Member> members;
  for (int dc = 1; dc <= 3; ++dc) {
    for (char node : {'a', 'b'}) {
      members.push_back({ReplicaId{static_cast<uint16_t>(members.size() + 1)},
                         absl::StrCat("dc", dc, "-", std::string(1, node)), absl::StrCat("dc", dc),
                         absl::StrCat("127.0.0.1:", 7200 + members.size() + 1)});
    }
  }
  return Genesis{
      .cluster_id = "000102030405060708090a0b0c0d0e0f", .shards = 12, .members = std::move(members)};
}

Genesis Example() {
  Random random(7);
  auto genesis = CreateGenesis(12, ThreeMembers(), random);
  EXPECT_TRUE(genesis.ok()) << genesis.status();
  return *genesis;
}

std::string ReadError(const std::string& json) {
  return std::string(ParseGenesis(json, "genesis.json").status().message());
}

TEST(Genesis, NumbersReplicasAndReadsBackWhatItWrote) {
  Genesis genesis = Example();
  EXPECT_EQ(genesis.members[2].replica, ReplicaId{3});
  EXPECT_EQ(genesis.cluster_id.size(), 32u);
  auto again = ParseGenesis(FormatGenesis(genesis), "genesis.json");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, genesis);
}

TEST(Genesis, DigestDependsOnWhatTheClusterIsAndNotOnAddresses) {
  Genesis genesis = Example();
  Digest digest = GenesisDigest(genesis);
  Genesis moved = genesis;
  moved.members[0].peer_address = "10.0.0.1:9";
  EXPECT_EQ(GenesisDigest(moved), digest);
  Genesis other = genesis;
  other.shards = 13;
  EXPECT_NE(GenesisDigest(other), digest);
  other = genesis;
  other.cluster_id[0] = other.cluster_id[0] == 'a' ? 'b' : 'a';
  EXPECT_NE(GenesisDigest(other), digest);
  other = genesis;
  std::swap(other.members[0].data_centre, other.members[1].data_centre);
  EXPECT_NE(GenesisDigest(other), digest);
  other = TwoInEachOfThree();
  other.members[0].name = "another";
  EXPECT_NE(GenesisDigest(other), GenesisDigest(TwoInEachOfThree()));
}

TEST(Genesis, DigestOfFormatOneIsGolden) {
  Genesis genesis{.cluster_id = "000102030405060708090a0b0c0d0e0f", .shards = 12, .members = ThreeMembers()};
  for (uint16_t i = 0; i < 3; ++i) genesis.members[i].replica = ReplicaId{static_cast<uint16_t>(i + 1)};
  EXPECT_EQ(GenesisDigest(genesis).hex(), "15925d57c0b88631e02d75f457dfb4259cfd6650607c7f4e54a3958927be71dc");
}

TEST(Genesis, SeveralNodesInADataCentreAreFormatTwo) {
  Genesis genesis = TwoInEachOfThree();
  std::string json = FormatGenesis(genesis);
  EXPECT_THAT(json, HasSubstr("\"format_version\": 2"));
  auto again = ParseGenesis(json, "genesis.json");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, genesis);
  EXPECT_EQ(again->FindNode("dc2-b")->replica, ReplicaId{4});
  EXPECT_EQ(again->InDataCentre("dc3").size(), 2u);
  EXPECT_EQ(GenesisDigest(genesis).hex(), "cf77042cc7070f9d7fc26c70abb6d77f0878610129f20c17e44abf4db544b705");
  EXPECT_THAT(ReadError(absl::StrReplaceAll(json, {{"\"dc2-b\"", "\"dc2-a\""}})), HasSubstr("nodes[3].name"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(json, {{"\"number\": 6", "\"number\": 7"}})),
              HasSubstr("nodes[5].number"));
}

TEST(Genesis, EachShardBeginsWithOneNodeOfEachDataCentre) {
  std::vector<std::vector<ReplicaId>> placement = CreationPlacement(TwoInEachOfThree());
  ASSERT_EQ(placement.size(), 12u);
  for (const std::vector<ReplicaId>& members : placement) {
    ASSERT_EQ(members.size(), 3u);
    for (size_t dc = 0; dc < 3; ++dc) EXPECT_EQ((members[dc].value - 1) / 2, dc);
  }
  for (const std::vector<ReplicaId>& members : CreationPlacement(Example())) {
    EXPECT_EQ(members, (std::vector{ReplicaId{1}, ReplicaId{2}, ReplicaId{3}}));
  }
}

TEST(Genesis, SaysOfEachShardHowItIsRouted) {
  EXPECT_EQ(CreationRouting(Example()), std::vector<ShardRouting>(12));
  Genesis genesis = Example();
  Digest before = GenesisDigest(genesis);
  genesis.mode = ShardMode::kPrimary;
  genesis.shard_modes[3] = {ShardMode::kLeaderless, ReplicaId{}};
  genesis.shard_modes[4] = {ShardMode::kPrimary, ReplicaId{3}};
  EXPECT_EQ(GenesisDigest(genesis), before) << "routing changes no promise (consensus.md rule 15)";
  auto again = ParseGenesis(FormatGenesis(genesis), "genesis.json");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, genesis);
  std::vector<ShardRouting> routing = CreationRouting(*again);
  EXPECT_EQ(routing[0], (ShardRouting{ShardMode::kPrimary, ReplicaId{1}})) << "the members take turns";
  EXPECT_EQ(routing[1], (ShardRouting{ShardMode::kPrimary, ReplicaId{2}}));
  EXPECT_EQ(routing[3].mode, ShardMode::kLeaderless);
  EXPECT_EQ(routing[4], (ShardRouting{ShardMode::kPrimary, ReplicaId{3}}));
}

TEST(Genesis, RefusesModesThatSayNothing) {
  Genesis genesis = Example();
  genesis.mode = ShardMode::kPrimary;
  genesis.shard_modes[4] = {ShardMode::kPrimary, ReplicaId{3}};
  const std::string good = FormatGenesis(genesis);
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"primary\": 3", "\"primary\": 9"}})),
              HasSubstr("shard_modes[0].primary: must be a member"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"shard\": 4", "\"shard\": 12"}})),
              HasSubstr("shard_modes[0].shard: there are only 12"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"mode\": \"primary\"", "\"mode\": \"leader\""}})),
              HasSubstr("mode: must be leaderless or primary"));
}

TEST(Genesis, ErrorsNameTheKey) {
  const std::string good = FormatGenesis(Example());
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"shards\"", "\"shardz\""}})),
              HasSubstr("genesis.json: no such key: \"shardz\""));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"shards\": 12", "\"shards\": \"many\""}})),
              HasSubstr("(shards)"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"shards\": 12", "\"shards\": 5000"}})),
              HasSubstr("shards: must be"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"dc2\"", "\"dc1\""}})),
              HasSubstr("data_centres[1].name"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"127.0.0.1:7203", "127.0.0.1"}})),
              HasSubstr("data_centres[2].peer_address"));
  EXPECT_THAT(ReadError(absl::StrReplaceAll(good, {{"\"replica_id\": 3", "\"replica_id\": 4"}})),
              HasSubstr("data_centres[2].replica_id"));
  EXPECT_THAT(ReadError("{"), HasSubstr("genesis.json: "));
}

TEST(Genesis, RefusesANewerFormat) {
  std::string newer =
      absl::StrReplaceAll(FormatGenesis(Example()), {{"\"format_version\": 1", "\"format_version\": 3"}});
  EXPECT_EQ(ParseGenesis(newer, "g").status().code(), absl::StatusCode::kFailedPrecondition);
}

class NodeConfigFile : public testing::Test {
 protected:
  NodeConfigFile()
      : folder_(std::filesystem::temp_directory_path() / ("node_config_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    Write("genesis.json", FormatGenesis(Example()));
  }
  ~NodeConfigFile() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }
  absl::StatusOr<NodeSetup> Load(const std::string& json) {
    Write("node.json", json);
    return LoadNodeSetup(folder_ + "/node.json");
  }
  std::string Error(const std::string& json) { return std::string(Load(json).status().message()); }

  std::string folder_;  // absolute
  const std::string good_ = R"({
    "genesis": "genesis.json", "data_centre": "dc2", "data_dir": "data",
    "https": {"listen": "127.0.0.1:7102", "certificate": "c.pem", "private_key": "/keys/k.pem"},
    "peers": {"certificate": "c.pem", "private_key": "k.pem", "ca": "ca.pem"},
    "api_keys": [{"name": "dev", "sha256": "00000000000000000000000000000000000000000000000000000000000000ff",
                  "scopes": ["*"]}],
    "log_level": "debug"
  })";
};

TEST_F(NodeConfigFile, ResolvesPathsAndDefaults) {
  auto setup = Load(good_);
  ASSERT_TRUE(setup.ok()) << setup.status();
  EXPECT_EQ(setup->self.replica, ReplicaId{2});
  EXPECT_EQ(setup->config.data_dir, folder_ + "/data");
  EXPECT_EQ(setup->config.https.private_key_path, "/keys/k.pem");
  EXPECT_EQ(setup->config.https.port, 7102);
  EXPECT_EQ(setup->config.peers.port, 7202);  // from the genesis document
  EXPECT_EQ(setup->config.memory_budget_bytes, size_t{96} << 20);
  EXPECT_EQ(setup->config.api_keys[0].sha256.bytes[31], 0xff);
  EXPECT_EQ(setup->config.log_level, LogLevel::kDebug);
}

TEST_F(NodeConfigFile, NodesAreNamedWhereADataCentreHasSeveral) {
  Write("genesis.json", FormatGenesis(TwoInEachOfThree()));
  EXPECT_THAT(Error(good_), HasSubstr("node: data centre dc2 has several nodes"));
  auto setup = Load(absl::StrReplaceAll(good_, {{"\"data_centre\": \"dc2\"", "\"node\": \"dc2-b\""}}));
  ASSERT_TRUE(setup.ok()) << setup.status();
  EXPECT_EQ(setup->self.replica, ReplicaId{4});
  EXPECT_EQ(setup->self.data_centre, "dc2");
  EXPECT_THAT(
      Error(absl::StrReplaceAll(good_, {{"\"data_centre\"", "\"node\": \"dc3-a\", \"data_centre\""}})),
      HasSubstr("data_centre: dc3-a is in dc3"));
}

TEST_F(NodeConfigFile, ANodeThatJoinsStandsInNoCreationDocument) {
  std::string joiner =
      absl::StrReplaceAll(good_, {{"\"dc2\"", "\"dc4\", \"node\": \"dc4-a\""},
                                  {"\"peers\": {", "\"peers\": {\"listen\": \"127.0.0.1:7204\", "}});
  auto setup = Load(joiner);
  ASSERT_TRUE(setup.ok()) << setup.status();
  EXPECT_EQ(setup->self, (Member{ReplicaId{0}, "dc4-a", "dc4", ""}));
  EXPECT_THAT(Error(absl::StrReplaceAll(joiner, {{"\"listen\": \"127.0.0.1:7204\", ", ""}})),
              HasSubstr("peers.listen"));
}

TEST_F(NodeConfigFile, AnIdentityIsReadBackAndADamagedOneIsFound) {
  std::string data = folder_ + "/identity";
  auto none = ReadNodeIdentity(data);
  ASSERT_TRUE(none.ok() && !none->has_value()) << none.status();
  for (NodeIdentity identity : {NodeIdentity{"00ff", "dc1-b", "", ReplicaId{9}},
                                NodeIdentity{"00ff", "dc1-b", "wish", ReplicaId{0}}}) {
    ASSERT_TRUE(WriteNodeIdentity(data, identity).ok());
    auto read = ReadNodeIdentity(data);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, identity);
  }
  EXPECT_FALSE(HoldsDatabase(data));
  Write("identity/NODE", "something else\n");
  EXPECT_EQ(ReadNodeIdentity(data).status().code(), absl::StatusCode::kDataLoss);
  Write("identity/NODE", "paxledger-node 1\ncluster 00ff\nname dc1-b\nnumber 70000\n");
  EXPECT_EQ(ReadNodeIdentity(data).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(NodeConfigFile, ErrorsNameTheKey) {
  auto with = [&](const std::string& from, const std::string& to) {
    return Error(absl::StrReplaceAll(good_, {{from, to}}));
  };
  EXPECT_THAT(with("\"listen\"", "\"listn\""), HasSubstr("no such key: \"https.listn\""));
  EXPECT_THAT(with("\"dc2\"", "\"dc9\""), HasSubstr("data_centre: \"dc9\" is not in"));
  EXPECT_THAT(with("127.0.0.1:7102", "7102"), HasSubstr("https.listen"));
  EXPECT_THAT(with("\"ca.pem\"", "\"\""), HasSubstr("peers.ca: must be there"));
  EXPECT_THAT(with("00ff\"", "00f\""), HasSubstr("api_keys[0].sha256"));
  EXPECT_THAT(with("\"debug\"", "\"loud\""), HasSubstr("log_level"));
  EXPECT_THAT(with("\"log_level\": \"debug\"", "\"memory_budget_mib\": 1"), HasSubstr("memory_budget_mib"));
  EXPECT_EQ(Load(absl::StrReplaceAll(good_, {{"\"genesis.json\"", "\"no.json\""}})).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace paxledger
