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

bool IsAborted(const std::optional<Decision>& decision) {
  return decision.has_value() && decision->kind == DecisionKind::kAborted;
}

}  // namespace

absl::StatusOr<RecoveryToken> TransactionReader::Decode(const LedgerKey& key, const std::string& text) const {
  absl::StatusOr<RecoveryToken> token = DecodeRecoveryToken(text);
  if (!token.ok()) return token;
  if (token->of.key != key) return absl::InvalidArgumentError("the recovery token is of another transaction");
  const std::vector<ShardId>& ascending = token->participants;
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  if (ascending.back().value >= node_.shards() ||
      !std::binary_search(ascending.begin(), ascending.end(), home)) {
    return absl::InvalidArgumentError("the recovery token's participants cannot be those of the transaction");
  }
  return token;
}

Task<absl::StatusOr<TransferRead>> TransactionReader::Read(LedgerKey key, std::string recovery_token,
                                                           Deadline deadline) {
  std::optional<RecoveryToken> token;
  if (!recovery_token.empty()) {
    absl::StatusOr<RecoveryToken> decoded = Decode(key, recovery_token);
    if (!decoded.ok()) co_return decoded.status();
    token = *std::move(decoded);
  }
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  if (!node_.Hosts(home)) {
    absl::StatusOr<TransferRead> read =
        co_await ReadElsewhere({std::move(key), std::move(recovery_token)}, home, deadline);
    co_return read;
  }
  absl::StatusOr<TransferRead> read = co_await ReadHere(key, token, deadline);
  if (absl::IsUnavailable(read.status()) || absl::IsDataLoss(read.status())) {
    // Perhaps its body is in an entry that cannot be read here: peers have it.
    absl::Status fetched = co_await FetchBodies(node_, home, key, deadline);
    if (!fetched.ok()) co_return read;
    read = co_await ReadHere(std::move(key), std::move(token), deadline);
  }
  if (!read.ok()) co_return read;
  if (!node_.Hosts(home)) co_return absl::UnavailableError("the shard moved to another node meanwhile");
  std::vector<LedgerKey> unknown = UnknownAssets(node_, read->transaction);
  if (!unknown.empty()) {
    co_await node_.remote().LearnAssets(std::move(unknown), Freshness::kApplied, deadline);
    read->result.assets = UnnamedAssets(node_, read->transaction);
  }
  co_return read;
}

Task<absl::StatusOr<TransferRead>> TransactionReader::ReadElsewhere(TransactionQuestion question,
                                                                    ShardId home, Deadline deadline) {
  LedgerKey key = question.key;
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().Ask(home, std::move(question), deadline);
  if (!answer.ok()) co_return answer.status();
  TransferRead read = std::get<TransferRead>(*std::move(answer));
  read.transaction.ledger = std::move(key.ledger);
  read.transaction.id = std::move(key.id);
  co_return read;
}

Task<absl::StatusOr<TransferRead>> TransactionReader::ReadHere(LedgerKey key,
                                                               std::optional<RecoveryToken> token,
                                                               Deadline deadline) {
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(home, deadline);
  if (!barrier.ok()) co_return barrier.status();

  std::optional<TransactionRecord> record = RecordAtHome(key);
  if (!node_.Hosts(home)) co_return absl::UnavailableError("the shard moved to another node meanwhile");
  if (!record.has_value() && !token.has_value()) co_return absl::NotFoundError("no such transaction");
  if (record.has_value() && token.has_value() && token->of.digest != record->of.digest) {
    // The id went to another body: of the token's nothing can ever happen (rule 1).
    TransferRead read;
    read.transaction.ledger = key.ledger;
    read.transaction.id = key.id;
    read.result.state = TransactionState::kConflict;
    co_return read;
  }
  uint32_t seen = record.has_value() ? record->of.attempt : 0;
  if (token.has_value() && token->of.attempt > seen) {
    // Whoever began an attempt had the home's vote of the one before (rule 2).
    if (token->of.attempt > seen + 1)
      co_return absl::InvalidArgumentError("the recovery token is of an attempt that nobody can have begun");
    bool settled = record.has_value() && record->decision.has_value() && !IsAborted(record->decision);
    if (!settled && !Overdue(token->deadline_us)) co_return Describe(key, token, record, std::nullopt);
    if (!settled) {
      absl::Status caught_up = co_await CatchUp(*token, std::move(record), deadline);
      if (!caught_up.ok()) co_return caught_up;
      record = RecordAtHome(key);
    }
  }
  if (!record.has_value()) co_return Describe(key, token, record, std::nullopt);
  if (record->decision.has_value()) co_return Describe(key, token, record, record->decision);
  absl::StatusOr<TransferRead> in_doubt =
      co_await ReadInDoubt(std::move(key), std::move(token), *std::move(record), deadline);
  co_return in_doubt;
}

bool TransactionReader::Overdue(int64_t deadline_us) {
  return node_.now_us() >= node_.MonotonicOf(deadline_us) + limits::kRecoveryGraceUs;
}

std::optional<TransactionRecord> TransactionReader::RecordAtHome(const LedgerKey& key) {
  ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
  std::vector<TransactionRecord> records = node_.machine(home).FindTransaction(key);
  if (records.empty()) return std::nullopt;
  return std::move(records.front());  // the home binds an id to one digest (rule 1)
}

Task<absl::Status> TransactionReader::CatchUp(RecoveryToken token, std::optional<TransactionRecord> before,
                                              Deadline deadline) {
  ResolveCommand resolve{token.of, token.participants};
  ShardId home = ShardOfTransaction(token.of.key.ledger, token.of.key.id, node_.shards());
  if (before.has_value()) {
    // A Resolve of this attempt is taken for proof that the one before aborted (rule 3), so that must be
    // known first. It stays true, whatever happens until the Resolve is applied.
    if (!before->decision.has_value()) {
      int64_t overdue_wall_us = std::max(before->deadline_us, token.deadline_us);
      Settler::Learned learned =
          co_await settler_.Settle(before->of, before->participants, overdue_wall_us, deadline.monotonic_us);
      bool aborted =
          learned.standing != Tally::Standing::kOpen && learned.decision.kind == DecisionKind::kAborted;
      if (!aborted) co_return absl::OkStatus();
    }
    // The token is not signed: where the body is known, it says who takes part.
    absl::StatusOr<RecordedBody> body = ReadBody(node_, home, *before);
    if (body.ok()) {
      resolve.participants = Participants(body->transaction, node_.shards());
    } else if (body.status().code() != absl::StatusCode::kNotFound) {
      co_return body.status();
    }
  }
  // The home records it first. From then on the try cannot commit unless the home has Prepared it, and then
  // the participants are those of its Prepare. If this is the first attempt, a Resolve can only lose to a
  // vote that came before it.
  Mark("txn.resolve_by_token");
  VoteBoard::TallyWatch watch(node_.board(), node_.wakes(), token.of, {home});
  AskMachines(node_, watch.tally());
  watch.AskHosts(VoteBoard::TallyWatch::Whom::kSame);
  std::string encoded = EncodeTxnCommand(resolve);
  for (uint32_t round = 0; watch.tally().standing() == Tally::Standing::kOpen; ++round) {
    if (deadline.Passed(node_.now_us())) break;
    absl::Status submitted = node_.Submit(home, encoded, Urgency::kNow, round);
    if (!submitted.ok() && round == 0) co_return submitted;
    bool changed = co_await watch.wakeup().Wait(
        std::min(deadline.monotonic_us, node_.now_us() + node_.PatienceMicros()));
    (void)changed;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<TransferRead>> TransactionReader::ReadInDoubt(LedgerKey key,
                                                                  std::optional<RecoveryToken> token,
                                                                  TransactionRecord record,
                                                                  Deadline deadline) {
  // The attempt that runs may be another gateway's, with a deadline of its own: nothing is resolved before the
  // later of the two (rule 18), and until then the votes are only read, for a moment.
  int64_t overdue_wall_us = std::max(record.deadline_us, token.has_value() ? token->deadline_us : 0);
  int64_t until_us = deadline.monotonic_us;
  if (node_.wall_us() <= overdue_wall_us)
    until_us = std::min(until_us, node_.now_us() + node_.PatienceMicros());
  Settler::Learned learned =
      co_await settler_.Settle(record.of, record.participants, overdue_wall_us, until_us);

  std::optional<TransactionRecord> now = RecordAtHome(key);
  if (now.has_value() && now->decision.has_value()) co_return Describe(key, token, now, now->decision);
  std::optional<Decision> decision;
  bool same_attempt = now.has_value() && now->of.attempt == record.of.attempt;
  // Superseded, or another attempt at home: a later one runs, and what is known of this one is no outcome.
  if (same_attempt && learned.standing == Tally::Standing::kDecided) decision = learned.decision;
  co_return Describe(key, token, now, decision);
}

absl::StatusOr<TransferRead> TransactionReader::Describe(const LedgerKey& key,
                                                         const std::optional<RecoveryToken>& token,
                                                         const std::optional<TransactionRecord>& record,
                                                         std::optional<Decision> decision) {
  TransferRead read;
  read.transaction.ledger = key.ledger;
  read.transaction.id = key.id;
  RecoveryToken next = token.value_or(RecoveryToken{});
  if (record.has_value()) {
    ShardId home = ShardOfTransaction(key.ledger, key.id, node_.shards());
    absl::StatusOr<RecordedBody> body = ReadBody(node_, home, *record);
    if (body.ok()) {
      read.transaction = std::move(body->transaction);
      read.result.assets = UnnamedAssets(node_, read.transaction);
      next.participants = Participants(read.transaction, node_.shards());
      if (!token.has_value()) next.deadline_us = body->live_until_us;
    } else if (body.status().code() != absl::StatusCode::kNotFound) {
      return body.status();
    } else if (!record->participants.empty()) {
      next.participants = record->participants;
    }
    if (!token.has_value() || record->of.attempt > next.of.attempt) next.of = record->of;
    // The request goes on after an attempt of it aborted, until its deadline.
    bool ended = Overdue(next.deadline_us) && record->of.attempt == next.of.attempt;
    if (IsAborted(decision) && !ended) decision.reset();
    next.deadline_us = std::max(next.deadline_us, record->deadline_us);
  }
  read.result.shards = next.participants;
  read.result.state = StateOf(decision);
  read.result.replayed = record.has_value();
  if (decision.has_value()) {
    read.result.refusal = decision->refusal;
    read.result.transfer = decision->transfer;
    read.result.committed_at = decision->committed_at;
  } else {
    read.result.recovery_token = EncodeRecoveryToken(next);
  }
  return read;
}

}  // namespace paxledger
