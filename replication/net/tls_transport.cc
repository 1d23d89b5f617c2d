#include "replication/net/tls_transport.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "replication/net/tls_transport_state.h"

namespace paxledger {

using namespace tls_internal;

namespace {

constexpr int64_t kTickMicros = limits::kHeartbeatUs / 2;
constexpr int64_t kLateTickMicros = 500'000;
// Messages leave on the connection that was dialled; on the one that was accepted a sign of life only keeps it open.
constexpr int64_t kHeartbeatDialledMicros = limits::kHeartbeatUs - kTickMicros;
constexpr int64_t kHeartbeatAcceptedMicros = 200'000;
constexpr int64_t kSilenceMaxMicros = 1'000'000;
constexpr int64_t kGuestSilenceMaxMicros = 30'000'000;
constexpr int64_t kGreetingMaxMicros = 3'000'000;
constexpr size_t kGreetingBytesMax = 2048 + Lineage::kBeforeMax * sizeof(uint64_t);
constexpr size_t kGuestBytesMax = size_t{256} << 10;
constexpr size_t kReadBufferKeptBytes = size_t{1} << 20;
// A frame is ended here, so that its receiver need not wait for all of a long burst.
constexpr size_t kFrameBytesTypical = size_t{8} << 20;

size_t FrameBytesMax(const Connection& connection) {
  if (!connection.greeted) return kGreetingBytesMax;
  return connection.guest.empty() ? limits::kFrameBytesMax : kGuestBytesMax;
}

}  // namespace

absl::Status TlsTransport::State::Listen() {
  absl::StatusOr<TlsContext> tls =
      MakePeerTlsContext(options_.files, PeerCertificateName(options_.name, options_.cluster_id));
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

void TlsTransport::State::Start(Lineage self, TransportListener& listener) {
  Check(acceptor_.is_open() && listener_ == nullptr && !stopped_, "a transport listens, then starts once");
  lineage_ = std::move(self);
  listener_ = &listener;
  asio::co_spawn(context_, AcceptLoop(shared_from_this()), asio::detached);
  asio::co_spawn(context_, TickLoop(shared_from_this()), asio::detached);
  for (auto& [replica, peer] : peers_) {
    asio::co_spawn(context_, DialLoop(shared_from_this(), peer), asio::detached);
  }
}

void TlsTransport::State::Stop() {
  if (std::exchange(stopped_, true)) return;
  ErrorCode ignored;
  acceptor_.close(ignored);
  ticker_.cancel();
  for (const ConnectionPtr& connection : accepted_) Close(*connection, "stopped");
  for (auto& [replica, peer] : peers_) {
    peer->retry.cancel();
    if (peer->dialled != nullptr) Close(*peer->dialled, "stopped");
  }
}

void TlsTransport::State::SetPeers(const std::vector<PeerAddress>& wanted) {
  auto is_wanted = [&](ReplicaId replica) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const PeerAddress& address) { return address.replica == replica; });
  };
  std::vector<PeerPtr> leavers;
  for (auto& [replica, peer] : peers_) {
    if (!is_wanted(replica)) leavers.push_back(peer);
  }
  for (const PeerPtr& peer : leavers) {
    peer->removed = true;
    peer->retry.cancel();
    for (const ConnectionPtr& connection : {peer->dialled, peer->accepted}) {
      if (connection != nullptr) Close(*connection, "it is no peer any more");
    }
    peers_.erase(peer->address.replica);
  }
  for (const PeerAddress& address : wanted) {
    auto known = peers_.find(address.replica);
    if (known == peers_.end()) {
      AddPeer(address);
    } else if (known->second->address != address) {
      known->second->address = address;
      if (known->second->dialled != nullptr) Close(*known->second->dialled, "its address is another one");
    }
  }
}

void TlsTransport::State::AddPeer(const PeerAddress& address) {
  Check(address.replica != options_.self, "a node is not its own peer");
  Gauge& up = metrics_.gauge(absl::StrCat("paxledger_peer_up{peer=\"", address.replica.value, "\"}"));
  auto peer = std::make_shared<Peer>(address, context_, up);
  peers_.emplace(address.replica, peer);
  if (listener_ == nullptr || stopped_) return;
  // What it was as a guest it is no more: its next greeting is that of a peer.
  std::vector<ConnectionPtr> accepted = accepted_;
  for (const ConnectionPtr& connection : accepted) {
    if (!connection->guest.empty() && connection->peer == address.replica)
      Close(*connection, "it is a peer now");
  }
  asio::co_spawn(context_, DialLoop(shared_from_this(), std::move(peer)), asio::detached);
}

void TlsTransport::State::Send(ReplicaId to, const PeerMessage& message) {
  auto it = peers_.find(to);
  if (it == peers_.end() || !it->second->up) {
    messages_dropped_.Add();
    return;
  }
  Connection& connection = *it->second->dialled;
  if (connection.frames.bytes() + connection.writing.size() > limits::kPeerQueueBytesMax) {
    messages_dropped_.Add();
    return;
  }
  if (connection.frames.building_bytes() > kFrameBytesTypical) connection.frames.EndFrame(TimesFor(to));
  bool fits = connection.frames.Add(message);
  if (!fits && connection.frames.building()) {
    connection.frames.EndFrame(TimesFor(to));
    fits = connection.frames.Add(message);
  }
  if (!fits) {
    messages_dropped_.Add();
    Log(LogLevel::kError, "transport", "message larger than a frame may be, dropped").With("peer", to.value);
  }
}

void TlsTransport::State::Flush() {
  for (auto& [replica, peer] : peers_) {
    if (!peer->up) continue;
    if (peer->dialled->frames.building()) peer->dialled->frames.EndFrame(TimesFor(replica));
    StartWrite(peer->dialled);
  }
}

FrameTimes TlsTransport::State::TimesFor(ReplicaId to) const {
  FrameTimes times{.wall_us = clock_.WallMicros(), .sent_us = clock_.MonotonicMicros()};
  auto it = peers_.find(to);
  if (it != peers_.end() && it->second->echo_us != 0) {
    times.echo_us = it->second->echo_us;
    times.held_us = times.sent_us - it->second->echo_at_us;
  }
  return times;
}

void TlsTransport::State::TakeTimes(ReplicaId from, const FrameTimes& times) {
  int64_t now_us = clock_.MonotonicMicros();
  if (auto it = peers_.find(from); it != peers_.end()) {
    it->second->echo_us = times.sent_us;
    it->second->echo_at_us = now_us;
  }
  listener_->OnPeerClock(from, times.wall_us);
  if (times.echo_us != 0) listener_->OnRoundTrip(from, now_us - times.echo_us - times.held_us);
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
  Peer& peer = *it->second;
  if (peer.dialled.get() != &connection || !std::exchange(peer.up, false)) return;
  peer.gauge.Set(0);
  if (stopped_) return;
  Log(LogLevel::kInfo, "transport", "peer down")
      .With("peer", connection.peer.value)
      .With("why", connection.problem);
  listener_->OnPeerDown(connection.peer);
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
      if (length > FrameBytesMax(c)) {
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
  if (!connection->guest.empty()) return HandleGuestFrame(connection);
  if (frame_.reject.has_value()) {
    HandleReject(*frame_.reject, connection->peer);
    Close(*connection, absl::StrCat("refused: ", frame_.reject->reason));
    return false;
  }
  TakeTimes(connection->peer, frame_.times);
  for (PeerMessage& message : frame_.messages) {
    if (stopped_) return false;
    listener_->OnMessage(connection->peer, std::move(message));
  }
  if (!stopped_ && !frame_.messages.empty()) listener_->OnFrameEnd();
  return true;
}

/// A guest may ask for the directory or for a number, nothing else.
bool TlsTransport::State::HandleGuestFrame(const ConnectionPtr& connection) {
  for (PeerMessage& message : frame_.messages) {
    auto* app = std::get_if<AppMessage>(&message);
    if (app == nullptr || app->machine != static_cast<uint8_t>(MachineId::kCluster)) continue;
    std::weak_ptr<State> self = weak_from_this();
    auto reply = [self, connection](AppMessage answer) {
      std::shared_ptr<State> state = self.lock();
      if (state == nullptr || state->Over(*connection)) return;
      if (!connection->frames.Add(std::move(answer))) return;
      connection->frames.EndFrame({.wall_us = state->clock_.WallMicros()});
      state->StartWrite(connection);
    };
    options_.on_guest(Guest{connection->peer, connection->guest}, std::move(*app), std::move(reply));
  }
  return !connection->closed;
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
  Tardiness tardiness = now_us - since_us > kLateTickMicros ? Tardiness::kLate : Tardiness::kInTime;
  std::vector<ConnectionPtr> watched = accepted_;
  for (auto& [replica, peer] : peers_) {
    if (peer->dialled != nullptr) watched.push_back(peer->dialled);
  }
  for (const ConnectionPtr& connection : watched) {
    if (stopped_) return;
    Watch(connection, now_us, tardiness);
  }
}

void TlsTransport::State::Watch(const ConnectionPtr& connection, int64_t now_us, Tardiness tardiness) {
  Connection& c = *connection;
  if (c.closed) return;
  if (!c.greeted) {
    if (now_us - c.made_us > kGreetingMaxMicros) Close(c, "no greeting in time");
    return;
  }
  if (tardiness == Tardiness::kLate) c.heard_us = now_us;
  if (now_us - c.heard_us > (c.guest.empty() ? kSilenceMaxMicros : kGuestSilenceMaxMicros)) {
    Close(c, "silent");
    return;
  }
  auto it = peers_.find(c.peer);
  bool dialled = it != peers_.end() && it->second->dialled == connection;
  int64_t heartbeat_us = dialled ? kHeartbeatDialledMicros : kHeartbeatAcceptedMicros;
  if (now_us - c.sent_us >= heartbeat_us && !c.write_under_way && !c.frames.building()) {
    c.frames.EndFrame(TimesFor(c.peer));
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
void TlsTransport::Start(Lineage self, TransportListener& listener) {
  state_->Start(std::move(self), listener);
}
void TlsTransport::Stop() { state_->Stop(); }
void TlsTransport::Send(ReplicaId to, PeerMessage message) { state_->Send(to, message); }
void TlsTransport::SetPeers(std::vector<PeerAddress> peers) { state_->SetPeers(peers); }
void TlsTransport::Flush() { state_->Flush(); }
bool TlsTransport::IsUp(ReplicaId peer) const { return state_->IsUp(peer); }

}  // namespace paxledger