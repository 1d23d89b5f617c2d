#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/store/engine.h"
#include "txn/command.h"
#include "txn/id_filter.h"

namespace paxledger {

/// What is kept for ever of an id and digest that was finished (transactions.md rule 5).
struct IdRecord {
  Digest digest;
  uint32_t attempt = 1;  // that the decision is of
  LogIndex body_at;      // the entry that holds its body; 0: only Resolve was seen
  Decision decision;
};

/// All records of an id: one at its home, where others are conflicts; elsewhere perhaps one per digest.
struct IdEntry {
  LogIndex made_by;  // the last entry that changed it
  absl::InlinedVector<IdRecord, 1> records;

  const IdRecord* Find(const Digest& digest) const;
};

/// Whether an id may have a row on disk, as somebody who looked before knows.
enum class RowHint : uint8_t { kNone, kPossible };

/// The index of finished ids of one shard: what changed since the last checkpoint in a hash table in memory,
/// the rest in rows that were ingested as sorted files. A row holds two versions, the newest and the one as
/// of the checkpoint before it, so that rows which were ingested for a checkpoint that a crash prevented are
/// read as if they were not.
/// Threads: the node's strand.
/// Format:  docs/formats.md#shard-state, #state-digest
class IdIndex {
 public:
  IdIndex(ShardId shard, Engine& engine, MultisetDigest& digest);

  /// nullptr: the id has no record. Good until the next call of a function that is not const. A damaged row
  /// stops the process.
  const IdEntry* Find(std::string_view key);
  /// Adds `record` to the id, in place of one of the same digest, and to the state digest. `made_by` is the
  /// entry being applied.
  void Put(std::string_view key, IdRecord record, LogIndex made_by, RowHint hint);

  /// Begins a checkpoint: all changes since the last one, as sorted rows. They stay in memory until
  /// `RowsWritten`.
  std::vector<EngineRow> Freeze();
  /// The checkpoint at `base` is complete: from now on its rows are true.
  void RowsWritten(LogIndex base);
  /// After a restart: the checkpoint that was found. Reads the keys of the rows, as many as the filter may hold.
  /// Errors: kDataLoss  rows are missing
  [[nodiscard]] absl::Status Recover(LogIndex base);

 private:
  struct Changed {
    IdEntry entry;
    std::string before;  // encoded, as of the last checkpoint; empty: it had none
  };
  using Changes = absl::flat_hash_map<std::string, Changed>;

  /// The version of the id's row that `base_` contains, encoded; empty: none.
  std::string ReadRow(std::string_view key);
  std::string RowKey(std::string_view key) const;
  Digest ElementOf(std::string_view key, const IdRecord& record) const;

  ShardId shard_;
  Engine& engine_;
  MultisetDigest& digest_;
  LogIndex base_;
  Changes active_;
  Changes frozen_;   // of the checkpoint that is being written
  IdFilter filter_;  // of all ids with a row, or a change
  IdEntry loaded_;   // the answer of `Find` where it came from disk
};

}  // namespace paxledger
