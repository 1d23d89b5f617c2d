#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/auth.h"
#include "api/message.h"
#include "api/problem.h"
#include "api/router.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// A request that may be done: its route is known, its key allows it, its parameters and headers make sense.
struct Call {
  RouteId route = RouteId::kLive;
  std::string path;  // as it came, for `instance`
  std::string ledger;
  std::string id;
  std::vector<QueryParameter> query;
  std::string idempotency_key;
  Deadline deadline;
  LogTime after;  // of the Consistency-Token; 0: none
  ReadMode mode = ReadMode::kStrong;
  bool wants_event_stream = false;  // Accept: text/event-stream
  std::string last_event_id;
  std::string body;

  /// The value of a query parameter; nullptr: it was not given.
  const std::string* Parameter(std::string_view name) const;
};

/// Judges everything but the body, before it is read. The order of checks is fixed: form of the header (400),
/// path (404), method (405), key (401, 403), ledger (404), parameters (400), headers (400), media type (415).
std::variant<Call, HttpResponse> Admit(const HttpRequest& head, const Authenticator& authenticator,
                                       Clock& clock);

/// Of a Request-Id or traceparent that may be sent back as it is.
bool IsRequestId(std::string_view text);
bool IsTraceparent(std::string_view text);

/// A problem about the path of a request.
HttpResponse ProblemAt(ApiCode code, std::string_view path, std::string detail = "");

}  // namespace paxledger
