#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/cursors.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/query.h"
#include "api/render.h"
#include "base/limits.h"

namespace paxledger {

namespace {

// A wait is asked for in slices, so that a server that goes out of service does not stand in it.
constexpr int64_t kWaitSliceUs = 500'000;
constexpr int64_t kHeartbeatUs = 10'000'000;
constexpr size_t kStreamPageEvents = 200;

HttpResponse EventsProblem(const absl::Status& status, std::string_view path) {
  if (absl::IsOutOfRange(status)) {
    return ProblemAt(
        ApiCode::kCursorExpired, path,
        "events behind this cursor are no longer kept; begin anew with start=oldest, and read what lies "
        "between from the accounts' postings");
  }
  return ReadProblem(status, ApiCode::kNotFound, path);
}

/// One page, for which it waits up to `wait_us`. nullopt: the server stops.
Task<std::optional<absl::StatusOr<EventsPage>>> AwaitEvents(ApiContext& context, EventsRequest request,
                                                            int64_t wait_us) {
  const int64_t until_us = context.clock.MonotonicMicros() + wait_us;
  while (true) {
    const int64_t now_us = context.clock.MonotonicMicros();
    request.wait = Deadline{std::min(until_us, now_us + kWaitSliceUs)};
    Answer<absl::StatusOr<EventsPage>> answer(context.queue);
    context.service.ReadEvents(request, answer.Callback());
    std::optional<absl::StatusOr<EventsPage>> page = co_await answer;
    const bool over = !page.has_value() || !page->ok() || !(*page)->events.empty() ||
                      context.draining.load(std::memory_order_relaxed) ||
                      context.clock.MonotonicMicros() >= until_us;
    if (over) co_return page;
    request.start = EventsRequest::Start::kPositions;
    request.from = std::move((*page)->next);
  }
}

/// Events as they come, as Server-Sent Events. The next page is read when the one before is on its way, so a slow reader holds
/// back nothing but itself.
class EventStream : public BodyStream {
 public:
  EventStream(ApiContext& context, EventsRequest request) : context_(context), request_(std::move(request)) {
    ++context_.event_streams;
  }
  ~EventStream() override { --context_.event_streams; }

  Task<std::optional<std::string>> Next() override {
    if (over_ || context_.draining.load(std::memory_order_relaxed)) co_return std::nullopt;
    std::optional<absl::StatusOr<EventsPage>> page =
        co_await AwaitEvents(context_, request_, begun_ ? kHeartbeatUs : 0);
    if (!page.has_value()) co_return std::nullopt;
    if (!page->ok()) {
      // The status line is long gone: the reader learns of it by an event, comes back, and gets the answer proper.
      over_ = true;
      co_return absl::StrCat("event: problem\ndata: ", EventsProblem(page->status(), "").body, "\n\n");
    }
    if ((*page)->events.empty() && context_.draining.load(std::memory_order_relaxed)) co_return std::nullopt;
    request_.start = EventsRequest::Start::kPositions;
    request_.from = (*page)->next;
    std::string piece = std::exchange(begun_, true) ? "" : "retry: 1000\n\n";
    piece.append(RenderEventStream(request_.ledger, **page));
    co_return piece;
  }

 private:
  ApiContext& context_;
  EventsRequest request_;
  bool begun_ = false;
  bool over_ = false;
};

}  // namespace

Task<HttpResponse> GetPostings(ApiContext& context, Call call) {
  if (!IsId(call.id)) co_return ProblemAt(ApiCode::kAccountNotFound, call.path);
  StatementQuery query = ReadStatementQuery(call);
  if (!query.errors.empty()) co_return RenderFieldErrors(std::move(query.errors), call.path);
  Answer<absl::StatusOr<StatementPage>> answer(context.queue);
  context.service.ReadStatement(query.request, call.mode, call.after, call.deadline, answer.Callback());
  std::optional<absl::StatusOr<StatementPage>> page = co_await answer;
  if (!page.has_value()) co_return AbandonedProblem(call.path);
  if (!page->ok()) co_return ReadProblem(page->status(), ApiCode::kAccountNotFound, call.path);
  HttpResponse response = RenderStatement(query.request, **page);
  if ((*page)->closed_until.value > 0)
    response.AddHeader("Consistency-Token", EncodeConsistencyToken((*page)->closed_until));
  if (call.mode == ReadMode::kLocal)
    response.AddHeader("Staleness-Ms", absl::StrCat(((*page)->staleness_us + 999) / 1000));
  co_return response;
}

Task<HttpResponse> GetEvents(ApiContext& context, Call call) {
  EventsQuery query = ReadEventsQuery(call, context.service.shards());
  if (!query.errors.empty()) co_return RenderFieldErrors(std::move(query.errors), call.path);
  if (!call.wants_event_stream) {
    std::optional<absl::StatusOr<EventsPage>> page =
        co_await AwaitEvents(context, std::move(query.request), query.wait_us);
    if (!page.has_value()) co_return AbandonedProblem(call.path);
    if (!page->ok()) co_return EventsProblem(page->status(), call.path);
    co_return RenderEvents(call.ledger, **page);
  }
  if (context.event_streams >= limits::kEventStreamsMax)
    co_return ProblemAt(ApiCode::kOverloaded, call.path, "too many streams of events at once");
  // Where the cursor is of no use, that is told before a stream is begun.
  EventsRequest first = query.request;
  first.limit = 1;
  std::optional<absl::StatusOr<EventsPage>> probe = co_await AwaitEvents(context, std::move(first), 0);
  if (!probe.has_value()) co_return AbandonedProblem(call.path);
  if (!probe->ok()) co_return EventsProblem(probe->status(), call.path);
  query.request.limit = std::min(query.request.limit, kStreamPageEvents);
  query.request.start = EventsRequest::Start::kPositions;
  query.request.from = std::move((*probe)->from);
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.stream = std::make_shared<EventStream>(context, std::move(query.request));
  co_return response;
}

}  // namespace paxledger
