#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "replication/store/disk_room.h"
#include "replication/store/engine.h"

namespace paxledger {

/// Why the disk cannot be gone on with.
enum class DiskFailure : uint8_t {
  kDevice,  // a write or sync failed, or may have
  kNoRoom,  // for want of space
};

struct RocksEngineOptions {
  std::string path;  // the data directory; made where it is missing, its parent is not
  /// For block cache, filters and memtables of all column families together.
  size_t memory_budget_bytes = size_t{96} << 20;
  /// Below this much free space on the file system nothing is written (`DiskRoom`).
  uint64_t min_free_bytes = uint64_t{512} << 20;
  std::function<absl::StatusOr<DiskSpace>(const std::string&)> measure = MeasureDiskSpace;
  /// Ends the process, at once and without writing anything more. Called by a thread of the engine after the log line.
  std::function<void(DiskFailure)> stop = [](DiskFailure) { std::abort(); };
};

/// The engine on disk. One writer thread gathers the batches of all shards that came while the last write ran
/// into one RocksDB write and at most one sync (group commit); a second thread makes and ingests files of
/// sorted rows, a third reads pages of snapshots. Any failed or doubtful write or sync ends the process by `stop`
/// (consensus.md rule 2). Where the disk is full nothing is written, so that it does not come to that (`DiskRoom`); requests
/// wait.
/// Owns:    the data directory, locked against other processes, and its threads. Borrows the executor and the
///          metrics. The destructor carries out what was queued, where there is room; callbacks are then posted
///          still, so the executor goes last.
/// Threads: as `Engine`.
/// Format:  docs/formats.md#data-directory
class RocksEngine : public Engine {
 public:
  /// Errors: kUnavailable         another process uses the directory
  ///         kFailedPrecondition  the directory has a newer format, or holds a database but no format
  ///         kDataLoss            the write-ahead log or another file is damaged (consensus.md rule 19);
  ///                              nothing was changed
  ///         kResourceExhausted   no space, or not enough to start
  ///         kInternal            the file system refused
  static absl::StatusOr<std::unique_ptr<RocksEngine>> Open(RocksEngineOptions options, Executor& executor,
                                                           Metrics& metrics);
  ~RocksEngine() override;

  void Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) override;
  void Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) override;
  void IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                    absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<EngineSnapshot> Snapshot() override;
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override;
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override;
  EnginePressure pressure() const override;

  DiskUse disk_use() const override;
  /// Bytes of cache and memtables now; the budget bounds them, but for what is being flushed.
  size_t MemoryBytes() const;

 private:
  class State;
  explicit RocksEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace paxledger
