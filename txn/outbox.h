#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/store/fifo_queue.h"

namespace paxledger {

/// A committed transaction as its home shard tells it: where its body is, and when it was committed.
struct OutboxEvent {
  QueuePosition at;
  std::string ledger;
  LogTime committed_at;
  LogIndex body_at;
  uint32_t command = 0;  // of the entry at `body_at`
};

/// The committed transactions whose home is this shard, each once, in the order in which the log finished them: what other
/// systems follow. Derived from the journal, and in no digest.
/// Owns:    its queue. Borrows the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#outbox
class Outbox {
 public:
  Outbox(ShardId shard, uint64_t kept_min, Engine& engine);

  [[nodiscard]] absl::Status Recover() { return queue_.Recover(); }

  /// The entry being applied committed a transaction.
  void Add(std::string_view ledger, LogTime committed_at, LogIndex body_at, uint32_t command);
  void EndEntry(LogIndex index);

  QueuePosition head() const { return queue_.head(); }
  QueuePosition tail() const { return queue_.tail(); }
  uint64_t appended() const { return queue_.appended(); }
  /// See FifoQueue::Read.
  absl::StatusOr<std::vector<OutboxEvent>> Read(QueuePosition from, size_t limit) const;

  void AppendRows(EngineBatch* batch) { queue_.AppendRows(batch); }
  void RowsWritten() { queue_.RowsWritten(); }

 private:
  FifoQueue queue_;
  std::vector<std::string> entry_;  // of the entry that is being applied
};

}  // namespace paxledger
