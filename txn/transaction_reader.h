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

  /// See LedgerService::ReadTransaction. An attempt that aborted reads as in doubt while its request may go on:
  /// until the grace after the token's deadline; without a token, after that of the Prepare that the home recorded
  /// last, or as long as a request may last after an Execute. Then, or where the home only saw a Resolve, it
  /// reads as kContended: nothing happened, and the id may be tried again. A later call may of course be under
  /// way, and read otherwise. The body is empty where no shard ever saw it.
  Task<absl::StatusOr<TransferRead>> Read(LedgerKey key, std::string recovery_token, Deadline deadline);

 private:
  /// A token that `key` may have; whatever it says may still be forged.
  absl::StatusOr<RecoveryToken> Decode(const LedgerKey& key, const std::string& text) const;
  Task<absl::StatusOr<TransferRead>> ReadElsewhere(TransactionQuestion question, ShardId home,
                                                   Deadline deadline);
  Task<absl::StatusOr<TransferRead>> ReadHere(LedgerKey key, std::optional<RecoveryToken> token,
                                              Deadline deadline);
  /// The deadline, on the wall clock, and the grace after it have passed.
  bool Overdue(int64_t deadline_us);
  std::optional<TransactionRecord> RecordAtHome(const LedgerKey& key);
  /// Has the home record an overdue attempt that it has not seen, once the attempt `before` it is known to be
  /// aborted. Ok does not mean that it did.
  Task<absl::Status> CatchUp(RecoveryToken token, std::optional<TransactionRecord> before, Deadline deadline);
  Task<absl::StatusOr<TransferRead>> ReadInDoubt(LedgerKey key, std::optional<RecoveryToken> token,
                                                 TransactionRecord record, Deadline deadline);
  absl::StatusOr<TransferRead> Describe(const LedgerKey& key, const std::optional<RecoveryToken>& token,
                                        const std::optional<TransactionRecord>& record,
                                        std::optional<Decision> decision);

  NodeContext& node_;
  Settler& settler_;
};

}  // namespace paxledger
