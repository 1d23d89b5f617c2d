#include "tests/sim/sim_network.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/limits.h"

namespace paxledger::sim {
namespace {

const absl::Duration kBeat = absl::Microseconds(limits::kHeartbeatUs / 2);

uint64_t Head(const Digest& digest) {
  uint64_t head;
  std::memcpy(&head, digest.bytes.data(), sizeof(head));
  return head;
}

/// One line of the trace per message; everything that could differ between two runs is in the hash.
struct MessageNote {
  Scheduler& scheduler;
  uint32_t from;
  uint32_t to;

  void Note(const char* what, uint64_t a, uint64_t b, uint64_t c = 0, uint64_t d = 0, uint64_t e = 0,
            uint64_t f = 0) const {
    scheduler.Note(EventKind::kFrame, to, from, what, a, b, c, d, e, f);
  }
  void operator()(const PaxosMessage& m) const {
    Trace& trace = scheduler.trace();
    trace.Mix(Head(m.mine.digest) ^ Head(m.proposed_digest));
    trace.Mix(m.mine.promised.packed);
    trace.Mix(m.yours.promised.packed ^ (m.yours.accepted.packed << 1) ^ Head(m.yours.digest));
    trace.Mix(m.chosen.value ^ (m.value != nullptr ? m.value->size() << 32 : 0));
    if (m.proposed.none()) {
      Note("paxos record: shard, index, promised, accepted, chosen, ask", m.shard.value, m.index.value,
           m.mine.promised.packed, m.mine.accepted.packed, m.chosen.value, m.ask ? 1 : 0);
    } else {
      Note("paxos proposal: shard, index, promised, accepted, chosen, ballot", m.shard.value, m.index.value,
           m.mine.promised.packed, m.mine.accepted.packed, m.chosen.value, m.proposed.packed);
    }
  }
  void operator()(const FetchRequest& m) const {
    Note("fetch: shard, from, to", m.shard.value, m.from.value, m.to.value);
  }
  void operator()(const FetchAnswer& m) const {
    uint64_t bytes = 0;
    for (const ChosenValue& entry : m.entries) bytes += entry.value->size();
    Note("fetched: shard, entries, first, bytes", m.shard.value, m.entries.size(),
         m.entries.empty() ? 0 : m.entries.front().index.value, bytes);
  }
  void operator()(const BarrierRequest& m) const {
    Note("barrier asked: shard, round", m.shard.value, m.round);
  }
  void operator()(const BarrierAnswer& m) const {
    Note("barrier answered: shard, round, highest, chosen", m.shard.value, m.round, m.highest.value,
         m.chosen.value);
  }
  void operator()(const Notices& m) const {
    uint64_t durable = 0;
    for (const ShardNotice& notice : m.shards) durable += notice.durable.value;
    Note("notices: shards, durable in all", m.shards.size(), durable);
  }
  void operator()(const ForwardedCommands& m) const {
    uint64_t bytes = 0;
    for (const SharedBytes& command : m.commands) bytes += command->size();
    Note("forwarded: shard, hops, commands, bytes", m.shard.value, m.hops, m.commands.size(), bytes);
  }
  void operator()(const DiskNotice& m) const { Note("disk: full", m.full ? 1 : 0, 0); }
  void operator()(const RowsRequest& m) const {
    Note("rows asked: shard, session, part, end", m.shard.value, m.session, m.part, m.parts_end);
  }
  void operator()(const RowsHead& m) const {
    Note("rows head: shard, session, refusal, index", m.shard.value, m.session,
         static_cast<uint64_t>(m.refusal), m.index.value);
  }
  void operator()(const RowsPart& m) const {
    Note("rows part: shard, session, part, checksum", m.shard.value, m.session, m.part, m.checksum);
  }
  void operator()(const AppMessage& m) const {
    Note("app: machine, bytes, hash", m.machine, m.bytes.size(), Checksum64(m.bytes));
  }
};

}  // namespace

SimNetwork::SimNetwork(Scheduler& scheduler, NetworkProfile profile, uint32_t nodes, uint64_t seed)
    : scheduler_(scheduler), profile_(profile), nodes_(nodes), random_(seed) {
  transports_.resize(nodes + 1);
  links_.resize((nodes + 1) * (nodes + 1));
}

SimNetwork::Connection& SimNetwork::ConnectionOf(uint32_t a, uint32_t b) {
  return connections_[{std::min(a, b), std::max(a, b)}];
}

bool SimNetwork::SeesUp(uint32_t node, uint32_t peer) const {
  auto at = connections_.find({std::min(node, peer), std::max(node, peer)});
  return at != connections_.end() && at->second.up[node < peer ? 0 : 1];
}

int64_t SimNetwork::Delay() {
  int64_t delay = random_.Between(profile_.delay_us_min, profile_.delay_us_max);
  if (random_.Chance(profile_.tail_per_thousand, 1000)) delay += random_.Between(0, profile_.tail_us_max);
  return delay;
}

void SimNetwork::Join(SimTransport& transport) {
  uint32_t node = transport.strand_.node();
  transports_[node] = &transport;
  for (uint32_t peer = 1; peer <= nodes_; ++peer) {
    if (peer != node) Dial(node, peer);
  }
}

void SimNetwork::Leave(uint32_t node, Death death) {
  transports_[node] = nullptr;
  for (uint32_t peer = 1; peer <= nodes_; ++peer) {
    if (peer == node) continue;
    Connection& connection = ConnectionOf(node, peer);
    connection.up[node < peer ? 0 : 1] = false;
    LinkOf(peer, node).stalled.clear();
    int64_t notice =
        death == Death::kReset ? Delay() : random_.Between(profile_.idle_us_max / 2, profile_.idle_us_max);
    uint64_t epoch = connection.epoch;
    scheduler_.After(notice, EventKind::kConnection, nullptr,
                     [this, node, peer, epoch] { LoseSide(peer, node, epoch); });
  }
}

void SimNetwork::Pause(uint32_t node) {
  for (uint32_t peer = 1; peer <= nodes_; ++peer) {
    if (peer != node) GiveUpWhenSilent(node, peer, ConnectionOf(node, peer).epoch);
  }
}

void SimNetwork::Cut(uint32_t from, uint32_t to) {
  LinkOf(from, to).cut = true;
  GiveUpWhenSilent(from, to, ConnectionOf(from, to).epoch);
}

void SimNetwork::GiveUpWhenSilent(uint32_t from, uint32_t to, uint64_t epoch) {
  int64_t patience = random_.Between(profile_.idle_us_max / 2, profile_.idle_us_max);
  scheduler_.After(patience, EventKind::kConnection, nullptr, [this, from, to, epoch] {
    SimTransport* silent = transports_[from];
    bool still = LinkOf(from, to).cut || (silent != nullptr && silent->strand_.paused());
    if (still && ConnectionOf(from, to).epoch == epoch) Reset(from, to);
  });
}

void SimNetwork::Heal(uint32_t from, uint32_t to) {
  Link& link = LinkOf(from, to);
  if (!link.cut) return;
  link.cut = false;
  std::vector<Frame> stalled = std::move(link.stalled);
  link.stalled.clear();
  for (Frame& frame : stalled) Carry(from, to, std::move(frame));
}

void SimNetwork::HealAll() {
  for (uint32_t from = 1; from <= nodes_; ++from) {
    for (uint32_t to = 1; to <= nodes_; ++to) Heal(from, to);
  }
}

void SimNetwork::Calm() {
  profile_.loss_per_million = 0;
  profile_.reset_per_million = 0;
}

void SimNetwork::Reset(uint32_t a, uint32_t b) {
  Connection& connection = ConnectionOf(a, b);
  LinkOf(a, b).stalled.clear();
  LinkOf(b, a).stalled.clear();
  uint64_t epoch = connection.epoch;
  ++resets_;
  LoseSide(a, b, epoch);
  scheduler_.After(Delay(), EventKind::kConnection, nullptr, [this, a, b, epoch] { LoseSide(b, a, epoch); });
}

void SimNetwork::LoseSide(uint32_t node, uint32_t peer, uint64_t epoch) {
  Connection& connection = ConnectionOf(node, peer);
  bool& up = connection.up[node < peer ? 0 : 1];
  if (connection.epoch != epoch) return;
  if (up) {
    up = false;
    scheduler_.Note(EventKind::kConnection, node, peer, "connection lost");
    SimTransport* transport = transports_[node];
    if (transport != nullptr) {
      transport->strand_.Take(
          [transport, peer] { transport->listener_->OnPeerDown(ReplicaId{static_cast<uint16_t>(peer)}); });
    }
  }
  Dial(node, peer);
}

void SimNetwork::Dial(uint32_t a, uint32_t b) {
  Connection& connection = ConnectionOf(a, b);
  if (connection.dialling || (connection.up[0] && connection.up[1])) return;
  connection.dialling = true;
  int64_t delay = random_.Between(profile_.reconnect_us_min, profile_.reconnect_us_max);
  scheduler_.After(delay, EventKind::kConnection, nullptr, [this, a, b] { Greet(a, b); });
}

void SimNetwork::DialAgain(uint32_t a, uint32_t b) {
  ConnectionOf(a, b).dialling = false;
  Dial(a, b);
}

void SimNetwork::Greet(uint32_t a, uint32_t b) {
  SimTransport* first = transports_[a];
  SimTransport* second = transports_[b];
  if (first == nullptr || second == nullptr) {  // whoever joins dials
    ConnectionOf(a, b).dialling = false;
    return;
  }
  if (ConnectionOf(a, b).up[0] && ConnectionOf(a, b).up[1]) {
    ConnectionOf(a, b).dialling = false;
    return;
  }
  bool reachable =
      !LinkOf(a, b).cut && !LinkOf(b, a).cut && !first->strand_.paused() && !second->strand_.paused();
  reachable = reachable && first->Knows(second->id()) && second->Knows(first->id());
  if (!reachable) {
    DialAgain(a, b);
    return;
  }
  auto hello = std::make_shared<Hello>(Hello{first, second});
  // Each side lets its disk decide; a hello that is not answered in time is given up.
  scheduler_.After(profile_.idle_us_max, EventKind::kConnection, nullptr, [this, hello] {
    if (hello->over) return;
    hello->over = true;
    DialAgain(hello->a->strand_.node(), hello->b->strand_.node());
  });
  auto answer_about = [this, hello](SimTransport* other) {
    return [this, hello, other](bool admitted) {
      if (hello->over) return;
      ++hello->answers;
      if (!admitted) hello->refused = other;
      if (hello->answers < 2) return;
      // Not inside the callback of one of the two.
      scheduler_.After(0, EventKind::kConnection, nullptr, [this, hello] { GreetingDone(*hello); });
    };
  };
  first->strand_.Take([=, told = Greeting(*second, *first)] {
    first->listener_->AdmitPeer(second->id(), told, answer_about(second));
  });
  second->strand_.Take([=, told = Greeting(*first, *second)] {
    second->listener_->AdmitPeer(first->id(), told, answer_about(first));
  });
}

Lineage SimNetwork::Greeting(const SimTransport& from, const SimTransport& to) {
  PeerHello hello;
  hello.cluster_id = "simulated";
  hello.from = from.id();
  hello.to = to.id();
  hello.lineage = from.lineage_;
  hello.process = from.lineage_.incarnation.value;
  writer_.AddHello(hello);
  Frame frame = Encode({}, from.clock_.WallMicros());
  Decode(frame.bytes);
  Check(frame_.hello == hello, "a greeting is read as it was written");
  return frame_.hello->lineage;
}

void SimNetwork::GreetingDone(Hello& hello) {
  if (hello.over) return;
  hello.over = true;
  SimTransport* first = hello.a;
  SimTransport* second = hello.b;
  uint32_t a = first->strand_.node();
  uint32_t b = second->strand_.node();
  if (transports_[a] != first || transports_[b] != second || hello.refused != nullptr) {
    scheduler_.Note(EventKind::kConnection, a, b, "hello refused");
    DialAgain(a, b);
    uint32_t refused = hello.refused != nullptr ? hello.refused->strand_.node() : 0;
    if (refused != 0 && transports_[refused] == hello.refused) on_rejected(refused);
    return;
  }
  Connection& connection = ConnectionOf(a, b);
  connection.dialling = false;
  // One side may still believe in the old connection; the new one tells it better.
  LoseSide(a, b, connection.epoch);
  LoseSide(b, a, connection.epoch);
  ++connection.epoch;
  connection.up[0] = connection.up[1] = true;
  scheduler_.Note(EventKind::kConnection, a, b, "connected");
  on_connected(a, b);
  first->strand_.Take([=] { first->listener_->OnPeerUp(second->id(), second->lineage_.incarnation); });
  second->strand_.Take([=] { second->listener_->OnPeerUp(first->id(), first->lineage_.incarnation); });
}

void SimNetwork::SendFrame(uint32_t from, uint32_t to, std::vector<PeerMessage> messages, int64_t wall_us) {
  if (!SeesUp(from, to)) {
    lost_ += messages.size();
    return;
  }
  if (profile_.loss_per_million > 0 && !messages.empty()) {
    size_t before = messages.size();
    std::erase_if(messages,
                  [&](const PeerMessage&) { return random_.Chance(profile_.loss_per_million, 1'000'000); });
    lost_ += before - messages.size();
    if (messages.empty()) return;
  }
  if (profile_.reset_per_million > 0 && random_.Chance(profile_.reset_per_million, 1'000'000)) {
    lost_ += messages.size();
    scheduler_.After(0, EventKind::kConnection, nullptr,
                     [this, from, to, epoch = ConnectionOf(from, to).epoch] {
                       if (ConnectionOf(from, to).epoch == epoch) Reset(from, to);
                     });
    return;
  }
  ++frames_;
  messages_ += messages.size();
  Frame frame = Encode(messages, wall_us);
  frame.epoch = ConnectionOf(from, to).epoch;
  frame.sent_us = scheduler_.now_us();
  if (LinkOf(from, to).cut) {
    LinkOf(from, to).stalled.push_back(std::move(frame));
  } else {
    Carry(from, to, std::move(frame));
  }
}

SimNetwork::Frame SimNetwork::Encode(const std::vector<PeerMessage>& messages, int64_t wall_us) {
  Frame frame;
  frame.messages = messages.size();
  for (const PeerMessage& message : messages) {
    bool fits = writer_.Add(message);
    Check(fits, "what one strand sends at once fits a frame in the simulator");
  }
  writer_.EndFrame({.wall_us = wall_us});
  writer_.Exchange(&frame.bytes);
  bytes_ += frame.bytes.size();
  return frame;
}

void SimNetwork::Decode(const std::string& bytes) {
  Check(FrameLength(bytes) + kFrameHeadBytes == bytes.size(), "a frame names its own length");
  absl::Status decoded = reader_.Decode(std::string_view(bytes).substr(kFrameHeadBytes), &frame_);
  Check(decoded.ok(), "what a node sends, a node can read");
}

void SimNetwork::Carry(uint32_t from, uint32_t to, Frame frame) {
  Link& link = LinkOf(from, to);
  link.last_arrival_us = std::max(link.last_arrival_us, scheduler_.now_us() + Delay());
  scheduler_.At(
      link.last_arrival_us, EventKind::kFrame, nullptr,
      [this, from, to, frame = std::move(frame)]() mutable { Deliver(from, to, std::move(frame)); });
}

void SimNetwork::Deliver(uint32_t from, uint32_t to, Frame frame) {
  if (transports_[to] == nullptr || ConnectionOf(from, to).epoch != frame.epoch || !SeesUp(to, from)) {
    lost_ += frame.messages;
    return;
  }
  SimTransport* transport = transports_[to];
  transport->strand_.Take([this, transport, from, to, frame = std::move(frame)]() mutable {
    TransportListener& listener = *transport->listener_;
    ReplicaId peer{static_cast<uint16_t>(from)};
    Decode(frame.bytes);
    listener.OnPeerClock(peer, frame_.times.wall_us);
    // What the echo of a frame measures where both ways take as long.
    listener.OnRoundTrip(peer, 2 * (scheduler_.now_us() - frame.sent_us));
    for (PeerMessage& message : frame_.messages) {
      std::visit(MessageNote{scheduler_, from, to}, message);
      listener.OnMessage(peer, std::move(message));
    }
    listener.OnFrameEnd();
  });
}

void SimTransport::Listen(TransportListener& listener, Lineage lineage) {
  listener_ = &listener;
  lineage_ = std::move(lineage);
  network_.Join(*this);
  Beat();
}

void SimTransport::Beat() {
  for (uint32_t peer = 1; peer <= network_.nodes_; ++peer) {
    if (!network_.SeesUp(strand_.node(), peer)) continue;
    if (network_.scheduler_.now_us() - sent_at_us_[peer] < limits::kHeartbeatUs / 2) continue;
    sent_at_us_[peer] = network_.scheduler_.now_us();
    network_.SendFrame(strand_.node(), peer, {}, clock_.WallMicros());
  }
  strand_.After(kBeat, [this] { Beat(); });
}

void SimTransport::SetPeers(std::vector<PeerAddress> peers) {
  std::set<ReplicaId> known;
  for (const PeerAddress& peer : peers) known.insert(peer.replica);
  peers_ = std::move(known);
  if (listener_ == nullptr) return;
  for (uint32_t node = 1; node <= network_.nodes_; ++node) {
    if (node == strand_.node()) continue;
    bool knows = Knows(ReplicaId{static_cast<uint16_t>(node)});
    if (!knows && IsUp(ReplicaId{static_cast<uint16_t>(node)})) network_.Reset(strand_.node(), node);
    if (knows) network_.Dial(strand_.node(), node);
  }
}

void SimTransport::Flush() {
  for (auto& [peer, messages] : queued_) {
    if (messages.empty()) continue;
    std::vector<PeerMessage> frame = std::move(messages);
    messages.clear();
    sent_at_us_[peer] = network_.scheduler_.now_us();
    network_.SendFrame(strand_.node(), peer, std::move(frame), clock_.WallMicros());
  }
}

}  // namespace paxledger::sim
