#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/executor.h"
#include "replication/store/engine.h"
#include "rocksdb/db.h"

namespace paxledger {

/// kDataLoss where RocksDB found a checksum that does not match, else kInternal.
absl::Status ToStatus(absl::string_view what, const rocksdb::Status& status);

/// The reading side of `RocksEngine`: cursors, snapshots, and a thread that reads pages of them.
/// Owns:    the thread. Borrows the rest, which outlive it.
/// Threads: the node's strand.
class RocksReader {
 public:
  RocksReader(rocksdb::DB& db, std::vector<rocksdb::ColumnFamilyHandle*> families, Executor& executor);
  /// Carries out what was asked for.
  ~RocksReader();

  absl::StatusOr<std::optional<std::string>> Get(const rocksdb::Snapshot* as_of, Table table,
                                                 std::string_view key) const;
  std::unique_ptr<EngineCursor> Scan(const rocksdb::Snapshot* as_of, Table table, std::string_view begin,
                                     std::string_view end) const;
  std::unique_ptr<EngineSnapshot> Snapshot();

 private:
  class Snapshotted;
  struct Held;
  struct Request {
    std::shared_ptr<Held> snapshot;
    Table table;
    std::string begin;
    std::string end;
    size_t bytes;
    absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done;
  };
  void Add(Request request);
  void Loop();
  absl::StatusOr<EnginePage> ReadPage(const Request& request) const;
  rocksdb::ColumnFamilyHandle* family(Table table) const { return families_[static_cast<size_t>(table) + 1]; }

  rocksdb::DB& db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;  // "default", then in the order of `Table`
  Executor& executor_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Request> requests_;  // guarded by mutex_
  bool closed_ = false;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace paxledger
