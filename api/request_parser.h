#pragma once

#include <algorithm>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/message.h"

namespace paxledger {

/// Beast's HTTP/1.1 parser, filling an `HttpRequest` without a map of headers in between.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  HttpRequest& request() { return request_; }
  bool expects_continue() const { return expects_continue_; }
  /// A transfer coding other than chunked: where such a body ends is anybody's guess.
  bool has_foreign_coding() const { return has_coding_ && !chunked(); }
  bool is_http_1_1() const { return is_http_1_1_; }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;
  using field = boost::beast::http::field;

  /// Where the value of a header goes; nullptr: nobody asks for it.
  std::string* Slot(field name, string_view name_text) {
    switch (name) {
      case field::host:
        return &request_.host;
      case field::authorization:
        return &request_.authorization;
      case field::content_type:
        return &request_.content_type;
      case field::content_encoding:
        return &request_.content_encoding;
      case field::accept:
        return &request_.accept;
      case field::prefer:
        return &request_.prefer;
      case field::unknown:
        break;
      default:
        return nullptr;
    }
    using boost::beast::iequals;
    if (iequals(name_text, "Idempotency-Key")) return &request_.idempotency_key;
    if (iequals(name_text, "Last-Event-ID")) return &request_.last_event_id;
    if (iequals(name_text, "Request-Timeout-Ms")) return &request_.request_timeout_ms;
    if (iequals(name_text, "Consistency-Token")) return &request_.consistency_token;
    if (iequals(name_text, "Request-Id")) return &request_.request_id;
    if (iequals(name_text, "traceparent")) return &request_.traceparent;
    return nullptr;
  }

  void on_request_impl(boost::beast::http::verb, string_view method, string_view target, int version,
                       error_code& ec) override {
    request_.method.assign(method.data(), method.size());
    request_.target.assign(target.data(), target.size());
    is_http_1_1_ = version == 11;
    ec = {};
  }
  void on_response_impl(int, string_view, int, error_code& ec) override { ec = {}; }
  void on_field_impl(field name, string_view name_text, string_view value, error_code& ec) override {
    ec = {};
    if (name == field::transfer_encoding) has_coding_ = true;
    if (name == field::expect) expects_continue_ = boost::beast::iequals(value, "100-continue");
    std::string* slot = Slot(name, name_text);
    if (slot == nullptr) return;
    if (slot == &request_.accept && !slot->empty()) {  // a list may come in parts
      slot->append(",").append(value.data(), value.size());
      return;
    }
    if (!slot->empty()) request_.repeated_header.assign(name_text.data(), name_text.size());
    slot->assign(value.data(), value.size());
  }
  void on_header_impl(error_code& ec) override { ec = {}; }
  void on_body_init_impl(boost::optional<std::uint64_t> const& length, error_code& ec) override {
    // The announced length is bounded by body_limit, but nothing of it has come yet.
    constexpr std::uint64_t kReserveMax = 256 << 10;
    if (length.has_value()) request_.body.reserve(static_cast<size_t>(std::min(*length, kReserveMax)));
    ec = {};
  }
  std::size_t on_body_impl(string_view body, error_code& ec) override {
    request_.body.append(body.data(), body.size());
    ec = {};
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code& ec) override { ec = {}; }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& ec) override {
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code& ec) override { ec = {}; }

  HttpRequest request_;
  bool expects_continue_ = false;
  bool has_coding_ = false;
  bool is_http_1_1_ = false;
};

}  // namespace paxledger
