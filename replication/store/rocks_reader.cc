#include "replication/store/rocks_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "replication/store/packed_rows.h"

namespace paxledger {
namespace {

constexpr size_t kReadAheadBytes = size_t{1} << 20;

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }

class RocksCursor : public EngineCursor {
 public:
  RocksCursor(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, rocksdb::ReadOptions options,
              std::string_view begin, std::string_view end)
      : end_(end), bound_(end_) {
    if (!end_.empty()) options.iterate_upper_bound = &bound_;
    rows_.reset(db.NewIterator(options, family));
    rows_->Seek(ToSlice(begin));
  }
  bool valid() const override { return rows_->Valid(); }
  std::string_view key() const override { return rows_->key().ToStringView(); }
  std::string_view value() const override { return rows_->value().ToStringView(); }
  void Next() override { rows_->Next(); }
  absl::Status status() const override {
    return rows_->status().ok() ? absl::OkStatus() : ToStatus("scan", rows_->status());
  }

 private:
  std::string end_;
  rocksdb::Slice bound_;  // points into end_
  std::unique_ptr<rocksdb::Iterator> rows_;
};

}  // namespace

absl::Status ToStatus(absl::string_view what, const rocksdb::Status& status) {
  std::string text = absl::StrCat(what, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(text);
  bool no_room = status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit;
  return no_room ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

/// Shared by a snapshot and the pages of it that are being read.
struct RocksReader::Held {
  explicit Held(rocksdb::DB& from) : db(from), snapshot(from.GetSnapshot()) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { db.ReleaseSnapshot(snapshot); }
  rocksdb::DB& db;
  const rocksdb::Snapshot* snapshot;
};

class RocksReader::Snapshotted : public EngineSnapshot {
 public:
  explicit Snapshotted(RocksReader& reader) : reader_(reader), held_(std::make_shared<Held>(reader.db_)) {}
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override {
    return reader_.Get(held_->snapshot, table, key);
  }
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override {
    return reader_.Scan(held_->snapshot, table, begin, end);
  }
  void Read(Table table, std::string begin, std::string end, size_t bytes,
            absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done) override {
    reader_.Add({held_, table, std::move(begin), std::move(end), bytes, std::move(done)});
  }

 private:
  RocksReader& reader_;
  std::shared_ptr<Held> held_;
};

RocksReader::RocksReader(rocksdb::DB& db, std::vector<rocksdb::ColumnFamilyHandle*> families,
                         Executor& executor)
    : db_(db), families_(std::move(families)), executor_(executor), thread_([this] { Loop(); }) {}

RocksReader::~RocksReader() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

absl::StatusOr<std::optional<std::string>> RocksReader::Get(const rocksdb::Snapshot* as_of, Table table,
                                                            std::string_view key) const {
  rocksdb::ReadOptions options;
  options.snapshot = as_of;
  std::string value;
  rocksdb::Status status = db_.Get(options, family(table), ToSlice(key), &value);
  if (status.ok()) return std::optional<std::string>(std::move(value));
  if (status.IsNotFound()) return std::optional<std::string>();
  return ToStatus("read", status);
}

std::unique_ptr<EngineCursor> RocksReader::Scan(const rocksdb::Snapshot* as_of, Table table,
                                                std::string_view begin, std::string_view end) const {
  rocksdb::ReadOptions options;
  options.snapshot = as_of;
  return std::make_unique<RocksCursor>(db_, family(table), options, begin, end);
}

std::unique_ptr<EngineSnapshot> RocksReader::Snapshot() { return std::make_unique<Snapshotted>(*this); }

void RocksReader::Add(Request request) {
  {
    std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  wake_.notify_one();
}

void RocksReader::Loop() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return closed_ || !requests_.empty(); });
    if (requests_.empty()) return;
    Request request = std::move(requests_.front());
    requests_.pop_front();
    lock.unlock();
    absl::StatusOr<EnginePage> page = ReadPage(request);
    request.snapshot.reset();
    executor_.Post(
        [done = std::move(request.done), page = std::move(page)]() mutable { done(std::move(page)); });
  }
}

absl::StatusOr<EnginePage> RocksReader::ReadPage(const Request& request) const {
  rocksdb::ReadOptions options;
  options.snapshot = request.snapshot->snapshot;
  options.fill_cache = false;  // what is read once must not push out what is read often
  options.readahead_size = kReadAheadBytes;
  RocksCursor rows(db_, family(request.table), options, request.begin, request.end);
  EnginePage page;
  page.rows.reserve(request.bytes + request.bytes / 8);
  for (; rows.valid(); rows.Next()) {
    if (page.rows.size() >= request.bytes) {
      page.next = rows.key();
      break;
    }
    AppendPackedRow(&page.rows, rows.key(), rows.value());
  }
  absl::Status status = rows.status();
  if (!status.ok()) return status;
  return page;
}

}  // namespace paxledger
