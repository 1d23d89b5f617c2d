#include "api/server.h"

#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/http_connection.h"
#include "api/http_metrics.h"
#include "base/check.h"

namespace paxledger {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr auto kAcceptPause =
    std::chrono::milliseconds(100);  // where accepting fails, as without file descriptors

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

/// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate(int64_t wall_us) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::FromUnixMicros(wall_us), absl::UTCTimeZone());
}

int SelectHttp11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                 unsigned in_size, void*) {
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int result =
      SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof(kProtocols) - 1, in, in_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

absl::Status ReadCertificate(const ApiServerOptions& options, asio::ssl::context* tls) {
  ErrorCode error;
  tls->use_certificate_chain_file(options.certificate_path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use the certificate '", options.certificate_path, "': ", error.message()));
  }
  tls->use_private_key_file(options.key_path, asio::ssl::context::pem, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use the private key '", options.key_path, "': ", error.message()));
  }
  if (SSL_CTX_check_private_key(tls->native_handle()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("the private key '", options.key_path,
                                                   "' does not belong to the certificate '",
                                                   options.certificate_path, "'"));
  }
  return absl::OkStatus();
}

void Harden(asio::ssl::context* tls) {
  SSL_CTX* context = tls->native_handle();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  // Thousands of idle connections should not each keep 34 KB of buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // Tickets resume sessions without a table of them here.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, SelectHttp11, nullptr);
}

}  // namespace

/// One thread with its connections.
class ApiLoop {
 public:
  ApiLoop(const ApiServerOptions& options, LedgerService& service, Clock& clock, Metrics& metrics,
          const Authenticator& authenticator, const std::atomic<bool>& draining, asio::ssl::context& tls,
          size_t thread)
      : http_metrics_(metrics, thread),
        queue_(std::make_shared<HandoverQueue>([this] { asio::post(io_, [this] { queue_->Run(); }); })),
        shared_{
            ApiContext{
                service, clock, metrics, draining, options.data_centre, queue_, IdMaker(RandomSeed()), {}},
            authenticator, options, http_metrics_},
        tls_(tls),
        guard_(asio::make_work_guard(io_)),
        tick_(io_) {
    const size_t threads = options.threads;
    shared_.requests_in_flight_max = std::max<size_t>(1, options.requests_in_flight_max / threads);
    shared_.body_bytes_in_flight_max =
        std::max(options.body_bytes_in_flight_max / threads, limits::kBodyBytesMax);
    shared_.date = HttpDate(clock.WallMicros());
  }

  asio::io_context& io() { return io_; }
  HttpMetrics& http_metrics() { return http_metrics_; }

  void Start() {
    Tick();
    thread_ = std::thread([this] { io_.run(); });
  }
  /// Takes a new client; on the loop's own thread.
  void Adopt(tcp::socket socket, std::atomic<size_t>& open) {
    if (shared_.closing) {
      --open;
      return;
    }
    tasks_.Spawn(Serve(std::make_unique<HttpConnection>(std::move(socket), tls_, shared_), open));
  }
  void Drain() {
    asio::post(io_, [this] {
      shared_.closing = true;
      for (HttpConnection* connection : connections_) connection->Drain();
    });
  }
  void Stop() {
    asio::post(io_, [this] {
      shared_.closing = true;
      stopping_ = true;
      for (HttpConnection* connection : connections_) connection->Cut();
      queue_->AbandonAll();
      FinishIfStopped();
    });
    if (thread_.joinable()) thread_.join();
    queue_->Close();
  }

 private:
  Task<void> Serve(std::unique_ptr<HttpConnection> connection, std::atomic<size_t>& open) {
    connections_.insert(connection.get());
    http_metrics_.connections_total.Add();
    co_await connection->Run();
    connections_.erase(connection.get());
    --open;
    if (stopping_) asio::post(io_, [this] { FinishIfStopped(); });
  }

  void FinishIfStopped() {
    if (!stopping_ || tasks_.running() > 0) return;
    tick_.cancel();
    guard_.reset();
  }

  void Tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](ErrorCode error) {
      if (error) return;
      shared_.date = HttpDate(shared_.api.clock.WallMicros());
      http_metrics_.connections.Set(static_cast<int64_t>(connections_.size()));
      const int64_t now_us = shared_.api.clock.MonotonicMicros();
      for (HttpConnection* connection : connections_) connection->Tick(now_us);
      if (!stopping_ || tasks_.running() > 0) Tick();
    });
  }

  asio::io_context io_{1};
  HttpMetrics http_metrics_;
  std::shared_ptr<HandoverQueue> queue_;
  ConnectionShared shared_;
  asio::ssl::context& tls_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  asio::steady_timer tick_;
  std::unordered_set<HttpConnection*> connections_;
  TaskGroup tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

class ApiServer::State {
 public:
  State(ApiServerOptions options, LedgerService& service, Clock& clock, Metrics& metrics)
      : options_(std::move(options)), service_(service), clock_(clock), metrics_(metrics) {
    options_.threads = std::max<size_t>(1, options_.threads);
  }

  absl::Status Listen() {
    absl::StatusOr<Authenticator> authenticator = Authenticator::Create(options_.keys);
    if (!authenticator.ok()) return authenticator.status();
    authenticator_ = *std::move(authenticator);
    absl::Status certificate = ReadCertificate(options_, &tls_);
    if (!certificate.ok()) return certificate;
    Harden(&tls_);
    for (size_t i = 0; i < options_.threads; ++i) {
      loops_.push_back(std::make_unique<ApiLoop>(options_, service_, clock_, metrics_, authenticator_,
                                                 draining_, tls_, i));
    }
    return TakePort();
  }

  uint16_t port() const { return port_; }

  void Start() {
    Check(acceptor_.has_value(), "the server listens before it starts");
    Accept();
    for (auto& loop : loops_) loop->Start();
    running_ = true;
  }

  absl::Status Drain(absl::Duration timeout) {
    if (!running_) return absl::OkStatus();
    draining_ = true;
    CloseAcceptor();
    for (auto& loop : loops_) loop->Drain();
    const int64_t until_us = clock_.MonotonicMicros() + absl::ToInt64Microseconds(timeout);
    std::unique_lock lock(mutex_);
    while (open_ > 0) {
      if (clock_.MonotonicMicros() >= until_us) {
        return absl::DeadlineExceededError(absl::StrCat(open_.load(), " connections were still open"));
      }
      // The count falls on other threads without a signal: a look now and then is enough for a shutdown.
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    return absl::OkStatus();
  }

  void Stop() {
    if (!running_) return;
    running_ = false;
    draining_ = true;
    CloseAcceptor();
    for (auto& loop : loops_) loop->Stop();
  }

 private:
  absl::Status TakePort() {
    ErrorCode error;
    const asio::ip::address address = asio::ip::make_address(options_.address, error);
    if (error) return absl::InvalidArgumentError(absl::StrCat("'", options_.address, "' is no IP address"));
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.emplace(loops_.front()->io());
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(1024, error);
    if (error) {
      const std::string text =
          absl::StrCat("cannot listen on ", options_.address, ":", options_.port, ": ", error.message());
      acceptor_.reset();
      if (error == asio::error::address_in_use) return absl::AlreadyExistsError(text);
      return absl::UnavailableError(text);
    }
    port_ = acceptor_->local_endpoint(error).port();
    return absl::OkStatus();
  }

  /// On the first loop's thread, as all that touches the acceptor.
  void Accept() {
    ApiLoop& loop = *loops_[next_loop_];
    next_loop_ = (next_loop_ + 1) % loops_.size();
    acceptor_->async_accept(loop.io(), [this, &loop](ErrorCode error, tcp::socket socket) {
      if (!acceptor_->is_open()) return;
      if (error) return AcceptLater();
      if (open_ >= options_.connections_max) {
        loops_.front()->http_metrics().connections_refused.Add();
      } else {
        ++open_;
        asio::post(loop.io(), [this, &loop, taken = std::move(socket)]() mutable {
          loop.Adopt(std::move(taken), open_);
        });
      }
      Accept();
    });
  }

  void AcceptLater() {
    auto pause = std::make_shared<asio::steady_timer>(loops_.front()->io(), kAcceptPause);
    pause->async_wait([this, pause](ErrorCode error) {
      if (!error && acceptor_->is_open()) Accept();
    });
  }

  void CloseAcceptor() {
    asio::post(loops_.front()->io(), [this] {
      ErrorCode ignored;
      acceptor_->close(ignored);
    });
  }

  ApiServerOptions options_;
  LedgerService& service_;
  Clock& clock_;
  Metrics& metrics_;
  Authenticator authenticator_;
  asio::ssl::context tls_{asio::ssl::context::tls_server};
  std::atomic<bool> draining_{false};
  std::atomic<size_t> open_{0};
  std::vector<std::unique_ptr<ApiLoop>> loops_;
  std::optional<tcp::acceptor> acceptor_;
  size_t next_loop_ = 0;
  uint16_t port_ = 0;
  bool running_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

ApiServer::ApiServer(ApiServerOptions options, LedgerService& service, Clock& clock, Metrics& metrics)
    : state_(std::make_unique<State>(std::move(options), service, clock, metrics)) {}
ApiServer::~ApiServer() { state_->Stop(); }
absl::Status ApiServer::Listen() { return state_->Listen(); }
uint16_t ApiServer::port() const { return state_->port(); }
void ApiServer::Start() { state_->Start(); }
absl::Status ApiServer::Drain(absl::Duration timeout) { return state_->Drain(timeout); }
void ApiServer::Stop() { state_->Stop(); }

}  // namespace paxledger
