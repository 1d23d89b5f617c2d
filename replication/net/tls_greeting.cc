// How nodes meet: accepting, dialling, and who is refused.
#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <random>

#include "replication/net/tls_transport_state.h"

namespace paxledger {

using namespace tls_internal;

namespace {

constexpr int64_t kBackoffMinMicros = 20'000;
constexpr int64_t kBackoffMaxMicros = 1'000'000;
constexpr size_t kUngreetedMax = 64;
constexpr size_t kGuestsMax = 16;
constexpr char kStranger[] = "a newer process of this node was seen, or one from another disk";

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

}  // namespace

uint64_t tls_internal::ProcessNumber() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// Greeting

std::optional<PeerReject> TlsTransport::State::JudgeCluster(Connection& connection,
                                                            const PeerHello& hello) const {
  if (hello.protocol != kPeerProtocol) {
    return PeerReject{RejectCode::kProtocol,
                      absl::StrCat("speaks protocol ", hello.protocol, ", not ", kPeerProtocol)};
  }
  if (hello.cluster_id != options_.cluster_id) {
    return PeerReject{RejectCode::kCluster,
                      absl::StrCat("is of cluster ", hello.cluster_id, ", not of ", options_.cluster_id)};
  }
  if (!PeerCarries(connection.stream, PeerCertificateName(hello.name, options_.cluster_id))) {
    return PeerReject{RejectCode::kIdentity,
                      absl::StrCat("its certificate is not of node ", hello.name, " of this cluster")};
  }
  return std::nullopt;
}

std::optional<PeerReject> TlsTransport::State::Judge(Connection& connection, const PeerHello& hello) {
  auto it = peers_.find(hello.from);
  bool expected = connection.peer == ReplicaId{} || connection.peer == hello.from;
  if (it == peers_.end() || !expected || hello.to != options_.self) {
    return PeerReject{RejectCode::kIdentity, absl::StrCat("node ", hello.from.value, " looked for node ",
                                                          hello.to.value, " at node ", options_.self.value)};
  }
  const Peer& peer = *it->second;
  if (hello.name != peer.address.name) {
    return PeerReject{RejectCode::kIdentity, absl::StrCat("node ", hello.from.value, " is ",
                                                          peer.address.name, ", not ", hello.name)};
  }
  // Two processes with one incarnation come from a copied disk (consensus.md rule 1).
  if (peer.incarnation == hello.lineage.incarnation && peer.process != hello.process && peer.process != 0) {
    return PeerReject{RejectCode::kOldIncarnation, "another process has this incarnation"};
  }
  return std::nullopt;
}

/// A node of the cluster, by its certificate, whose number is not known here (yet), or which has none.
bool TlsTransport::State::IsGuest(const PeerHello& hello) const {
  if (peers_.contains(hello.from) || hello.from == options_.self) return false;
  return options_.on_guest != nullptr && Guests() < kGuestsMax;
}

void TlsTransport::State::SendHello(const ConnectionPtr& connection, ReplicaId to) {
  connection->frames.AddHello(HelloTo(to));
  connection->frames.EndFrame(TimesFor(to));
  StartWrite(connection);
}

void TlsTransport::State::Greeted(const ConnectionPtr& connection, Peer& peer, const PeerHello& hello) {
  connection->greeted = true;
  connection->heard_us = clock_.MonotonicMicros();
  connection->incarnation = hello.lineage.incarnation;
  if (hello.lineage.incarnation > peer.incarnation) {
    peer.echo_us = 0;
    // What was connected to the process before this one is dead, though its end may not have been heard.
    peer.incarnation = hello.lineage.incarnation;
    for (const ConnectionPtr& other : {peer.accepted, peer.dialled}) {
      if (other != nullptr && other->greeted && other->incarnation < hello.lineage.incarnation) {
        Close(*other, "a newer process greeted");
      }
    }
  }
  peer.process = hello.process;
  peer.logged_problem.clear();
}

asio::awaitable<bool> TlsTransport::State::Admit(Self self, ReplicaId peer, Lineage process) {
  auto initiate = [self, peer, &process](auto handler) {
    // The answer may come inside the call, or from deep inside the listener; the greeting goes on from
    // neither.
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    self->listener_->AdmitPeer(peer, process, [self, kept](bool admitted) {
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
  std::string text = absl::StrCat("node ", connection->peer.value, ": ", reject.reason);
  if (self->problems_.IsNews(text, self->clock_.MonotonicMicros())) {
    Log(LogLevel::kWarn, "transport", "peer refused").With("reason", text);
  }
  connection->greeted = false;
  connection->frames.AddReject(reject);
  connection->frames.EndFrame({.wall_us = self->clock_.WallMicros()});
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
  std::string text = absl::StrCat("node ", from.value, " refused this one: ", reject.reason);
  if (problems_.IsNews(text, clock_.MonotonicMicros())) {
    Log(LogLevel::kError, "transport", "refused by a peer").With("reason", text);
  }
  bool final = reject.code == RejectCode::kOldIncarnation || reject.code == RejectCode::kGone;
  if (!final || std::exchange(told_rejected_, true)) return;
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
  std::optional<PeerReject> reject = self->JudgeCluster(*connection, *frame.hello);
  bool gone = self->options_.is_gone != nullptr && self->options_.is_gone(frame.hello->from);
  if (!reject.has_value() && gone) {
    reject = PeerReject{RejectCode::kGone, absl::StrCat("number ", frame.hello->from.value,
                                                        " was given up: another took its place")};
  }
  bool guest = !reject.has_value() && self->IsGuest(*frame.hello);
  if (!reject.has_value() && !guest) reject = self->Judge(*connection, *frame.hello);
  connection->peer = frame.hello->from;
  if (reject.has_value()) {
    co_await Refuse(self, connection, *std::move(reject));
  } else if (guest) {
    co_await ServeGuest(self, connection, *std::move(frame.hello));
  } else {
    co_await ServePeer(self, connection, *std::move(frame.hello));
  }
  forget();
}

asio::awaitable<void> TlsTransport::State::ServePeer(Self self, ConnectionPtr connection, PeerHello hello) {
  bool admitted = co_await Admit(self, hello.from, hello.lineage);
  if (self->Over(*connection)) co_return;
  auto known = self->peers_.find(hello.from);  // it may have left meanwhile
  if (!admitted || known == self->peers_.end()) {
    PeerReject reject{RejectCode::kOldIncarnation, kStranger};
    if (known == self->peers_.end()) reject = {RejectCode::kIdentity, "it is no peer any more"};
    co_await Refuse(self, connection, std::move(reject));
    co_return;
  }
  PeerPtr peer = known->second;
  if (peer->accepted != nullptr) self->Close(*peer->accepted, "the peer dialled again");
  peer->accepted = connection;
  self->Greeted(connection, *peer, hello);
  self->SendHello(connection, hello.from);
  if (!peer->up) {  // it is there: no need to wait for the next try
    peer->backoff_us = 0;
    peer->retry.cancel();
  }
  co_await ReadFrames(self, connection);
  if (peer->accepted == connection) peer->accepted = nullptr;
}

asio::awaitable<void> TlsTransport::State::ServeGuest(Self self, ConnectionPtr connection, PeerHello hello) {
  connection->greeted = true;
  connection->guest = hello.name;
  connection->heard_us = self->clock_.MonotonicMicros();
  self->SendHello(connection, hello.from);
  co_await ReadFrames(self, connection);
}

// Dialling

asio::awaitable<void> TlsTransport::State::DialLoop(Self self, PeerPtr peer) {
  while (!self->stopped_ && !peer->removed) {
    ConnectionPtr connection = self->NewConnection(tcp::socket(self->context_));
    connection->peer = peer->address.replica;
    peer->dialled = connection;
    co_await Dial(self, peer, connection);
    self->Close(*connection, "ended");
    if (self->stopped_ || peer->removed) co_return;
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

asio::awaitable<TlsTransport::State::ErrorCode> TlsTransport::State::Connect(Self self, PeerPtr peer,
                                                                             ConnectionPtr connection) {
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

asio::awaitable<void> TlsTransport::State::Dial(Self self, PeerPtr peer, ConnectionPtr connection) {
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
  std::optional<PeerReject> reject = self->JudgeCluster(*connection, *frame.hello);
  if (!reject.has_value()) reject = self->Judge(*connection, *frame.hello);
  if (!reject.has_value()) {
    bool admitted = co_await Admit(self, frame.hello->from, frame.hello->lineage);
    if (!admitted) reject = PeerReject{RejectCode::kOldIncarnation, kStranger};
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
      .With("incarnation", frame.hello->lineage.incarnation.value);
  self->listener_->OnPeerUp(peer->address.replica, frame.hello->lineage.incarnation);
  co_await ReadFrames(self, connection);
}

}  // namespace paxledger
