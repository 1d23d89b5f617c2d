#pragma once

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "replication/net/peer_codec.h"
#include "replication/net/tls_transport.h"

namespace paxledger {

namespace asio = boost::asio;

/// The inside of `TlsTransport`; only its sources include this.
namespace tls_internal {

using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Stream = asio::ssl::stream<tcp::socket>;

inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

inline constexpr int64_t kRepeatLogMicros = 10'000'000;
inline constexpr size_t kReadBufferBytes = size_t{64} << 10;

/// One TLS connection. Its owner is whoever reads it; the state's lists only find it.
struct Connection {
  Connection(tcp::socket socket, asio::ssl::context& tls, int64_t now_us)
      : stream(std::move(socket), tls), made_us(now_us), heard_us(now_us), sent_us(now_us) {}

  Stream stream;
  ReplicaId peer;  // none until it said hello, or from the start where we dialled
  Incarnation incarnation;
  std::string guest;  // its name, where it greeted and is no peer
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
  bool removed = false;     // its dialling ends
  Incarnation incarnation;  // of the process that was admitted last, and its number
  uint64_t process = 0;
  int64_t backoff_us = 0;
  int64_t echo_us = 0;     // the sender's time of its last frame...
  int64_t echo_at_us = 0;  // ...and when that came
  asio::steady_timer retry;
  std::string logged_problem;
  Gauge& gauge;
};
using PeerPtr = std::shared_ptr<Peer>;

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

uint64_t ProcessNumber();

}  // namespace tls_internal

class TlsTransport::State : public std::enable_shared_from_this<TlsTransport::State> {
 public:
  using tcp = tls_internal::tcp;
  using ErrorCode = tls_internal::ErrorCode;
  using Connection = tls_internal::Connection;
  using ConnectionPtr = tls_internal::ConnectionPtr;
  using Peer = tls_internal::Peer;
  using PeerPtr = tls_internal::PeerPtr;

  State(TlsTransportOptions options, asio::io_context& context, Clock& clock, Metrics& metrics)
      : options_(std::move(options)),
        context_(context),
        clock_(clock),
        metrics_(metrics),
        frames_sent_(metrics.counter("paxledger_peer_frames_sent_total")),
        bytes_sent_(metrics.counter("paxledger_peer_bytes_sent_total")),
        frames_received_(metrics.counter("paxledger_peer_frames_received_total")),
        bytes_received_(metrics.counter("paxledger_peer_bytes_received_total")),
        messages_dropped_(metrics.counter("paxledger_peer_messages_dropped_total")),
        rejections_(metrics.counter("paxledger_peer_rejections_total")),
        acceptor_(context),
        ticker_(context),
        process_(tls_internal::ProcessNumber()) {
    SetPeers(options_.peers);
  }

  absl::Status Listen();
  uint16_t port() const {
    ErrorCode error;
    return acceptor_.local_endpoint(error).port();
  }
  void Start(Lineage self, TransportListener& listener);
  void Stop();
  void SetPeers(const std::vector<PeerAddress>& peers);
  void Send(ReplicaId to, const PeerMessage& message);
  void Flush();
  bool IsUp(ReplicaId peer) const {
    auto it = peers_.find(peer);
    return it != peers_.end() && it->second->up;
  }

 private:
  using Self = std::shared_ptr<State>;

  // Each keeps the state alive by its first parameter.
  static asio::awaitable<void> AcceptLoop(Self self);
  static asio::awaitable<void> Serve(Self self, ConnectionPtr connection);
  static asio::awaitable<void> DialLoop(Self self, PeerPtr peer);
  static asio::awaitable<void> Dial(Self self, PeerPtr peer, ConnectionPtr connection);
  static asio::awaitable<ErrorCode> Connect(Self self, PeerPtr peer, ConnectionPtr connection);
  static asio::awaitable<std::optional<std::string_view>> ReadBody(Self self, ConnectionPtr connection);
  static asio::awaitable<void> ReadFrames(Self self, ConnectionPtr connection);
  static asio::awaitable<bool> Admit(Self self, ReplicaId peer, Lineage process);
  static asio::awaitable<void> Refuse(Self self, ConnectionPtr connection, PeerReject reject);
  static asio::awaitable<void> ServePeer(Self self, ConnectionPtr connection, PeerHello hello);
  static asio::awaitable<void> ServeGuest(Self self, ConnectionPtr connection, PeerHello hello);
  static asio::awaitable<void> TickLoop(Self self);

  bool Over(const Connection& connection) const { return stopped_ || connection.closed; }
  ConnectionPtr NewConnection(tcp::socket socket) {
    return std::make_shared<Connection>(std::move(socket), *tls_, clock_.MonotonicMicros());
  }
  PeerHello HelloTo(ReplicaId peer) const {
    return {kPeerProtocol, options_.cluster_id, options_.self, options_.name, peer, lineage_, process_};
  }
  /// What is wrong with who says `hello`, be it a peer or a guest.
  std::optional<PeerReject> JudgeCluster(Connection& connection, const PeerHello& hello) const;
  std::optional<PeerReject> Judge(Connection& connection, const PeerHello& hello);
  bool IsGuest(const PeerHello& hello) const;
  void AddPeer(const PeerAddress& address);
  FrameTimes TimesFor(ReplicaId to) const;
  void TakeTimes(ReplicaId from, const FrameTimes& times);
  void SendHello(const ConnectionPtr& connection, ReplicaId to);
  void Greeted(const ConnectionPtr& connection, Peer& peer, const PeerHello& hello);
  bool HandleFrame(const ConnectionPtr& connection, std::string_view body);
  bool HandleGuestFrame(const ConnectionPtr& connection);
  void HandleReject(const PeerReject& reject, ReplicaId from);
  void StartWrite(const ConnectionPtr& connection);
  void Close(Connection& connection, std::string why);
  void Tick(int64_t now_us, int64_t since_us);
  enum class Tardiness : uint8_t { kInTime, kLate };
  void Watch(const ConnectionPtr& connection, int64_t now_us, Tardiness tardiness);
  size_t Ungreeted() const {
    return static_cast<size_t>(std::count_if(accepted_.begin(), accepted_.end(),
                                             [](const ConnectionPtr& c) { return !c->greeted; }));
  }
  size_t Guests() const {
    return static_cast<size_t>(std::count_if(accepted_.begin(), accepted_.end(), [](const ConnectionPtr& c) {
      return c->greeted && !c->guest.empty();
    }));
  }

  TlsTransportOptions options_;
  asio::io_context& context_;
  Clock& clock_;
  Metrics& metrics_;
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
  Lineage lineage_;
  TransportListener* listener_ = nullptr;
  bool stopped_ = false;
  bool told_rejected_ = false;
  std::map<ReplicaId, PeerPtr> peers_;
  std::vector<ConnectionPtr> accepted_;
  tls_internal::RepeatFilter problems_;
  FrameReader reader_;
  PeerFrame frame_;  // scratch of HandleFrame and of greetings; never kept across a wait
};

}  // namespace paxledger
