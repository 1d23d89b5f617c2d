// The data models over the engine port: 2-D table and FIFO queue.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "replication/store/fifo_queue.h"
#include "replication/store/table_2d.h"
#include "tests/unit/memory_engine.h"

namespace paxledger {
namespace {

void Checkpoint(Table2d& table, MemoryEngine& engine) {
  std::vector<EngineRow> rows;
  table.Freeze(&rows);
  engine.Ingest(Table::kTables, std::move(rows), [&] { table.RowsWritten(); });
  engine.PumpAll();
}

std::string First(const Table2d& table, std::string_view row, uint64_t column, LogIndex as_of) {
  absl::StatusOr<std::optional<Table2d::Cell>> cell = table.FirstAtOrAfter(row, column, as_of);
  if (!cell.ok()) return cell.status().ToString();
  return cell->has_value() ? std::to_string((*cell)->column) + "=" + (*cell)->value : "none";
}

TEST(Table2d, FindsTheFirstCellOfTheRowAtOrAfterAColumn) {
  MemoryEngine engine;
  Table2d table("p", engine);
  // Rows of which one begins with another, and such as hold the bytes that end a row.
  const std::vector<std::string> rows = {std::string("a"),     std::string("a\0", 2), std::string("a\0b", 3),
                                         std::string("a\xff"), std::string(),         std::string("\0", 1)};
  for (const std::string& row : rows) {
    table.Put(row, 10, LogIndex{1}, "x");
    table.Put(row, 30, LogIndex{2}, "y");
  }
  for (int round = 0; round < 3; ++round) {
    for (const std::string& row : rows) {
      EXPECT_EQ(First(table, row, 0, LogIndex{9}), "10=x");
      EXPECT_EQ(First(table, row, 10, LogIndex{9}), "10=x");
      EXPECT_EQ(First(table, row, 11, LogIndex{9}), "30=y");
      EXPECT_EQ(First(table, row, 31, LogIndex{9}), "none");
      EXPECT_EQ(First(table, row, 0, LogIndex{1}), "10=x");
      EXPECT_EQ(First(table, row, 11, LogIndex{1}), "none") << "it was made later";
    }
    EXPECT_EQ(First(table, "b", 0, LogIndex{9}), "none");
    if (round == 0) Checkpoint(table, engine);
    if (round == 1) table.Put("z", 1, LogIndex{3}, "z");
  }
}

TEST(Table2d, MergesMemoryAndRowsAndIgnoresWhatACrashLeft) {
  MemoryEngine engine;
  auto table = std::make_unique<Table2d>("p", engine);
  table->Put("r", 10, LogIndex{1}, "a");
  Checkpoint(*table, engine);
  table->Put("r", 20, LogIndex{5}, "b");
  std::vector<EngineRow> rows;
  table->Freeze(&rows);
  engine.Ingest(Table::kTables, std::move(rows), nullptr);
  engine.PumpAll();
  table->Put("r", 15, LogIndex{6}, "c");
  EXPECT_EQ(First(*table, "r", 11, LogIndex{6}), "15=c");
  EXPECT_EQ(First(*table, "r", 16, LogIndex{6}), "20=b");
  // The checkpoint at 5 is lost, its rows are not; a replay makes them again.
  engine.Crash();
  table = std::make_unique<Table2d>("p", engine);
  EXPECT_EQ(First(*table, "r", 11, LogIndex{1}), "none");
  table->Put("r", 20, LogIndex{5}, "b");
  EXPECT_EQ(First(*table, "r", 11, LogIndex{5}), "20=b");
}

TEST(Table2d, DamagedCellIsDataLoss) {
  MemoryEngine engine;
  Table2d table("p", engine);
  table.Put("r", 1, LogIndex{1}, "a");
  Checkpoint(table, engine);
  engine.rows(Table::kTables).begin()->second[0] = '\x7f';
  EXPECT_EQ(table.FirstAtOrAfter("r", 0, LogIndex{1}).status().code(), absl::StatusCode::kDataLoss);
}

std::vector<std::string> Items(const FifoQueue& queue, QueuePosition from, size_t limit) {
  std::vector<std::string> texts;
  absl::StatusOr<std::vector<QueueItem>> items = queue.Read(from, limit);
  if (!items.ok()) return {std::string(items.status().message())};
  for (const QueueItem& item : *items) {
    texts.push_back(std::to_string(item.at.batch.value) + "." + std::to_string(item.at.item) + ":" +
                    item.bytes);
  }
  return texts;
}

TEST(FifoQueue, ReadsFromAnyPositionOverMemoryAndRows) {
  MemoryEngine engine;
  FifoQueue queue("q", 100, engine);
  EXPECT_EQ(Items(queue, queue.head(), 10), (std::vector<std::string>{}));
  queue.Append(LogIndex{3}, {"a", "b"});
  queue.Append(LogIndex{7}, {"c"});
  const std::vector<std::string> all = {"3.0:a", "3.1:b", "7.0:c", "9.0:d"};
  for (int round = 0; round < 3; ++round) {
    if (round == 1) queue.Append(LogIndex{9}, {"d"});
    std::vector<std::string> expected(all.begin(), all.begin() + (round == 0 ? 3 : 4));
    EXPECT_EQ(Items(queue, queue.head(), 10), expected);
    EXPECT_EQ(Items(queue, {LogIndex{3}, 1}, 2), (std::vector<std::string>{"3.1:b", "7.0:c"}));
    EXPECT_EQ(Items(queue, {LogIndex{3}, 2}, 1), (std::vector<std::string>{"7.0:c"})) << "between items";
    EXPECT_EQ(Items(queue, queue.tail(), 1), (std::vector<std::string>{}));
    if (round < 2) {
      EngineBatch batch;
      queue.AppendRows(&batch);
      engine.Write(std::move(batch), Durability::kSync, nullptr);
      if (round == 0) EXPECT_EQ(Items(queue, queue.head(), 10), expected) << "while it is written";
      engine.PumpAll();
      if (round == 0) EXPECT_EQ(Items(queue, queue.head(), 10), expected) << "rows and memory hold the same";
      queue.RowsWritten();
    }
  }
  EXPECT_EQ(queue.appended(), 4u);
}

// Random appends, reads and checkpoints against a list; now and then a crash, after which what no checkpoint holds is appended
// again as a replay does.
TEST(FifoQueue, KilledAtAnyStepItIsTheSameList) {
  constexpr uint64_t kKept = 128;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    MemoryEngine engine;
    auto queue = std::make_unique<FifoQueue>("q", kKept, engine);
    std::map<QueuePosition, std::string> list;
    std::vector<std::pair<LogIndex, std::vector<std::string>>> journal;
    LogIndex next{1}, written{0}, writing{0};
    for (int step = 0; step < 400; ++step) {
      std::vector<std::string> items;
      for (uint64_t n = 1 + random.Below(4); n > 0; --n) items.push_back(std::to_string(random.Below(1000)));
      for (uint32_t i = 0; i < items.size(); ++i) list[{next, i}] = items[i];
      queue->Append(next, items);
      journal.push_back({next, items});
      next = LogIndex{next.value + 1 + random.Below(3)};
      if (writing == written && random.Chance(1, 5)) {
        EngineBatch batch;
        queue->AppendRows(&batch);
        writing = journal.back().first;
        engine.Write(std::move(batch), Durability::kSync, [&] {
          queue->RowsWritten();
          written = writing;
        });
      }
      if (random.Chance(1, 2)) engine.Pump();
      if (random.Chance(1, 25)) {
        engine.Crash();
        writing = written;
        queue = std::make_unique<FifoQueue>("q", kKept, engine);
        ASSERT_TRUE(queue->Recover().ok());
        for (const auto& [index, again] : journal) {
          if (index > written) queue->Append(index, again);
        }
      }
      ASSERT_EQ(queue->appended(), list.size());
      auto oldest = list.lower_bound(queue->head());
      auto kept = static_cast<uint64_t>(std::distance(oldest, list.end()));
      ASSERT_GE(kept, std::min<uint64_t>(kKept, list.size()));
      ASSERT_LE(kept, kKept + kKept / 4 + 100) << "the head is trimmed";
      QueuePosition from{LogIndex{1 + random.Below(next.value)}, static_cast<uint32_t>(random.Below(4))};
      absl::StatusOr<std::vector<QueueItem>> read = queue->Read(from, 10);
      if (from < queue->head()) {
        ASSERT_EQ(read.status().code(), absl::StatusCode::kOutOfRange);
        continue;
      }
      ASSERT_TRUE(read.ok());
      auto expected = list.lower_bound(from);
      for (const QueueItem& item : *read) {
        ASSERT_NE(expected, list.end());
        ASSERT_EQ(item.at, expected->first);
        ASSERT_EQ(item.bytes, expected->second);
        ++expected;
      }
      ASSERT_TRUE(read->size() == 10 || expected == list.end());
    }
  }
}

}  // namespace
}  // namespace paxledger
