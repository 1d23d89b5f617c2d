#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace paxledger {

/// The column families of a node (design §3, Storage).
enum class Table : uint8_t { kLog = 0, kMeta = 1, kState = 2, kQueues = 3, kTables = 4 };
inline constexpr int kTableCount = 5;

constexpr std::string_view TableName(Table table) {
  switch (table) {
    case Table::kLog:
      return "log";
    case Table::kMeta:
      return "meta";
    case Table::kState:
      return "state";
    case Table::kQueues:
      return "queues";
    case Table::kTables:
      return "tables";
  }
  return "";
}

/// What is on disk, in bytes.
struct DiskUse {
  struct OfTable {
    uint64_t rows = 0;   // sorted files
    uint64_t blobs = 0;  // files of long values
  };
  std::array<OfTable, kTableCount> tables;  // by `Table`
  uint64_t write_ahead = 0;

  uint64_t total() const {
    uint64_t bytes = write_ahead;
    for (const OfTable& table : tables) bytes += table.rows + table.blobs;
    return bytes;
  }
};

/// Changes that become durable together or not at all.
class EngineBatch {
 public:
  struct Put {
    Table table;
    std::string key;
    std::string value;
  };
  struct Delete {
    Table table;
    std::string key;
  };
  /// Removes begin <= key < end.
  struct DeleteRange {
    Table table;
    std::string begin;
    std::string end;
  };
  using Change = std::variant<Put, Delete, DeleteRange>;

  void Add(Change change) { changes_.push_back(std::move(change)); }
  const std::vector<Change>& changes() const { return changes_; }
  bool empty() const { return changes_.empty(); }

 private:
  std::vector<Change> changes_;
};

enum class Durability : uint8_t {
  kSync,  // done is called after an fsync that covers the batch
  kLazy,  // done is called once readable; a crash may lose it, with all batches after it
};

struct EngineRow {
  std::string key;
  std::string value;
};

/// Rows of one table in key order, as they stood when it was made.
class EngineCursor {
 public:
  virtual ~EngineCursor() = default;
  virtual bool valid() const = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual void Next() = 0;
  /// kDataLoss: a block failed its checksum, and rows are missing.
  virtual absl::Status status() const = 0;
};

/// Some of the rows of a range.
struct EnginePage {
  std::string rows;  // packed, see replication/store/packed_rows.h
  std::string next;  // the key to go on from; empty: the range ends here
};

/// The rows of all tables as they stood at one moment. Must be given up before the engine is.
/// Threads: the node's strand.
class EngineSnapshot {
 public:
  virtual ~EngineSnapshot() = default;
  /// As of the engine.
  virtual absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) = 0;
  virtual std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) = 0;
  /// Reads in bulk, away from the strand: rows with begin <= key < end until they take `bytes`, one at least where there
  /// is one; then `done`, on the strand, never inside the call. The snapshot may be given up meanwhile.
  /// Errors of the page: kDataLoss  a checksum failed in it; nothing of it is handed over
  virtual void Read(Table table, std::string begin, std::string end, size_t bytes,
                    absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done) = 0;
};

/// Packed rows of one table in pieces; the keys ascend from the first row of the first piece to the last of the last.
using PackedPieces = std::vector<std::string>;

/// What an engine cannot do at present; reading it always can.
struct EnginePressure {
  /// The disk is full: writes wait in memory, and become durable once space returns.
  bool no_room = false;
  /// What waits has reached limits::kDiskQueueBytesMax, for want of room or of speed: what must be written is better not
  /// taken in.
  bool backlogged = false;
};

/// An ordered key-value store with atomic batches. Batches become durable in the order of `Write`: a crash loses a suffix
/// of whole batches, never a synced one. A failed write stops the process (consensus.md rule 2): it is never reported and
/// never retried. Exactly two implementations: RocksDB, and the simulator's.
/// Threads: the node's strand; `done` is called there too, in the order of the writes, never inside the call.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual void Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) = 0;
  /// Adds rows, sorted by key and without duplicates, as a file of its own (cheap for random keys). Durable and readable
  /// when `done` is called; not ordered with `Write`.
  virtual void Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) = 0;
  /// As `Ingest`, of rows that `make` produces away from the strand: it may take its time, and touches nothing that the
  /// strand touches. An error of `make` is handed to `done`, and nothing is ingested; no rows are no error.
  virtual void IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                            absl::AnyInvocable<void(absl::Status)> done) = 0;
  /// Sees what `Get` sees now.
  virtual std::unique_ptr<EngineSnapshot> Snapshot() = 0;
  /// Sees all batches whose `done` was called, perhaps later ones. nullopt: no such row. kDataLoss: a checksum failed.
  virtual absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) = 0;
  /// Rows with begin <= key < end; an empty `end` is the end of the table.
  virtual std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) = 0;
  virtual EnginePressure pressure() const { return {}; }
  /// As it was some seconds ago.
  virtual DiskUse disk_use() const = 0;
};

}  // namespace paxledger
