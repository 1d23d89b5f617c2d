#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/render.h"
#include "base/bytes.h"
#include "base/limits.h"

namespace paxledger {

namespace {

/// "5,7,12": an index per shard. nullopt: anything else.
std::optional<std::vector<LogIndex>> ParseIndexes(const std::string& text) {
  std::vector<LogIndex> indexes;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    std::optional<uint64_t> index = ParseUint64(ToStd(part));
    if (!index.has_value() || indexes.size() == limits::kShardsMax) return std::nullopt;
    indexes.push_back(LogIndex{*index});
  }
  return indexes;
}

}  // namespace

Task<HttpResponse> GetAuditStatus(ApiContext& context, Call call) {
  std::vector<LogIndex> indexes;
  if (const std::string* text = call.Parameter("indexes")) {
    std::optional<std::vector<LogIndex>> parsed = ParseIndexes(*text);
    if (!parsed.has_value() || parsed->size() != context.service.shards()) {
      std::vector<FieldError> errors;
      errors.push_back(FieldError{ApiCode::kInvalidField, FieldPlace::kQuery, "indexes",
                                  "must be a log index per shard, with commas between"});
      co_return RenderFieldErrors(std::move(errors), call.path);
    }
    indexes = *std::move(parsed);
  }
  Answer<NodeReport> answer(context.queue);
  context.service.Report(std::move(indexes), answer.Callback());
  std::optional<NodeReport> report = co_await answer;
  if (!report.has_value()) co_return AbandonedProblem(call.path);
  co_return RenderAuditStatus(*report);
}

}  // namespace paxledger
