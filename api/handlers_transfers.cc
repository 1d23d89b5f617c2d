#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/parse.h"
#include "api/render.h"
#include "base/limits.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

/// A new id whose home is the debit account's shard, so that it adds no participant (design §4).
void GiveId(ApiContext& context, Transaction* transaction) {
  Transfer& transfer = transaction->transfers.front();
  const ShardId home = ShardOfAccount(transaction->ledger, transfer.debit_account, context.service.shards());
  transaction->id = PlacedTransactionId(context.ids.Uuid7(context.clock.WallMicros()), home);
  transfer.id = transaction->id;
}

std::string TransferPath(const Transaction& transaction) {
  return absl::StrCat("/v1/ledgers/", transaction.ledger, "/transfers/", transaction.id);
}

/// Adds the token of the latest commit among the results.
void AddToken(const std::vector<TransactionResult>& results, HttpResponse* response) {
  LogTime latest;
  for (const TransactionResult& result : results) {
    if (result.state == TransactionState::kCommitted) latest = std::max(latest, result.committed_at);
  }
  if (latest.value > 0) response->AddHeader("Consistency-Token", EncodeConsistencyToken(latest));
}

/// The body as one transaction with an id, or the answer that says why not.
std::optional<HttpResponse> ReadTransferBody(ApiContext& context, const Call& call, Transaction* out) {
  if (call.body.size() > limits::kTransactionBytesMax) {
    return ProblemAt(ApiCode::kBodyTooLarge, call.path,
                     absl::StrCat("one transaction has up to ", limits::kTransactionBytesMax, " bytes"));
  }
  absl::Status parsed = context.json.Parse(call.body);
  if (!parsed.ok()) return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(parsed.message()));
  ParsedTransfer transfer = ParseTransfer(context.json.root(), call.ledger);
  if (!transfer.errors.empty()) return RenderFieldErrors(std::move(transfer.errors), call.path);
  *out = std::move(transfer.transaction);
  if (!out->id.empty() && !call.idempotency_key.empty() && out->id != call.idempotency_key) {
    return RenderFieldErrors({FieldError{ApiCode::kInvalidField, FieldPlace::kHeader, "Idempotency-Key",
                                         "differs from the id in the body"}},
                             call.path);
  }
  if (out->id.empty() && !call.idempotency_key.empty()) {
    out->id = call.idempotency_key;
    out->transfers.front().id = out->id;
  }
  if (out->id.empty()) GiveId(context, out);
  return std::nullopt;
}

/// The id of a transfer as `{transaction}` or `{transaction}~{n}`.
struct TransferName {
  std::string transaction;
  std::optional<uint64_t> n;
};

std::optional<TransferName> ParseTransferName(const std::string& id) {
  const size_t tilde = id.find('~');
  TransferName name{id.substr(0, tilde), std::nullopt};
  if (!IsId(name.transaction)) return std::nullopt;
  if (tilde == std::string::npos) return name;
  name.n = ParseUint64(std::string_view(id).substr(tilde + 1));
  if (!name.n.has_value()) return std::nullopt;
  return name;
}

/// The transfer of that name within the transaction; nullopt: it has none.
std::optional<size_t> FindTransfer(const Transaction& transaction, const std::string& id) {
  for (size_t i = 0; i < transaction.transfers.size(); ++i) {
    if (transaction.transfers[i].id == id) return i;
  }
  return std::nullopt;
}

/// A transfer that named no asset is shown with that of its accounts.
void NameAssets(const TransactionResult& result, Transaction* transaction) {
  for (size_t i = 0; i < result.assets.size() && i < transaction->transfers.size(); ++i) {
    if (transaction->transfers[i].asset.empty()) transaction->transfers[i].asset = result.assets[i];
  }
}

std::string RecoveryToken(const Call& call) {
  const std::string* token = call.Parameter("recovery");
  return token == nullptr ? std::string() : *token;
}

}  // namespace

Task<HttpResponse> PostTransfer(ApiContext& context, Call call) {
  Transaction transaction;
  std::optional<HttpResponse> refused = ReadTransferBody(context, call, &transaction);
  if (refused.has_value()) co_return *std::move(refused);

  Answer<std::vector<TransactionResult>> answer(context.queue);
  std::vector<Transaction> transactions;
  transactions.push_back(transaction);
  context.service.Execute(std::move(transactions), call.after, call.deadline, answer.Callback());
  std::optional<std::vector<TransactionResult>> results = co_await answer;
  if (!results.has_value()) co_return AbandonedProblem(call.path);
  Check(results->size() == 1, "every transaction has one result");
  NameAssets(results->front(), &transaction);
  HttpResponse response = RenderPosted(transaction, results->front(), TransferPath(transaction));
  AddToken(*results, &response);
  co_return response;
}

Task<HttpResponse> PostTransfers(ApiContext& context, Call call) {
  absl::Status parsed = context.json.Parse(call.body);
  if (!parsed.ok()) {
    co_return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(parsed.message()));
  }
  ParsedBatch<Transaction> batch = ParseTransfers(context.json.root(), call.ledger);
  if (!batch.errors.empty()) co_return RenderFieldErrors(std::move(batch.errors), call.path);
  std::vector<std::string> ids;
  ids.reserve(batch.items.size());
  for (Transaction& transaction : batch.items) {
    if (transaction.id.empty()) GiveId(context, &transaction);
    ids.push_back(transaction.id);
  }
  if (ids.empty()) co_return RenderPostedBatch(ids, {}, batch.invalid, call.path);

  Answer<std::vector<TransactionResult>> answer(context.queue);
  context.service.Execute(std::move(batch.items), call.after, call.deadline, answer.Callback());
  std::optional<std::vector<TransactionResult>> results = co_await answer;
  if (!results.has_value()) co_return AbandonedProblem(call.path);
  HttpResponse response = RenderPostedBatch(ids, *results, batch.invalid, call.path);
  AddToken(*results, &response);
  co_return response;
}

Task<HttpResponse> GetTransfer(ApiContext& context, Call call) {
  std::optional<TransferName> name = ParseTransferName(call.id);
  if (!name.has_value()) co_return ProblemAt(ApiCode::kTransferNotFound, call.path);
  Answer<absl::StatusOr<TransferRead>> answer(context.queue);
  context.service.ReadTransaction(LedgerKey{call.ledger, name->transaction}, RecoveryToken(call),
                                  call.deadline, answer.Callback());
  std::optional<absl::StatusOr<TransferRead>> read = co_await answer;
  if (!read.has_value()) co_return AbandonedProblem(call.path);
  if (!read->ok()) co_return ReadProblem(read->status(), ApiCode::kTransferNotFound, call.path);
  TransferRead& found = **read;
  NameAssets(found.result, &found.transaction);
  // With the token of a 202 whose id went to another body.
  if (found.result.state == TransactionState::kConflict) {
    co_return ProblemAt(ApiCode::kIdempotencyConflict, call.path);
  }
  HttpResponse response;
  if (found.transaction.transfers.empty()) {
    // No shard ever saw the body; the token of a 202 said how it ended (transactions.md rule 18).
    AppendOutcomeOf(&response.body, call.id, name->transaction, found.result);
    co_return response;
  }
  std::optional<size_t> n = FindTransfer(found.transaction, call.id);
  if (!n.has_value()) co_return ProblemAt(ApiCode::kTransferNotFound, call.path);
  AppendTransfer(&response.body, found.transaction, *n, found.result);
  AddToken({found.result}, &response);
  co_return response;
}

Task<HttpResponse> GetTransaction(ApiContext& context, Call call) {
  if (!IsId(call.id)) co_return ProblemAt(ApiCode::kTransferNotFound, call.path);
  Answer<absl::StatusOr<TransferRead>> answer(context.queue);
  context.service.ReadTransaction(LedgerKey{call.ledger, call.id}, RecoveryToken(call), call.deadline,
                                  answer.Callback());
  std::optional<absl::StatusOr<TransferRead>> read = co_await answer;
  if (!read.has_value()) co_return AbandonedProblem(call.path);
  if (!read->ok()) co_return ReadProblem(read->status(), ApiCode::kTransferNotFound, call.path);
  TransferRead& found = **read;
  NameAssets(found.result, &found.transaction);
  // With the token of a 202 whose id went to another body.
  if (found.result.state == TransactionState::kConflict) {
    co_return ProblemAt(ApiCode::kIdempotencyConflict, call.path);
  }
  HttpResponse response;
  AppendTransaction(&response.body, call.id, found.transaction, found.result);
  AddToken({found.result}, &response);
  co_return response;
}

}  // namespace paxledger
