#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/render.h"
#include "base/check.h"

namespace paxledger {

namespace {

HttpResponse ProblemAt(ProblemKind kind, std::string_view path, std::string detail = "") {
  return RenderProblem(Problem{kind, std::move(detail), std::string(path), {}});
}

void AddReplayed(HttpResponse* response) { response->AddHeader("Idempotent-Replayed", "true"); }

/// What an item or a request whose transaction did not commit says; nullopt: it has no code.
std::optional<ProblemKind> KindOf(const TransactionResult& result) {
  switch (result.state) {
    case TransactionState::kCommitted:
      return std::nullopt;
    case TransactionState::kInDoubt:
      return std::nullopt;
    case TransactionState::kRefused:
      return KindOf(result.refusal);
    case TransactionState::kConflict:
      return KindOf(ApiCode::kIdempotencyConflict);
    case TransactionState::kContended:
      return KindOf(ApiCode::kContended);
    case TransactionState::kUnavailable:
      return KindOf(ApiCode::kUnavailable);
    case TransactionState::kOverloaded:
      return KindOf(ApiCode::kOverloaded);
  }
  return std::nullopt;
}

/// How opening an account ended: the name of its status in a batch, and the code where it has one.
struct OpenedAs {
  std::string_view status;
  std::optional<ProblemKind> kind;
};

OpenedAs Describe(const OpenAccountResult& result) {
  if (result.failure.ok()) {
    switch (result.status) {
      case OpenStatus::kOpened:
        return {"opened", std::nullopt};
      case OpenStatus::kExists:
        return {"exists", std::nullopt};
      case OpenStatus::kExistsWithOtherFields:
        return {"refused", KindOf(ApiCode::kAccountExistsWithOtherFields)};
    }
  }
  switch (result.failure.code()) {
    case absl::StatusCode::kUnavailable:
      return {"aborted", KindOf(ApiCode::kUnavailable)};
    case absl::StatusCode::kResourceExhausted:
      return {"aborted", KindOf(ApiCode::kOverloaded)};
    default:
      return {"in_doubt", std::nullopt};
  }
}

/// Appends one item of a batch's answer.
void AppendItem(std::string* out, std::string_view id, std::string_view status,
                const std::optional<ProblemKind>& kind) {
  out->append("{\"id\":");
  AppendJsonString(out, id);
  out->append(",\"status\":\"").append(status).push_back('"');
  if (!kind.has_value()) return;
  out->append(",\"code\":\"").append(kind->code).push_back('"');
  if (kind->retryable) out->append(",\"retryable\":true");
}

void AppendInvalid(std::string* out, const InvalidItem& item) {
  out->append("{\"id\":");
  if (item.id.has_value()) {
    AppendJsonString(out, *item.id);
  } else {
    out->append("null");
  }
  out->append(",\"status\":\"invalid\",\"code\":\"").append(KindOf(item.errors.front().code).code);
  out->append("\",\"errors\":");
  AppendFieldErrors(out, item.errors);
  out->push_back('}');
}

/// Puts items and invalid ones in the order of the request; `append(i)` writes item i.
template <class Append>
HttpResponse RenderBatch(size_t items, const std::vector<InvalidItem>& invalid, Append append) {
  HttpResponse response;
  std::string& out = response.body;
  out.reserve(64 * (items + 1));
  out.append("{\"data\":[");
  size_t item = 0;
  auto bad = invalid.begin();
  for (size_t i = 0; i < items + invalid.size(); ++i) {
    if (i > 0) out.push_back(',');
    if (bad != invalid.end() && bad->index == i) {
      AppendInvalid(&out, *bad++);
    } else {
      append(&out, item++);
    }
  }
  out.append("]}");
  return response;
}

/// True where nothing happened to any item, for one reason that goes away.
template <class Results, class KindOfItem>
std::optional<ProblemKind> SharedFailure(const Results& results, KindOfItem kind_of_item) {
  std::optional<ProblemKind> shared;
  for (const auto& result : results) {
    std::optional<ProblemKind> kind = kind_of_item(result);
    if (!kind.has_value() || !kind->retryable || kind->code == KindOf(ApiCode::kContended).code)
      return std::nullopt;
    if (shared.has_value() && shared->code != kind->code) return std::nullopt;
    shared = kind;
  }
  return shared;
}

}  // namespace

HttpResponse RenderPosted(const Transaction& transaction, const TransactionResult& result,
                          std::string_view path) {
  std::optional<ProblemKind> kind = KindOf(result);
  if (kind.has_value()) {
    HttpResponse response = ProblemAt(*kind, path, result.reason);
    if (result.replayed) AddReplayed(&response);
    return response;
  }
  HttpResponse response;
  AppendTransfer(&response.body, transaction, 0, result);
  if (result.state == TransactionState::kInDoubt) {
    response.status = 202;
    std::string location(path);
    if (!result.recovery_token.empty()) location.append("?recovery=").append(result.recovery_token);
    response.AddHeader("Location", location);
    return response;
  }
  response.status = result.replayed ? 200 : 201;
  response.AddHeader("Location", path);
  if (result.replayed) AddReplayed(&response);
  return response;
}

HttpResponse RenderOpened(const OpenAccountRequest& request, const OpenAccountResult& result,
                          std::string_view path) {
  const OpenedAs opened = Describe(result);
  if (opened.kind.has_value()) return ProblemAt(*opened.kind, path, std::string(result.failure.message()));
  HttpResponse response;
  response.AddHeader("Location", path);
  if (!result.failure.ok()) {
    response.status = 202;
    response.body.append("{\"id\":");
    AppendJsonString(&response.body, request.key.id);
    response.body.append(",\"status\":\"in_doubt\"}");
    return response;
  }
  const bool exists = result.status == OpenStatus::kExists;
  response.status = exists ? 200 : 201;
  if (exists) AddReplayed(&response);
  response.AddHeader("ETag", absl::StrCat("\"", result.account.version, "\""));
  AppendAccount(&response.body, request.key.id, result.account);
  return response;
}

HttpResponse RenderPostedBatch(const std::vector<std::string>& ids,
                               const std::vector<TransactionResult>& results,
                               const std::vector<InvalidItem>& invalid, std::string_view path) {
  Check(ids.size() == results.size(), "every transfer of a batch has one result");
  const auto kind_of_item = [](const TransactionResult& result) { return KindOf(result); };
  if (invalid.empty()) {
    std::optional<ProblemKind> shared = SharedFailure(results, kind_of_item);
    if (shared.has_value()) return ProblemAt(*shared, path, results.front().reason);
  }
  return RenderBatch(results.size(), invalid, [&](std::string* out, size_t i) {
    AppendItem(out, ids[i], StatusName(results[i].state), KindOf(results[i]));
    if (results[i].replayed) out->append(",\"replayed\":true");
    if (!results[i].recovery_token.empty()) {
      out->append(",\"recovery\":");
      AppendJsonString(out, results[i].recovery_token);
    }
    out->push_back('}');
  });
}

HttpResponse RenderOpenedBatch(const std::vector<std::string>& ids,
                               const std::vector<OpenAccountResult>& results,
                               const std::vector<InvalidItem>& invalid, std::string_view path) {
  Check(ids.size() == results.size(), "every account of a batch has one result");
  const auto kind_of_item = [](const OpenAccountResult& result) { return Describe(result).kind; };
  if (invalid.empty()) {
    std::optional<ProblemKind> shared = SharedFailure(results, kind_of_item);
    if (shared.has_value()) return ProblemAt(*shared, path, std::string(results.front().failure.message()));
  }
  return RenderBatch(results.size(), invalid, [&](std::string* out, size_t i) {
    const OpenedAs opened = Describe(results[i]);
    AppendItem(out, ids[i], opened.status, opened.kind);
    out->push_back('}');
  });
}

}  // namespace paxledger
