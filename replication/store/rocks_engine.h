#pragma once

#include <cstddef>
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
#include "replication/store/engine.h"

namespace paxledger {

struct RocksEngineOptions {
  std::string path;  // the data directory; made where it is missing, its parent is not
  /// For block cache, filters and memtables of all column families together.
  size_t memory_budget_bytes = size_t{96} << 20;
};

/// The engine on disk. One writer thread gathers the batches of all shards that came while the last write ran
/// into one RocksDB write and at most one sync (group commit); a second thread makes and ingests files of
/// sorted rows, a third reads pages of snapshots. Any failed or doubtful write or sync ends the process (consensus.md rule 2).
/// Owns:    the data directory, locked against other processes, and its threads. Borrows the executor and the
///          metrics. The destructor carries out what was queued; callbacks are then posted still, so the
///          executor goes last.
/// Threads: as `Engine`.
/// Format:  docs/formats.md#data-directory
class RocksEngine : public Engine {
 public:
  /// Errors: kUnavailable         another process uses the directory
  ///         kFailedPrecondition  the directory has a newer format, or holds a database but no format
  ///         kDataLoss            the write-ahead log or another file is damaged (consensus.md rule 19);
  ///         nothing was changed kInternal            the file system refused (no permission, no space)
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

  /// Bytes of cache and memtables now; the budget bounds them, but for what is being flushed.
  size_t MemoryBytes() const;

 private:
  class State;
  explicit RocksEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace paxledger
