#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/strong_id.h"
#include "replication/net/tls_setup.h"
#include "replication/net/transport.h"

namespace boost::asio {
class io_context;
}

namespace paxledger {

struct PeerAddress {
  ReplicaId replica;
  std::string host;  // name or address
  uint16_t port = 0;
};

struct TlsTransportOptions {
  ReplicaId self;
  std::string cluster_id;
  std::string listen_host;         // an address
  uint16_t listen_port = 0;        // 0: any, see port()
  std::vector<PeerAddress> peers;  // without `self`
  TlsFiles files;
  /// A peer knows a newer process of this replica (consensus.md rule 1): this one must stop. Called once, on
  /// the strand.
  std::function<void(std::string reason)> on_rejected;
};

/// Frames of messages over mutual TLS. Each node dials every other and sends on the connection it dialled; a
/// peer is up while that connection is greeted: both sides showed a certificate of the cluster's CA that
/// carries their name, agreed on protocol and cluster, and admitted each other's incarnation. A connection
/// that was silent for a second is closed; a lost one is dialled again at once, then with pauses from 20 ms,
/// doubling to a second.
/// Owns:    the connections. Borrows the context, clock and metrics, which outlive it.
/// Threads: the one that runs `context`; so are all callbacks.
/// Format:  docs/formats.md#peer-frames
class TlsTransport : public Transport {
 public:
  TlsTransport(TlsTransportOptions options, boost::asio::io_context& context, Clock& clock, Metrics& metrics);
  ~TlsTransport() override;

  /// Reads the certificates and takes the port; nothing is accepted yet.
  /// Errors: kInvalidArgument  a certificate, key or address is bad; the message names it
  ///         kUnavailable      the port is taken
  [[nodiscard]] absl::Status Listen();
  /// The port that was taken.
  uint16_t port() const;
  /// Accepts and dials from now on. `Listen` must have succeeded.
  void Start(Incarnation self, TransportListener& listener);
  /// Closes everything; the listener is not called again.
  void Stop();

  void Send(ReplicaId to, PeerMessage message) override;
  void Flush() override;
  bool IsUp(ReplicaId peer) const override;

 private:
  class State;
  std::shared_ptr<State> state_;  // shared with handlers that the context still holds
};

}  // namespace paxledger
