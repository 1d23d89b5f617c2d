#include "replication/net/tls_transport.h"

#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "base/system_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/net/guest.h"
#include "tests/integration/test_certificates.h"

namespace paxledger {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using tcp = asio::ip::tcp;

constexpr char kCluster[] = "0123456789abcdef0123456789abcdef";

uint16_t FreePort(asio::io_context& context) {
  return tcp::acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)).local_endpoint().port();
}

struct Listener : TransportListener {
  void OnMessage(ReplicaId from, PeerMessage message) override {
    if (auto* app = std::get_if<AppMessage>(&message)) received[from].push_back(std::move(app->bytes));
    if (auto* paxos = std::get_if<PaxosMessage>(&message)) values.push_back(paxos->value);
  }
  void OnFrameEnd() override { ++frames; }
  void OnPeerUp(ReplicaId peer, Incarnation incarnation) override { up[peer] = incarnation; }
  void OnPeerDown(ReplicaId peer) override {
    up.erase(peer);
    ++downs;
  }
  void OnPeerClock(ReplicaId peer, int64_t wall_us) override { clocks[peer] = wall_us; }
  void OnRoundTrip(ReplicaId peer, int64_t took_us) override { round_trips[peer] = took_us; }
  void AdmitPeer(ReplicaId peer, const Lineage& process, absl::AnyInvocable<void(bool)> admitted) override {
    bool yes = process.incarnation >= seen[peer];
    if (yes) seen[peer] = process.incarnation;
    lineages[peer] = process;
    admitted(yes);
  }
  std::map<ReplicaId, std::vector<std::string>> received;
  std::vector<SharedBytes> values;
  std::map<ReplicaId, Incarnation> up;
  std::map<ReplicaId, Incarnation> seen;
  std::map<ReplicaId, Lineage> lineages;
  std::map<ReplicaId, int64_t> clocks;
  std::map<ReplicaId, int64_t> round_trips;
  int frames = 0;
  int downs = 0;
};

class TlsTransportTest : public testing::Test {
 protected:
  TlsTransportTest()
      : directory_(fs::temp_directory_path() / absl::StrCat("tls_transport_test.", ::getpid())) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    certificates_.emplace(directory_.string());
    for (uint16_t id = 1; id <= 3; ++id) ports_[ReplicaId{id}] = FreePort(context_);
  }
  ~TlsTransportTest() override {
    nodes_.clear();
    context_.restart();
    context_.run_for(std::chrono::milliseconds(20));
    fs::remove_all(directory_);
  }

  struct Node {
    Listener listener;
    std::unique_ptr<TlsTransport> transport;
    std::string rejected;
    Lineage lineage;
  };

  /// The longest greeting that there is.
  static Lineage LongestLineage(uint64_t incarnation) {
    Lineage lineage{Incarnation{incarnation}, {}};
    for (uint64_t i = 0; i < Lineage::kBeforeMax; ++i) lineage.before.push_back(Incarnation{~i});
    return lineage;
  }

  static std::string NameOf(ReplicaId id) { return absl::StrCat("node-", id.value); }
  TlsFiles FilesOf(TestCertificates& authority, ReplicaId id, std::string_view cluster) {
    TestCertificates::Files files = authority.Issue(PeerCertificateName(NameOf(id), cluster));
    return {files.certificate, files.key, files.ca};
  }

  PeerAddress AddressOf(ReplicaId id) { return {id, "127.0.0.1", ports_[id], NameOf(id)}; }

  TlsTransportOptions Options(ReplicaId id, std::string cluster = kCluster) {
    TlsTransportOptions options;
    options.self = id;
    options.name = NameOf(id);
    options.cluster_id = cluster;
    options.listen_host = "127.0.0.1";
    options.listen_port = ports_[id];
    for (auto [peer, unused] : ports_) {
      if (peer != id) options.peers.push_back(AddressOf(peer));
    }
    options.files = FilesOf(*certificates_, id, cluster);
    return options;
  }

  Node& StartNode(TlsTransportOptions options, uint64_t incarnation = 1) {
    ReplicaId id = options.self;
    nodes_[id] = std::make_unique<Node>();
    Node& node = *nodes_[id];
    options.on_rejected = [&node](std::string reason) { node.rejected = reason; };
    node.transport = std::make_unique<TlsTransport>(std::move(options), context_, clock_, metrics_);
    absl::Status listening = node.transport->Listen();
    EXPECT_TRUE(listening.ok()) << listening;
    node.lineage = LongestLineage(incarnation);
    node.transport->Start(node.lineage, node.listener);
    return node;
  }
  Node& StartNode(uint16_t id, uint64_t incarnation = 1) {
    return StartNode(Options(ReplicaId{id}), incarnation);
  }

  bool RunUntil(const std::function<bool()>& done, int seconds = 10) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!done() && std::chrono::steady_clock::now() < deadline)
      context_.run_one_for(std::chrono::milliseconds(20));
    return done();
  }
  void RunFor(int milliseconds) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (std::chrono::steady_clock::now() < deadline) context_.run_one_for(std::chrono::milliseconds(20));
  }

  fs::path directory_;
  std::optional<TestCertificates> certificates_;
  asio::io_context context_{1};
  SystemClock clock_;
  Metrics metrics_;
  std::map<ReplicaId, uint16_t> ports_;
  std::map<ReplicaId, std::unique_ptr<Node>> nodes_;
};

constexpr ReplicaId kOne{1};
constexpr ReplicaId kTwo{2};
constexpr ReplicaId kThree{3};

TEST_F(TlsTransportTest, ThreeNodesGreetEachOtherAndMessagesArriveInOrder) {
  Node& one = StartNode(1, 11);
  Node& two = StartNode(2, 22);
  Node& three = StartNode(3, 33);
  ASSERT_TRUE(RunUntil([&] {
    return one.listener.up.size() == 2 && two.listener.up.size() == 2 && three.listener.up.size() == 2;
  }));
  EXPECT_EQ(one.listener.up[kTwo], Incarnation{22});
  EXPECT_TRUE(one.transport->IsUp(kThree));
  std::vector<std::string> sent;
  for (int i = 0; i < 200; ++i) {
    sent.push_back(absl::StrCat("message ", i));
    one.transport->Send(kTwo, AppMessage{1, sent.back()});
    if (i % 50 == 49) one.transport->Flush();
  }
  two.transport->Send(kOne, AppMessage{1, "answer"});
  two.transport->Flush();
  ASSERT_TRUE(
      RunUntil([&] { return two.listener.received[kOne].size() == 200 && !one.listener.received.empty(); }));
  EXPECT_EQ(two.listener.received[kOne], sent);
  EXPECT_EQ(two.listener.frames, 4) << "one frame for each flush";
  EXPECT_TRUE(three.listener.received.empty());
  EXPECT_LT(std::abs(two.listener.clocks[kOne] - clock_.WallMicros()), 5'000'000);
}

TEST_F(TlsTransportTest, MeasuresRoundTripsWithoutTheTimeInBetween) {
  Node& one = StartNode(1);
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  RunFor(500);  // signs of life only: each waits for tens of milliseconds before it is sent
  ASSERT_TRUE(one.listener.round_trips.contains(kTwo));
  EXPECT_GT(one.listener.round_trips[kTwo], 0);
  EXPECT_LT(one.listener.round_trips[kTwo], 20'000) << "on one machine, and no heartbeat is counted in";
}

TEST_F(TlsTransportTest, GivesSignsOfLifeOftenEnoughForItsPeers) {
  Node& one = StartNode(1);
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  int64_t began_us = clock_.MonotonicMicros();
  uint64_t before = metrics_.counter("paxledger_peer_frames_received_total").value();
  RunFor(1'000);
  uint64_t frames = metrics_.counter("paxledger_peer_frames_received_total").value() - before;
  int64_t took_us = clock_.MonotonicMicros() - began_us;
  // Both nodes count into the same metrics here.
  EXPECT_GE(static_cast<int64_t>(frames), 2 * took_us / limits::kHeartbeatUs / 2)
      << "half of them may be late";
}

TEST_F(TlsTransportTest, LongValuesArriveWhole) {
  Node& one = StartNode(1);
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  std::string value(1'000'000, 'x');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 31 + i / 997);
  for (int i = 0; i < 40; ++i) {
    PaxosMessage message;
    message.value = std::make_shared<const std::string>(value);
    one.transport->Send(kTwo, message);
  }
  one.transport->Flush();
  ASSERT_TRUE(RunUntil([&] { return two.listener.values.size() == 40; }, 30));
  for (const SharedBytes& got : two.listener.values) ASSERT_TRUE(*got == value);
}

TEST_F(TlsTransportTest, AQueueThatIsFullDropsAndCounts) {
  Node& one = StartNode(1);
  StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo); }));
  auto value = std::make_shared<const std::string>(std::string(1'000'000, 'x'));
  PaxosMessage message;
  message.value = value;
  for (int i = 0; i < 200; ++i) one.transport->Send(kTwo, message);
  EXPECT_GT(metrics_.counter("paxledger_peer_messages_dropped_total").value(), 50u);
  one.transport->Flush();
}

TEST_F(TlsTransportTest, AStoppedPeerIsDownAtOnceAndUpAgainAfterItsRestart) {
  Node& one = StartNode(1);
  StartNode(2, 1);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && nodes_[kTwo]->transport->IsUp(kOne); }));
  nodes_[kTwo]->transport->Stop();
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(RunUntil([&] { return one.listener.downs == 1; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
  EXPECT_FALSE(one.transport->IsUp(kTwo));
  RunFor(300);
  nodes_.erase(kTwo);
  Node& two = StartNode(2, 2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  EXPECT_EQ(one.listener.up[kTwo], Incarnation{2});
  one.transport->Send(kTwo, AppMessage{1, "welcome back"});
  one.transport->Flush();
  ASSERT_TRUE(RunUntil([&] { return two.listener.received[kOne].size() == 1; }));
}

TEST_F(TlsTransportTest, IdleConnectionsStayUp) {
  Node& one = StartNode(1);
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  RunFor(2500);
  EXPECT_EQ(one.listener.downs, 0);
  EXPECT_EQ(two.listener.downs, 0);
}

TEST_F(TlsTransportTest, ASilentPeerIsDownAfterASecond) {
  Node& one = StartNode(1);
  asio::io_context frozen{1};  // a process that stands still: its sockets stay open
  TlsTransport silent(Options(kTwo), frozen, clock_, metrics_);
  Listener listener;
  ASSERT_TRUE(silent.Listen().ok());
  silent.Start(Lineage{Incarnation{1}, {}}, listener);
  ASSERT_TRUE(RunUntil([&] {
    frozen.run_for(std::chrono::milliseconds(5));
    return one.transport->IsUp(kTwo);
  }));
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(RunUntil([&] { return !one.transport->IsUp(kTwo); }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(2500));
  silent.Stop();
  frozen.run_for(std::chrono::milliseconds(20));
}

TEST_F(TlsTransportTest, AnotherClusterIsRefused) {
  Node& one = StartNode(1);
  Node& stranger = StartNode(Options(kTwo, "ffffffffffffffffffffffffffffffff"));
  RunFor(600);
  EXPECT_TRUE(one.listener.up.empty());
  EXPECT_TRUE(stranger.listener.up.empty());
  EXPECT_GT(metrics_.counter("paxledger_peer_rejections_total").value(), 0u);
  EXPECT_EQ(one.rejected, "") << "somebody else's mistake stops nobody";
}

TEST_F(TlsTransportTest, AnotherAuthoritysCertificateIsRefused) {
  Node& one = StartNode(1);
  TestCertificates other(directory_.string(), "other-ca");
  TlsTransportOptions options = Options(kTwo);
  options.files = FilesOf(other, kTwo, kCluster);
  Node& stranger = StartNode(std::move(options));
  RunFor(600);
  EXPECT_TRUE(one.listener.up.empty());
  EXPECT_TRUE(stranger.listener.up.empty());
}

TEST_F(TlsTransportTest, AReplicaCannotPassForAnother) {
  StartNode(1);
  // Replica 3's own transport speaks as itself at replica 2's address: whoever dials 2 meets a certificate
  // of 3.
  TlsTransportOptions options = Options(kThree);
  options.listen_port = ports_[kTwo];
  StartNode(std::move(options));
  RunFor(600);
  EXPECT_FALSE(nodes_[kOne]->transport->IsUp(kTwo));
  EXPECT_TRUE(nodes_[kThree]->transport->IsUp(kOne)) << "as itself it is welcome";
}

TEST_F(TlsTransportTest, AnOlderIncarnationIsRefusedAndToldSo) {
  Node& one = StartNode(1);
  one.listener.seen[kTwo] = Incarnation{5};
  Node& old = StartNode(2, 4);
  ASSERT_TRUE(RunUntil([&] { return !old.rejected.empty(); }));
  EXPECT_THAT(old.rejected, testing::HasSubstr("newer process"));
  EXPECT_FALSE(one.transport->IsUp(kTwo));
  EXPECT_EQ(one.rejected, "");
}

TEST_F(TlsTransportTest, AGreetingCarriesTheWholeLineage) {
  Node& one = StartNode(1, 5);
  Node& two = StartNode(2, 7);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  EXPECT_EQ(one.listener.lineages[kTwo], two.lineage);
  EXPECT_EQ(two.listener.lineages[kOne], one.lineage);
}

TEST_F(TlsTransportTest, ASecondProcessOfOneIncarnationIsRefused) {
  Node& one = StartNode(1);
  Node& two = StartNode(2, 7);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  TlsTransportOptions options = Options(kTwo);
  options.listen_port = 0;
  bool rejected = false;
  options.on_rejected = [&](std::string) { rejected = true; };
  Listener listener;
  TlsTransport copy(std::move(options), context_, clock_, metrics_);
  ASSERT_TRUE(copy.Listen().ok());
  copy.Start(Lineage{Incarnation{7}, {}}, listener);
  ASSERT_TRUE(RunUntil([&] { return rejected; }));
  EXPECT_TRUE(one.transport->IsUp(kTwo));
  copy.Stop();
  RunFor(50);
}

TEST_F(TlsTransportTest, PeersComeAndGo) {
  TlsTransportOptions alone = Options(kOne);
  alone.peers.clear();
  Node& one = StartNode(std::move(alone));
  Node& two = StartNode(2);
  RunFor(200);
  EXPECT_FALSE(one.transport->IsUp(kTwo));
  EXPECT_FALSE(two.transport->IsUp(kOne)) << "one does not know two yet";
  one.transport->SetPeers({AddressOf(kTwo)});
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  one.transport->SetPeers({AddressOf(kTwo), AddressOf(kThree)});
  EXPECT_TRUE(one.transport->IsUp(kTwo)) << "a peer that stays keeps its connection";
  Node& three = StartNode(3);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kThree) && three.transport->IsUp(kOne); }));
  one.transport->SetPeers({AddressOf(kThree)});
  EXPECT_FALSE(one.transport->IsUp(kTwo));
  EXPECT_EQ(one.listener.downs, 1);
  ASSERT_TRUE(RunUntil([&] { return !two.transport->IsUp(kOne); }));
  EXPECT_TRUE(one.transport->IsUp(kThree));
  one.transport->SetPeers({AddressOf(kTwo), AddressOf(kThree)});
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
}

TEST_F(TlsTransportTest, APeerIsFoundAtItsNewAddress) {
  Node& one = StartNode(1);
  TlsTransportOptions moved = Options(kTwo);
  moved.listen_port = FreePort(context_);
  uint16_t port = moved.listen_port;
  StartNode(std::move(moved));
  RunFor(200);
  EXPECT_FALSE(one.transport->IsUp(kTwo));
  one.transport->SetPeers({PeerAddress{kTwo, "127.0.0.1", port, NameOf(kTwo)}, AddressOf(kThree)});
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo); }));
}

TEST_F(TlsTransportTest, AGivenUpNumberIsRefusedAndToldSo) {
  TlsTransportOptions options = Options(kOne);
  options.peers = {AddressOf(kThree)};
  options.is_gone = [](ReplicaId number) { return number == kTwo; };
  Node& one = StartNode(std::move(options));
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return !two.rejected.empty(); }));
  EXPECT_THAT(two.rejected, testing::HasSubstr("given up"));
  EXPECT_FALSE(one.transport->IsUp(kTwo));
}

TEST_F(TlsTransportTest, AGuestAsksAndIsAnsweredAndSaysNothingElse) {
  TlsTransportOptions options = Options(kOne);
  options.peers = {AddressOf(kTwo)};
  std::vector<std::string> guests;
  options.on_guest = [&](Guest guest, AppMessage message, std::function<void(AppMessage)> reply) {
    guests.push_back(absl::StrCat(guest.name, " ", guest.number.value, " ", message.bytes));
    reply(AppMessage{2, "answer to " + message.bytes});
  };
  Node& one = StartNode(std::move(options));
  TlsFiles files = FilesOf(*certificates_, kThree, kCluster);
  std::string bytes;
  absl::Status status;
  bool answered = false;
  std::thread guest([&] {
    GuestOptions ask{.cluster_id = kCluster, .name = "node-3", .files = files, .timeout = absl::Seconds(5)};
    absl::StatusOr<std::string> answer =
        AskAsGuest(ask, "127.0.0.1", ports_[kOne], AppMessage{2, "who is there?"});
    status = answer.status();
    if (answer.ok()) bytes = *answer;
    asio::post(context_, [&] { answered = true; });
  });
  EXPECT_TRUE(RunUntil([&] { return answered; }));
  guest.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(bytes, "answer to who is there?");
  EXPECT_THAT(guests, testing::ElementsAre("node-3 0 who is there?"));

  // A node whose number is not known here takes itself for a peer; only what it says of the cluster is heard.
  Node& three = StartNode(3);
  ASSERT_TRUE(RunUntil([&] { return three.transport->IsUp(kOne); }));
  three.transport->Send(kOne, AppMessage{1, "a transaction"});
  three.transport->Send(kOne, AppMessage{2, "news"});
  three.transport->Flush();
  ASSERT_TRUE(RunUntil([&] { return guests.size() == 2 && three.listener.received[kOne].size() == 1; }));
  EXPECT_EQ(guests[1], "node-3 3 news");
  EXPECT_TRUE(one.listener.received.empty());
  one.transport->SetPeers({AddressOf(kTwo), AddressOf(kThree)});
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kThree); })) << "now it is a peer";
  ASSERT_TRUE(RunUntil([&] {
    three.transport->Send(kOne, AppMessage{1, "a transaction"});
    three.transport->Flush();
    return !one.listener.received[kThree].empty();
  }));
}

TEST_F(TlsTransportTest, AGuestsCertificateIsOfItsName) {
  TlsTransportOptions options = Options(kOne);
  options.on_guest = [](Guest, AppMessage, std::function<void(AppMessage)> reply) {
    reply(AppMessage{2, "x"});
  };
  StartNode(std::move(options));
  TlsTransportOptions three = Options(kThree);
  three.self = ReplicaId{9};
  three.name = "node-9";
  absl::Status listening = TlsTransport(std::move(three), context_, clock_, metrics_).Listen();
  EXPECT_THAT(std::string(listening.message()), testing::HasSubstr("is not of node-9."));
}

TEST_F(TlsTransportTest, GarbageAndPlainTextCloseOnlyTheirConnection) {
  Node& one = StartNode(1);
  Node& two = StartNode(2);
  ASSERT_TRUE(RunUntil([&] { return one.transport->IsUp(kTwo) && two.transport->IsUp(kOne); }));
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < 100; ++i) {
    tcp::socket& socket = sockets.emplace_back(context_);
    socket.connect(tcp::endpoint(asio::ip::address_v4::loopback(), ports_[kOne]));
    if (i % 2 == 0) asio::write(socket, asio::buffer("GET / HTTP/1.1\r\n\r\n", 18));
  }
  RunFor(300);
  one.transport->Send(kTwo, AppMessage{1, "still here"});
  one.transport->Flush();
  ASSERT_TRUE(RunUntil([&] { return two.listener.received[kOne].size() == 1; }));
  EXPECT_EQ(one.listener.downs, 0);
}

TEST_F(TlsTransportTest, ATakenPortAndBadCertificatesAreNamed) {
  StartNode(1);
  TlsTransport second(Options(kOne), context_, clock_, metrics_);
  absl::Status taken = second.Listen();
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(taken.message()), testing::HasSubstr(absl::StrCat(ports_[kOne])));

  TlsTransportOptions two = Options(kTwo);
  auto listen = [&](TlsFiles files) {
    TlsTransportOptions options = two;
    options.files = std::move(files);
    return TlsTransport(std::move(options), context_, clock_, metrics_).Listen();
  };
  TlsFiles good = two.files;
  EXPECT_TRUE(listen(good).ok());
  absl::Status missing = listen({"/nowhere/x.pem", good.key, good.ca});
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(missing.message()), testing::HasSubstr("/nowhere/x.pem"));
  TlsFiles three = FilesOf(*certificates_, kThree, kCluster);
  EXPECT_THAT(std::string(listen({good.certificate, three.key, good.ca}).message()),
              testing::HasSubstr("private key"));
  EXPECT_THAT(std::string(listen(three).message()), testing::HasSubstr("is not of node-2."));
  TestCertificates other(directory_.string(), "other-ca");
  EXPECT_THAT(std::string(listen({good.certificate, good.key, other.ca()}).message()),
              testing::HasSubstr("not valid under"));
  TestCertificates::Files expired = certificates_->Issue(PeerCertificateName("node-2", kCluster), "", -60);
  EXPECT_THAT(std::string(listen({expired.certificate, expired.key, expired.ca}).message()),
              testing::HasSubstr("expired"));
}

}  // namespace
}  // namespace paxledger
