#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/store/engine.h"

namespace paxledger {

/// Where an item of a queue stands: the log entry that appended it, and its number among those of the entry. The same on every
/// replica, and for ever.
struct QueuePosition {
  LogIndex batch;
  uint32_t item = 0;
  friend constexpr bool operator==(QueuePosition, QueuePosition) = default;
  friend constexpr auto operator<=>(QueuePosition, QueuePosition) = default;
};

struct QueueItem {
  QueuePosition at;
  std::string bytes;
};

/// The FIFO queue model. Items are appended in batches, one for a log entry; they are read from any position, and the oldest
/// are trimmed, in steps of a 64th of what is kept. What is appended stays in memory until a checkpoint writes it, in the same
/// batch as the state that it belongs to: so a replay after a crash appends again what was lost, and nothing else.
/// Owns:    the rows of kQueues that begin with its prefix. Borrows the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#fifo-queue
class FifoQueue {
 public:
  /// `kept_min`: this many of the newest items are never trimmed.
  FifoQueue(std::string prefix, uint64_t kept_min, Engine& engine);

  /// Reads the head row; none is an empty queue.
  /// Errors: kDataLoss  it is damaged
  [[nodiscard]] absl::Status Recover();

  /// `batch` is above all before it; `items` are not none.
  void Append(LogIndex batch, std::vector<std::string> items);
  /// The position of the oldest item that is kept, or where the next one will be.
  QueuePosition head() const { return {head_, 0}; }
  /// The position after the newest item.
  QueuePosition tail() const { return tail_; }
  /// Items ever appended.
  uint64_t appended() const { return appended_; }

  /// Up to `limit` items from `from` on. Where `from` is no item's position, from the next one on.
  /// Errors: kOutOfRange  `from` is below the head: what was there is gone
  ///         kDataLoss    a row is damaged
  absl::StatusOr<std::vector<QueueItem>> Read(QueuePosition from, size_t limit) const;

  /// Begins a checkpoint: trims, and adds what changed since the last one. It stays in memory until `RowsWritten`.
  void AppendRows(EngineBatch* batch);
  void RowsWritten();

 private:
  struct Batch {
    LogIndex index;
    std::vector<std::string> items;
  };
  /// A place where the queue may be cut: `first` items were appended before `batch`.
  struct Mark {
    LogIndex batch;
    uint64_t first = 0;
  };

  std::string BatchKey(LogIndex batch) const;
  std::string EncodeHead() const;
  absl::Status ReadRows(QueuePosition from, size_t limit, std::vector<QueueItem>* items) const;
  void Trim(EngineBatch* batch);

  std::string prefix_;
  uint64_t kept_min_;
  Engine& engine_;
  LogIndex head_{1};
  QueuePosition tail_{LogIndex{1}, 0};
  uint64_t appended_ = 0;
  std::deque<Mark> marks_;    // ascending
  std::deque<Batch> recent_;  // not yet written; the first `frozen_` of them are being written
  size_t frozen_ = 0;
};

}  // namespace paxledger
