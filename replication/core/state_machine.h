#pragma once

#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/core/envelope.h"

namespace paxledger {

class EngineSnapshot;

/// Names a checkpoint.
struct CheckpointMark {
  LogIndex applied;
  Digest journal;
};

/// What a shard's log drives. Implemented by the layers above. Its rows stand in the tables for state, queues and tables, their
/// keys begin with the shard's number (32 bits big-endian), and those that one checkpoint leaves are a whole.
/// Threads: the node's strand.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// The last entry that the recovered state contains; the replica applies from the next one.
  virtual LogIndex applied() const = 0;
  /// Applies the chosen entry at `applied() + 1`. Deterministic: a function of the state and the arguments.
  /// `value_digest` is the SHA-256 of the value's bytes.
  virtual void Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) = 0;
  /// The hash chain over the values applied (docs/formats.md#journal-chain).
  virtual Digest journal() const = 0;
  /// Writes a checkpoint of what is applied now, or as soon as the running one is complete; `done` when it is durable.
  virtual void Checkpoint(absl::AnyInvocable<void()> done) = 0;
  /// What `applied` and `journal` were at the checkpoint that stands in `rows`; index 0 where there is none.
  /// Errors: kDataLoss  its row is damaged
  virtual absl::StatusOr<CheckpointMark> CheckpointIn(EngineSnapshot& rows) const = 0;
  /// Its rows are about to be replaced or removed: finishes what it is writing, then calls `done` (on the strand, not inside
  /// the call). Nothing is applied until `Reload`.
  virtual void Release(absl::AnyInvocable<void()> done) = 0;
  /// Forgets what is in memory and reads its rows again; none are a shard at index 0.
  /// Errors: kDataLoss  a row is damaged
  virtual absl::Status Reload() = 0;
};

}  // namespace paxledger
