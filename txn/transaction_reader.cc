#include "txn/transaction_reader.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/mark.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

TransactionState StateOf(const std::optional<Decision>& decision) {
  if (!decision.has_value()) return TransactionState::kInDoubt;
  switch (decision->kind) {
    case DecisionKind::kCommitted:
      return TransactionState::kCommitted;
    case DecisionKind::kRefused:
      return TransactionState::kRefused;
    case DecisionKind::kConflict:
      return TransactionState::kConflict;
    case DecisionKind::kAborted:
      return TransactionState::kContended;
  }
  return TransactionState::kInDoubt;
}

}  // namespace

Task<absl::StatusOr<TransferRead>> TransactionReader::Read(LedgerKey key, std::string recovery_token,
                                                           Deadline deadline) {
  std::optional<RecoveryToken> token;
  if (!recovery_token.empty()) {
    absl::StatusOr<RecoveryToken> decoded = DecodeRecoveryToken(recovery_token);
    if (!decoded.ok()) co_return decoded.status();
    if (decoded->of.key != key)
      co_return absl::InvalidArgumentError("the recovery token is of another transaction");
    for (ShardId shard : decoded->participants) {
      if (shard.value >= node_.shards())
        co_return absl::InvalidArgumentError("the recovery token names no shard");
    }
    token = *std::move(decoded);
  }
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(home, deadline);
  if (!barrier.ok()) co_return barrier.status();

  std::optional<TransactionRecord> record = RecordAtHome(key);
  if (!record.has_value()) {
    if (!token.has_value()) co_return absl::NotFoundError("no such transaction");
    absl::StatusOr<TransferRead> unseen = co_await ReadUnseen(*std::move(token), deadline);
    co_return unseen;
  }
  if (token.has_value() && token->of.digest != record->of.digest) {
    // The id went to another body: of the token's nothing can ever happen (rule 1).
    TransferRead read;
    read.transaction.ledger = key.ledger;
    read.transaction.id = key.id;
    read.result.state = TransactionState::kConflict;
    co_return read;
  }
  if (record->decision.has_value()) co_return Describe(key, *record, record->decision, 0);
  absl::StatusOr<TransferRead> in_doubt =
      co_await ReadInDoubt(std::move(key), *std::move(record), std::move(token), deadline);
  co_return in_doubt;
}

std::optional<TransactionRecord> TransactionReader::RecordAtHome(const LedgerKey& key) {
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  std::vector<TransactionRecord> records = node_.machine(home).FindTransaction(key);
  if (records.empty()) return std::nullopt;
  return std::move(records.front());  // the home binds an id to one digest (rule 1)
}

Task<absl::StatusOr<TransferRead>> TransactionReader::ReadUnseen(RecoveryToken token, Deadline deadline) {
  int64_t due_us = node_.MonotonicOf(token.deadline_us) + limits::kRecoveryGraceUs;
  if (node_.now_us() >= due_us) {
    // The home records a Resolve first. From then on the try cannot commit, whatever the token says of its
    // attempt and participants; what else is in doubt of it, the sweep finds by the records of those shards.
    Mark("txn.resolve_by_token");
    ShardId home = ShardOfTransaction(token.of.key.ledger, token.of.key.id, node_.shards());
    VoteBoard::TallyWatch watch(node_.board(), node_.wakes(), token.of, {home});
    std::string resolve = EncodeTxnCommand(ResolveCommand{token.of, token.participants});
    for (uint32_t round = 0; watch.tally().standing() == Tally::Standing::kOpen; ++round) {
      if (deadline.Passed(node_.now_us())) break;
      absl::Status submitted = node_.Submit(home, resolve, Urgency::kNow, round);
      if (!submitted.ok() && round == 0) co_return submitted;
      bool changed = co_await watch.wakeup().Wait(
          std::min(deadline.monotonic_us, node_.now_us() + node_.PatienceMicros()));
      (void)changed;
    }
    std::optional<TransactionRecord> record = RecordAtHome(token.of.key);
    if (record.has_value()) {
      LedgerKey key = token.of.key;
      absl::StatusOr<TransferRead> read =
          co_await ReadInDoubt(std::move(key), *std::move(record), std::move(token), deadline);
      co_return read;
    }
  }
  TransferRead read;
  read.transaction.ledger = token.of.key.ledger;
  read.transaction.id = token.of.key.id;
  read.result.shards = token.participants;
  read.result.recovery_token = EncodeRecoveryToken(token);
  co_return read;
}

Task<absl::StatusOr<TransferRead>> TransactionReader::ReadInDoubt(LedgerKey key, TransactionRecord record,
                                                                  std::optional<RecoveryToken> token,
                                                                  Deadline deadline) {
  // Without a token it is not known here when the try is overdue: its votes are only read, for a moment.
  int64_t overdue_wall_us = token.has_value() ? token->deadline_us : INT64_MAX;
  int64_t until_us = deadline.monotonic_us;
  if (node_.wall_us() <= overdue_wall_us)
    until_us = std::min(until_us, node_.now_us() + node_.PatienceMicros());
  std::optional<Decision> settled =
      co_await settler_.Settle(record.of, record.participants, overdue_wall_us, until_us);

  std::optional<TransactionRecord> now = RecordAtHome(key);
  if (now.has_value() && now->decision.has_value()) co_return Describe(key, *now, now->decision, 0);
  if (now.has_value() && now->of.attempt != record.of.attempt) settled.reset();  // a later attempt runs
  co_return Describe(key, record, settled, token.has_value() ? token->deadline_us : node_.wall_us());
}

absl::StatusOr<TransferRead> TransactionReader::Describe(const LedgerKey& key,
                                                         const TransactionRecord& record,
                                                         const std::optional<Decision>& decision,
                                                         int64_t deadline_us) {
  TransferRead read;
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  absl::StatusOr<Transaction> body = ReadBody(node_, home, record);
  if (body.ok()) {
    read.transaction = *std::move(body);
    read.result.shards = Participants(read.transaction, node_.shards());
    read.result.assets = UnnamedAssets(node_, read.transaction);
  } else if (body.status().code() == absl::StatusCode::kNotFound) {
    read.transaction.ledger = key.ledger;
    read.transaction.id = key.id;
    read.result.shards = record.participants;
  } else {
    return body.status();
  }
  read.result.state = StateOf(decision);
  read.result.replayed = true;
  if (decision.has_value()) {
    read.result.refusal = decision->refusal;
    read.result.transfer = decision->transfer;
    read.result.committed_at = decision->committed_at;
  } else {
    read.result.recovery_token = EncodeRecoveryToken({record.of, read.result.shards, deadline_us});
  }
  return read;
}

}  // namespace paxledger
