#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"
#include "txn/recovery_token.h"
#include "txn/settler.h"

namespace paxledger {

/// Reads of transactions by id, and the way from a 202 to an outcome (transactions.md rules 5, 17, 18).
/// Threads: the node's strand.
class TransactionReader {
 public:
  TransactionReader(NodeContext& node, Settler& settler) : node_(node), settler_(settler) {}

  /// See LedgerService::ReadTransaction. An attempt that aborted, without a later one, reads as kContended:
  /// nothing happened, and the id may be tried again. The body is empty where no shard ever saw it.
  Task<absl::StatusOr<TransferRead>> Read(LedgerKey key, std::string recovery_token, Deadline deadline);

 private:
  std::optional<TransactionRecord> RecordAtHome(const LedgerKey& key);
  Task<absl::StatusOr<TransferRead>> ReadUnseen(RecoveryToken token, Deadline deadline);
  Task<absl::StatusOr<TransferRead>> ReadInDoubt(LedgerKey key, TransactionRecord record,
                                                 std::optional<RecoveryToken> token, Deadline deadline);
  absl::StatusOr<TransferRead> Describe(const LedgerKey& key, const TransactionRecord& record,
                                        const std::optional<Decision>& decision, int64_t deadline_us);

  NodeContext& node_;
  Settler& settler_;
};

}  // namespace paxledger
