#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/strong_id.h"
#include "replication/net/peer_codec.h"
#include "replication/net/transport.h"
#include "tests/sim/scheduler.h"

namespace paxledger::sim {

/// How the wide-area network behaves between any two data centres.
struct NetworkProfile {
  int64_t delay_us_min = 200;  // one way
  int64_t delay_us_max = 3'000;
  uint32_t tail_per_thousand = 10;  // frames that take up to `tail_us_max` longer
  int64_t tail_us_max = 30'000;
  uint32_t loss_per_million = 0;    // messages lost out of a frame (a full queue)
  uint32_t reset_per_million = 0;   // frames that take their connection with them
  int64_t idle_us_max = 2'000'000;  // silence after which a connection is given up
  int64_t reconnect_us_min = 20'000;
  int64_t reconnect_us_max = 300'000;
};

class SimTransport;

/// The network between the nodes: a connection for each pair, which keeps order, and which breaks. A frame that meets a
/// cut link waits, as TCP's do, until the link is whole again or the connection is given up. What travels are the bytes of
/// the production codec, so that nothing reaches a peer but through the wire format.
/// Owns:    nothing; borrows the scheduler. Transports register themselves.
class SimNetwork {
 public:
  SimNetwork(Scheduler& scheduler, NetworkProfile profile, uint32_t nodes, uint64_t seed);

  // Hooks: two processes have greeted each other; a process was told that it is older than one that was seen (consensus.md
  // rule 1).
  std::function<void(uint32_t a, uint32_t b)> on_connected = [](uint32_t, uint32_t) {};
  std::function<void(uint32_t node)> on_rejected = [](uint32_t) {};

  /// A process begins to listen, or is gone. Peers notice a dead one after a moment, or only by its silence.
  void Join(SimTransport& transport);
  enum class Death : uint8_t { kReset, kSilent };
  void Leave(uint32_t node, Death death);
  /// The process does not run for a while; what is sent to it waits.
  void Pause(uint32_t node);

  /// Messages from `from` to `to` do not get through, in this direction only, until `Heal`.
  void Cut(uint32_t from, uint32_t to);
  void Heal(uint32_t from, uint32_t to);
  bool IsCut(uint32_t from, uint32_t to) const { return LinkOf(from, to).cut; }
  void HealAll();
  /// The connection between the two breaks; what was under way is lost.
  void Reset(uint32_t a, uint32_t b);
  /// From here on nothing is lost and no connection breaks by itself.
  void Calm();

  uint64_t frames() const { return frames_; }
  uint64_t messages() const { return messages_; }
  uint64_t messages_lost() const { return lost_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t resets() const { return resets_; }

 private:
  friend class SimTransport;
  struct Frame {
    std::string bytes;  // docs/formats.md#peer-frames
    size_t messages = 0;
    int64_t sent_us = 0;
    uint64_t epoch = 0;  // of the connection
  };
  struct Link {  // one way
    bool cut = false;
    int64_t last_arrival_us = 0;
    std::vector<Frame> stalled;
  };
  struct Connection {
    uint64_t epoch = 0;           // 0: never
    bool up[2] = {false, false};  // as the lower and the higher node see it
    bool dialling = false;
  };
  Link& LinkOf(uint32_t from, uint32_t to) { return links_[from * (nodes_ + 1) + to]; }
  const Link& LinkOf(uint32_t from, uint32_t to) const { return links_[from * (nodes_ + 1) + to]; }
  Connection& ConnectionOf(uint32_t a, uint32_t b);
  bool SeesUp(uint32_t node, uint32_t peer) const;
  void SendFrame(uint32_t from, uint32_t to, std::vector<PeerMessage> messages, int64_t wall_us);
  Frame Encode(const std::vector<PeerMessage>& messages, int64_t wall_us);
  void Decode(const std::string& bytes);  // into `frame_`
  void Carry(uint32_t from, uint32_t to, Frame frame);
  void Deliver(uint32_t from, uint32_t to, Frame frame);
  void Dial(uint32_t a, uint32_t b);
  void DialAgain(uint32_t a, uint32_t b);
  void Greet(uint32_t a, uint32_t b);
  struct Hello {
    SimTransport* a;
    SimTransport* b;
    int answers = 0;
    SimTransport* refused = nullptr;
    bool over = false;
  };
  void GreetingDone(Hello& hello);
  /// The process that `from` names in its greeting, as `to` reads it.
  Lineage Greeting(const SimTransport& from, const SimTransport& to);
  /// `node` learns that its connection to `peer` is gone.
  void LoseSide(uint32_t node, uint32_t peer, uint64_t epoch);
  void GiveUpWhenSilent(uint32_t from, uint32_t to, uint64_t epoch);
  int64_t Delay();

  Scheduler& scheduler_;
  NetworkProfile profile_;
  uint32_t nodes_;
  Random random_;
  std::vector<SimTransport*> transports_;  // by node; null: nobody listens
  std::vector<Link> links_;
  std::map<std::pair<uint32_t, uint32_t>, Connection> connections_;
  uint64_t frames_ = 0;
  uint64_t messages_ = 0;
  uint64_t lost_ = 0;
  uint64_t resets_ = 0;
  uint64_t bytes_ = 0;
  FrameWriter writer_;
  FrameReader reader_;
  PeerFrame frame_;  // that was decoded last
};

/// The transport of one incarnation of a node. Sends an empty frame every 200 ms, as the real one does, so that peers hear of
/// each other.
/// Owns:    the messages not yet flushed.
class SimTransport : public Transport {
 public:
  SimTransport(SimNetwork& network, SimExecutor& strand, Clock& clock)
      : network_(network), strand_(strand), clock_(clock) {}

  /// Starts, for a listener that has recovered.
  void Listen(TransportListener& listener, Lineage lineage);

  void Send(ReplicaId to, PeerMessage message) override { queued_[to.value].push_back(std::move(message)); }
  void Flush() override;
  bool IsUp(ReplicaId peer) const override { return network_.SeesUp(strand_.node(), peer.value); }
  void SetPeers(std::vector<PeerAddress> peers) override;

 private:
  friend class SimNetwork;
  void Beat();
  /// Whether it would greet `node`. All, until it was told who its peers are.
  bool Knows(ReplicaId node) const { return !peers_.has_value() || peers_->contains(node); }
  ReplicaId id() const { return ReplicaId{static_cast<uint16_t>(strand_.node())}; }
  SimNetwork& network_;
  SimExecutor& strand_;
  Clock& clock_;
  TransportListener* listener_ = nullptr;
  Lineage lineage_;
  std::map<uint16_t, std::vector<PeerMessage>> queued_;
  std::optional<std::set<ReplicaId>> peers_;
  std::map<uint32_t, int64_t> sent_at_us_;  // by peer
};

}  // namespace paxledger::sim
