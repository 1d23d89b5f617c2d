#include "api/query.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/cursors.h"
#include "api/fields.h"
#include "base/limits.h"

namespace paxledger {

namespace {

std::optional<LogTime> ReadTimeParameter(const Call& call, std::string_view name,
                                         std::vector<FieldError>* errors) {
  const std::string* text = call.Parameter(name);
  if (text == nullptr) return std::nullopt;
  const std::optional<int64_t> micros = ParseTime(*text);
  if (!micros.has_value() || *micros < 0) {
    errors->push_back(WrongParameter(name, "must be a time in UTC as of RFC 3339, in 1970 or later"));
    return std::nullopt;
  }
  return LogTime{*micros};
}

std::optional<LineOrder> ReadOrder(const Call& call, std::vector<FieldError>* errors) {
  const std::string* text = call.Parameter("order");
  if (text == nullptr) return std::nullopt;
  if (*text == "oldest_first") return LineOrder::kOldestFirst;
  if (*text == "newest_first") return LineOrder::kNewestFirst;
  errors->push_back(WrongParameter("order", "must be \"oldest_first\" or \"newest_first\""));
  return std::nullopt;
}

template <class T>
void KeepFilter(std::string_view name, const std::optional<T>& given, const T& kept,
                std::vector<FieldError>* errors) {
  if (given.has_value() && *given != kept)
    errors->push_back(WrongParameter(name, "differs from the cursor's, which it keeps"));
}

}  // namespace

FieldError WrongParameter(std::string_view name, std::string_view reason) {
  return FieldError{ApiCode::kInvalidField, FieldPlace::kQuery, std::string(name), std::string(reason)};
}

size_t ReadLimit(const Call& call, std::vector<FieldError>* errors) {
  const std::string* text = call.Parameter("limit");
  if (text == nullptr) return limits::kPageItemsDefault;
  const std::optional<uint64_t> value = ParseUint64(*text);
  if (value.has_value() && *value > 0 && *value <= limits::kPageItemsMax) return *value;
  errors->push_back(
      WrongParameter("limit", absl::StrCat("must be an integer from 1 to ", limits::kPageItemsMax)));
  return limits::kPageItemsDefault;
}

StatementQuery ReadStatementQuery(const Call& call) {
  StatementQuery query;
  StatementRequest& request = query.request;
  request.account = LedgerKey{call.ledger, call.id};
  request.limit = ReadLimit(call, &query.errors);
  const std::optional<LogTime> from = ReadTimeParameter(call, "from", &query.errors);
  const std::optional<LogTime> until = ReadTimeParameter(call, "until", &query.errors);
  const std::optional<LineOrder> order = ReadOrder(call, &query.errors);
  const std::string* text = call.Parameter("cursor");
  if (text == nullptr) {
    request.from = from.value_or(request.from);
    request.until = until.value_or(request.until);
    request.order = order.value_or(request.order);
    return query;
  }
  std::optional<StatementCursor> cursor = DecodeStatementCursor(*text);
  if (!cursor.has_value() || cursor->account != request.account) {
    query.errors.push_back(WrongParameter("cursor", "is no cursor of this statement"));
    return query;
  }
  KeepFilter("from", from, cursor->from, &query.errors);
  KeepFilter("until", until, cursor->until, &query.errors);
  KeepFilter("order", order, cursor->order, &query.errors);
  request.from = cursor->from;
  request.until = cursor->until;
  request.order = cursor->order;
  request.after = std::move(cursor->after);
  return query;
}

EventsQuery ReadEventsQuery(const Call& call, uint32_t shards) {
  EventsQuery query;
  EventsRequest& request = query.request;
  request.ledger = call.ledger;
  request.limit = ReadLimit(call, &query.errors);
  if (const std::string* wait = call.Parameter("wait")) {
    constexpr uint64_t kMaxSeconds = limits::kEventsWaitMaxUs / 1'000'000;
    const std::optional<uint64_t> seconds = ParseUint64(*wait);
    if (!seconds.has_value() || *seconds > kMaxSeconds) {
      query.errors.push_back(
          WrongParameter("wait", absl::StrCat("must be a number of seconds from 0 to ", kMaxSeconds)));
    } else {
      query.wait_us = static_cast<int64_t>(*seconds) * 1'000'000;
    }
  }
  const std::string* start = call.Parameter("start");
  if (start != nullptr && *start == "newest") {
    request.start = EventsRequest::Start::kNewest;
  } else if (start != nullptr && *start != "oldest") {
    query.errors.push_back(WrongParameter("start", "must be \"oldest\" or \"newest\""));
  }
  // A stream that was cut goes on where its reader says that it was (Server-Sent Events).
  const bool resumed = call.wants_event_stream && !call.last_event_id.empty();
  const std::string* text = resumed ? &call.last_event_id : call.Parameter("cursor");
  if (text == nullptr) return query;
  std::optional<EventsCursor> cursor = DecodeEventsCursor(*text);
  const bool fits = cursor.has_value() && cursor->ledger == call.ledger && cursor->positions.size() == shards;
  if (!fits) {
    FieldError error = WrongParameter("cursor", "is no cursor of these events");
    if (resumed) error = {ApiCode::kInvalidField, FieldPlace::kHeader, "Last-Event-ID", error.reason};
    query.errors.push_back(std::move(error));
  } else if (start != nullptr && !resumed) {
    query.errors.push_back(WrongParameter("start", "is not for a cursor"));
  } else {
    request.start = EventsRequest::Start::kPositions;
    request.from = std::move(cursor->positions);
  }
  return query;
}

}  // namespace paxledger
