#include "replication/store/rocks_engine.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/system_clock.h"
#include "replication/store/data_directory.h"
#include "replication/store/packed_rows.h"
#include "replication/store/rocks_options.h"
#include "replication/store/rocks_reader.h"
#include "replication/store/write_ahead_check.h"
#include "rocksdb/db.h"
#include "rocksdb/listener.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/transaction_log.h"
#include "rocksdb/write_batch.h"

namespace paxledger {
namespace {

using Done = absl::AnyInvocable<void()>;

constexpr size_t kGroupBytesMax = size_t{16} << 20;
constexpr int64_t kMemorySampleMicros = 1'000'000;
constexpr std::chrono::milliseconds kLookEvery{250};

size_t BytesOf(const EngineBatch& batch) {
  size_t bytes = 0;
  for (const EngineBatch::Change& change : batch.changes()) {
    bytes += std::visit(
        [](const auto& c) -> size_t {
          using Kind = std::decay_t<decltype(c)>;
          if constexpr (std::is_same_v<Kind, EngineBatch::Put>) {
            return c.key.size() + c.value.size();
          } else if constexpr (std::is_same_v<Kind, EngineBatch::Delete>) {
            return c.key.size();
          } else {
            return c.begin.size() + c.end.size();
          }
        },
        change);
  }
  return bytes;
}
constexpr int64_t kDiskSampleMicros = 5'000'000;

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }

/// Ends the process: what is on disk after a failed write or sync is unknown, so it may be neither reported
/// nor retried (consensus.md rule 2).
class StopOnError : public rocksdb::EventListener {
 public:
  explicit StopOnError(std::function<void(DiskFailure)> stop) : stop_(std::move(stop)) {}
  [[noreturn]] void Stop(std::string_view what, const rocksdb::Status& status) const {
    {
      Log(LogLevel::kError, "engine", "storage failed, the process stops")
          .With("doing", what)
          .With("error", status.ToString());
    }
    bool no_room = absl::IsResourceExhausted(ToStatus(ToAbsl(what), status));
    stop_(no_room ? DiskFailure::kNoRoom : DiskFailure::kDevice);
    std::abort();
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    Stop("background work", *status);
  }

 private:
  std::function<void(DiskFailure)> stop_;
};

/// A queue with one consumer thread, which takes all that is there at once.
template <class T>
class GatheringQueue {
 public:
  void Add(T item) {
    bool wake;
    {
      std::lock_guard lock(mutex_);
      wake = items_.empty();
      items_.push_back(std::move(item));
    }
    if (wake) wake_.notify_one();
  }
  /// Waits for items, not for ever; false: closed and drained.
  bool TakeAll(std::vector<T>* out) {
    out->clear();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kLookEvery, [this] { return closed_ || !items_.empty(); });
    out->swap(items_);
    return !closed_ || !out->empty();
  }
  /// Waits a while; true: closed meanwhile.
  bool ClosedSoon() {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, kLookEvery, [this] { return closed_; });
  }
  void Close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    wake_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<T> items_;  // guarded by mutex_
  bool closed_ = false;   // guarded by mutex_
};

}  // namespace

class RocksEngine::State {
 public:
  State(std::unique_ptr<DataDirectory> directory, RocksEngineOptions options, Executor& executor,
        Metrics& metrics)
      : directory_(std::move(directory)),
        setup_(MakeRocksSetup(options.memory_budget_bytes)),
        on_error_(std::make_shared<StopOnError>(std::move(options.stop))),
        room_options_{directory_->path(), options.min_free_bytes, std::move(options.measure)},
        executor_(executor),
        metrics_(metrics),
        syncs_(metrics.counter("paxledger_engine_syncs_total")),
        groups_(metrics.counter("paxledger_engine_groups_total")),
        batches_(metrics.counter("paxledger_engine_batches_total")),
        bytes_(metrics.counter("paxledger_engine_bytes_total")),
        queued_gauge_(metrics.gauge("paxledger_engine_queued_bytes")),
        backlogged_gauge_(metrics.gauge("paxledger_engine_backlogged")),
        ingested_rows_(metrics.counter("paxledger_engine_ingested_rows_total")),
        memory_(metrics.gauge("paxledger_engine_memory_bytes")),
        sync_latency_(metrics.latency("paxledger_engine_sync_seconds")),
        write_ahead_bytes_(metrics.gauge("paxledger_disk_bytes{table=\"write_ahead\",part=\"log\"}")) {
    for (int i = 0; i < kTableCount; ++i) {
      absl::string_view name = ToAbsl(TableName(static_cast<Table>(i)));
      auto gauge = [&](absl::string_view part) {
        return &metrics.gauge(absl::StrCat("paxledger_disk_bytes{table=\"", name, "\",part=\"", part, "\"}"));
      };
      disk_bytes_[static_cast<size_t>(i)] = {gauge("rows"), gauge("blobs")};
    }
    setup_.database.listeners.push_back(on_error_);
  }

  ~State() {
    writes_.Close();
    ingests_.Close();
    if (writer_.joinable()) writer_.join();
    if (ingester_.joinable()) ingester_.join();
    reader_.reset();
    if (db_ == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    rocksdb::Status closed = db_->Close();
    if (!closed.ok()) Log(LogLevel::kError, "engine", "close failed").With("error", closed.ToString());
  }

  absl::Status Start() {
    absl::StatusOr<std::unique_ptr<DiskRoom>> room = DiskRoom::Open(room_options_, metrics_);
    if (!room.ok()) return room.status();
    room_ = *std::move(room);
    absl::Status undamaged = CheckWriteAheadLogs(directory_->database());
    if (!undamaged.ok()) return undamaged;
    rocksdb::DB* db = nullptr;
    rocksdb::Status status =
        rocksdb::DB::Open(setup_.database, directory_->database(), setup_.families, &handles_, &db);
    if (!status.ok()) return ToStatus(absl::StrCat("cannot open ", directory_->database()), status);
    db_.reset(db);
    reader_ = std::make_unique<RocksReader>(*db_, handles_, executor_);
    SampleDisk();
    writer_ = std::thread([this] { WriteLoop(); });
    ingester_ = std::thread([this] { IngestLoop(); });
    return absl::OkStatus();
  }

  struct PendingWrite {
    EngineBatch batch;
    size_t bytes;
    Durability durability;
    Done done;
  };
  struct PendingIngest {
    Table table;
    size_t bytes;  // as far as they are known
    absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  void Add(EngineBatch batch, Durability durability, Done done) {
    size_t bytes = BytesOf(batch);
    Queued(bytes);
    writes_.Add({std::move(batch), bytes, durability, std::move(done)});
  }
  void Add(PendingIngest ingest) {
    Queued(ingest.bytes);
    ingests_.Add(std::move(ingest));
  }
  EnginePressure pressure() const {
    return {!room_->has_room(), backlogged_.load(std::memory_order_relaxed)};
  }
  RocksReader& reader() { return *reader_; }
  size_t memory_bytes() const { return setup_.cache->GetUsage(); }
  DiskUse disk_use() const {
    DiskUse use;
    for (size_t i = 0; i < disk_bytes_.size(); ++i) {
      use.tables[i].rows = static_cast<uint64_t>(disk_bytes_[i].rows->value());
      use.tables[i].blobs = static_cast<uint64_t>(disk_bytes_[i].blobs->value());
    }
    use.write_ahead = static_cast<uint64_t>(write_ahead_bytes_.value());
    return use;
  }

 private:
  rocksdb::ColumnFamilyHandle* family(Table table) { return handles_[static_cast<size_t>(table) + 1]; }

  void Queued(size_t bytes) {
    size_t queued = queued_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    queued_gauge_.Set(static_cast<int64_t>(queued));
    if (queued >= limits::kDiskQueueBytesMax) SetBacklogged(true);
  }
  // Only well below the bound, lest it flicker.
  void Written(size_t bytes) {
    size_t queued = queued_bytes_.fetch_sub(bytes, std::memory_order_relaxed) - bytes;
    queued_gauge_.Set(static_cast<int64_t>(queued));
    if (queued <= limits::kDiskQueueBytesMax / 2) SetBacklogged(false);
  }
  void SetBacklogged(bool backlogged) {
    if (backlogged_.exchange(backlogged, std::memory_order_relaxed) == backlogged) return;
    backlogged_gauge_.Set(backlogged ? 1 : 0);
    Log(LogLevel::kWarn, "disk",
        backlogged ? "what waits to be written has reached its bound" : "keeps up again")
        .With("queued_bytes", queued_bytes_.load(std::memory_order_relaxed));
  }

  bool Look() {
    std::lock_guard lock(room_mutex_);
    bool room = room_->Look();
    rocksdb::SstFileManager& files = *setup_.database.sst_file_manager;
    files.SetMaxAllowedSpaceUsage(files.GetTotalSize() + room_->spare_bytes());
    return room;
  }
  /// Waits for room for `bytes` on the disk; false: the queue was closed before there was any.
  template <class Queue>
  bool AwaitRoom(Queue& queue, size_t bytes) {
    while (!Look() || !room_->Fits(bytes)) {
      if (queue.ClosedSoon()) return false;
    }
    return true;
  }

  void WriteLoop() {
    std::vector<PendingWrite> pending;
    while (writes_.TakeAll(&pending)) {
      if (pending.empty()) Look();
      if (clock_.MonotonicMicros() - disk_sampled_us_ >= kDiskSampleMicros) SampleDisk();
      for (size_t next = 0; next < pending.size();) {
        if (!AwaitRoom(writes_, 0)) return;
        next = WriteGroup(pending, next);
      }
    }
  }

  /// Writes the batches from `first` on, as far as one group may hold; returns the first one left.
  size_t WriteGroup(std::vector<PendingWrite>& pending, size_t first) {
    group_.Clear();
    bool sync = false;
    std::vector<Done> dones;
    size_t bytes = 0;
    size_t i = first;
    for (; i < pending.size() && group_.GetDataSize() < kGroupBytesMax; ++i) {
      PendingWrite& write = pending[i];
      for (const EngineBatch::Change& change : write.batch.changes()) AddToGroup(change);
      write.batch = EngineBatch();
      bytes += write.bytes;
      sync = sync || write.durability == Durability::kSync;
      if (write.done != nullptr) dones.push_back(std::move(write.done));
    }
    Commit(sync);
    batches_.Add(i - first);
    Written(bytes);
    if (!dones.empty()) {
      executor_.Post([dones = std::move(dones)]() mutable {
        for (Done& done : dones) done();
      });
    }
    return i;
  }

  void AddToGroup(const EngineBatch::Change& change) {
    rocksdb::Status status = std::visit(
        [this](const auto& c) {
          using Kind = std::decay_t<decltype(c)>;
          if constexpr (std::is_same_v<Kind, EngineBatch::Put>) {
            return group_.Put(family(c.table), c.key, c.value);
          } else if constexpr (std::is_same_v<Kind, EngineBatch::Delete>) {
            return group_.Delete(family(c.table), c.key);
          } else {
            return group_.DeleteRange(family(c.table), c.begin, c.end);
          }
        },
        change);
    if (!status.ok()) on_error_->Stop("gathering a group", status);
  }

  void Commit(bool sync) {
    int64_t begin_us = clock_.MonotonicMicros();
    rocksdb::Status status;
    if (group_.Count() > 0) {
      rocksdb::WriteOptions options;
      options.sync = sync;
      std::lock_guard lock(write_mutex_);
      status = db_->Write(options, &group_);
      bytes_.Add(group_.GetDataSize());
    } else if (sync) {
      status = db_->SyncWAL();  // nothing new, but what was written lazily before must be durable now
    }
    if (!status.ok()) on_error_->Stop("writing a group", status);
    groups_.Add();
    int64_t end_us = clock_.MonotonicMicros();
    if (sync) {
      syncs_.Add();
      sync_latency_.Record(end_us - begin_us);
    }
    if (end_us - memory_sampled_us_ >= kMemorySampleMicros) {
      memory_sampled_us_ = end_us;
      memory_.Set(static_cast<int64_t>(memory_bytes()));
    }
  }

  void SampleDisk() {
    disk_sampled_us_ = clock_.MonotonicMicros();
    for (int i = 0; i < kTableCount; ++i) {
      auto bytes = [&](const rocksdb::Slice& property) {
        uint64_t value = 0;
        return db_->GetIntProperty(family(static_cast<Table>(i)), property, &value)
                   ? static_cast<int64_t>(value)
                   : 0;
      };
      const DiskGauges& gauges = disk_bytes_[static_cast<size_t>(i)];
      gauges.rows->Set(bytes(rocksdb::DB::Properties::kTotalSstFilesSize));
      gauges.blobs->Set(bytes(rocksdb::DB::Properties::kTotalBlobFileSize));
    }
    rocksdb::VectorLogPtr logs;
    if (!db_->GetSortedWalFiles(logs).ok()) return;  // a figure for people; whatever is wrong shows elsewhere
    uint64_t bytes = 0;
    for (const auto& log : logs) bytes += log->SizeFileBytes();
    write_ahead_bytes_.Set(static_cast<int64_t>(bytes));
  }

  void IngestLoop() {
    std::vector<PendingIngest> pending;
    while (ingests_.TakeAll(&pending)) {
      std::vector<absl::Status> made;
      std::array<std::vector<std::string>, kTableCount> files;
      for (PendingIngest& ingest : pending) {
        absl::StatusOr<PackedPieces> pieces = ingest.make();
        ingest.make = nullptr;
        made.push_back(pieces.status());
        if (!pieces.ok() || pieces->empty()) continue;
        size_t bytes = 0;
        for (const std::string& piece : *pieces) bytes += piece.size();
        if (!AwaitRoom(ingests_, bytes)) return;
        made.back() = MakeFile(ingest.table, *pieces, &files[static_cast<size_t>(ingest.table)]);
      }
      for (int i = 0; i < kTableCount; ++i) IngestFiles(static_cast<Table>(i), files[static_cast<size_t>(i)]);
      for (size_t i = 0; i < pending.size(); ++i) {
        Written(pending[i].bytes);
        executor_.Post(
            [done = std::move(pending[i].done), status = std::move(made[i])]() mutable { done(status); });
      }
    }
  }

  absl::Status MakeFile(Table table, const PackedPieces& pieces, std::vector<std::string>* files) {
    std::string file = absl::StrCat(directory_->ingest(), "/", ++ingest_files_, ".sst");
    rocksdb::Options options(setup_.database, setup_.families[static_cast<size_t>(table) + 1].options);
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options, family(table));
    rocksdb::Status status = writer.Open(file);
    uint64_t rows = 0;
    for (const std::string& piece : pieces) {
      PackedRowReader reader(piece);
      for (; status.ok() && reader.Next(); ++rows)
        status = writer.Put(ToSlice(reader.key()), ToSlice(reader.value()));
      if (!reader.ok()) return absl::InvalidArgumentError("packed rows are malformed");
    }
    if (rows == 0) return absl::OkStatus();
    if (status.ok()) status = writer.Finish();
    if (!status.ok()) on_error_->Stop("making a file of rows", status);
    ingested_rows_.Add(rows);
    files->push_back(std::move(file));
    return absl::OkStatus();
  }

  void IngestFiles(Table table, const std::vector<std::string>& files) {
    if (files.empty()) return;
    rocksdb::IngestExternalFileOptions how;
    how.move_files = true;
    how.write_global_seqno = false;
    constexpr uint64_t kLittleBytes = 4 << 20;
    if (Property(table, rocksdb::DB::Properties::kCurSizeAllMemTables) > kLittleBytes) FlushMemtable(table);
    std::lock_guard lock(write_mutex_);
    FlushMemtable(table);
    for (const std::string& file : files) {
      rocksdb::Status status = db_->IngestExternalFile(family(table), {file}, how);
      if (!status.ok()) on_error_->Stop("ingesting a file of rows", status);
    }
  }

  uint64_t Property(Table table, const rocksdb::Slice& property) {
    uint64_t value = 0;
    return db_->GetIntProperty(family(table), property, &value) ? value : UINT64_MAX;
  }

  // RocksDB before 7.10 orders files of level 0 by the sequence numbers in them. A memtable that is older than an ingested file and
  // is flushed later spans the numbers of ingested files, and once two of these are compacted RocksDB takes that for corruption and
  // stops (facebook/rocksdb#5913, #10922). So no memtable of the family may hold anything when files are ingested; most of it is
  // flushed before the writer has to wait.
  void FlushMemtable(Table table) {
    if (Property(table, rocksdb::DB::Properties::kNumEntriesActiveMemTable) == 0 &&
        Property(table, rocksdb::DB::Properties::kNumImmutableMemTable) == 0) {
      return;
    }
    rocksdb::FlushOptions how;
    how.allow_write_stall = true;
    rocksdb::Status status = db_->Flush(how, family(table));
    if (!status.ok()) on_error_->Stop("flushing rows before a file is ingested", status);
  }

  std::unique_ptr<DataDirectory> directory_;
  RocksSetup setup_;
  std::shared_ptr<StopOnError> on_error_;
  DiskRoomOptions room_options_;
  std::unique_ptr<DiskRoom> room_;
  std::mutex room_mutex_;   // one look at a time
  std::mutex write_mutex_;  // nothing is written between the flush and the ingestion of a family
  Executor& executor_;
  Metrics& metrics_;
  Counter& syncs_;
  Counter& groups_;
  Counter& batches_;
  Counter& bytes_;
  Gauge& queued_gauge_;
  Gauge& backlogged_gauge_;
  Counter& ingested_rows_;
  Gauge& memory_;
  LatencyHistogram& sync_latency_;
  struct DiskGauges {
    Gauge* rows;
    Gauge* blobs;
  };
  std::array<DiskGauges, kTableCount> disk_bytes_{};
  Gauge& write_ahead_bytes_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::unique_ptr<RocksReader> reader_;

  GatheringQueue<PendingWrite> writes_;
  GatheringQueue<PendingIngest> ingests_;
  std::atomic<size_t> queued_bytes_{0};
  std::atomic<bool> backlogged_{false};

  // The writer's own.
  SystemClock clock_;
  rocksdb::WriteBatch group_;
  int64_t memory_sampled_us_ = 0;
  int64_t disk_sampled_us_ = 0;
  // The ingester's own.
  uint64_t ingest_files_ = 0;

  std::thread writer_;
  std::thread ingester_;
};

absl::StatusOr<std::unique_ptr<RocksEngine>> RocksEngine::Open(RocksEngineOptions options, Executor& executor,
                                                               Metrics& metrics) {
  absl::StatusOr<std::unique_ptr<DataDirectory>> directory = DataDirectory::Open(options.path);
  if (!directory.ok()) return directory.status();
  auto state = std::make_unique<State>(*std::move(directory), std::move(options), executor, metrics);
  absl::Status started = state->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<RocksEngine>(new RocksEngine(std::move(state)));
}

RocksEngine::RocksEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
RocksEngine::~RocksEngine() = default;

void RocksEngine::Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) {
  state_->Add(std::move(batch), durability, std::move(done));
}

void RocksEngine::Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) {
  size_t bytes = 0;
  for (const EngineRow& row : rows) bytes += row.key.size() + row.value.size();
  auto pack = [rows = std::move(rows)]() -> absl::StatusOr<PackedPieces> {
    PackedPieces pieces(1);
    for (const EngineRow& row : rows) AppendPackedRow(&pieces.front(), row.key, row.value);
    return pieces;
  };
  state_->Add({table, bytes, std::move(pack), [done = std::move(done)](absl::Status) mutable {
                 if (done != nullptr) done();
               }});
}

void RocksEngine::IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                               absl::AnyInvocable<void(absl::Status)> done) {
  state_->Add({table, 0, std::move(make), std::move(done)});
}

std::unique_ptr<EngineSnapshot> RocksEngine::Snapshot() { return state_->reader().Snapshot(); }

absl::StatusOr<std::optional<std::string>> RocksEngine::Get(Table table, std::string_view key) {
  return state_->reader().Get(nullptr, table, key);
}

std::unique_ptr<EngineCursor> RocksEngine::Scan(Table table, std::string_view begin, std::string_view end) {
  return state_->reader().Scan(nullptr, table, begin, end);
}

EnginePressure RocksEngine::pressure() const { return state_->pressure(); }
DiskUse RocksEngine::disk_use() const { return state_->disk_use(); }
size_t RocksEngine::MemoryBytes() const { return state_->memory_bytes(); }

}  // namespace paxledger
