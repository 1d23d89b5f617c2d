#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/lineage.h"

namespace paxledger {

/// Receives what peers send. Called on the node's strand.
class TransportListener {
 public:
  virtual ~TransportListener() = default;
  virtual void OnMessage(ReplicaId from, PeerMessage message) = 0;
  /// All messages of one received frame were handed over: time to send what they caused.
  virtual void OnFrameEnd() = 0;
  /// A connection to `peer` was greeted, or the last one was lost.
  virtual void OnPeerUp(ReplicaId peer, Incarnation incarnation) = 0;
  virtual void OnPeerDown(ReplicaId peer) = 0;
  /// The clock of `peer` as it stood when it sent its last frame.
  virtual void OnPeerClock(ReplicaId peer, int64_t wall_us) = 0;
  /// A frame of ours and the next one of `peer` took so long together, without the time in between.
  virtual void OnRoundTrip(ReplicaId peer, int64_t took_us) = 0;
  /// A peer says hello. `admitted` is called later, on the strand: false refuses it, since it is an older process of a
  /// replica of which a newer was seen, or from another disk (consensus.md rule 1). The newest that was seen is durable before
  /// true is said.
  virtual void AdmitPeer(ReplicaId peer, const Lineage& process, absl::AnyInvocable<void(bool)> admitted) = 0;
};

/// Where a node is found, and who it is there.
struct PeerAddress {
  ReplicaId replica;
  std::string host;  // name or address
  uint16_t port = 0;
  std::string name;  // the node's; its certificate carries it
  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

/// Messages between the nodes of a cluster. Unreliable: a message may be lost (with its connection, or where the queue
/// to a peer is full), and consensus does not mind. Messages to one peer that are not lost arrive in order. A peer that is up
/// hears something every limits::kHeartbeatUs at least.
/// Exactly two implementations: mutual TLS, and the simulator's.
/// Threads: the node's strand.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Queues `message`; it leaves with the next `Flush`.
  virtual void Send(ReplicaId to, PeerMessage message) = 0;
  /// Sends what is queued, one frame per peer.
  virtual void Flush() = 0;
  virtual bool IsUp(ReplicaId peer) const = 0;
  /// All other nodes of the cluster as they are from now on. Connections to those who are no peers any more are lost, with
  /// a call of `OnPeerDown` each; those to peers that stay stay.
  virtual void SetPeers(std::vector<PeerAddress> peers) = 0;
};

}  // namespace paxledger
