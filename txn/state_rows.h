#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/strong_id.h"

namespace paxledger {

/// Kinds of row that a shard keeps in kState, all of them as of its last checkpoint. A key is the shard (32
/// bits big-endian), the kind, and what the kind says.
/// Format:  docs/formats.md#shard-state
enum class StateRow : uint8_t {
  kHead = 1,     // nothing more: one row
  kAccount = 2,  // ledger key
  kTry = 3,      // sequence, 64 bits big-endian
};

/// Kinds of row that a shard keeps in kTables: shard, this byte, and what the kind says.
/// Format:  docs/formats.md#shard-state, #statement-rows
enum class TableRow : uint8_t {
  kId = 1,             // ledger key: the index of finished ids
  kEntry = 2,          // log index, 64 bits big-endian: what the entry posted
  kStatementCell = 3,  // account and closed time, a cell of a 2-D table
};

/// Queues that a shard keeps in kQueues: shard, this byte, and the rows of the queue.
enum class QueueRow : uint8_t { kOutbox = 1 };

inline constexpr size_t kRowPrefixBytes = 5;

std::string StateRowKey(ShardId shard, StateRow kind, std::string_view rest);
/// The first key after all that begin with `prefix`.
std::string PrefixEnd(std::string_view prefix);

/// A row of this replica's own disk cannot be read or has a shape that was never written. The state machine
/// has no way to go on: guessing would make this replica differ from its peers, so the process stops and the
/// operator repairs.
[[noreturn]] void StopOnDamage(const absl::Status& status);

}  // namespace paxledger
