#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"

namespace paxledger {

/// A request as it came, without the headers that nobody asks for.
struct HttpRequest {
  std::string method;
  std::string target;
  std::string host;
  std::string authorization;
  std::string content_type;
  std::string content_encoding;
  std::string idempotency_key;
  std::string request_timeout_ms;
  std::string accept;
  std::string last_event_id;
  std::string prefer;
  std::string consistency_token;
  std::string request_id;
  std::string traceparent;
  std::string repeated_header;  // the name of one of these that came twice; empty: none did
  std::string body;
};

/// A body that is made while it is sent, piece by piece.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// The next piece, which is not empty, once there is one; nullopt: the body ends here. Called when the piece before was written.
  virtual Task<std::optional<std::string>> Next() = 0;
};

/// An answer, without what the connection adds to every one (length, date, Request-Id).
struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string headers;  // lines of "Name: value\r\n"
  std::string body;
  std::shared_ptr<BodyStream> stream{};  // instead of `body`

  /// `value` must hold no control characters: nothing that a client sent goes here unchecked.
  void AddHeader(std::string_view name, std::string_view value) {
    headers.append(name).append(": ").append(value).append("\r\n");
  }
};

/// "Created"; "Unknown" for a status that this server never sends.
std::string_view StatusReason(int status);

}  // namespace paxledger
