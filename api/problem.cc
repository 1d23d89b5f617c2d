#include "api/problem.h"

#include "api/fields.h"
#include "api/json.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {

ProblemKind KindOf(ApiCode code) {
  switch (code) {
    case ApiCode::kMalformedRequest:
      return {"malformed_request", 400, "The request cannot be read", false};
    case ApiCode::kInvalidField:
      return {"invalid_field", 400, "A field has a wrong value", false};
    case ApiCode::kUnknownField:
      return {"unknown_field", 400, "A field is not known", false};
    case ApiCode::kUnauthenticated:
      return {"unauthenticated", 401, "No valid key", false};
    case ApiCode::kForbidden:
      return {"forbidden", 403, "The key does not allow this", false};
    case ApiCode::kAccountNotFound:
      return {"account_not_found", 404, "No such account", false};
    case ApiCode::kTransferNotFound:
      return {"transfer_not_found", 404, "No such transfer", false};
    case ApiCode::kLedgerNotFound:
      return {"ledger_not_found", 404, "No such ledger", false};
    case ApiCode::kNotFound:
      return {"not_found", 404, "No such resource", false};
    case ApiCode::kMethodNotAllowed:
      return {"method_not_allowed", 405, "Not with this method", false};
    case ApiCode::kRequestTimeout:
      return {"request_timeout", 408, "The request came too slowly", true};
    case ApiCode::kAccountExistsWithOtherFields:
      return {"account_exists_with_other_fields", 409, "The account exists with other fields", false};
    case ApiCode::kIdempotencyConflict:
      return {"idempotency_conflict", 409, "The id belongs to another body", false};
    case ApiCode::kClusterChangeRefused:
      return {"cluster_change_refused", 409, "The cluster cannot be changed so", false};
    case ApiCode::kCursorExpired:
      return {"cursor_expired", 410, "What the cursor points at is gone", false};
    case ApiCode::kPreconditionFailed:
      return {"precondition_failed", 412, "The resource has changed", false};
    case ApiCode::kBodyTooLarge:
      return {"body_too_large", 413, "The body is too large", false};
    case ApiCode::kUnsupportedMediaType:
      return {"unsupported_media_type", 415, "The body must be application/json", false};
    case ApiCode::kOverloaded:
      return {"overloaded", 429, "Too much at once; nothing happened", true};
    case ApiCode::kHeaderTooLarge:
      return {"header_too_large", 431, "The header is too large", false};
    case ApiCode::kInternal:
      return {"internal", 500, "A fault of the server", false};
    case ApiCode::kContended:
      return {"contended", 503, "Others were in the way; nothing happened", true};
    case ApiCode::kUnavailable:
      return {"unavailable", 503, "No majority can decide it; nothing happened", true};
  }
  return {"internal", 500, "A fault of the server", false};
}

ProblemKind KindOf(Outcome refusal) {
  const auto refused = [refusal](std::string_view title) {
    return ProblemKind{OutcomeCode(refusal), 422, title, false};
  };
  switch (refusal) {
    case Outcome::kCommitted:
      break;
    case Outcome::kSameAccount:
      return refused("Debit and credit account are the same");
    case Outcome::kDebitAccountNotFound:
      return refused("No such debit account");
    case Outcome::kCreditAccountNotFound:
      return refused("No such credit account");
    case Outcome::kAssetMismatch:
      return refused("The assets differ");
    case Outcome::kAccountClosed:
      return refused("An account is closed");
    case Outcome::kAccountFrozen:
      return refused("An account is frozen");
    case Outcome::kNotPending:
      return refused("The transfer is not pending");
    case Outcome::kPendingExpired:
      return refused("The pending transfer has expired");
    case Outcome::kAmountExceedsPending:
      return refused("More than is pending");
    case Outcome::kConditionFailed:
      return refused("A condition does not hold");
    case Outcome::kInsufficientFunds:
      return refused("The debit account has too little");
    case Outcome::kCreditLimitExceeded:
      return refused("The credit account would go past its limit");
    case Outcome::kAmountOverflow:
      return refused("A total would grow beyond 128 bits");
    case Outcome::kAccountNotEmpty:
      return refused("The account is not empty");
  }
  Check(false, "a problem is never made of a committed outcome");
  return {};
}

void AppendFieldErrors(std::string* out, const std::vector<FieldError>& errors) {
  out->push_back('[');
  for (size_t i = 0; i < errors.size() && i < limits::kFieldErrorsMax; ++i) {
    const FieldError& error = errors[i];
    if (i > 0) out->push_back(',');
    switch (error.place) {
      case FieldPlace::kBody:
        out->append("{\"pointer\":");
        break;
      case FieldPlace::kQuery:
        out->append("{\"parameter\":");
        break;
      case FieldPlace::kHeader:
        out->append("{\"header\":");
        break;
    }
    AppendJsonString(out, error.name);
    out->append(",\"code\":");
    AppendJsonString(out, KindOf(error.code).code);
    out->append(",\"reason\":");
    AppendJsonString(out, error.reason);
    out->push_back('}');
  }
  out->push_back(']');
}

HttpResponse RenderProblem(const Problem& problem) {
  HttpResponse response;
  response.status = problem.kind.status;
  response.content_type = "application/problem+json";
  std::string& out = response.body;
  out.append("{\"type\":\"urn:paxledger:problem:").append(problem.kind.code);
  out.append("\",\"title\":");
  AppendJsonString(&out, problem.kind.title);
  out.append(",\"status\":");
  AppendUint64(&out, static_cast<uint64_t>(problem.kind.status));
  out.append(",\"detail\":");
  AppendJsonString(&out, problem.detail.empty() ? problem.kind.title : std::string_view(problem.detail));
  out.append(",\"instance\":");
  AppendJsonString(&out, problem.instance);
  out.append(",\"code\":");
  AppendJsonString(&out, problem.kind.code);
  out.append(",\"retryable\":").append(problem.kind.retryable ? "true" : "false");
  out.append(",\"errors\":");
  AppendFieldErrors(&out, problem.errors);
  out.push_back('}');
  if (problem.kind.status == 429 || problem.kind.status == 503) response.AddHeader("Retry-After", "1");
  return response;
}

HttpResponse RenderFieldErrors(std::vector<FieldError> errors, std::string_view instance) {
  Check(!errors.empty(), "a problem with fields names one");
  Problem problem;
  problem.kind = KindOf(errors.front().code);
  problem.detail = errors.front().name + ": " + errors.front().reason;
  problem.instance = instance;
  problem.errors = std::move(errors);
  return RenderProblem(problem);
}

std::string_view StatusReason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

}  // namespace paxledger
