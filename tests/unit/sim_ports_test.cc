#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "replication/store/packed_rows.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_engine.h"

namespace paxledger::sim {
namespace {

EngineBatch PutOne(const std::string& key, const std::string& value) {
  EngineBatch batch;
  batch.Add(EngineBatch::Put{Table::kState, key, value});
  return batch;
}

TEST(SimEngine, ACrashLosesASuffixOfUnsyncedBatchesAndNothingElse) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Scheduler scheduler;
    SimExecutor strand(scheduler, 1);
    SimDisk disk;
    Random random(seed);
    SimEngine engine(scheduler, strand, disk, DiskProfile{}, seed);
    int synced = 0;
    for (int i = 0; i < 30; ++i) {
      Durability durability = random.Chance(1, 3) ? Durability::kSync : Durability::kLazy;
      engine.Write(PutOne("last", std::to_string(i)), Durability::kLazy, [] {});
      engine.Write(PutOne("row" + std::to_string(i), "x"), durability, [&synced, i, durability] {
        if (durability == Durability::kSync) synced = i + 1;
      });
      scheduler.RunUntil(scheduler.now_us() + random.Between(0, 1'500));
    }
    engine.Crash(random);
    const Rows& rows = disk.rows(Table::kState);
    int kept = 0;
    while (rows.contains("row" + std::to_string(kept))) ++kept;
    EXPECT_GE(kept, synced) << "a synced batch is lost";
    for (int i = kept; i < 30; ++i)
      EXPECT_FALSE(rows.contains("row" + std::to_string(i))) << "a hole in the order";
    // The row that each batch wrote over stands as the last kept batch left it.
    if (kept > 0) {
      int last = std::stoi(rows.at("last"));
      EXPECT_TRUE(last == kept - 1 || last == kept) << last << " after " << kept;
    }
  }
}

TEST(SimEngine, BatchesAreReadableInOrderOnceDone) {
  Scheduler scheduler;
  SimExecutor strand(scheduler, 1);
  SimDisk disk;
  SimEngine engine(scheduler, strand, disk, DiskProfile{}, 1);
  std::vector<int> done;
  engine.Write(PutOne("a", "1"), Durability::kLazy, [&] { done.push_back(1); });
  engine.Write(PutOne("a", "2"), Durability::kSync, [&] { done.push_back(2); });
  EXPECT_FALSE((*engine.Get(Table::kState, "a")).has_value());
  scheduler.RunUntil(1'000'000);
  EXPECT_EQ(done, (std::vector<int>{1, 2}));
  EXPECT_EQ(*engine.Get(Table::kState, "a"), std::optional<std::string>("2"));
}

TEST(SimEngine, ACursorShowsTheRowsAsTheyStoodWhenItWasMade) {
  Scheduler scheduler;
  SimExecutor strand(scheduler, 1);
  SimDisk disk;
  SimEngine engine(scheduler, strand, disk, DiskProfile{}, 1);
  for (const char* key : {"a", "b", "c"}) engine.Write(PutOne(key, "old"), Durability::kSync, [] {});
  scheduler.RunUntil(1'000'000);
  std::unique_ptr<EngineCursor> cursor = engine.Scan(Table::kState, "a", "c");
  cursor->Next();
  engine.Write(PutOne("b", "new"), Durability::kSync, [] {});
  scheduler.RunUntil(2'000'000);
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "b");
  EXPECT_EQ(cursor->value(), "old");
  cursor->Next();
  EXPECT_FALSE(cursor->valid());
}

TEST(SimEngine, ASnapshotReadsInPagesWhatStoodWhenItWasMade) {
  Scheduler scheduler;
  SimExecutor strand(scheduler, 1);
  SimDisk disk;
  SimEngine engine(scheduler, strand, disk, DiskProfile{}, 1);
  for (const char* key : {"a", "c", "e"}) engine.Write(PutOne(key, "old"), Durability::kSync, [] {});
  scheduler.RunUntil(100'000);
  std::unique_ptr<EngineSnapshot> snapshot = engine.Snapshot();
  EngineBatch changes;
  changes.Add(EngineBatch::Put{Table::kState, "b", "new"});
  changes.Add(EngineBatch::Put{Table::kState, "c", "new"});
  changes.Add(EngineBatch::Delete{Table::kState, "e"});
  engine.Write(std::move(changes), Durability::kSync, [] {});
  scheduler.RunUntil(200'000);
  std::string seen;
  std::string from = "a";
  while (!from.empty()) {
    bool told = false;
    snapshot->Read(Table::kState, from, "z", 1, [&](absl::StatusOr<EnginePage> page) {
      ASSERT_TRUE(page.ok());
      PackedRowReader rows(page->rows);
      while (rows.Next()) seen += std::string(rows.key()) + "=" + std::string(rows.value()) + " ";
      from = page->next;
      told = true;
    });
    EXPECT_FALSE(told) << "never inside the call";
    scheduler.RunUntil(scheduler.now_us() + 100'000);
    ASSERT_TRUE(told);
  }
  EXPECT_EQ(seen, "a=old c=old e=old ");
  EXPECT_EQ(*snapshot->Get(Table::kState, "c"), std::optional<std::string>("old"));
  EXPECT_EQ(*snapshot->Get(Table::kState, "b"), std::nullopt);
  EXPECT_EQ(*engine.Get(Table::kState, "c"), std::optional<std::string>("new"));
}

TEST(Scheduler, EventsOfOneMomentRunInTheOrderTheyWereMade) {
  Scheduler scheduler;
  SimExecutor strand(scheduler, 1);
  std::vector<int> order;
  strand.After(absl::Milliseconds(2), [&] { order.push_back(3); });
  strand.Post([&] {
    order.push_back(1);
    strand.Post([&] { order.push_back(2); });
  });
  TimerId cancelled = strand.After(absl::Milliseconds(1), [&] { order.push_back(99); });
  strand.Cancel(cancelled);
  scheduler.RunUntil(10'000);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Scheduler, APausedStrandCatchesUpInOrderAndADeadOneNever) {
  Scheduler scheduler;
  SimExecutor strand(scheduler, 1);
  std::vector<int> order;
  strand.Pause();
  strand.Post([&] { order.push_back(1); });
  strand.Post([&] { order.push_back(2); });
  scheduler.RunUntil(1'000);
  EXPECT_TRUE(order.empty());
  strand.Resume();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  strand.Kill();
  strand.Post([&] { order.push_back(3); });
  scheduler.RunUntil(2'000);
  EXPECT_EQ(order.size(), 2U);
}

}  // namespace
}  // namespace paxledger::sim
