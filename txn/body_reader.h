#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "ledger/encoding.h"
#include "replication/core/envelope.h"
#include "txn/command_view.h"
#include "txn/node_context.h"

namespace paxledger {

/// The bodies of transactions out of a shard's journal, by the place where a row says that they are. Keeps the last entry, since
/// neighbours often stand in one.
/// Threads: the node's strand.
class BodyReader {
 public:
  BodyReader(NodeContext& node, ShardId shard) : node_(node), shard_(shard) {}
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  /// Points into this; good until the next call.
  /// Errors: kUnavailable  the journal that far back is not here
  ///         kDataLoss     it does not hold what the row says
  absl::StatusOr<const TransactionView*> Read(LogIndex index, uint32_t command);
  /// After an error of `Read`: gets the entry from a peer where it cannot be read here, so that the next `Read` of it finds it.
  /// Errors: kUnavailable  nobody had it in time
  Task<absl::Status> Fetch(LogIndex index, Deadline deadline);
  /// Entries that were read from the journal.
  size_t entries_read() const { return entries_read_; }

 private:
  absl::Status Hold(LogIndex index, SharedBytes value);

  NodeContext& node_;
  ShardId shard_;
  LogIndex index_;
  SharedBytes value_;
  Envelope entry_;  // of `value_`
  CommandView view_;
  size_t entries_read_ = 0;
};

}  // namespace paxledger
