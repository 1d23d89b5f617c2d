#pragma once

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"
#include "txn/node_messages.h"
#include "txn/reader.h"

namespace paxledger {

/// Statements of accounts, page by page; of shards that are not hosted here a host is asked.
/// Threads: the node's strand, which it gives up between a few lines.
class StatementReader {
 public:
  StatementReader(NodeContext& node, Reader& reader) : node_(node), reader_(reader) {}

  /// See LedgerService::ReadStatement. kInvalidArgument: `after` is too far in the future (rule 9).
  Task<absl::StatusOr<StatementPage>> Read(StatementRequest request, ReadMode mode, LogTime after,
                                           Deadline deadline);

 private:
  Task<absl::StatusOr<StatementPage>> ReadElsewhere(ShardId shard, StatementQuestion question,
                                                    Deadline deadline);
  /// `closed`: nothing will be posted to the account at this time or before.
  Task<absl::StatusOr<StatementPage>> ReadHere(ShardId shard, StatementRequest request, LogTime closed,
                                               Deadline deadline);
  Task<absl::Status> ReadBodies(ShardId shard, const LedgerKey* account, std::vector<LedgerLine> lines,
                                StatementPage* page, Deadline deadline);

  NodeContext& node_;
  Reader& reader_;
};

}  // namespace paxledger
