// Checkpoints: a state that was written, lost and replayed is the state that was never lost.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "ledger/encoding.h"
#include "tests/unit/test_shard.h"

namespace paxledger {
namespace {

constexpr uint32_t kShards = 2;
constexpr ShardId kHere{0};

// Commands as they might come in any order, also ones that make no sense.
class RandomCommands {
 public:
  explicit RandomCommands(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 6; ++i) here_.push_back(AccountOn(kHere, kShards, "h" + std::to_string(i) + "-"));
    for (int i = 0; i < 3; ++i)
      there_.push_back(AccountOn(ShardId{1}, kShards, "t" + std::to_string(i) + "-"));
  }
  TxnCommand Next() {
    if (random_.Chance(1, 20))
      return Open(here_[random_.Below(here_.size())], random_.Chance(1, 3) ? Unlimited() : Limited());
    // Few ids, two bodies each: attempts, replays and conflicts are common.
    Transaction body = Body(random_.Below(60), random_.Below(8) == 0 ? 1u : 0u);
    uint32_t attempt = 1 + static_cast<uint32_t>(random_.Below(3));
    bool single = Participants(body, kShards).size() == 1;
    switch (random_.Below(4)) {
      case 0:
        return Resolve(body, kShards, attempt);
      case 1: {
        auto kind = static_cast<DecisionKind>(1 + random_.Below(4));
        return Finish(body, kind, LogTime{1 + static_cast<int64_t>(random_.Below(100'000))}, attempt);
      }
      default:
        if (single) return Execute(body, attempt);
        return Prepare(body, kShards, attempt);
    }
  }
  std::vector<TxnCommand> Entry() {
    std::vector<TxnCommand> commands;
    for (uint64_t n = random_.Below(6); n > 0; --n) commands.push_back(Next());
    return commands;
  }

 private:
  Transaction Body(uint64_t id, uint64_t variant) {
    Random r(id * 2 + variant);
    auto pick = [&](const std::vector<std::string>& from) { return from[r.Below(from.size())]; };
    bool far = r.Chance(2, 3);
    std::string debit = pick(here_);
    std::string credit = far ? pick(there_) : pick(here_);
    if (r.Chance(1, 2)) std::swap(debit, credit);
    return Pay(PlacedTransactionId("id" + std::to_string(id), ShardId{static_cast<uint32_t>(id % 2)}), debit,
               credit, 1 + r.Below(20));
  }
  Random random_;
  std::vector<std::string> here_, there_;
};

void ExpectSame(TestShard& a, TestShard& b) {
  ASSERT_EQ(a.machine->applied(), b.machine->applied());
  EXPECT_EQ(a.machine->digests().state, b.machine->digests().state) << "at " << a.machine->applied().value;
  EXPECT_EQ(a.machine->digests().journal, b.machine->digests().journal);
  EXPECT_EQ(a.machine->clock(), b.machine->clock());
  EXPECT_EQ(a.machine->in_doubt(), b.machine->in_doubt());
}

TEST(Checkpoint, RestartReadsWhatWasWritten) {
  TestShard shard;
  shard.Apply({Open("a", Limited()), Open("w", Unlimited())});
  shard.Say(Execute(Pay("t", "w", "a", 5)));
  DigestsAtIndex before = shard.machine->digests();
  shard.CheckpointNow();
  shard.Crash();
  EXPECT_EQ(shard.machine->applied(), before.index);
  EXPECT_EQ(shard.machine->digests().state, before.state);
  EXPECT_EQ(shard.machine->digests().journal, before.journal);
  EXPECT_EQ(shard.machine->DigestsAt(before.index)->state, before.state);
  EXPECT_EQ(shard.machine->DigestsAt(LogIndex{1}), std::nullopt);
  EXPECT_TRUE(shard.machine->FindAccount({"main", "a"})->totals.credits_posted == 5);
  EXPECT_EQ(shard.Say(Execute(Pay("t", "w", "a", 5))).kind, VoteKind::kFinished);
  EXPECT_TRUE(shard.machine->FindAccount({"main", "a"})->totals.credits_posted == 5);
}

// The crash that skips money if the index of ids is read without regard to what made a row.
TEST(Checkpoint, IdsIngestedForALostCheckpointAreNotSeen) {
  TestShard shard;
  shard.Apply({Open("a", Limited()), Open("w", Unlimited())});
  shard.Say(Execute(Pay("t", "w", "a", 5)));
  shard.machine->Checkpoint([] { FAIL() << "it never completes"; });
  ASSERT_TRUE(shard.engine.Pump());
  EXPECT_EQ(shard.engine.rows(Table::kTables).size(), 2u)
      << "the id and what was posted are there, the accounts are not";
  DigestsAtIndex before = shard.machine->digests();
  shard.Crash();
  EXPECT_EQ(shard.machine->applied(), LogIndex{0});
  shard.Replay();
  EXPECT_EQ(shard.machine->digests().state, before.state);
  EXPECT_TRUE(shard.machine->FindAccount({"main", "a"})->totals.credits_posted == 5);
}

TEST(Checkpoint, VersionBeforeALostCheckpointIsStillThere) {
  constexpr ShardId kOther{1};
  TestShard shard(kHere, kShards);
  std::string a = AccountOn(kHere, kShards, "a");
  Transaction body = Pay(PlacedTransactionId("t", kHere), a, AccountOn(kOther, kShards, "b"), 1);
  shard.Apply({Open(a, Unlimited())});
  shard.Say(Prepare(body, kShards));
  shard.Say(Finish(body, DecisionKind::kAborted));
  shard.CheckpointNow();
  shard.Say(Prepare(body, kShards, 2));
  shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{5}, 2));
  shard.machine->Checkpoint([] {});
  ASSERT_TRUE(shard.engine.Pump());
  Digest before = shard.machine->digests().state;
  shard.Crash();
  EXPECT_EQ(shard.machine->FindVote(TryOf(body))->finished.kind, DecisionKind::kAborted);
  EXPECT_EQ(shard.machine->FindVote(TryOf(body, 2)), std::nullopt);
  shard.Replay();
  EXPECT_EQ(shard.machine->digests().state, before);
}

TEST(Checkpoint, EachRequestIsAnsweredByOneThatBeganAfterIt) {
  TestShard shard;
  shard.Apply({Open("a", Limited())});
  int done = 0;
  shard.machine->Checkpoint([&] { ++done; });
  shard.Apply({Open("b", Limited())});
  shard.machine->Checkpoint([&] { ++done; });
  EXPECT_EQ(done, 0);
  shard.engine.PumpAll();
  EXPECT_EQ(done, 2);
  shard.Crash();
  EXPECT_EQ(shard.machine->applied(), LogIndex{2});
}

TEST(Checkpoint, MachineMayGoBeforeItIsDone) {
  TestShard shard;
  shard.Apply({Open("a", Limited()), Open("w", Unlimited())});
  shard.Say(Execute(Pay("t", "w", "a", 5)));
  shard.machine->Checkpoint([] { FAIL(); });
  shard.machine.reset();
  shard.engine.PumpAll();
}

TEST(Checkpoint, DamagedRowIsDataLoss) {
  TestShard shard;
  shard.Apply({Open("a", Limited())});
  shard.CheckpointNow();
  for (auto& [key, value] : shard.engine.rows(Table::kState)) {
    if (key[4] == 1) value.pop_back();
  }
  ShardMachine machine({ShardId{0}, 1, "cluster"}, shard.engine, shard);
  EXPECT_EQ(machine.Recover().code(), absl::StatusCode::kDataLoss);
}

// The state digest as docs/formats.md defines it, from the rows of a checkpoint with nothing in doubt.
Digest DigestOfRows(TestShard& shard) {
  MultisetDigest digest("cluster");
  auto add = [&](uint8_t kind, std::string_view row_key, std::string_view bytes) {
    std::string element;
    ByteWriter out(&element);
    out.U8(kind);
    out.Bytes(row_key.substr(5));
    out.Raw(bytes);
    digest.Add(digest.Element(element));
  };
  for (const auto& [key, value] : shard.engine.rows(Table::kState)) {
    if (key[4] != 2) continue;
    ByteReader row(value);  // the account; its chain of postings is in no digest
    ReadAccount(row);
    add(1, key, std::string_view(value).substr(0, value.size() - row.remaining()));
  }
  for (const auto& [key, value] : shard.engine.rows(Table::kTables)) {
    if (key[4] != 1) continue;
    ByteReader row(value);
    row.U8();
    ByteReader current(row.Bytes());
    current.Varint();
    uint64_t records = current.Varint();
    EXPECT_EQ(records, 1u);
    add(3, key, current.Raw(current.remaining()));
  }
  return digest.value();
}

TEST(Checkpoint, StateDigestIsThatOfTheRows) {
  TestShard shard(kHere, kShards);
  std::string a = AccountOn(kHere, kShards, "a");
  Transaction body = Pay(PlacedTransactionId("t", kHere), a, AccountOn(ShardId{1}, kShards, "b"), 1);
  shard.Apply({Open(a, Unlimited())});
  for (uint32_t attempt = 1; attempt <= 3; ++attempt) {
    shard.Say(Prepare(body, kShards, attempt));
    bool last = attempt == 3;
    shard.Say(Finish(body, last ? DecisionKind::kCommitted : DecisionKind::kAborted, LogTime{last ? 5 : 0},
                     attempt));
    if (attempt == 2) shard.CheckpointNow();
    EXPECT_EQ(shard.machine->in_doubt(), 0u);
  }
  shard.CheckpointNow();
  EXPECT_EQ(shard.machine->digests().state, DigestOfRows(shard));
}

// Random entries; one shard never restarts, another has small caches, checkpoints often, and is killed at any
// step.
TEST(Checkpoint, KilledAtAnyStepItBecomesTheSame) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    RandomCommands commands(seed);
    TestShard steady(kHere, kShards);
    TestShard killed(kHere, kShards, 10, 2);
    for (int i = 0; i < 250; ++i) {
      std::vector<TxnCommand> entry = commands.Entry();
      auto stamp = static_cast<int64_t>(random.Below(1'000'000));
      steady.Apply(entry, stamp);
      killed.Apply(entry, stamp);
      if (random.Chance(1, 2)) killed.engine.Pump();
      if (random.Chance(1, 12)) {
        killed.Crash();
        killed.Replay();
      }
      ExpectSame(steady, killed);
      if (testing::Test::HasFailure()) return;
    }
    killed.engine.PumpAll();
    std::vector<AccountRow> rows = steady.machine->ListAccounts("main", "", "", 100);
    std::vector<AccountRow> others = killed.machine->ListAccounts("main", "", "", 100);
    ASSERT_EQ(rows.size(), others.size());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].account.totals, others[i].account.totals);
  }
}

}  // namespace
}  // namespace paxledger
