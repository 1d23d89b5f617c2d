#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/log_store.h"
#include "replication/replica.h"
#include "replication/row_source.h"
#include "replication/store/engine.h"

namespace paxledger {

/// Reads everything that a node's shards keep on disk, slowly, one shard after the other and again and again, so that damage is
/// found while peers still have what was lost. Of the log it checks every row's checksum, that none is missing, and that the
/// values make the hash chain of the journal that the machine computed; of the machines' rows, that they can be read.
/// Threads: the node's strand; pages are read away from it.
class Scrub {
 public:
  /// What a pass over one shard is held against.
  struct Target {
    LogIndex last;              // entries 1..last are chosen and applied...
    Digest journal;             // ...and this is the chain over them
    std::optional<LogGap> gap;  // of which these are not here yet
    LogIndex durable;           // and of the others, rows are written up to here
  };
  /// What it asks the replica.
  struct Host {
    /// nullopt: the shard has nothing to look at now.
    std::function<std::optional<Target>(ShardId)> target;
    /// The row of a chosen entry is damaged or missing: to be repaired.
    std::function<void(ShardId, LogIndex, const absl::Status& why)> repair;
    /// The machine's rows cannot be read.
    std::function<void(ShardId, const absl::Status& why)> state_damaged;
  };
  Scrub(const ReplicaPorts& ports, Host host, uint32_t shards, uint64_t bytes_per_second);

  /// Begins, a while after the start.
  void Start();

 private:
  void After(int64_t delay_us);
  void GoOn();
  bool BeginShard();
  bool StillHolds();
  void EndShard();
  void EndLog();
  void ReadLog();
  void ReadState();
  void OnLogPage(absl::StatusOr<EnginePage> page);
  void OnStatePage(absl::StatusOr<EnginePage> page);
  void LookOneByOne();
  void Good(std::string_view value);
  void Bad(const absl::Status& why);
  int64_t Pace(size_t bytes);

  const ReplicaPorts& ports_;
  Host host_;
  uint32_t shards_;
  uint64_t bytes_per_second_;
  ShardId shard_;
  std::optional<Target> target_;  // of the shard under way
  std::unique_ptr<EngineSnapshot> rows_;
  LogIndex at_;          // the last entry that was looked at
  Digest chain_;         // over all of them...
  bool chained_ = true;  // ...as long as none was left out
  uint32_t waited_ = 0;  // for the repair of the next one
  size_t table_ = 0;     // of the machine's rows, where in them it is
  std::string key_;
  Counter* rows_seen_ = nullptr;
  Counter* bytes_seen_ = nullptr;
  Counter* damaged_ = nullptr;
  Counter* broken_chains_ = nullptr;
  Counter* passes_seen_ = nullptr;
};

}  // namespace paxledger
