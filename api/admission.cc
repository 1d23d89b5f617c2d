#include "api/admission.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/fields.h"
#include "api/tokens.h"
#include "base/bytes.h"
#include "base/limits.h"

namespace paxledger {

namespace {

constexpr std::string_view kOnlyLedger = "main";  // further ledgers come with POST /v1/ledgers

FieldError Wrong(FieldPlace place, std::string_view name, std::string_view reason) {
  return FieldError{ApiCode::kInvalidField, place, std::string(name), std::string(reason)};
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

HttpResponse Refuse(Access access, const RouteSpec& route, std::string_view path) {
  if (access == Access::kForbidden) {
    const std::string_view scope = ScopeName(route.scope);
    HttpResponse response =
        ProblemAt(ApiCode::kForbidden, path, absl::StrCat("the key has not the scope ", ToAbsl(scope)));
    response.AddHeader("WWW-Authenticate",
                       absl::StrCat("Bearer error=\"insufficient_scope\", scope=\"", ToAbsl(scope), "\""));
    return response;
  }
  HttpResponse response =
      ProblemAt(ApiCode::kUnauthenticated, path, "send a valid API key as Authorization: Bearer");
  response.AddHeader("WWW-Authenticate", "Bearer realm=\"paxledger\"");
  return response;
}

/// "application/json", perhaps with charset=utf-8.
bool IsJsonMediaType(std::string_view content_type) {
  if (content_type == "application/json") return true;
  const std::string lower = absl::AsciiStrToLower(ToAbsl(content_type));
  const std::vector<std::string> parts = absl::StrSplit(lower, ';');
  if (absl::StripAsciiWhitespace(parts.front()) != "application/json") return false;
  for (size_t i = 1; i < parts.size(); ++i) {
    const absl::string_view parameter = absl::StripAsciiWhitespace(parts[i]);
    if (parameter != "charset=utf-8" && parameter != "charset=\"utf-8\"") return false;
  }
  return true;
}

void ReadQuery(const RouteSpec& route, Call* call, std::vector<FieldError>* errors) {
  for (size_t i = 0; i < call->query.size() && errors->size() < limits::kFieldErrorsMax; ++i) {
    const std::string& name = call->query[i].name;
    if (!route.Knows(name)) {
      errors->push_back(FieldError{ApiCode::kUnknownField, FieldPlace::kQuery,
                                   IsPrintable(name) ? name : std::string("?"),
                                   "is not a parameter of this"});
      continue;
    }
    for (size_t j = 0; j < i; ++j) {
      if (call->query[j].name == name) errors->push_back(Wrong(FieldPlace::kQuery, name, "is given twice"));
    }
  }
  if (const std::string* consistency = call->Parameter("consistency")) {
    if (*consistency == "local") {
      call->mode = ReadMode::kLocal;
    } else if (*consistency != "strong") {
      errors->push_back(Wrong(FieldPlace::kQuery, "consistency", "must be \"strong\" or \"local\""));
    }
  }
  const std::string* dry_run = call->Parameter("dry_run");
  if (dry_run != nullptr && *dry_run != "false") {
    errors->push_back(Wrong(FieldPlace::kQuery, "dry_run", "is not supported yet"));
  }
}

/// The n of "wait=n" in a Prefer header (RFC 7240); preferences that are not understood are ignored, as it
/// demands.
std::optional<uint64_t> PreferredWait(std::string_view prefer) {
  for (absl::string_view part : absl::StrSplit(ToAbsl(prefer), absl::ByAnyChar(",;"))) {
    part = absl::StripAsciiWhitespace(part);
    if (!absl::StartsWithIgnoreCase(part, "wait=")) continue;
    return ParseUint64(ToStd(part.substr(5)));
  }
  return std::nullopt;
}

void ReadDeadline(const HttpRequest& head, Clock& clock, Call* call, std::vector<FieldError>* errors) {
  int64_t timeout_us = limits::kRequestTimeoutDefaultUs;
  if (!head.request_timeout_ms.empty()) {
    std::optional<uint64_t> ms = ParseUint64(head.request_timeout_ms);
    constexpr uint64_t kMin = limits::kRequestTimeoutMinUs / 1000;
    constexpr uint64_t kMax = limits::kRequestTimeoutMaxUs / 1000;
    if (!ms.has_value() || *ms < kMin || *ms > kMax) {
      errors->push_back(Wrong(FieldPlace::kHeader, "Request-Timeout-Ms",
                              absl::StrCat("must be an integer from ", kMin, " to ", kMax)));
    } else {
      timeout_us = static_cast<int64_t>(*ms) * 1000;
    }
  }
  if (!head.prefer.empty()) {
    if (std::optional<uint64_t> wait = PreferredWait(head.prefer)) {
      constexpr uint64_t kMaxSeconds = limits::kRequestTimeoutMaxUs / 1'000'000;
      const int64_t wait_us = static_cast<int64_t>(std::min(*wait, kMaxSeconds)) * 1'000'000;
      timeout_us = std::min(timeout_us, std::max(wait_us, limits::kRequestTimeoutMinUs));
    }
  }
  call->deadline = Deadline{clock.MonotonicMicros() + timeout_us};
}

void ReadToken(const HttpRequest& head, Clock& clock, Call* call, std::vector<FieldError>* errors) {
  if (head.consistency_token.empty()) return;
  std::optional<LogTime> at = DecodeConsistencyToken(head.consistency_token);
  if (!at.has_value()) {
    errors->push_back(Wrong(FieldPlace::kHeader, "Consistency-Token", "is no token of this server"));
  } else if (at->value > clock.WallMicros() + limits::kClockSkewMaxUs) {
    // transactions.md rule 9: it would push the shards' clocks ahead.
    errors->push_back(Wrong(FieldPlace::kHeader, "Consistency-Token", "lies in the future"));
  } else {
    call->after = *at;
  }
}

/// The key itself, or in the quotes of a structured field.
void ReadIdempotencyKey(const HttpRequest& head, Call* call, std::vector<FieldError>* errors) {
  std::string_view key = head.idempotency_key;
  if (key.empty()) return;
  if (call->route == RouteId::kPostTransfers || call->route == RouteId::kOpenAccounts) {
    errors->push_back(
        Wrong(FieldPlace::kHeader, "Idempotency-Key", "is not for batches: give each item an id"));
    return;
  }
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"') key = key.substr(1, key.size() - 2);
  if (!IsId(key)) {
    errors->push_back(
        Wrong(FieldPlace::kHeader, "Idempotency-Key", "must be 1 to 64 of A-Z a-z 0-9 . _ : @ -"));
    return;
  }
  call->idempotency_key = key;
}

/// Whether a list of media types asks for a stream of events by name.
bool AcceptsEventStream(std::string_view accept) {
  for (absl::string_view part : absl::StrSplit(ToAbsl(accept), ',')) {
    const absl::string_view type = part.substr(0, part.find(';'));
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type), "text/event-stream")) return true;
  }
  return false;
}

/// What is wrong with the form of the header; nullopt: nothing.
std::optional<HttpResponse> Malformed(const HttpRequest& head, std::string_view path) {
  if (!IsPrintable(head.target)) {
    return ProblemAt(ApiCode::kMalformedRequest, "", "the target has characters that must be escaped");
  }
  if (!head.repeated_header.empty()) {
    return ProblemAt(ApiCode::kMalformedRequest, path, absl::StrCat(head.repeated_header, " is given twice"));
  }
  return std::nullopt;
}

}  // namespace

const std::string* Call::Parameter(std::string_view name) const {
  for (const QueryParameter& parameter : query) {
    if (parameter.name == name) return &parameter.value;
  }
  return nullptr;
}

HttpResponse ProblemAt(ApiCode code, std::string_view path, std::string detail) {
  return RenderProblem(Problem{KindOf(code), std::move(detail), std::string(path), {}});
}

bool IsRequestId(std::string_view text) { return IsId(text); }

bool IsTraceparent(std::string_view text) {
  // version-trace id-parent id-flags, lower-case hexadecimal (W3C Trace Context).
  constexpr size_t kSize = 55;
  if (text.size() != kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  for (size_t i = 0; i < kSize; ++i) {
    if (i == 2 || i == 35 || i == 52) continue;
    if (!ParseHex(text.substr(i, 1)).has_value()) return false;
  }
  return text.substr(0, 2) != "ff" && text.substr(3, 32).find_first_not_of('0') != std::string_view::npos;
}

std::variant<Call, HttpResponse> Admit(const HttpRequest& head, const Authenticator& authenticator,
                                       Clock& clock) {
  const std::string_view target = head.target;
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  if (std::optional<HttpResponse> malformed = Malformed(head, path)) return *std::move(malformed);

  RouteMatch match = MatchRoute(head.method, path);
  if (match.route == nullptr) {
    if (match.allow.empty()) return ProblemAt(ApiCode::kNotFound, path);
    HttpResponse response =
        ProblemAt(ApiCode::kMethodNotAllowed, path, absl::StrCat("allowed: ", match.allow));
    response.AddHeader("Allow", match.allow);
    return response;
  }
  const RouteSpec& route = *match.route;
  const Access access = authenticator.Admit(head.authorization, route.scope);
  if (access != Access::kGranted) return Refuse(access, route, path);
  if (!match.ledger.empty() && match.ledger != kOnlyLedger) return ProblemAt(ApiCode::kLedgerNotFound, path);

  Call call;
  call.route = route.id;
  call.path = path;
  call.ledger = std::move(match.ledger);
  call.id = std::move(match.id);
  if (question != std::string_view::npos && !ParseQuery(target.substr(question + 1), &call.query)) {
    return ProblemAt(ApiCode::kMalformedRequest, path, "the query has a bad escape");
  }
  std::vector<FieldError> errors;
  if (!call.query.empty()) ReadQuery(route, &call, &errors);
  ReadDeadline(head, clock, &call, &errors);
  ReadToken(head, clock, &call, &errors);
  call.wants_event_stream = AcceptsEventStream(head.accept);
  call.last_event_id = head.last_event_id;
  const bool has_body = route.method == "POST" || route.method == "PUT";
  if (has_body) ReadIdempotencyKey(head, &call, &errors);
  if (!errors.empty()) return RenderFieldErrors(std::move(errors), path);
  if (has_body && (!IsJsonMediaType(head.content_type) || !head.content_encoding.empty())) {
    return ProblemAt(ApiCode::kUnsupportedMediaType, path);
  }
  return call;
}

}  // namespace paxledger
