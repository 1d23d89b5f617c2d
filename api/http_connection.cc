#include "api/http_connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <coroutine>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr size_t kReadBytes = 16 << 10;  // a TLS record
constexpr int64_t kSlowestBytesPerSecond = 64 << 10;
constexpr size_t kOutBytesKept = 64 << 10;
constexpr size_t kDiscardBytesMax = 16 << 20;
constexpr absl::Duration kCloseDeadline = absl::Seconds(2);
// A body up to this long is read although its request is refused: cheaper than a new connection.
constexpr uint64_t kPoliteBodyBytesMax = 64 << 10;

}  // namespace

// Each awaiter starts one operation of Asio and resumes the task from its completion, which never runs inside
// the start.

struct HttpConnection::ReadSome {
  HttpConnection& connection;
  IoResult result;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> task) {
    connection.stream_.async_read_some(connection.in_.prepare(kReadBytes),
                                       [this, task](ErrorCode error, size_t bytes) {
                                         result = {error, bytes};
                                         task.resume();
                                       });
  }
  IoResult await_resume() noexcept { return result; }
};

struct HttpConnection::WriteAll {
  HttpConnection& connection;
  IoResult result;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> task) {
    asio::async_write(connection.stream_, asio::buffer(connection.out_),
                      [this, task](ErrorCode error, size_t bytes) {
                        result = {error, bytes};
                        task.resume();
                      });
  }
  IoResult await_resume() noexcept { return result; }
};

struct HttpConnection::Handshake {
  HttpConnection& connection;
  IoResult result;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> task) {
    connection.stream_.async_handshake(asio::ssl::stream_base::server, [this, task](ErrorCode error) {
      result.error = error;
      task.resume();
    });
  }
  IoResult await_resume() noexcept { return result; }
};

struct HttpConnection::Shutdown {
  HttpConnection& connection;
  IoResult result;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> task) {
    connection.stream_.async_shutdown([this, task](ErrorCode error) {
      result.error = error;
      task.resume();
    });
  }
  IoResult await_resume() noexcept { return result; }
};

/// Reads past TLS, for what nobody will look at.
struct HttpConnection::DiscardSome {
  HttpConnection& connection;
  IoResult result;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> task) {
    connection.stream_.next_layer().async_read_some(connection.in_.prepare(kReadBytes),
                                                    [this, task](ErrorCode error, size_t bytes) {
                                                      result = {error, bytes};
                                                      task.resume();
                                                    });
  }
  IoResult await_resume() noexcept { return result; }
};

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, asio::ssl::context& tls,
                               ConnectionShared& shared)
    : stream_(std::move(socket), tls), shared_(shared) {
  ErrorCode ignored;
  stream_.next_layer().set_option(asio::ip::tcp::no_delay(true), ignored);
}

void HttpConnection::Enter(Phase phase, absl::Duration deadline) {
  phase_ = phase;
  timed_out_ = false;
  deadline_us_ = deadline == absl::InfiniteDuration()
                     ? INT64_MAX
                     : shared_.api.clock.MonotonicMicros() + absl::ToInt64Microseconds(deadline);
}

void HttpConnection::Tick(int64_t now_us) {
  if (now_us < deadline_us_ || timed_out_) return;
  timed_out_ = true;
  shared_.metrics.deadlines_passed.Add();
  ErrorCode ignored;
  if (phase_ == Phase::kClose || phase_ == Phase::kWrite || phase_ == Phase::kHandshake) return Cut();
  stream_.next_layer().cancel(ignored);
}

void HttpConnection::Drain() {
  if (phase_ != Phase::kIdle) return;
  ErrorCode ignored;
  stream_.next_layer().cancel(ignored);
}

void HttpConnection::Cut() {
  cut_ = true;
  ErrorCode ignored;
  stream_.next_layer().close(ignored);
}

Task<void> HttpConnection::Run() {
  Enter(Phase::kHandshake, shared_.options.handshake_deadline);
  IoResult handshake = co_await Handshake{*this, {}};
  if (handshake.error) {
    shared_.metrics.handshakes_failed.Add();
    Cut();
    co_return;
  }
  while (!cut_) {
    const bool goes_on = co_await ServeOne();
    if (!goes_on) break;
  }
  co_await Close();
}

Task<bool> HttpConnection::Fill() {
  IoResult read = co_await ReadSome{*this, {}};
  if (!read.error) in_.commit(read.bytes);
  co_return !read.error;
}

HttpConnection::Got HttpConnection::Refuse(ApiCode code, std::string detail) {
  const std::string_view target = parser_->request().target;
  const bool printable =
      std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  response_ =
      ProblemAt(code, printable ? target.substr(0, target.find('?')) : std::string_view(), std::move(detail));
  keep_alive_ = false;
  unread_input_ = true;
  return Got::kProblem;
}

HttpConnection::Got HttpConnection::RefuseParse(const ErrorCode& error) {
  if (error == http::error::header_limit) {
    return Refuse(ApiCode::kHeaderTooLarge,
                  absl::StrCat("the header may have ", limits::kHeaderBytesMax, " bytes"));
  }
  if (error == http::error::body_limit) {
    return Refuse(ApiCode::kBodyTooLarge, absl::StrCat("a body may have ", limits::kBodyBytesMax, " bytes"));
  }
  return Refuse(ApiCode::kMalformedRequest, absl::StrCat("no HTTP request: ", error.message()));
}

Task<HttpConnection::Got> HttpConnection::ReadHead() {
  parser_.emplace();
  parser_->header_limit(limits::kHeaderBytesMax);
  parser_->body_limit(limits::kBodyBytesMax);
  parser_->eager(false);
  request_id_.clear();
  traceparent_.clear();
  head_only_ = false;
  keep_alive_ = false;
  Enter(in_.size() == 0 ? Phase::kIdle : Phase::kHead,
        in_.size() == 0 ? shared_.options.idle_deadline : shared_.options.header_deadline);
  while (true) {
    if (in_.size() > 0) {
      if (phase_ == Phase::kIdle) Enter(Phase::kHead, shared_.options.header_deadline);
      ErrorCode error;
      in_.consume(parser_->put(in_.data(), error));
      if (error && error != http::error::need_more) co_return RefuseParse(error);
      if (parser_->is_header_done()) break;
    }
    if (phase_ == Phase::kIdle && shared_.closing) co_return Got::kNothing;
    const bool filled = co_await Fill();
    if (!filled && timed_out_ && phase_ == Phase::kHead) {
      co_return Refuse(ApiCode::kRequestTimeout, "the header did not come in time");
    }
    if (!filled) co_return Got::kNothing;
  }
  const HttpRequest& head = parser_->request();
  if (parser_->has_foreign_coding())
    co_return Refuse(ApiCode::kMalformedRequest, "no transfer coding but chunked");
  if (parser_->is_http_1_1() && head.host.empty())
    co_return Refuse(ApiCode::kMalformedRequest, "Host is missing");
  keep_alive_ = parser_->keep_alive();
  head_only_ = head.method == "HEAD";
  if (IsRequestId(head.request_id)) request_id_ = head.request_id;
  if (IsTraceparent(head.traceparent)) traceparent_ = head.traceparent;
  co_return Got::kAll;
}

Task<HttpConnection::Got> HttpConnection::ReadBody() {
  if (parser_->is_done()) co_return Got::kAll;
  Enter(Phase::kBody, shared_.options.body_deadline);
  body_since_us_ = shared_.api.clock.MonotonicMicros();
  parser_->eager(true);
  if (parser_->expects_continue() && in_.size() == 0) {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    IoResult written = co_await WriteAll{*this, {}};
    if (written.error) co_return Got::kNothing;
  }
  while (true) {
    if (in_.size() > 0) {
      ErrorCode error;
      in_.consume(parser_->put(in_.data(), error));
      if (error && error != http::error::need_more) co_return RefuseParse(error);
      if (parser_->is_done()) co_return Got::kAll;
    }
    // What has come at a fair pace earns more time, so that only slow clients are cut off.
    const auto received = static_cast<int64_t>(parser_->request().body.size());
    deadline_us_ = body_since_us_ + absl::ToInt64Microseconds(shared_.options.body_deadline) +
                   received * 1'000'000 / kSlowestBytesPerSecond;
    const bool filled = co_await Fill();
    if (!filled && timed_out_) co_return Refuse(ApiCode::kRequestTimeout, "the body did not come in time");
    if (!filled) co_return Got::kNothing;
  }
}

std::optional<HttpResponse> HttpConnection::AdmitBody(size_t bytes) {
  if (bytes > 0 && shared_.body_bytes_in_flight + bytes > shared_.body_bytes_in_flight_max) {
    const std::string_view target = parser_->request().target;
    return ProblemAt(ApiCode::kOverloaded, target.substr(0, target.find('?')),
                     "too many large requests at once");
  }
  body_bytes_held_ = bytes;
  shared_.body_bytes_in_flight += bytes;
  return std::nullopt;
}

Task<HttpResponse> HttpConnection::AnswerOf(Call call) {
  if (shared_.requests_in_flight >= shared_.requests_in_flight_max) {
    co_return ProblemAt(ApiCode::kOverloaded, call.path, "too many requests at once");
  }
  ++shared_.requests_in_flight;
  const int64_t began_us = shared_.api.clock.MonotonicMicros();
  Enter(Phase::kWork, absl::InfiniteDuration());
  HttpResponse response = co_await Handle(shared_.api, std::move(call));
  shared_.metrics.request_seconds.Record(shared_.api.clock.MonotonicMicros() - began_us);
  --shared_.requests_in_flight;
  co_return response;
}

/// True: the connection may carry another request.
Task<bool> HttpConnection::ServeOne() {
  Got got = co_await ReadHead();
  if (got == Got::kNothing) co_return false;
  if (got == Got::kProblem) {
    co_await Write(std::move(response_));
    co_return false;
  }
  const uint64_t announced =
      parser_->is_done() ? 0 : parser_->content_length().value_or(uint64_t{limits::kBodyBytesMax});
  std::variant<Call, HttpResponse> admitted =
      Admit(parser_->request(), shared_.authenticator, shared_.api.clock);
  std::optional<HttpResponse> refused;
  if (HttpResponse* problem = std::get_if<HttpResponse>(&admitted)) {
    refused = std::move(*problem);
  } else {
    refused = AdmitBody(static_cast<size_t>(announced));
  }
  if (refused.has_value() && announced > kPoliteBodyBytesMax) {
    keep_alive_ = false;
    unread_input_ = true;
    co_await Write(*std::move(refused));
    co_return false;
  }
  got = co_await ReadBody();
  if (!refused.has_value() && got == Got::kAll) {
    Call& call = std::get<Call>(admitted);
    call.body = std::move(parser_->request().body);
    refused = co_await AnswerOf(std::move(call));
  }
  shared_.body_bytes_in_flight -= std::exchange(body_bytes_held_, 0);
  if (got == Got::kNothing) co_return false;
  if (got == Got::kProblem) refused = std::move(response_);
  const bool written = co_await Write(*std::move(refused));
  co_return written&& keep_alive_;
}

void HttpConnection::AppendHead(const HttpResponse& response, std::string* out) const {
  out->append("HTTP/1.1 ");
  AppendUint64(out, static_cast<uint64_t>(response.status));
  out->append(" ").append(StatusReason(response.status));
  out->append("\r\nDate: ").append(shared_.date);
  out->append("\r\nContent-Type: ").append(response.content_type);
  if (response.stream == nullptr) {
    out->append("\r\nContent-Length: ");
    AppendUint64(out, response.body.size());
  } else if (parser_->is_http_1_1()) {
    out->append("\r\nTransfer-Encoding: chunked");
  }
  out->append("\r\nRequest-Id: ").append(request_id_);
  if (!traceparent_.empty()) out->append("\r\ntraceparent: ").append(traceparent_);
  out->append("\r\nCache-Control: no-store\r\n");
  out->append(response.headers);
  if (!keep_alive_) {
    out->append("Connection: close\r\n");
  } else if (!parser_->is_http_1_1()) {
    out->append("Connection: keep-alive\r\n");
  }
  out->append("\r\n");
}

Task<bool> HttpConnection::Write(HttpResponse response) {
  shared_.metrics.CountRequest(response.status);
  if (shared_.closing) keep_alive_ = false;
  if (request_id_.empty()) request_id_ = shared_.api.ids.RequestId();
  // To a client of HTTP/1.0 the end of the connection is the end of a stream.
  if (response.stream != nullptr && !parser_->is_http_1_1()) keep_alive_ = false;
  out_.clear();
  AppendHead(response, &out_);
  if (!head_only_) out_.append(response.body);
  const bool written = co_await WriteOut();
  if (!written || response.stream == nullptr || head_only_) co_return written;
  const bool streamed = co_await WriteStream(std::move(response.stream));
  co_return streamed;
}

Task<bool> HttpConnection::WriteOut() {
  Enter(Phase::kWrite, shared_.options.write_deadline);
  IoResult written = co_await WriteAll{*this, {}};
  if (out_.capacity() > kOutBytesKept) std::string().swap(out_);
  co_return !written.error && !cut_;
}

Task<bool> HttpConnection::WriteStream(std::shared_ptr<BodyStream> stream) {
  const bool chunked = parser_->is_http_1_1();
  while (true) {
    Enter(Phase::kWork, absl::InfiniteDuration());
    std::optional<std::string> piece = co_await stream->Next();
    if (cut_) co_return false;
    const bool ends = !piece.has_value();
    if (ends && !chunked) co_return true;
    out_.clear();
    if (chunked) absl::StrAppend(&out_, absl::Hex(ends ? 0 : piece->size()), "\r\n");
    if (!ends) out_.append(*piece);
    if (chunked) out_.append("\r\n");
    const bool written = co_await WriteOut();
    if (ends || !written) co_return written;
  }
}

Task<void> HttpConnection::Close() {
  if (cut_) co_return;
  Enter(Phase::kClose, kCloseDeadline);
  IoResult shut = co_await Shutdown{*this, {}};
  // A socket closed over unread input resets the connection, and the client may lose the answer: so read on a
  // little.
  if (unread_input_ && !cut_ && shut.error != asio::error::eof) {
    ErrorCode ignored;
    stream_.next_layer().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    in_.consume(in_.size());
    size_t discarded = 0;
    while (!cut_ && discarded < kDiscardBytesMax) {
      IoResult read = co_await DiscardSome{*this, {}};
      if (read.error) break;
      discarded += read.bytes;
    }
  }
  Cut();
}

}  // namespace paxledger
