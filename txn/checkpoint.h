#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/core/state_machine.h"
#include "replication/store/engine.h"
#include "txn/shard_state.h"

namespace paxledger {

/// Writes a shard's state to disk now and then, while entries go on being applied, and reads it back. First
/// the rows of ids and statements are ingested, which a reader at an older checkpoint ignores; when they are durable,
/// everything else follows in one synced batch with the applied index. Synced, because the next checkpoint's
/// rows keep only the version of this one beside their own: they must never outlive a lost batch.
/// Owns:    the order of these steps. Borrows state and engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#shard-state
class Checkpoints {
 public:
  Checkpoints(ShardState& state, Engine& engine, uint32_t commands_between);

  /// Loads the newest checkpoint; none is a shard at index 0.
  /// Errors: kDataLoss  a row is damaged
  [[nodiscard]] absl::Status Recover();

  /// The checkpoint that stands in `rows`; index 0: none.
  [[nodiscard]] static absl::StatusOr<CheckpointMark> In(ShardId shard, EngineSnapshot& rows);

  /// An entry with `commands` commands was applied: begins a checkpoint where it is time.
  void AfterEntry(uint32_t commands);
  /// Begins a checkpoint of the state as it is now, or as soon as the running one is complete; `done` once it
  /// is durable.
  void Request(absl::AnyInvocable<void()> done);
  /// No checkpoint begins any more; `done` when the running one, if any, is complete. Requests for a later one end with it.
  void Release(absl::AnyInvocable<void()> done);

 private:
  void Confirm(absl::AnyInvocable<void()> done);
  void Begin();
  void OnIngested();
  void OnWritten();
  std::string EncodeHead() const;
  absl::Status DecodeHead(std::string_view row, uint64_t* next_sequence);

  ShardState& state_;
  Engine& engine_;
  uint32_t commands_between_;
  uint32_t commands_ = 0;  // applied since the last checkpoint began
  bool running_ = false;
  LogIndex base_;      // of the running checkpoint
  EngineBatch batch_;  // of the running checkpoint, until its other rows are ingested
  std::vector<absl::AnyInvocable<void()>> waiting_;       // for the running checkpoint
  std::vector<absl::AnyInvocable<void()>> waiting_next_;  // for the one after it
  absl::AnyInvocable<void()> released_;
  // The engine may call back after this is gone.
  std::shared_ptr<Checkpoints*> self_;
};

}  // namespace paxledger
