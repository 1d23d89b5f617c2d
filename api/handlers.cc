#include "api/handlers.h"

#include "absl/strings/str_cat.h"

namespace paxledger {

namespace {

/// An answer that needs nobody.
Task<HttpResponse> Ready(HttpResponse response) { co_return response; }

}  // namespace

HttpResponse ReadProblem(const absl::Status& status, ApiCode not_found, std::string_view path) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return ProblemAt(not_found, path);
    case absl::StatusCode::kInvalidArgument:
      return RenderFieldErrors({FieldError{ApiCode::kInvalidField, FieldPlace::kQuery, "recovery",
                                           "is no token of this transfer"}},
                               path);
    case absl::StatusCode::kResourceExhausted:
      return ProblemAt(ApiCode::kOverloaded, path);
    case absl::StatusCode::kDeadlineExceeded:
      return ProblemAt(ApiCode::kUnavailable, path, "no answer within the deadline; nothing was changed");
    default:
      return ProblemAt(ApiCode::kUnavailable, path, "no majority answers; nothing was changed");
  }
}

HttpResponse AbandonedProblem(std::string_view path) {
  return ProblemAt(ApiCode::kInternal, path,
                   "the server stopped before the answer came; ask again with the same id");
}

HttpResponse GetLedgers() {
  HttpResponse response;
  response.body = R"({"data":[{"id":"main"}],"has_more":false,"next_cursor":null})";
  return response;
}

HttpResponse GetLedger(const Call& call) {
  HttpResponse response;
  AppendJsonString(&response.body.append("{\"id\":"), call.ledger);
  response.body.push_back('}');
  return response;
}

HttpResponse GetMetrics(ApiContext& context) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = context.metrics.Render();
  return response;
}

HttpResponse GetFrontPage(ApiContext& context) {
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = absl::StrCat(
      "PaxLedger: a transactional payment ledger, replicated across data centres.\n", "This is data centre ",
      context.data_centre, ".\n\n", "/openapi.json   the contract (OpenAPI 3.1)\n",
      "/v1/ledgers     the books; send Authorization: Bearer <API key>\n",
      "/readyz         whether a majority of data centres answers\n", "/metrics        for Prometheus\n");
  return response;
}

Task<HttpResponse> GetReady(ApiContext& context, Call call) {
  if (context.draining.load(std::memory_order_relaxed)) {
    co_return ProblemAt(ApiCode::kUnavailable, call.path, "this data centre is going out of service");
  }
  Answer<absl::Status> answer(context.queue);
  context.service.Ready(answer.Callback());
  std::optional<absl::Status> status = co_await answer;
  if (!status.has_value()) co_return AbandonedProblem(call.path);
  if (!status->ok()) co_return ProblemAt(ApiCode::kUnavailable, call.path, std::string(status->message()));
  HttpResponse response;
  response.body = R"({"status":"ready"})";
  co_return response;
}

Task<HttpResponse> Handle(ApiContext& context, Call call) {
  HttpResponse response;
  switch (call.route) {
    case RouteId::kPostTransfer:
      return PostTransfer(context, std::move(call));
    case RouteId::kPostTransfers:
      return PostTransfers(context, std::move(call));
    case RouteId::kReadAccount:
      return GetAccount(context, std::move(call));
    case RouteId::kReadBalance:
      return GetBalance(context, std::move(call));
    case RouteId::kListPostings:
      return GetPostings(context, std::move(call));
    case RouteId::kListEvents:
      return GetEvents(context, std::move(call));
    case RouteId::kReadTransfer:
      return GetTransfer(context, std::move(call));
    case RouteId::kReadTransaction:
      return GetTransaction(context, std::move(call));
    case RouteId::kOpenAccount:
      return OpenAccount(context, std::move(call));
    case RouteId::kOpenAccounts:
      return OpenAccounts(context, std::move(call));
    case RouteId::kListAccounts:
      return GetAccounts(context, std::move(call));
    case RouteId::kAuditStatus:
      return GetAuditStatus(context, std::move(call));
    case RouteId::kCluster:
      return GetCluster(context, std::move(call));
    case RouteId::kClusterNodes:
      return GetClusterNodes(context, std::move(call));
    case RouteId::kPutClusterNode:
      return PutClusterNode(context, std::move(call));
    case RouteId::kReplaceClusterNode:
      return ReplaceClusterNode(context, std::move(call));
    case RouteId::kPutClusterShard:
      return PutClusterShard(context, std::move(call));
    case RouteId::kReady:
      return GetReady(context, std::move(call));
    case RouteId::kListLedgers:
      response = GetLedgers();
      break;
    case RouteId::kReadLedger:
      response = GetLedger(call);
      break;
    case RouteId::kMetrics:
      response = GetMetrics(context);
      break;
    case RouteId::kFrontPage:
      response = GetFrontPage(context);
      break;
    case RouteId::kLive:
      response.body = R"({"status":"alive"})";
      break;
    case RouteId::kOpenApi:
      response.body = OpenApiJson();
      break;
  }
  return Ready(std::move(response));
}

}  // namespace paxledger
