#pragma once

#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/core/envelope.h"

namespace paxledger {

/// What a shard's log drives. Implemented by the layers above.
/// Threads: the node's strand.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// The last entry that the recovered state contains; the replica applies from the next one.
  virtual LogIndex applied() const = 0;
  /// Applies the chosen entry at `applied() + 1`. Deterministic: a function of the state and the arguments.
  /// `value_digest` is the SHA-256 of the value's bytes.
  virtual void Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) = 0;
  /// Its rows are about to be replaced or removed: finishes what it is writing, then calls `done` (on the strand, not inside
  /// the call). Nothing is applied until `Reload`.
  virtual void Release(absl::AnyInvocable<void()> done) = 0;
  /// Forgets what is in memory and reads its rows again; none are a shard at index 0.
  /// Errors: kDataLoss  a row is damaged
  virtual absl::Status Reload() = 0;
};

}  // namespace paxledger
