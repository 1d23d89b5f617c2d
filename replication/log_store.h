#pragma once

#include <cstdint>
#include <string>
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
  static void AddConfiguration(ShardId shard, const Configuration& members, EngineBatch& batch);
  /// Removes every row of the shard: its log, its configurations, and its machine's rows, which all begin with its number.
  static void AddRemoval(ShardId shard, EngineBatch& batch);

  /// `applied`: everything up to there is chosen, whatever the row of the chosen index says. `genesis` and `first` are the
  /// value and the configuration at index 0.
  /// Errors: kDataLoss  a row is damaged or missing
  absl::StatusOr<RecoveredLog> Recover(ShardId shard, LogIndex applied, const Digest& genesis,
                                       Configuration first) const;

  /// Errors: kNotFound  nothing at this index
  ///         kDataLoss  the row is damaged
  absl::StatusOr<SharedBytes> ReadValue(ShardId shard, LogIndex index) const;

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
  absl::StatusOr<Configuration> ReadConfiguration(ShardId shard, LogIndex chosen, Configuration first) const;
  absl::Status RecoverChosenTail(ShardId shard, LogIndex known, const Digest& genesis,
                                 RecoveredLog* log) const;

  Engine& engine_;
};

}  // namespace paxledger
