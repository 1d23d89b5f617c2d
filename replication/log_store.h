#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/core/shard_log.h"
#include "replication/store/engine.h"

namespace paxledger {

/// What the disk holds of one shard's log.
struct RecoveredLog {
  struct Row {
    LogIndex index;
    Record record;
    SharedBytes value;
  };
  LogIndex chosen;
  Owner owner;             // after `chosen`
  Digest digest;           // of the value at `chosen`
  Configuration members;   // in force after `chosen`
  std::vector<Row> above;  // records above `chosen`, in order
  /// Rule 19: up to here something that was promised, accepted or chosen cannot be read, so this replica must neither vote nor
  /// answer barriers before it knows what is chosen up to there. 0: nothing is damaged.
  LogIndex damaged;
};

/// What a snapshot left out: entries through+1..last are chosen and applied, but their rows are not here yet. The journal
/// is never lost, so they are filled in from peers.
struct LogGap {
  LogIndex through;
  Digest chain;  // of the journal, at `through`
  LogIndex last;
  Digest chain_after;  // ...and at `last` + 1, whose row is here

  bool Contains(LogIndex index) const { return index > through && index <= last; }
  friend bool operator==(const LogGap&, const LogGap&) = default;
};

/// The rows of the logs and of a node's identity over the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#log-rows
class LogStore {
 public:
  explicit LogStore(Engine& engine) : engine_(engine) {}

  /// Appends the row of `write`, and what is known chosen, to `batch`.
  static void Add(ShardId shard, const RecordWrite& write, EngineBatch& batch);
  static void AddChosenThrough(ShardId shard, LogIndex chosen, EngineBatch& batch);
  static void AddChosenRow(ShardId shard, LogIndex index, std::string_view value, EngineBatch& batch);
  /// The gap of the shard from now on; none where it is closed.
  static void AddGap(ShardId shard, const LogGap& gap, EngineBatch& batch);
  absl::StatusOr<std::optional<LogGap>> ReadGap(ShardId shard) const;
  static void AddConfiguration(ShardId shard, const Configuration& members, EngineBatch& batch);
  /// Removes every row of the shard: its log, its configurations, and its machine's rows, which all begin with its number.
  static void AddRemoval(ShardId shard, EngineBatch& batch);

  /// What the disk says is chosen; the entries up to there need not all be readable.
  absl::StatusOr<LogIndex> ReadChosenThrough(ShardId shard) const;
  struct Known {
    LogIndex replayed;          // entries up to here are applied
    LogIndex chosen;            // ...and up to here chosen, whether or not they can be read
    std::optional<LogGap> gap;  // rows in it say nothing of what is chosen
    Digest genesis;             // the value and the configuration at index 0
    Configuration first;
  };
  /// Errors: kDataLoss  a row of the meta table is damaged; damage to the log itself is in the result
  absl::StatusOr<RecoveredLog> Recover(ShardId shard, Known known) const;

  /// Errors: kNotFound  nothing at this index
  ///         kDataLoss  the row is damaged
  absl::StatusOr<SharedBytes> ReadValue(ShardId shard, LogIndex index) const;

  /// The configuration in force after `chosen`; `first` is that at index 0.
  /// Errors: kDataLoss  a row is damaged
  absl::StatusOr<Configuration> ReadConfiguration(ShardId shard, LogIndex chosen, Configuration first) const;

  /// A counter of the meta table; 0 where it was never written.
  absl::StatusOr<uint64_t> ReadNumber(std::string_view name) const;
  static void AddNumber(std::string_view name, uint64_t number, EngineBatch& batch);

  /// The processes that ran from this disk, newest first; none on an empty one.
  /// Errors: kDataLoss  the row is damaged
  absl::StatusOr<std::vector<Incarnation>> ReadLineage() const;
  static void AddLineage(const std::vector<Incarnation>& processes, EngineBatch& batch);

 private:
  struct DecodedRow {
    Record record;
    bool chosen = false;
    SharedBytes value;
  };
  static absl::StatusOr<DecodedRow> Decode(std::string_view key, std::string_view row);
  void RecoverTail(ShardId shard, const Known& known, RecoveredLog* log) const;
  void AddRow(LogIndex index, DecodedRow row, RecoveredLog* log) const;
  absl::Status ScanAbove(ShardId shard, RecoveredLog* log) const;

  Engine& engine_;
};

}  // namespace paxledger
