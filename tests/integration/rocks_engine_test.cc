#include "replication/store/rocks_engine.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/asio_executor.h"
#include "base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/store/packed_rows.h"

namespace paxledger {
namespace {

namespace fs = std::filesystem;

class RocksEngineTest : public testing::Test {
 protected:
  RocksEngineTest() : root_(fs::temp_directory_path() / absl::StrCat("rocks_engine_test.", ::getpid())) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~RocksEngineTest() override {
    engine_.reset();
    fs::remove_all(root_);
  }

  std::string Directory() const { return (root_ / "data").string(); }

  absl::Status TryOpen(size_t budget = size_t{96} << 20) {
    RocksEngineOptions options{.path = Directory(), .memory_budget_bytes = budget};
    options.min_free_bytes = kMinFree;
    options.measure = [this](const std::string&) -> absl::StatusOr<DiskSpace> {
      return DiskSpace{free_bytes_, free_inodes_};
    };
    absl::StatusOr<std::unique_ptr<RocksEngine>> opened =
        RocksEngine::Open(std::move(options), executor_, metrics_);
    if (opened.ok()) engine_ = *std::move(opened);
    return opened.status();
  }

  void RunUntil(const std::function<bool()>& done) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done() && std::chrono::steady_clock::now() < deadline)
      context_.run_one_for(std::chrono::milliseconds(50));
    ASSERT_TRUE(done());
  }

  void PutSynced(Table table, std::string key, std::string value) {
    bool done = false;
    EngineBatch batch;
    batch.Add(EngineBatch::Put{table, std::move(key), std::move(value)});
    engine_->Write(std::move(batch), Durability::kSync, [&] { done = true; });
    RunUntil([&] { return done; });
  }

  /// The only write-ahead log that holds anything.
  fs::path WriteAheadLog() const {
    fs::path largest;
    for (const auto& entry : fs::directory_iterator(Directory() + "/db")) {
      if (entry.path().extension() != ".log") continue;
      if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
    }
    return largest;
  }

  std::optional<std::string> Read(Table table, std::string_view key) {
    absl::StatusOr<std::optional<std::string>> row = engine_->Get(table, key);
    EXPECT_TRUE(row.ok()) << row.status();
    return row.ok() ? *row : std::nullopt;
  }

  static constexpr uint64_t kMinFree = uint64_t{64} << 20;
  std::atomic<uint64_t> free_bytes_{uint64_t{1} << 40};
  std::atomic<uint64_t> free_inodes_{1'000'000};
  fs::path root_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{context_.get_executor()};
  AsioExecutor executor_{context_};
  Metrics metrics_;
  std::unique_ptr<RocksEngine> engine_;
};

TEST_F(RocksEngineTest, WritesGatherIntoFewSyncsAndAreConfirmedInOrder) {
  ASSERT_TRUE(TryOpen().ok());
  constexpr int kWrites = 3000;
  std::vector<int> confirmed;
  for (int i = 0; i < kWrites; ++i) {
    EngineBatch batch;
    batch.Add(EngineBatch::Put{Table::kLog, absl::StrCat("k", i), std::string(200, 'v')});
    engine_->Write(std::move(batch), Durability::kSync, [&confirmed, i] { confirmed.push_back(i); });
  }
  RunUntil([&] { return confirmed.size() == kWrites; });
  EXPECT_TRUE(std::is_sorted(confirmed.begin(), confirmed.end()));
  EXPECT_LT(metrics_.counter("paxledger_engine_syncs_total").value(), kWrites / 10);
  EXPECT_EQ(metrics_.counter("paxledger_engine_batches_total").value(), kWrites);
}

TEST_F(RocksEngineTest, LazyWritesAreReadableWhenConfirmedWithoutASync) {
  ASSERT_TRUE(TryOpen().ok());
  bool done = false;
  EngineBatch batch;
  batch.Add(EngineBatch::Put{Table::kMeta, "a", "1"});
  engine_->Write(std::move(batch), Durability::kLazy, [&] { done = true; });
  EXPECT_FALSE(done);
  RunUntil([&] { return done; });
  EXPECT_EQ(Read(Table::kMeta, "a"), "1");
  EXPECT_EQ(metrics_.counter("paxledger_engine_syncs_total").value(), 0u);
  done = false;
  engine_->Write(EngineBatch(), Durability::kSync, [&] { done = true; });
  RunUntil([&] { return done; });
  EXPECT_EQ(metrics_.counter("paxledger_engine_syncs_total").value(), 1u);
}

TEST_F(RocksEngineTest, KeepsRowsAcrossAReopenAndDeletesWhatABatchDeletes) {
  ASSERT_TRUE(TryOpen().ok());
  for (const char* key : {"a", "b", "c", "d", "e"})
    PutSynced(Table::kState, key, absl::StrCat("value ", key));
  PutSynced(Table::kLog, "big", std::string(100'000, 'x'));
  EngineBatch batch;
  batch.Add(EngineBatch::Delete{Table::kState, "a"});
  batch.Add(EngineBatch::DeleteRange{Table::kState, "c", "e"});
  engine_->Write(std::move(batch), Durability::kLazy, nullptr);
  engine_.reset();  // carries out what is queued

  ASSERT_TRUE(TryOpen().ok());
  std::vector<std::string> keys;
  std::unique_ptr<EngineCursor> cursor = engine_->Scan(Table::kState, "", "");
  for (; cursor->valid(); cursor->Next()) keys.emplace_back(cursor->key());
  EXPECT_TRUE(cursor->status().ok());
  EXPECT_THAT(keys, testing::ElementsAre("b", "e"));
  EXPECT_EQ(Read(Table::kLog, "big"), std::string(100'000, 'x'));
  cursor.reset();
}

TEST_F(RocksEngineTest, ScanStopsBeforeItsEnd) {
  ASSERT_TRUE(TryOpen().ok());
  for (const char* key : {"a", "b", "c"}) PutSynced(Table::kQueues, key, key);
  std::vector<std::string> values;
  std::unique_ptr<EngineCursor> cursor = engine_->Scan(Table::kQueues, "b", "c");
  for (; cursor->valid(); cursor->Next()) values.emplace_back(cursor->value());
  EXPECT_THAT(values, testing::ElementsAre("b"));
}

TEST_F(RocksEngineTest, IngestedRowsAreReadableWhenConfirmedAndSurvive) {
  ASSERT_TRUE(TryOpen().ok());
  int done = 0;
  for (int file = 0; file < 3; ++file) {
    std::vector<EngineRow> rows;
    for (int i = 0; i < 1000; ++i)
      rows.push_back({absl::StrCat(10000 + i * 3 + file), absl::StrCat("v", file)});
    engine_->Ingest(Table::kTables, std::move(rows), [&] { ++done; });
  }
  engine_->Ingest(Table::kTables, {}, [&] { ++done; });
  RunUntil([&] { return done == 4; });
  EXPECT_EQ(Read(Table::kTables, "10001"), "v1");
  engine_.reset();
  std::ofstream(Directory() + "/ingest/9.sst") << "left by a crash";
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_FALSE(fs::exists(Directory() + "/ingest/9.sst"));
  EXPECT_EQ(Read(Table::kTables, "10002"), "v2");
  EXPECT_EQ(Read(Table::kTables, "0"), std::nullopt);
}

TEST_F(RocksEngineTest, ASnapshotReadsInPagesWhatStoodWhenItWasMade) {
  ASSERT_TRUE(TryOpen().ok());
  for (int i = 0; i < 100; ++i) {
    PutSynced(Table::kLog, absl::StrCat("k", 100 + i), std::string(i % 2 == 0 ? 10 : 5000, 'v'));
  }
  std::unique_ptr<EngineSnapshot> snapshot = engine_->Snapshot();
  PutSynced(Table::kLog, "k150", "new");
  int rows_seen = 0;
  int pages = 0;
  std::string from = "k";
  while (!from.empty()) {
    bool told = false;
    snapshot->Read(Table::kLog, from, "l", 20'000, [&](absl::StatusOr<EnginePage> page) {
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_LT(page->rows.size(), 26'000u);
      PackedRowReader rows(page->rows);
      for (; rows.Next(); ++rows_seen) EXPECT_EQ(rows.key(), absl::StrCat("k", 100 + rows_seen));
      EXPECT_TRUE(rows.ok());
      from = page->next;
      ++pages;
      told = true;
    });
    RunUntil([&] { return told; });
  }
  EXPECT_EQ(rows_seen, 100);
  EXPECT_GT(pages, 10);
  EXPECT_EQ(*snapshot->Get(Table::kLog, "k150"), std::optional<std::string>(std::string(10, 'v')));
  EXPECT_EQ(Read(Table::kLog, "k150"), "new");
}

// The family's memtable is flushed before each ingestion (RocksEngine, FlushMemtable).
TEST_F(RocksEngineTest, FilesAreIngestedAndCompactedBetweenRowsThatAreWritten) {
  ASSERT_TRUE(TryOpen().ok());
  constexpr int kFiles = 100;
  constexpr int kRows = 5'000;
  int done = 0;
  for (int i = 0; i < kFiles; ++i) {
    // Beside the files, so that RocksDB does not flush it for their sake; they overlap each other, so they come to level 0.
    PutSynced(Table::kState, absl::StrCat("written-", i), "w");
    std::vector<EngineRow> rows;
    for (int row = 0; row < kRows; ++row) {
      rows.push_back({absl::StrCat("file-", 100'000 + row, "-", i),
                      std::string(200, static_cast<char>('a' + row % 26))});
    }
    engine_->Ingest(Table::kState, std::move(rows), [&] { ++done; });
  }
  RunUntil([&] { return done == kFiles; });
  engine_.reset();  // flushes
  ASSERT_TRUE(TryOpen().ok());
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(Read(Table::kState, absl::StrCat("written-", i)), "w");
    EXPECT_TRUE(Read(Table::kState, absl::StrCat("file-100000-", i)).has_value());
  }
}

TEST_F(RocksEngineTest, PackedRowsAreMadeAwayFromTheStrandAndIngestedUnlessThatFails) {
  ASSERT_TRUE(TryOpen().ok());
  std::optional<absl::Status> done;
  auto make = [here = std::this_thread::get_id()]() -> absl::StatusOr<PackedPieces> {
    EXPECT_NE(std::this_thread::get_id(), here);
    PackedPieces pieces(2);
    AppendPackedRow(&pieces[0], "a", "1");
    AppendPackedRow(&pieces[0], "b", std::string(3000, 'x'));
    AppendPackedRow(&pieces[1], "c", "3");
    return pieces;
  };
  engine_->IngestPacked(Table::kLog, make, [&](absl::Status status) { done = status; });
  RunUntil([&] { return done.has_value(); });
  EXPECT_TRUE(done->ok()) << *done;
  EXPECT_EQ(Read(Table::kLog, "b"), std::string(3000, 'x'));
  EXPECT_EQ(Read(Table::kLog, "c"), "3");
  done.reset();
  engine_->IngestPacked(
      Table::kLog, [] { return absl::StatusOr<PackedPieces>(absl::DataLossError("not what it should be")); },
      [&](absl::Status status) { done = status; });
  RunUntil([&] { return done.has_value(); });
  EXPECT_EQ(done->code(), absl::StatusCode::kDataLoss);
}

TEST_F(RocksEngineTest, ASecondOwnerOfTheDirectoryIsRefused) {
  ASSERT_TRUE(TryOpen().ok());
  absl::StatusOr<std::unique_ptr<RocksEngine>> second =
      RocksEngine::Open({.path = Directory()}, executor_, metrics_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("in use by another process"));
}

TEST_F(RocksEngineTest, ANewerOrDamagedFormatIsRefused) {
  ASSERT_TRUE(TryOpen().ok());
  engine_.reset();
  std::ofstream(Directory() + "/FORMAT") << "paxledger-data 99\n";
  absl::Status newer = TryOpen();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(newer.message()), testing::HasSubstr("format 99"));
  std::ofstream(Directory() + "/FORMAT") << "nonsense";
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
  fs::remove(Directory() + "/FORMAT");
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RocksEngineTest, MemoryAndWriteAheadLogStayInTheirBounds) {
  constexpr size_t kBudget = size_t{24} << 20;
  ASSERT_TRUE(TryOpen(kBudget).ok());
  size_t confirmed = 0;
  size_t highest = 0;
  constexpr size_t kWrites = 3000;
  for (size_t i = 0; i < kWrites; ++i) {
    EngineBatch batch;
    Table table = static_cast<Table>(i % kTableCount);
    batch.Add(EngineBatch::Put{table, absl::StrCat("key", i * 7919 % 100003), std::string(50'000, 'm')});
    engine_->Write(std::move(batch), Durability::kLazy, [&] { ++confirmed; });
    RunUntil([&] { return confirmed + 50 > i; });
    highest = std::max(highest, engine_->MemoryBytes());
  }
  RunUntil([&] { return confirmed == kWrites; });
  EXPECT_LT(highest, kBudget + kBudget / 2);  // what is being flushed counts too
  size_t log_bytes = 0;
  for (const auto& entry : fs::directory_iterator(Directory() + "/db")) {
    if (entry.path().extension() == ".log") log_bytes += entry.file_size();
  }
  EXPECT_LT(log_bytes, size_t{96} << 20);
}

/// Rule 19 of consensus.md: damage is refused or harmless, wherever it is.
TEST_F(RocksEngineTest, DamageToTheWriteAheadLogNeverLosesSyncedRowsInSilence) {
  ASSERT_TRUE(TryOpen().ok());
  constexpr int kRows = 400;
  size_t record = 0;  // bytes of each in the log
  for (int i = 0; i < kRows; ++i) {
    size_t before = fs::file_size(WriteAheadLog());
    PutSynced(Table::kLog, absl::StrCat("k", 1000 + i), std::string(150, 'v'));
    record = fs::file_size(WriteAheadLog()) - before;
  }
  engine_.reset();
  fs::path pristine = root_ / "pristine";
  fs::copy(Directory(), pristine, fs::copy_options::recursive);
  fs::path log = WriteAheadLog();
  size_t size = fs::file_size(log);
  ASSERT_GT(size, size_t{65536});
  struct Damage {
    size_t at;
    size_t bytes;
    char mask;  // flipped bits; 0 = zeros over all of it
  };
  std::vector<Damage> damages;
  for (size_t at = 3; at < size; at += size / 23) damages.push_back({at, 1, 0x40});
  // Headers in the last block, of the last record too, where damage looks most like a torn tail.
  for (size_t header : {size - 5 * record, size - record}) {
    for (size_t at = header; at < header + 10; ++at) {
      for (char mask : {'\x01', '\x04', '\x40'}) damages.push_back({at, 1, mask});
    }
  }
  for (size_t page = 0; page + 4096 < size; page += 4096) damages.push_back({page, 4096, 0});
  int refused = 0;
  for (const Damage& damage : damages) {
    fs::remove_all(Directory());
    fs::copy(pristine, Directory(), fs::copy_options::recursive);
    {
      std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
      std::string bytes(damage.bytes, 0);
      file.seekg(static_cast<std::streamoff>(damage.at));
      file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      for (char& byte : bytes) byte = damage.mask == 0 ? char{0} : static_cast<char>(byte ^ damage.mask);
      file.seekp(static_cast<std::streamoff>(damage.at));
      file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
    absl::Status opened = TryOpen();
    if (!opened.ok()) {
      EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << opened;
      ++refused;
      continue;
    }
    for (int i = 0; i < kRows; ++i) {
      ASSERT_TRUE(Read(Table::kLog, absl::StrCat("k", 1000 + i)).has_value())
          << "row " << i << " lost in silence after damage at " << damage.at << " of " << size;
    }
    engine_.reset();
  }
  EXPECT_GT(refused, 90);
}

TEST_F(RocksEngineTest, ATornTailIsDroppedAndTheRowsBeforeItKept) {
  ASSERT_TRUE(TryOpen().ok());
  for (int i = 0; i < 50; ++i) PutSynced(Table::kLog, absl::StrCat("k", 1000 + i), std::string(150, 'v'));
  engine_.reset();
  fs::path log = WriteAheadLog();
  fs::resize_file(log, fs::file_size(log) - 60);
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_EQ(Read(Table::kLog, "k1048"), std::string(150, 'v'));
  EXPECT_EQ(Read(Table::kLog, "k1049"), std::nullopt);
}

// The process that is killed below: this program again, since RocksDB's threads do not survive a fork.
TEST_F(RocksEngineTest, WithoutRoomNothingIsWrittenUntilItReturnsAndReadsGoOn) {
  for (std::atomic<uint64_t>* scarce : {&free_bytes_, &free_inodes_}) {
    ASSERT_TRUE(TryOpen().ok());
    PutSynced(Table::kState, "a", "1");
    uint64_t plenty = scarce->exchange(scarce == &free_bytes_ ? kMinFree - 1 : DiskRoom::kInodesMin - 1);
    RunUntil([&] { return engine_->pressure().no_room; });
    uint64_t groups = metrics_.counter("paxledger_engine_groups_total").value();
    int done = 0;
    EngineBatch batch;
    batch.Add(EngineBatch::Put{Table::kState, "a", "2"});
    engine_->Write(std::move(batch), Durability::kSync, [&] { ++done; });
    engine_->Ingest(Table::kTables, {{"k", "v"}}, [&] { ++done; });
    context_.run_for(std::chrono::milliseconds(600));
    EXPECT_EQ(done, 0);
    EXPECT_EQ(Read(Table::kState, "a"), "1");
    EXPECT_EQ(metrics_.counter("paxledger_engine_groups_total").value(), groups);
    EXPECT_EQ(metrics_.gauge("paxledger_disk_full").value(), 1);
    if (scarce == &free_bytes_) {
      free_bytes_ = kMinFree + 1;  // hardly enough is not enough yet
      context_.run_for(std::chrono::milliseconds(600));
      EXPECT_EQ(done, 0);
    }
    scarce->store(plenty);
    RunUntil([&] { return done == 2; });
    EXPECT_EQ(Read(Table::kState, "a"), "2");
    EXPECT_FALSE(engine_->pressure().no_room);
    engine_.reset();
  }
}

TEST_F(RocksEngineTest, WhatWaitsForRoomIsLostAtTheEndAsIfItHadNeverBeenAskedFor) {
  ASSERT_TRUE(TryOpen().ok());
  PutSynced(Table::kState, "a", "1");
  free_bytes_ = kMinFree - 1;
  RunUntil([&] { return engine_->pressure().no_room; });
  bool done = false;
  EngineBatch batch;
  batch.Add(EngineBatch::Put{Table::kState, "a", "2"});
  engine_->Write(std::move(batch), Durability::kSync, [&] { done = true; });
  engine_.reset();
  EXPECT_FALSE(done);
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kResourceExhausted);  // no start without room
  free_bytes_ = uint64_t{1} << 40;
  ASSERT_TRUE(TryOpen().ok());
  EXPECT_EQ(Read(Table::kState, "a"), "1");
}

TEST_F(RocksEngineTest, SaysWhenWhatWaitsHasReachedItsBound) {
  ASSERT_TRUE(TryOpen().ok());
  free_bytes_ = kMinFree - 1;
  RunUntil([&] { return engine_->pressure().no_room; });
  int done = 0;
  constexpr size_t kValue = size_t{1} << 20;
  for (size_t i = 0; i * kValue < limits::kDiskQueueBytesMax; ++i) {
    EXPECT_FALSE(engine_->pressure().backlogged);
    EngineBatch batch;
    batch.Add(EngineBatch::Put{Table::kLog, absl::StrCat("k", i), std::string(kValue, 'v')});
    engine_->Write(std::move(batch), Durability::kSync, [&] { ++done; });
  }
  EXPECT_TRUE(engine_->pressure().backlogged);
  free_bytes_ = uint64_t{1} << 40;
  RunUntil([&] { return done == static_cast<int>(limits::kDiskQueueBytesMax / kValue); });
  EXPECT_FALSE(engine_->pressure().backlogged);
  EXPECT_EQ(metrics_.gauge("paxledger_engine_queued_bytes").value(), 0);
}

TEST_F(RocksEngineTest, TheBallastIsGivenUpWhereSpaceFallsOnAndMadeAgain) {
  ASSERT_TRUE(TryOpen().ok());
  fs::path ballast = Directory() + "/BALLAST";
  EXPECT_EQ(fs::file_size(ballast), kMinFree / 8);
  free_bytes_ = kMinFree - 1;
  RunUntil([&] { return engine_->pressure().no_room; });
  EXPECT_TRUE(fs::exists(ballast));
  free_bytes_ = kMinFree / 2 - 1;
  RunUntil([&] { return !fs::exists(ballast); });
  free_bytes_ = uint64_t{1} << 40;
  RunUntil([&] { return !engine_->pressure().no_room; });
  EXPECT_EQ(fs::file_size(ballast), kMinFree / 8);
}

TEST(RocksEngineChild, DISABLED_WritesUntilKilled) {
  const char* directory = std::getenv("ROCKS_ENGINE_DIRECTORY");
  const char* name = std::getenv("ROCKS_ENGINE_ROUND");
  ASSERT_TRUE(directory != nullptr && name != nullptr);
  boost::asio::io_context context;
  auto guard = boost::asio::make_work_guard(context);
  AsioExecutor executor(context);
  Metrics metrics;
  auto engine =
      RocksEngine::Open({.path = directory, .memory_budget_bytes = size_t{12} << 20}, executor, metrics);
  ASSERT_TRUE(engine.ok()) << engine.status();
  std::function<void(int)> put = [&](int i) {
    EngineBatch batch;
    batch.Add(EngineBatch::Put{Table::kLog, absl::StrCat(name, "/", i), std::string(20'000, 'v')});
    (*engine)->Write(std::move(batch), Durability::kSync, [&put, i] {
      if (::write(STDOUT_FILENO, &i, sizeof(i)) != sizeof(i)) ::_exit(1);
      put(i + 8);
    });
  };
  // Standard output carries confirmations only, from here on.
  int marker = -1;
  ASSERT_EQ(::write(STDOUT_FILENO, &marker, sizeof(marker)), static_cast<ssize_t>(sizeof(marker)));
  for (int i = 0; i < 8; ++i) put(i);
  context.run();
}

TEST_F(RocksEngineTest, AKilledProcessLosesNothingThatWasConfirmedAsSynced) {
  for (int round = 0; round < 5; ++round) {
    int confirmations[2];
    ASSERT_EQ(::pipe(confirmations), 0);
    ::setenv("ROCKS_ENGINE_DIRECTORY", Directory().c_str(), 1);
    ::setenv("ROCKS_ENGINE_ROUND", absl::StrCat(round).c_str(), 1);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::dup2(confirmations[1], STDOUT_FILENO);
      ::close(confirmations[0]);
      ::close(confirmations[1]);
      ::execl("/proc/self/exe", "rocks_engine_child", "--gtest_filter=RocksEngineChild.*",
              "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(127);
    }
    ::close(confirmations[1]);
    // Reads beside the child, lest the pipe fill and stop it.
    std::string said;
    std::thread reader([&said, fd = confirmations[0]] {
      char chunk[4096];
      for (ssize_t n; (n = ::read(fd, chunk, sizeof(chunk))) > 0;) said.append(chunk, static_cast<size_t>(n));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1000 + 150 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    reader.join();
    ::close(confirmations[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << said;
    size_t at = said.find("\xff\xff\xff\xff");  // what the test runner printed stands before the marker
    ASSERT_NE(at, std::string::npos) << said;
    ASSERT_TRUE(TryOpen().ok());
    int count = 0;
    for (at += sizeof(int); at + sizeof(int) <= said.size(); at += sizeof(int), ++count) {
      int i = 0;
      std::memcpy(&i, said.data() + at, sizeof(i));
      ASSERT_TRUE(Read(Table::kLog, absl::StrCat(round, "/", i)).has_value()) << round << "/" << i;
    }
    EXPECT_GT(count, 0);
    engine_.reset();
  }
}

TEST_F(RocksEngineTest, LongValuesOfTheLogGoToBlobFilesAndTheDiskUseSaysSo) {
  ASSERT_TRUE(TryOpen(size_t{12} << 20).ok());
  std::string value;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&value, i * 7919 % 100'003);
  // More than the memtables hold, so that some are flushed.
  for (int i = 0; i < 200; ++i) PutSynced(Table::kLog, absl::StrCat("k", 1000 + i), absl::StrCat(i, value));
  PutSynced(Table::kMeta, "chosen", "200");
  engine_.reset();
  ASSERT_TRUE(TryOpen(size_t{12} << 20).ok());
  DiskUse use = engine_->disk_use();
  EXPECT_GT(use.tables[static_cast<size_t>(Table::kLog)].blobs, value.size());
  EXPECT_LT(use.tables[static_cast<size_t>(Table::kLog)].rows, value.size());
  EXPECT_LT(use.tables[static_cast<size_t>(Table::kLog)].blobs, 200 * value.size()) << "they are compressed";
  EXPECT_EQ(use.tables[static_cast<size_t>(Table::kState)].rows, 0u);
  EXPECT_GE(use.total(), use.tables[static_cast<size_t>(Table::kLog)].blobs);
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(Read(Table::kLog, absl::StrCat("k", 1000 + i)), absl::StrCat(i, value));
}

}  // namespace
}  // namespace paxledger
