#pragma once

#include <string_view>

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
};

}  // namespace paxledger
