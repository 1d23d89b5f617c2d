#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/cluster_wish.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/render.h"
#include "base/bytes.h"
#include "base/limits.h"

namespace paxledger {

namespace {

/// nullopt: it was done.
std::optional<HttpResponse> RefusalOf(const DirectoryResult& result, std::string_view path) {
  std::string text(DirectoryOutcomeText(result.outcome));
  switch (result.outcome) {
    case DirectoryOutcome::kDone:
      return std::nullopt;
    case DirectoryOutcome::kVersionMismatch:
      return ProblemAt(ApiCode::kPreconditionFailed, path, std::move(text));
    case DirectoryOutcome::kUnknownNode:
    case DirectoryOutcome::kUnknownShard:
      return ProblemAt(ApiCode::kNotFound, path, std::move(text));
    case DirectoryOutcome::kMalformedField:
      return RenderFieldErrors({FieldError{ApiCode::kInvalidField, FieldPlace::kBody, "", std::move(text)}},
                               path);
    case DirectoryOutcome::kNameTaken:
    case DirectoryOutcome::kLastOfDataCentre:
    case DirectoryOutcome::kWrongState:
    case DirectoryOutcome::kFull:
      return ProblemAt(ApiCode::kClusterChangeRefused, path, std::move(text));
  }
  return std::nullopt;
}

Task<HttpResponse> Change(ApiContext& context, Call call, ParsedWish wish) {
  if (!wish.errors.empty()) co_return RenderFieldErrors(std::move(wish.errors), call.path);
  std::string& request = wish.command.request;
  if (request.empty()) request = call.idempotency_key;
  if (request.empty()) request = context.ids.Uuid7(context.clock.WallMicros());
  Answer<absl::StatusOr<DirectoryResult>> answer(context.queue);
  context.service.ChangeCluster(std::move(wish.command), call.deadline, answer.Callback());
  std::optional<absl::StatusOr<DirectoryResult>> result = co_await answer;
  if (!result.has_value()) co_return AbandonedProblem(call.path);
  if (!result->ok())
    co_return ProblemAt(ApiCode::kUnavailable, call.path, std::string(result->status().message()));
  std::optional<HttpResponse> refused = RefusalOf(**result, call.path);
  if (refused.has_value()) co_return *std::move(refused);
  co_return RenderDirectoryResult(**result);
}

using ParseNode = ParsedWish (*)(JsonValue value, std::string_view name);

Task<HttpResponse> ChangeNode(ApiContext& context, Call call, ParseNode parse) {
  absl::Status json = context.json.Parse(call.body);
  if (!json.ok()) co_return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(json.message()));
  if (!IsNodeName(call.id)) co_return ProblemAt(ApiCode::kNotFound, call.path);
  ParsedWish wish = parse(context.json.root(), call.id);
  HttpResponse response = co_await Change(context, std::move(call), std::move(wish));
  co_return response;
}

}  // namespace

Task<HttpResponse> GetCluster(ApiContext& context, Call call) {
  Answer<ClusterReport> answer(context.queue);
  context.service.ReadCluster(answer.Callback());
  std::optional<ClusterReport> report = co_await answer;
  if (!report.has_value()) co_return AbandonedProblem(call.path);
  co_return RenderCluster(*report);
}

Task<HttpResponse> GetClusterNodes(ApiContext& context, Call call) {
  Answer<ClusterReport> answer(context.queue);
  context.service.ReadCluster(answer.Callback());
  std::optional<ClusterReport> report = co_await answer;
  if (!report.has_value()) co_return AbandonedProblem(call.path);
  co_return RenderClusterNodes(*report);
}

Task<HttpResponse> PutClusterNode(ApiContext& context, Call call) {
  return ChangeNode(context, std::move(call), ParseNodeWish);
}

Task<HttpResponse> ReplaceClusterNode(ApiContext& context, Call call) {
  return ChangeNode(context, std::move(call), ParseReplacement);
}

Task<HttpResponse> PutClusterShard(ApiContext& context, Call call) {
  absl::Status json = context.json.Parse(call.body);
  if (!json.ok()) co_return ProblemAt(ApiCode::kMalformedRequest, call.path, std::string(json.message()));
  std::optional<uint64_t> shard = ParseUint64(call.id);
  if (!shard.has_value() || *shard >= context.service.shards())
    co_return ProblemAt(ApiCode::kNotFound, call.path);
  ParsedWish wish = ParseShardWish(context.json.root(), ShardId{static_cast<uint32_t>(*shard)});
  HttpResponse response = co_await Change(context, std::move(call), std::move(wish));
  co_return response;
}

}  // namespace paxledger
