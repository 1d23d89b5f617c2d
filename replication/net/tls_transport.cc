#include "replication/net/tls_transport.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "replication/net/peer_codec.h"

namespace paxledger {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Stream = asio::ssl::stream<tcp::socket>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr int64_t kTickMicros = 100'000;
constexpr int64_t kLateTickMicros = 500'000;
constexpr int64_t kHeartbeatMicros = 200'000;
constexpr int64_t kSilenceMaxMicros = 1'000'000;
constexpr int64_t kGreetingMaxMicros = 3'000'000;
constexpr int64_t kBackoffMinMicros = 20'000;
constexpr int64_t kBackoffMaxMicros = 1'000'000;
constexpr int64_t kRepeatLogMicros = 10'000'000;
constexpr size_t kUngreetedMax = 64;
constexpr size_t kGreetingBytesMax = 4096;
constexpr size_t kReadBufferBytes = size_t{64} << 10;
constexpr size_t kReadBufferKeptBytes = size_t{1} << 20;
// A frame is ended here, so that its receiver need not wait for all of a long burst.
constexpr size_t kFrameBytesTypical = size_t{8} << 20;

/// One TLS connection. Its owner is whoever reads it; the state's lists only find it.
struct Connection {
  Connection(tcp::socket socket, asio::ssl::context& tls, int64_t now_us)
      : stream(std::move(socket), tls), made_us(now_us), heard_us(now_us), sent_us(now_us) {}

  Stream stream;
  ReplicaId peer;  // none until it said hello, or from the start where we dialled
  Incarnation incarnation;
  bool greeted = false;
  bool closed = false;
  std::string problem;  // why it was closed
  int64_t made_us;
  int64_t heard_us;
  int64_t sent_us;

  FrameWriter frames;   // queued
  std::string writing;  // on their way
  bool write_under_way = false;

  std::string in;
  size_t in_begin = 0;
  size_t in_end = 0;
};
using ConnectionPtr = std::shared_ptr<Connection>;

struct Peer {
  Peer(PeerAddress a, asio::io_context& context, Gauge& up_gauge)
      : address(std::move(a)), retry(context), gauge(up_gauge) {}
  PeerAddress address;
  ConnectionPtr dialled;
  ConnectionPtr accepted;
  bool up = false;
  Incarnation incarnation;  // of the process that was admitted last, and its number
  uint64_t process = 0;
  int64_t backoff_us = 0;
  asio::steady_timer retry;
  std::string logged_problem;
  Gauge& gauge;
};

/// A problem that recurs is logged when it is new, and then now and then.
class RepeatFilter {
 public:
  bool IsNews(const std::string& text, int64_t now_us) {
    auto [it, fresh] = logged_us_.try_emplace(text, now_us);
    if (!fresh && now_us - it->second < kRepeatLogMicros) return false;
    it->second = now_us;
    if (logged_us_.size() > kProblemsMax) logged_us_.clear();
    return true;
  }

 private:
  static constexpr size_t kProblemsMax = 64;
  std::map<std::string, int64_t> logged_us_;
};

std::string TlsProblem(Stream& stream, const ErrorCode& error) {
  long verdict = SSL_get_verify_result(stream.native_handle());
  std::string text = error.message();
  if (verdict != X509_V_OK) absl::StrAppend(&text, ": ", X509_verify_cert_error_string(verdict));
  return text;
}

bool PeerCarries(Stream& stream, std::string_view name) {
  std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(stream.native_handle()),
                                                          &X509_free);
  return certificate != nullptr && CertificateCarries(certificate.get(), name);
}

uint64_t ProcessNumber() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

class TlsTransport::State : public std::enable_shared_from_this<TlsTransport::State> {
 public:
  State(TlsTransportOptions options, asio::io_context& context, Clock& clock, Metrics& metrics)
      : options_(std::move(options)),
        context_(context),
        clock_(clock),
        frames_sent_(metrics.counter("paxledger_peer_frames_sent_total")),
        bytes_sent_(metrics.counter("paxledger_peer_bytes_sent_total")),
        frames_received_(metrics.counter("paxledger_peer_frames_received_total")),
        bytes_received_(metrics.counter("paxledger_peer_bytes_received_total")),
        messages_dropped_(metrics.counter("paxledger_peer_messages_dropped_total")),
        rejections_(metrics.counter("paxledger_peer_rejections_total")),
        acceptor_(context),
        ticker_(context),
        process_(ProcessNumber()) {
    for (PeerAddress& address : options_.peers) {
      Check(address.replica != options_.self, "a node is not its own peer");
      Gauge& up = metrics.gauge(absl::StrCat("paxledger_peer_up{peer=\"", address.replica.value, "\"}"));
      peers_.try_emplace(address.replica, address, context, up);
    }
  }

  absl::Status Listen();
  uint16_t port() const {
    ErrorCode error;
    return acceptor_.local_endpoint(error).port();
  }
  void Start(Incarnation self, TransportListener& listener);
  void Stop();
  void Send(ReplicaId to, const PeerMessage& message);
  void Flush();
  bool IsUp(ReplicaId peer) const {
    auto it = peers_.find(peer);
    return it != peers_.end() && it->second.up;
  }

 private:
  using Self = std::shared_ptr<State>;

  // Each keeps the state alive by its first parameter.
  static asio::awaitable<void> AcceptLoop(Self self);
  static asio::awaitable<void> Serve(Self self, ConnectionPtr connection);
  static asio::awaitable<void> DialLoop(Self self, Peer* peer);
  static asio::awaitable<void> Dial(Self self, Peer* peer, ConnectionPtr connection);
  static asio::awaitable<ErrorCode> Connect(Self self, Peer* peer, ConnectionPtr connection);
  static asio::awaitable<std::optional<std::string_view>> ReadBody(Self self, ConnectionPtr connection);
  static asio::awaitable<void> ReadFrames(Self self, ConnectionPtr connection);
  static asio::awaitable<bool> Admit(Self self, ReplicaId peer, Incarnation incarnation);
  static asio::awaitable<void> Refuse(Self self, ConnectionPtr connection, PeerReject reject);
  static asio::awaitable<void> TickLoop(Self self);

  bool Over(const Connection& connection) const { return stopped_ || connection.closed; }
  ConnectionPtr NewConnection(tcp::socket socket) {
    return std::make_shared<Connection>(std::move(socket), *tls_, clock_.MonotonicMicros());
  }
  PeerHello HelloTo(ReplicaId peer) const {
    return {kPeerProtocol, options_.cluster_id, options_.self, peer, incarnation_, process_};
  }
  std::optional<PeerReject> Judge(Connection& connection, const PeerHello& hello);
  void SendHello(const ConnectionPtr& connection, ReplicaId to);
  void Greeted(const ConnectionPtr& connection, Peer& peer, const PeerHello& hello);
  bool HandleFrame(const ConnectionPtr& connection, std::string_view body);
  void HandleReject(const PeerReject& reject, ReplicaId from);
  void StartWrite(const ConnectionPtr& connection);
  void Close(Connection& connection, std::string why);
  void Tick(int64_t now_us, int64_t since_us);
  void Watch(const ConnectionPtr& connection, int64_t now_us, bool late);
  size_t Ungreeted() const {
    return static_cast<size_t>(std::count_if(accepted_.begin(), accepted_.end(),
                                             [](const ConnectionPtr& c) { return !c->greeted; }));
  }

  TlsTransportOptions options_;
  asio::io_context& context_;
  Clock& clock_;
  Counter& frames_sent_;
  Counter& bytes_sent_;
  Counter& frames_received_;
  Counter& bytes_received_;
  Counter& messages_dropped_;
  Counter& rejections_;

  std::optional<asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  asio::steady_timer ticker_;
  uint64_t process_;
  Incarnation incarnation_;
  TransportListener* listener_ = nullptr;
  bool stopped_ = false;
  bool told_rejected_ = false;
  std::map<ReplicaId, Peer> peers_;
  std::vector<ConnectionPtr> accepted_;
  RepeatFilter problems_;
  FrameReader reader_;
  PeerFrame frame_;  // scratch of HandleFrame and of greetings; never kept across a wait
};

absl::Status TlsTransport::State::Listen() {
  absl::StatusOr<TlsContext> tls =
      MakePeerTlsContext(options_.files, PeerCertificateName(options_.self, options_.cluster_id));
  if (!tls.ok()) return tls.status();
  tls_.emplace(tls->release());
  ErrorCode error;
  asio::ip::address address = asio::ip::make_address(options_.listen_host, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen for peers on '", options_.listen_host, "': not an address"));
  }
  tcp::endpoint endpoint(address, options_.listen_port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot listen for peers on ", options_.listen_host, ":",
                                               options_.listen_port, ": ", error.message()));
  }
  return absl::OkStatus();
}

void TlsTransport::State::Start(Incarnation self, TransportListener& listener) {
  Check(acceptor_.is_open() && listener_ == nullptr && !stopped_, "a transport listens, then starts once");
  incarnation_ = self;
  listener_ = &listener;
  asio::co_spawn(context_, AcceptLoop(shared_from_this()), asio::detached);
  asio::co_spawn(context_, TickLoop(shared_from_this()), asio::detached);
  for (auto& [replica, peer] : peers_) {
    asio::co_spawn(context_, DialLoop(shared_from_this(), &peer), asio::detached);
  }
}

void TlsTransport::State::Stop() {
  if (std::exchange(stopped_, true)) return;
  ErrorCode ignored;
  acceptor_.close(ignored);
  ticker_.cancel();
  for (const ConnectionPtr& connection : accepted_) Close(*connection, "stopped");
  for (auto& [replica, peer] : peers_) {
    peer.retry.cancel();
    if (peer.dialled != nullptr) Close(*peer.dialled, "stopped");
  }
}

void TlsTransport::State::Send(ReplicaId to, const PeerMessage& message) {
  auto it = peers_.find(to);
  if (it == peers_.end() || !it->second.up) {
    messages_dropped_.Add();
    return;
  }
  Connection& connection = *it->second.dialled;
  if (connection.frames.bytes() + connection.writing.size() > limits::kPeerQueueBytesMax) {
    messages_dropped_.Add();
    return;
  }
  if (connection.frames.building_bytes() > kFrameBytesTypical)
    connection.frames.EndFrame(clock_.WallMicros());
  bool fits = connection.frames.Add(message);
  if (!fits && connection.frames.building()) {
    connection.frames.EndFrame(clock_.WallMicros());
    fits = connection.frames.Add(message);
  }
  if (!fits) {
    messages_dropped_.Add();
    Log(LogLevel::kError, "transport", "message larger than a frame may be, dropped").With("peer", to.value);
  }
}

void TlsTransport::State::Flush() {
  int64_t wall_us = 0;
  for (auto& [replica, peer] : peers_) {
    if (!peer.up) continue;
    if (peer.dialled->frames.building()) {
      if (wall_us == 0) wall_us = clock_.WallMicros();
      peer.dialled->frames.EndFrame(wall_us);
    }
    StartWrite(peer.dialled);
  }
}

void TlsTransport::State::StartWrite(const ConnectionPtr& connection) {
  Connection& c = *connection;
  if (c.write_under_way || c.closed || c.frames.bytes() == 0 || c.frames.building()) return;
  c.frames.Exchange(&c.writing);
  c.write_under_way = true;
  c.sent_us = clock_.MonotonicMicros();
  auto written = [self = shared_from_this(), connection](const ErrorCode& error, size_t bytes) {
    connection->write_under_way = false;
    self->bytes_sent_.Add(bytes);
    self->frames_sent_.Add();
    if (error) {
      self->Close(*connection, error.message());
      return;
    }
    connection->writing.clear();
    if (connection->writing.capacity() > kFrameBytesTypical) connection->writing.shrink_to_fit();
    self->StartWrite(connection);  // what was queued meanwhile leaves as one piece
  };
  asio::async_write(c.stream, asio::buffer(c.writing), std::move(written));
}

void TlsTransport::State::Close(Connection& connection, std::string why) {
  if (std::exchange(connection.closed, true)) return;
  connection.problem = std::move(why);
  ErrorCode ignored;
  connection.stream.next_layer().close(ignored);
  auto it = peers_.find(connection.peer);
  if (it == peers_.end()) return;
  Peer& peer = it->second;
  if (peer.dialled.get() != &connection || !std::exchange(peer.up, false)) return;
  peer.gauge.Set(0);
  if (stopped_) return;
  Log(LogLevel::kInfo, "transport", "peer down")
      .With("peer", connection.peer.value)
      .With("why", connection.problem);
  listener_->OnPeerDown(connection.peer);
}

// Greeting

std::optional<PeerReject> TlsTransport::State::Judge(Connection& connection, const PeerHello& hello) {
  if (hello.protocol != kPeerProtocol) {
    return PeerReject{RejectCode::kProtocol,
                      absl::StrCat("speaks protocol ", hello.protocol, ", not ", kPeerProtocol)};
  }
  if (hello.cluster_id != options_.cluster_id) {
    return PeerReject{RejectCode::kCluster,
                      absl::StrCat("is of cluster ", hello.cluster_id, ", not of ", options_.cluster_id)};
  }
  auto it = peers_.find(hello.from);
  bool expected = connection.peer == ReplicaId{} || connection.peer == hello.from;
  if (it == peers_.end() || !expected || hello.to != options_.self) {
    return PeerReject{RejectCode::kIdentity,
                      absl::StrCat("replica ", hello.from.value, " looked for replica ", hello.to.value,
                                   " at replica ", options_.self.value)};
  }
  if (!PeerCarries(connection.stream, PeerCertificateName(hello.from, options_.cluster_id))) {
    return PeerReject{RejectCode::kIdentity, absl::StrCat("its certificate is not of replica ",
                                                          hello.from.value, " of this cluster")};
  }
  const Peer& peer = it->second;
  // Two processes with one incarnation come from a copied disk (consensus.md rule 1).
  if (peer.incarnation == hello.incarnation && peer.process != hello.process && peer.process != 0) {
    return PeerReject{RejectCode::kOldIncarnation, "another process has this incarnation"};
  }
  return std::nullopt;
}

void TlsTransport::State::SendHello(const ConnectionPtr& connection, ReplicaId to) {
  connection->frames.AddHello(HelloTo(to));
  connection->frames.EndFrame(clock_.WallMicros());
  StartWrite(connection);
}

void TlsTransport::State::Greeted(const ConnectionPtr& connection, Peer& peer, const PeerHello& hello) {
  connection->greeted = true;
  connection->heard_us = clock_.MonotonicMicros();
  connection->incarnation = hello.incarnation;
  if (hello.incarnation > peer.incarnation) {
    // What was connected to the process before this one is dead, though its end may not have been heard.
    peer.incarnation = hello.incarnation;
    for (const ConnectionPtr& other : {peer.accepted, peer.dialled}) {
      if (other != nullptr && other->greeted && other->incarnation < hello.incarnation) {
        Close(*other, "a newer process greeted");
      }
    }
  }
  peer.process = hello.process;
  peer.logged_problem.clear();
}

asio::awaitable<bool> TlsTransport::State::Admit(Self self, ReplicaId peer, Incarnation incarnation) {
  auto initiate = [self, peer, incarnation](auto handler) {
    // The answer may come inside the call, or from deep inside the listener; the greeting goes on from
    // neither.
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    self->listener_->AdmitPeer(peer, incarnation, [self, kept](bool admitted) {
      asio::post(self->context_, [kept, admitted] { std::move (*kept)(admitted); });
    });
  };
  bool admitted =
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(initiate, asio::use_awaitable);
  co_return admitted;
}

/// Tells the peer why, waits until it has closed (a reset could overtake the reason), and closes.
asio::awaitable<void> TlsTransport::State::Refuse(Self self, ConnectionPtr connection, PeerReject reject) {
  self->rejections_.Add();
  std::string text = absl::StrCat("replica ", connection->peer.value, ": ", reject.reason);
  if (self->problems_.IsNews(text, self->clock_.MonotonicMicros())) {
    Log(LogLevel::kWarn, "transport", "peer refused").With("reason", text);
  }
  connection->greeted = false;
  connection->frames.AddReject(reject);
  connection->frames.EndFrame(self->clock_.WallMicros());
  self->StartWrite(connection);
  while (!self->Over(*connection)) {
    connection->in_begin = connection->in_end = 0;
    connection->in.resize(kReadBufferBytes);
    auto [error, bytes] = co_await connection->stream.async_read_some(asio::buffer(connection->in), kTuple);
    if (error) break;
  }
  self->Close(*connection, std::move(text));
}

void TlsTransport::State::HandleReject(const PeerReject& reject, ReplicaId from) {
  std::string text = absl::StrCat("replica ", from.value, " refused this one: ", reject.reason);
  if (problems_.IsNews(text, clock_.MonotonicMicros())) {
    Log(LogLevel::kError, "transport", "refused by a peer").With("reason", text);
  }
  if (reject.code != RejectCode::kOldIncarnation || std::exchange(told_rejected_, true)) return;
  if (options_.on_rejected != nullptr) {
    asio::post(context_, [self = shared_from_this(), text] { self->options_.on_rejected(text); });
  }
}

// Accepting

asio::awaitable<void> TlsTransport::State::AcceptLoop(Self self) {
  while (!self->stopped_) {
    auto [error, socket] = co_await self->acceptor_.async_accept(kTuple);
    if (self->stopped_) co_return;
    if (error) {  // out of file descriptors, or the like
      if (self->problems_.IsNews(error.message(), self->clock_.MonotonicMicros())) {
        Log(LogLevel::kError, "transport", "cannot accept").With("error", error.message());
      }
      asio::steady_timer pause(self->context_, std::chrono::milliseconds(100));
      auto [waited] = co_await pause.async_wait(kTuple);
      (void)waited;
      continue;
    }
    if (self->Ungreeted() >= kUngreetedMax) continue;  // closes the socket
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(self->context_, Serve(self, self->NewConnection(std::move(socket))), asio::detached);
  }
}

asio::awaitable<void> TlsTransport::State::Serve(Self self, ConnectionPtr connection) {
  self->accepted_.push_back(connection);
  auto forget = [self, connection] { std::erase(self->accepted_, connection); };
  auto [error] = co_await connection->stream.async_handshake(asio::ssl::stream_base::server, kTuple);
  std::optional<std::string_view> body;
  if (error) {
    self->Close(*connection, TlsProblem(connection->stream, error));
  } else {
    body = co_await ReadBody(self, connection);
  }
  PeerFrame frame;
  if (!body.has_value() || !self->reader_.Decode(*body, &frame).ok() || !frame.hello.has_value()) {
    self->Close(*connection, "no hello");
    if (!self->stopped_ && self->problems_.IsNews(connection->problem, self->clock_.MonotonicMicros())) {
      Log(LogLevel::kWarn, "transport", "incoming connection failed").With("why", connection->problem);
    }
    forget();
    co_return;
  }
  std::optional<PeerReject> reject = self->Judge(*connection, *frame.hello);
  connection->peer = frame.hello->from;
  if (!reject.has_value()) {
    bool admitted = co_await Admit(self, frame.hello->from, frame.hello->incarnation);
    if (!admitted)
      reject = PeerReject{RejectCode::kOldIncarnation, "a newer process of this replica was seen"};
  }
  if (self->Over(*connection)) {
    forget();
    co_return;
  }
  if (reject.has_value()) {
    co_await Refuse(self, connection, *std::move(reject));
    forget();
    co_return;
  }
  Peer& peer = self->peers_.at(frame.hello->from);
  if (peer.accepted != nullptr) self->Close(*peer.accepted, "the peer dialled again");
  peer.accepted = connection;
  self->Greeted(connection, peer, *frame.hello);
  self->SendHello(connection, frame.hello->from);
  if (!peer.up) {  // it is there: no need to wait for the next try
    peer.backoff_us = 0;
    peer.retry.cancel();
  }
  co_await ReadFrames(self, connection);
  if (peer.accepted == connection) peer.accepted = nullptr;
  forget();
}

// Dialling

asio::awaitable<void> TlsTransport::State::DialLoop(Self self, Peer* peer) {
  while (!self->stopped_) {
    ConnectionPtr connection = self->NewConnection(tcp::socket(self->context_));
    connection->peer = peer->address.replica;
    peer->dialled = connection;
    co_await Dial(self, peer, connection);
    self->Close(*connection, "ended");
    if (self->stopped_) co_return;
    int64_t lived_us = self->clock_.MonotonicMicros() - connection->made_us;
    if (connection->greeted) {
      if (lived_us > kBackoffMaxMicros) peer->backoff_us = 0;  // else it may be lost again and again
    } else if (connection->problem != peer->logged_problem) {
      peer->logged_problem = connection->problem;
      Log(LogLevel::kWarn, "transport", "cannot reach peer")
          .With("peer", peer->address.replica.value)
          .With("address", absl::StrCat(peer->address.host, ":", peer->address.port))
          .With("why", connection->problem);
    }
    int64_t pause_us = std::exchange(peer->backoff_us,
                                     std::clamp(peer->backoff_us * 2, kBackoffMinMicros, kBackoffMaxMicros));
    if (pause_us == 0) continue;
    peer->retry.expires_after(std::chrono::microseconds(pause_us));
    auto [woken] = co_await peer->retry.async_wait(kTuple);
    (void)woken;
  }
}

asio::awaitable<ErrorCode> TlsTransport::State::Connect(Self self, Peer* peer, ConnectionPtr connection) {
  ErrorCode error;
  asio::ip::address address = asio::ip::make_address(peer->address.host, error);
  tcp::endpoint endpoint(address, peer->address.port);
  if (error) {
    tcp::resolver resolver(self->context_);
    auto [failed, found] =
        co_await resolver.async_resolve(peer->address.host, std::to_string(peer->address.port), kTuple);
    if (failed) co_return failed;
    endpoint = *found.begin();
  }
  if (self->Over(*connection)) co_return asio::error::operation_aborted;
  auto [refused] = co_await connection->stream.next_layer().async_connect(endpoint, kTuple);
  ErrorCode ignored;
  if (!refused) connection->stream.next_layer().set_option(tcp::no_delay(true), ignored);
  co_return refused;
}

asio::awaitable<void> TlsTransport::State::Dial(Self self, Peer* peer, ConnectionPtr connection) {
  ErrorCode refused = co_await Connect(self, peer, connection);
  if (refused) {
    self->Close(*connection, refused.message());
    co_return;
  }
  auto [error] = co_await connection->stream.async_handshake(asio::ssl::stream_base::client, kTuple);
  if (error) {
    self->Close(*connection, TlsProblem(connection->stream, error));
    co_return;
  }
  self->SendHello(connection, peer->address.replica);
  std::optional<std::string_view> body = co_await ReadBody(self, connection);
  if (!body.has_value()) co_return;
  PeerFrame frame;
  if (!self->reader_.Decode(*body, &frame).ok() || (!frame.hello.has_value() && !frame.reject.has_value())) {
    self->Close(*connection, "answered without a hello");
    co_return;
  }
  if (frame.reject.has_value()) {
    self->HandleReject(*frame.reject, peer->address.replica);
    self->Close(*connection, absl::StrCat("refused: ", frame.reject->reason));
    co_return;
  }
  std::optional<PeerReject> reject = self->Judge(*connection, *frame.hello);
  if (!reject.has_value()) {
    bool admitted = co_await Admit(self, frame.hello->from, frame.hello->incarnation);
    if (!admitted)
      reject = PeerReject{RejectCode::kOldIncarnation, "a newer process of this replica was seen"};
  }
  if (self->Over(*connection)) co_return;
  if (reject.has_value()) {
    co_await Refuse(self, connection, *std::move(reject));
    co_return;
  }
  self->Greeted(connection, *peer, *frame.hello);
  peer->up = true;
  peer->gauge.Set(1);
  Log(LogLevel::kInfo, "transport", "peer up")
      .With("peer", peer->address.replica.value)
      .With("incarnation", frame.hello->incarnation.value);
  self->listener_->OnPeerUp(peer->address.replica, frame.hello->incarnation);
  co_await ReadFrames(self, connection);
}

// Reading

/// The next frame's body, which points into the connection's buffer until the next read; nullopt: it was
/// closed.
asio::awaitable<std::optional<std::string_view>> TlsTransport::State::ReadBody(Self self,
                                                                               ConnectionPtr connection) {
  Connection& c = *connection;
  while (!self->Over(c)) {
    std::string_view have(c.in.data() + c.in_begin, c.in_end - c.in_begin);
    size_t needed = kReadBufferBytes;
    if (have.size() >= kFrameHeadBytes) {
      size_t length = FrameLength(have);
      if (length > (c.greeted ? limits::kFrameBytesMax : kGreetingBytesMax)) {
        self->Close(c, absl::StrCat("malformed frame: ", length, " bytes long"));
        break;
      }
      size_t whole = kFrameHeadBytes + length;
      if (have.size() >= whole) {
        c.in_begin += whole;
        co_return have.substr(kFrameHeadBytes, length);
      }
      needed = std::max(needed, whole);
    }
    if (c.in_begin > 0) {
      std::memmove(c.in.data(), c.in.data() + c.in_begin, have.size());
      c.in_begin = 0;
      c.in_end = have.size();
    }
    if (c.in.size() < needed || (c.in_end == 0 && c.in.size() > kReadBufferKeptBytes)) {
      c.in.resize(needed);
      if (c.in.capacity() > kReadBufferKeptBytes && needed <= kReadBufferBytes) c.in.shrink_to_fit();
    }
    auto [error, bytes] = co_await c.stream.async_read_some(
        asio::buffer(c.in.data() + c.in_end, c.in.size() - c.in_end), kTuple);
    if (error) {
      self->Close(c, error.message());
      break;
    }
    c.in_end += bytes;
    c.heard_us = self->clock_.MonotonicMicros();
    self->bytes_received_.Add(bytes);
  }
  co_return std::nullopt;
}

asio::awaitable<void> TlsTransport::State::ReadFrames(Self self, ConnectionPtr connection) {
  while (!self->Over(*connection)) {
    std::optional<std::string_view> body = co_await ReadBody(self, connection);
    if (!body.has_value() || !self->HandleFrame(connection, *body)) break;
  }
  self->Close(*connection, "ended");
}

bool TlsTransport::State::HandleFrame(const ConnectionPtr& connection, std::string_view body) {
  frames_received_.Add();
  absl::Status decoded = reader_.Decode(body, &frame_);
  if (!decoded.ok()) {
    Close(*connection, std::string(decoded.message()));
    return false;
  }
  if (frame_.reject.has_value()) {
    HandleReject(*frame_.reject, connection->peer);
    Close(*connection, absl::StrCat("refused: ", frame_.reject->reason));
    return false;
  }
  listener_->OnPeerClock(connection->peer, frame_.sent_wall_us);
  for (PeerMessage& message : frame_.messages) {
    if (stopped_) return false;
    listener_->OnMessage(connection->peer, std::move(message));
  }
  if (!stopped_ && !frame_.messages.empty()) listener_->OnFrameEnd();
  return true;
}

// Liveness

asio::awaitable<void> TlsTransport::State::TickLoop(Self self) {
  int64_t last_us = self->clock_.MonotonicMicros();
  while (!self->stopped_) {
    self->ticker_.expires_after(std::chrono::microseconds(kTickMicros));
    auto [waited] = co_await self->ticker_.async_wait(kTuple);
    (void)waited;
    if (self->stopped_) co_return;
    int64_t now_us = self->clock_.MonotonicMicros();
    self->Tick(now_us, std::exchange(last_us, now_us));
  }
}

void TlsTransport::State::Tick(int64_t now_us, int64_t since_us) {
  // Where this process itself stood still, the silence was not the peers'.
  bool late = now_us - since_us > kLateTickMicros;
  std::vector<ConnectionPtr> watched = accepted_;
  for (auto& [replica, peer] : peers_) {
    if (peer.dialled != nullptr) watched.push_back(peer.dialled);
  }
  for (const ConnectionPtr& connection : watched) {
    if (stopped_) return;
    Watch(connection, now_us, late);
  }
}

void TlsTransport::State::Watch(const ConnectionPtr& connection, int64_t now_us, bool late) {
  Connection& c = *connection;
  if (c.closed) return;
  if (!c.greeted) {
    if (now_us - c.made_us > kGreetingMaxMicros) Close(c, "no greeting in time");
    return;
  }
  if (late) c.heard_us = now_us;
  if (now_us - c.heard_us > kSilenceMaxMicros) {
    Close(c, "silent");
    return;
  }
  if (now_us - c.sent_us >= kHeartbeatMicros && !c.write_under_way && !c.frames.building()) {
    c.frames.EndFrame(clock_.WallMicros());
    StartWrite(connection);
  }
}

// TlsTransport

TlsTransport::TlsTransport(TlsTransportOptions options, asio::io_context& context, Clock& clock,
                           Metrics& metrics)
    : state_(std::make_shared<State>(std::move(options), context, clock, metrics)) {}
TlsTransport::~TlsTransport() { state_->Stop(); }
absl::Status TlsTransport::Listen() { return state_->Listen(); }
uint16_t TlsTransport::port() const { return state_->port(); }
void TlsTransport::Start(Incarnation self, TransportListener& listener) { state_->Start(self, listener); }
void TlsTransport::Stop() { state_->Stop(); }
void TlsTransport::Send(ReplicaId to, PeerMessage message) { state_->Send(to, message); }
void TlsTransport::Flush() { state_->Flush(); }
bool TlsTransport::IsUp(ReplicaId peer) const { return state_->IsUp(peer); }

}  // namespace paxledger
