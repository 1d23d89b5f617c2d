#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/message.h"
#include "ledger/outcome.h"

namespace paxledger {

/// What an answer may say went wrong, apart from the refusals of `Outcome`. The numbers are nobody's
/// contract, the codes are (api.md, "Outcomes and status codes").
enum class ApiCode : uint8_t {
  kMalformedRequest,
  kInvalidField,
  kUnknownField,
  kUnauthenticated,
  kForbidden,
  kAccountNotFound,
  kTransferNotFound,
  kLedgerNotFound,
  kNotFound,
  kMethodNotAllowed,
  kRequestTimeout,
  kAccountExistsWithOtherFields,
  kIdempotencyConflict,
  kClusterChangeRefused,
  kCursorExpired,
  kPreconditionFailed,
  kBodyTooLarge,
  kUnsupportedMediaType,
  kHeaderTooLarge,
  kOverloaded,
  kInternal,
  kContended,
  kUnavailable,
};

/// How an error reads on the wire.
struct ProblemKind {
  std::string_view code;
  int status = 500;
  std::string_view title;
  bool retryable = false;  // nothing happened; the same request may be sent again
};

ProblemKind KindOf(ApiCode code);
/// Of a refusal; kCommitted is none.
ProblemKind KindOf(Outcome refusal);

/// Where a field stands.
enum class FieldPlace : uint8_t { kBody, kQuery, kHeader };

struct FieldError {
  ApiCode code = ApiCode::kInvalidField;
  FieldPlace place = FieldPlace::kBody;
  std::string name;    // a JSON Pointer into the body, or the name of a parameter or header
  std::string reason;  // of the kind "must be a positive integer"
};

struct Problem {
  ProblemKind kind;
  std::string detail;
  std::string instance;            // the path that it is about
  std::vector<FieldError> errors;  // where fields are at fault
};

/// A problem document (RFC 9457) with all its headers: Retry-After where the same may be tried again.
HttpResponse RenderProblem(const Problem& problem);
/// A 400 of the code of the first error.
HttpResponse RenderFieldErrors(std::vector<FieldError> errors, std::string_view instance);

/// Appends `[{"pointer":…,"code":…,"reason":…},…]`.
void AppendFieldErrors(std::string* out, const std::vector<FieldError>& errors);

}  // namespace paxledger
