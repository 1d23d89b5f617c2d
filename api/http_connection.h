#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/handlers.h"
#include "api/http_metrics.h"
#include "api/request_parser.h"
#include "api/server.h"
#include "base/task.h"

namespace paxledger {

/// What the connections of one thread share.
/// Threads: that thread.
struct ConnectionShared {
  ApiContext api;
  const Authenticator& authenticator;
  const ApiServerOptions& options;
  HttpMetrics& metrics;
  size_t requests_in_flight_max = 0;  // this thread's part of the bounds in `options`
  size_t body_bytes_in_flight_max = 0;
  size_t requests_in_flight = 0;
  size_t body_bytes_in_flight = 0;
  bool closing = false;   // no further request is read
  std::string date = {};  // of the Date header, renewed by the thread's tick
};

/// One client: reads requests, has them done and writes the answers, one after the other, so that pipelined
/// requests are answered in their order. Slow and silent clients are cut off by deadlines.
/// Owns:    its socket. Borrows `shared`.
/// Threads: the thread of `shared`.
class HttpConnection {
 public:
  HttpConnection(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& tls,
                 ConnectionShared& shared);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// From the handshake to the end. The connection must live until it returns.
  Task<void> Run();
  /// To be called a few times a second: acts on deadlines.
  void Tick(int64_t now_us);
  /// Ends it as soon as no request is under way. `shared.closing` is set before.
  void Drain();
  /// Ends it at once.
  void Cut();

 private:
  using ErrorCode = boost::system::error_code;
  struct IoResult {
    ErrorCode error;
    size_t bytes = 0;
  };
  struct ReadSome;  // awaiters
  struct WriteAll;
  struct Handshake;
  struct Shutdown;
  struct DiscardSome;

  enum class Phase : uint8_t { kHandshake, kIdle, kHead, kBody, kWork, kWrite, kClose };
  enum class Got : uint8_t {
    kAll,
    kNothing,  // the client went away, or was silent for too long
    kProblem,  // `response_` says what is wrong with it
  };

  Task<bool> ServeOne();
  Task<Got> ReadHead();
  Task<Got> ReadBody();
  Task<bool> Fill();
  Task<HttpResponse> AnswerOf(Call call);
  Task<bool> Write(HttpResponse response);
  /// The body of `stream`, in chunks where the client knows them, after the head.
  Task<bool> WriteStream(std::shared_ptr<BodyStream> stream);
  Task<bool> WriteOut();
  Task<void> Close();

  void Enter(Phase phase, absl::Duration deadline);
  Got Refuse(ApiCode code, std::string detail = "");
  Got RefuseParse(const ErrorCode& error);
  /// What stands against reading the body; nullopt: nothing.
  std::optional<HttpResponse> AdmitBody(size_t bytes);
  void AppendHead(const HttpResponse& response, std::string* out) const;

  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  ConnectionShared& shared_;
  boost::beast::flat_buffer in_;
  std::string out_;
  std::optional<RequestParser> parser_;
  HttpResponse response_;
  Phase phase_ = Phase::kHandshake;
  int64_t deadline_us_ = INT64_MAX;
  int64_t body_since_us_ = 0;
  bool timed_out_ = false;
  bool cut_ = false;
  bool keep_alive_ = false;
  bool unread_input_ = false;   // the client may still be sending what nobody will read
  size_t body_bytes_held_ = 0;  // of shared_.body_bytes_in_flight
  std::string request_id_;      // of the request under way
  std::string traceparent_;
  bool head_only_ = false;
};

}  // namespace paxledger
