#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/random.h"
#include "replication/store/engine.h"
#include "tests/sim/scheduler.h"

namespace paxledger::sim {

using Rows = absl::btree_map<std::string, std::string>;

/// How slow a disk is, and how often one that rots returns another row than was asked for.
struct DiskProfile {
  int64_t sync_us_min = 300;
  int64_t sync_us_max = 2'000;
  uint32_t slow_per_thousand = 5;  // syncs that take up to `slow_us_max`
  int64_t slow_us_max = 60'000;
  int64_t lazy_us = 30;  // until an unsynced batch is readable
  int64_t ingest_us_max = 4'000;
  int64_t page_us_max = 2'000;  // a page that is read in bulk
  uint32_t misdirected_per_million = 0;
};

/// What is wrong with a disk for a while.
struct DiskTrouble {
  int64_t slow_until_us = 0;  // until then a sync takes up to `slow_us_max` longer
  int64_t slow_us_max = 0;
  int64_t full_until_us = 0;  // until then every write fails
  bool next_write_fails = false;
  bool rots = false;  // for good
};

class SimCursor;
class SimView;

/// What is left of a machine when its process dies. Batches become durable in order; a crash loses a suffix of those that
/// were not synced, chosen at random, whether or not they were readable before.
/// Owns:    the rows.
class SimDisk {
 public:
  SimDisk() = default;
  SimDisk(SimDisk&&) = default;  // while no cursor or snapshot is open
  ~SimDisk();
  const Rows& rows(Table table) const { return tables_[static_cast<size_t>(table)]; }
  /// The process is gone: keeps a random prefix of the batches that were not durable.
  void Crash(Random& random);

  // For SimEngine.
  void Append(EngineBatch batch) { unsynced_.push_back(Pending{std::move(batch), {}, false}); }
  /// Makes the first `count` batches readable that were not.
  void MakeReadable(size_t count);
  /// Makes the first `count` batches, readable by now, durable.
  void MakeDurable(size_t count);
  void AddRows(Table table, std::vector<EngineRow> rows);
  DiskTrouble& trouble() { return trouble_; }
  /// One bit of some row of the log or of the numbers beside it is another from now on. False: there is no row.
  bool FlipBit(Random& random);
  /// What would be there if the disk were copied now, between two lives.
  void CopyRowsTo(Rows (&rows)[kTableCount]) const { std::copy(tables_, tables_ + kTableCount, rows); }
  /// The disk is replaced, between two lives.
  void Replace(Rows (&rows)[kTableCount]) { std::swap_ranges(tables_, tables_ + kTableCount, rows); }
  size_t unsynced() const { return unsynced_.size(); }
  uint64_t syncs() const { return syncs_; }
  uint64_t batches_lost() const { return batches_lost_; }

 private:
  friend class SimCursor;
  friend class SimView;
  struct Old {
    Table table;
    std::string key;
    std::optional<std::string> value;
  };
  struct Pending {
    EngineBatch batch;
    std::vector<Old> undo;  // newest last
    bool readable = false;
  };
  void Set(Table table, const std::string& key, std::optional<std::string> value, std::vector<Old>* undo);
  void Apply(Pending& pending);
  void Undo(Pending& pending);
  /// A cursor that is still open takes its rows with it before they change.
  void BeforeChange();

  Rows tables_[kTableCount];
  std::deque<Pending> unsynced_;  // in order of Write
  std::vector<SimCursor*> open_cursors_;
  std::vector<SimView*> open_views_;
  DiskTrouble trouble_;
  uint64_t syncs_ = 0;
  uint64_t batches_lost_ = 0;
};

/// The engine of one incarnation over the disk of its machine. One writer collects what is outstanding and syncs it at
/// once, as the real one does.
/// Owns:    nothing; borrows all, which outlive it.
class SimEngine : public Engine {
 public:
  SimEngine(Scheduler& scheduler, SimExecutor& strand, SimDisk& disk, DiskProfile profile, uint64_t seed)
      : scheduler_(scheduler), strand_(strand), disk_(disk), profile_(profile), random_(seed) {}

  void Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) override;
  void Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) override;
  void IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                    absl::AnyInvocable<void(absl::Status)> done) override;
  std::unique_ptr<EngineSnapshot> Snapshot() override;
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override;
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override;
  DiskUse disk_use() const override;

  /// The process dies with a random part of what was not durable.
  void Crash(Random& random);
  /// A write or sync failed, or the disk is full. Whether what was being written is there is not known; the process may
  /// not go on (consensus.md rule 2).
  std::function<void()> on_failed_write;

  /// Reads a page of `view` some time later.
  void Read(std::shared_ptr<SimView> view, Table table, std::string begin, std::string end, size_t bytes,
            absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done);

 private:
  struct Waiting {
    Durability durability;
    absl::AnyInvocable<void()> done;
  };
  struct File {
    Table table;
    std::vector<EngineRow> rows;
    absl::AnyInvocable<void()> done;
  };
  void StartWriter();
  bool WriteFails();
  void WriterDone(size_t count, Durability durability);

  Scheduler& scheduler_;
  SimExecutor& strand_;
  SimDisk& disk_;
  DiskProfile profile_;
  Random random_;
  std::deque<Waiting> waiting_;               // one per batch whose `done` was not called, the newest last
  std::vector<std::shared_ptr<File>> files_;  // being ingested
  bool writing_ = false;
  bool crashed_ = false;
};

}  // namespace paxledger::sim
