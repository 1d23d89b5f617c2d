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

/// Who showed a certificate of the cluster and has a number that is not known here: a node that joins, or that has lost
/// its disk. It may ask for the directory or for a number.
struct Guest {
  ReplicaId number;  // as it says; 0: it has none
  std::string name;  // as its certificate says
};

struct TlsTransportOptions {
  ReplicaId self;
  std::string name;  // of this node
  std::string cluster_id;
  std::string listen_host;         // an address
  uint16_t listen_port = 0;        // 0: any, see port()
  std::vector<PeerAddress> peers;  // at first, without `self`
  TlsFiles files;
  /// A peer knows a newer process of this node (consensus.md rule 1), or that its number was given up: this one must
  /// stop. Called once, on the strand.
  std::function<void(std::string reason)> on_rejected;
  /// Whether a number was given up for good; its node is refused. None: no number ever was.
  std::function<bool(ReplicaId)> is_gone;
  /// A guest's message of machine `cluster`; `reply` may be called later, and does nothing where the guest has left.
  /// None: guests are refused.
  std::function<void(Guest guest, AppMessage message, std::function<void(AppMessage)> reply)> on_guest;
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
  void Start(Lineage self, TransportListener& listener);
  /// Closes everything; the listener is not called again.
  void Stop();

  void Send(ReplicaId to, PeerMessage message) override;
  void Flush() override;
  bool IsUp(ReplicaId peer) const override;
  void SetPeers(std::vector<PeerAddress> peers) override;

 private:
  class State;
  std::shared_ptr<State> state_;  // shared with handlers that the context still holds
};

}  // namespace paxledger
