#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/parse.h"
#include "api/query.h"
#include "api/render.h"
#include "base/limits.h"

namespace paxledger {

namespace {

std::string AccountPath(const LedgerKey& key) {
  return absl::StrCat("/v1/ledgers/", key.ledger, "/accounts/", key.id);
}

void AddStaleness(ReadMode mode, int64_t staleness_us, HttpResponse* response) {
  if (mode == ReadMode::kLocal)
    response->AddHeader("Staleness-Ms", absl::StrCat((staleness_us + 999) / 1000));
}

/// What a list of accounts was asked for.
struct ListQuery {
  std::string prefix;
  std::string after;
  size_t limit = limits::kPageItemsDefault;
  std::vector<FieldError> errors;
};

ListQuery ReadListQuery(const Call& call) {
  ListQuery query;
  const std::string* prefix = call.Parameter("prefix");
  if (prefix != nullptr && !prefix->empty()) {
    if (!IsId(*prefix)) query.errors.push_back(WrongParameter("prefix", "must be the beginning of an id"));
    query.prefix = *prefix;
  }
  query.limit = ReadLimit(call, &query.errors);
  if (const std::string* text = call.Parameter("cursor")) {
    std::optional<AccountCursor> cursor = DecodeCursor(*text);
    if (!cursor.has_value() || cursor->ledger != call.ledger) {
      query.errors.push_back(WrongParameter("cursor", "is no cursor of this list"));
    } else if (prefix != nullptr && *prefix != cursor->prefix) {
      query.errors.push_back(WrongParameter("prefix", "differs from the cursor's, which it keeps"));
    } else {
      query.prefix = cursor->prefix;
      query.after = cursor->after;
    }
  }
  return query;
}

}  // namespace

Task<HttpResponse> OpenAccount(ApiContext& context, Call call) {
  absl::Status json = context.json.Parse(call.body);
  if (!json.ok()) co_return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(json.message()));
  ParsedAccount parsed = ParseAccount(context.json.root(), call.ledger);
  if (!parsed.errors.empty()) co_return RenderFieldErrors(std::move(parsed.errors), call.path);
  OpenAccountRequest request = std::move(parsed.account);
  std::string& id = request.key.id;
  if (!id.empty() && !call.idempotency_key.empty() && id != call.idempotency_key) {
    std::vector<FieldError> errors;
    errors.push_back(FieldError{ApiCode::kInvalidField, FieldPlace::kHeader, "Idempotency-Key",
                                "differs from the id in the body"});
    co_return RenderFieldErrors(std::move(errors), call.path);
  }
  if (id.empty()) id = call.idempotency_key;
  if (id.empty()) id = context.ids.Uuid7(context.clock.WallMicros());

  Answer<std::vector<OpenAccountResult>> answer(context.queue);
  std::vector<OpenAccountRequest> requests;
  requests.push_back(request);
  context.service.OpenAccounts(std::move(requests), call.deadline, answer.Callback());
  std::optional<std::vector<OpenAccountResult>> results = co_await answer;
  if (!results.has_value()) co_return AbandonedProblem(call.path);
  Check(results->size() == 1, "every account has one result");
  co_return RenderOpened(request, results->front(), AccountPath(request.key));
}

Task<HttpResponse> OpenAccounts(ApiContext& context, Call call) {
  absl::Status json = context.json.Parse(call.body);
  if (!json.ok()) co_return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(json.message()));
  ParsedBatch<OpenAccountRequest> batch = ParseAccounts(context.json.root(), call.ledger);
  if (!batch.errors.empty()) co_return RenderFieldErrors(std::move(batch.errors), call.path);
  std::vector<std::string> ids;
  ids.reserve(batch.items.size());
  for (OpenAccountRequest& request : batch.items) {
    if (request.key.id.empty()) request.key.id = context.ids.Uuid7(context.clock.WallMicros());
    ids.push_back(request.key.id);
  }
  if (ids.empty()) co_return RenderOpenedBatch(ids, {}, batch.invalid, call.path);

  Answer<std::vector<OpenAccountResult>> answer(context.queue);
  context.service.OpenAccounts(std::move(batch.items), call.deadline, answer.Callback());
  std::optional<std::vector<OpenAccountResult>> results = co_await answer;
  if (!results.has_value()) co_return AbandonedProblem(call.path);
  co_return RenderOpenedBatch(ids, *results, batch.invalid, call.path);
}

Task<HttpResponse> GetAccount(ApiContext& context, Call call) {
  if (!IsId(call.id)) co_return ProblemAt(ApiCode::kAccountNotFound, call.path);
  Answer<absl::StatusOr<AccountRead>> answer(context.queue);
  context.service.ReadAccount(LedgerKey{call.ledger, call.id}, call.mode, call.after, call.deadline,
                              answer.Callback());
  std::optional<absl::StatusOr<AccountRead>> read = co_await answer;
  if (!read.has_value()) co_return AbandonedProblem(call.path);
  if (!read->ok()) co_return ReadProblem(read->status(), ApiCode::kAccountNotFound, call.path);
  const AccountRead& found = **read;
  if (!found.account.has_value()) co_return ProblemAt(ApiCode::kAccountNotFound, call.path);
  HttpResponse response;
  AppendAccount(&response.body, call.id, *found.account);
  response.AddHeader("ETag", absl::StrCat("\"", found.account->version, "\""));
  if (found.at.value > 0) response.AddHeader("Consistency-Token", EncodeConsistencyToken(found.at));
  AddStaleness(call.mode, found.staleness_us, &response);
  co_return response;
}

Task<HttpResponse> GetBalance(ApiContext& context, Call call) {
  if (call.Parameter("at") != nullptr) {
    std::vector<FieldError> errors;
    errors.push_back(WrongParameter("at", "is not supported yet"));
    co_return RenderFieldErrors(std::move(errors), call.path);
  }
  if (!IsId(call.id)) co_return ProblemAt(ApiCode::kAccountNotFound, call.path);
  Answer<absl::StatusOr<AccountRead>> answer(context.queue);
  context.service.ReadAccount(LedgerKey{call.ledger, call.id}, call.mode, call.after, call.deadline,
                              answer.Callback());
  std::optional<absl::StatusOr<AccountRead>> read = co_await answer;
  if (!read.has_value()) co_return AbandonedProblem(call.path);
  if (!read->ok()) co_return ReadProblem(read->status(), ApiCode::kAccountNotFound, call.path);
  const AccountRead& found = **read;
  if (!found.account.has_value()) co_return ProblemAt(ApiCode::kAccountNotFound, call.path);
  HttpResponse response;
  std::string& out = response.body;
  out.append("{\"account\":");
  AppendJsonString(&out, call.id);
  out.append(",\"asset\":");
  AppendJsonString(&out, found.account->spec.asset);
  out.append(",\"at\":");
  if (found.at.value > 0) {
    out.push_back('"');
    AppendTime(&out, found.at.value);
    out.push_back('"');
    response.AddHeader("Consistency-Token", EncodeConsistencyToken(found.at));
  } else {
    out.append("null");
  }
  out.append(",\"balances\":");
  AppendBalances(&out, *found.account);
  out.push_back('}');
  AddStaleness(call.mode, found.staleness_us, &response);
  co_return response;
}

Task<HttpResponse> GetAccounts(ApiContext& context, Call call) {
  ListQuery query = ReadListQuery(call);
  if (!query.errors.empty()) co_return RenderFieldErrors(std::move(query.errors), call.path);
  // A local list could be older than the token; a strong one is ordered after everything that was answered.
  ReadMode mode = call.after.value > 0 ? ReadMode::kStrong : call.mode;
  Answer<absl::StatusOr<AccountPage>> answer(context.queue);
  context.service.ListAccounts(call.ledger, query.prefix, query.after, query.limit, mode, call.deadline,
                               answer.Callback());
  std::optional<absl::StatusOr<AccountPage>> read = co_await answer;
  if (!read.has_value()) co_return AbandonedProblem(call.path);
  if (!read->ok()) co_return ReadProblem(read->status(), ApiCode::kAccountNotFound, call.path);
  const AccountPage& page = **read;
  AccountCursor next{call.ledger, query.prefix, ""};
  if (!page.accounts.empty()) next.after = page.accounts.back().key.id;
  HttpResponse response = RenderAccountPage(page, EncodeCursor(next));
  AddStaleness(mode, page.staleness_us, &response);
  co_return response;
}

}  // namespace paxledger
