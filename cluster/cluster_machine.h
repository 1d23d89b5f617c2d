#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/strong_id.h"
#include "cluster/directory.h"
#include "cluster/directory_command.h"
#include "replication/core/envelope.h"
#include "replication/store/engine.h"

namespace paxledger {

/// The directory as shard 0's log makes it: the fold of its commands of machine `cluster`, on every replica alike. What
/// changes is written with the index that made it, before the entry goes to the ledger's machine, so a replay from an
/// older checkpoint of that skips what is in the row. The results of the latest commands stand beside it; a command whose
/// result is there already does nothing, so it may be written more than once.
/// Owns:    its row of the state table. Borrows the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#directory
class ClusterMachine {
 public:
  /// `creation`: the directory that the cluster began with; the same on all nodes.
  ClusterMachine(Directory creation, uint32_t shards, Engine& engine);

  /// Reads the row; also after a snapshot replaced it.
  /// Errors: kDataLoss  it is damaged
  [[nodiscard]] absl::Status Recover();
  /// The chosen entries of shard 0 in their order, from at most the one after the newest that is in the row.
  void Apply(LogIndex index, const Envelope& entry);

  const Directory& directory() const { return directory_; }
  /// Of a recent command.
  std::optional<DirectoryResult> FindResult(std::string_view request) const;
  /// Called when the directory or the results changed.
  void set_observer(std::function<void()> observer) { observer_ = std::move(observer); }

 private:
  struct Remembered {
    std::string request;
    DirectoryResult result;
  };
  static constexpr size_t kResultsKept = 64;

  void Reset();
  void Write();
  std::string EncodeRow() const;
  bool DecodeRow(std::string_view row);

  const Directory creation_;
  uint32_t shards_;
  Engine& engine_;
  Directory directory_;
  std::deque<Remembered> results_;  // oldest first
  LogIndex changed_at_;             // the entry that made the row
  std::function<void()> observer_;
};

}  // namespace paxledger
