#pragma once

#include <optional>
#include <string>
#include <string_view>

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
  std::string prefer;
  std::string consistency_token;
  std::string request_id;
  std::string traceparent;
  std::string repeated_header;  // the name of one of these that came twice; empty: none did
  std::string body;
};

/// An answer, without what the connection adds to every one (length, date, Request-Id).
struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string headers;  // lines of "Name: value\r\n"
  std::string body;

  /// `value` must hold no control characters: nothing that a client sent goes here unchecked.
  void AddHeader(std::string_view name, std::string_view value) {
    headers.append(name).append(": ").append(value).append("\r\n");
  }
};

/// "Created"; "Unknown" for a status that this server never sends.
std::string_view StatusReason(int status);

}  // namespace paxledger
