#include "ops/ledgerd/node_process.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "api/server.h"
#include "base/asio_executor.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "ops/ledgerd/clock_alarm.h"
#include "replication/net/tls_transport.h"
#include "replication/store/rocks_engine.h"
#include "txn/node.h"

namespace paxledger {
namespace {

// Together below the 10 s that an operator's tools give a process to end.
constexpr absl::Duration kDoorDrain = absl::Seconds(4);
constexpr std::chrono::seconds kNodeDrain{4};

// What an operator can do about data that cannot be run from.
constexpr char kRejoinHint[] =
    "; a node whose disk is lost comes back with an empty data directory: ledgerd rejoin --config FILE";

uint64_t Seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// How a failed step ends the process; `taken` is what kAlreadyExists and kUnavailable mean at that step.
NodeExit CodeOf(const absl::Status& status, NodeExit taken) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return NodeExit::kConfiguration;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnavailable:
      return taken;
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
      return NodeExit::kData;
    case absl::StatusCode::kResourceExhausted:
      return NodeExit::kNoRoom;
    default:
      return NodeExit::kMachine;
  }
}

// Not by `exit`: nothing may be written any more, by no destructor either (consensus.md rule 2).
[[noreturn]] void EndOnDiskFailure(DiskFailure why) {
  NodeExit code = why == DiskFailure::kNoRoom ? NodeExit::kNoRoom : NodeExit::kDisk;
  {
    Log(LogLevel::kError, "ledgerd", why == DiskFailure::kNoRoom ? "no room on the disk" : "the disk failed")
        .With("exit", static_cast<int>(code));
  }
  ::_exit(static_cast<int>(code));
}

Failure FailureOf(const absl::Status& status, NodeExit taken) {
  return Failure{CodeOf(status, taken), std::string(status.message())};
}

std::vector<ReplicaId> MemberIds(const Genesis& genesis) {
  std::vector<ReplicaId> ids;
  for (const Member& member : genesis.members) ids.push_back(member.replica);
  return ids;
}

NodeOptions NodeOptionsOf(const NodeSetup& setup) {
  NodeOptions options;
  options.cluster_id = setup.genesis.cluster_id;
  options.data_centre = setup.self.data_centre;
  options.self = setup.self.replica;
  options.members = MemberIds(setup.genesis);
  options.shards = setup.genesis.shards;
  options.placement = CreationPlacement(setup.genesis);
  options.creation = CreationDirectory(setup.genesis);
  for (const Member& member : setup.genesis.members) {
    options.creation_addresses[member.name] = member.peer_address;
  }
  options.routing = CreationRouting(setup.genesis);
  options.genesis = GenesisDigest(setup.genesis);
  return options;
}

absl::StatusOr<TlsTransportOptions> TransportOptionsOf(const NodeSetup& setup) {
  TlsTransportOptions options;
  options.self = setup.self.replica;
  options.name = setup.self.name;
  options.cluster_id = setup.genesis.cluster_id;
  options.listen_host = setup.config.peers.host;
  options.listen_port = setup.config.peers.port;
  options.files = TlsFiles{setup.config.peers.certificate_path, setup.config.peers.private_key_path,
                           setup.config.peer_ca_path};
  for (const Member& member : setup.genesis.members) {
    if (member.replica == setup.self.replica) continue;
    absl::StatusOr<std::pair<std::string, uint16_t>> address = ParseHostPort(member.peer_address);
    if (!address.ok()) return address.status();
    options.peers.push_back(PeerAddress{member.replica, address->first, address->second, member.name});
  }
  return options;
}

ApiServerOptions ApiOptionsOf(const NodeSetup& setup) {
  ApiServerOptions options;
  options.address = setup.config.https.host;
  options.port = setup.config.https.port;
  options.certificate_path = setup.config.https.certificate_path;
  options.key_path = setup.config.https.private_key_path;
  options.data_centre = setup.self.data_centre;
  options.threads = setup.config.api_threads;
  for (const ApiKeyConfig& key : setup.config.api_keys) {
    options.keys.push_back(ApiKey{key.name, key.sha256, key.scopes});
  }
  return options;
}

}  // namespace

/// Members stand in the order in which they are made; what is later borrows from what is earlier.
class NodeProcess::Parts {
 public:
  Parts(NodeSetup setup, Directory heard)
      : setup_(std::move(setup)), heard_(std::move(heard)), random_(Seed()), executor_(context_) {}

  std::optional<Failure> Start();
  std::optional<Failure> failure() const;
  void Drain();
  void Stop();

 private:
  // Everything that this machine can refuse is asked for before anything is said to a peer or a client.
  std::optional<Failure> OpenEngine();
  std::optional<Failure> TakePorts();
  std::optional<Failure> Recover();
  void GiveUp(Failure failure);

  NodeSetup setup_;
  Directory heard_;
  Random random_;
  SystemClock clock_;
  Metrics metrics_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  AsioExecutor executor_;
  std::unique_ptr<RocksEngine> engine_;
  std::unique_ptr<TlsTransport> transport_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<ClockAlarm> alarm_;
  std::unique_ptr<ApiServer> api_;
  std::thread strand_;  // runs `context_`, from the end of the recovery to Stop

  mutable std::mutex mutex_;
  std::optional<Failure> failure_;  // guarded by mutex_
};

std::optional<Failure> NodeProcess::Parts::OpenEngine() {
  RocksEngineOptions options{.path = setup_.config.data_dir,
                             .memory_budget_bytes = setup_.config.memory_budget_bytes,
                             .min_free_bytes = setup_.config.min_free_bytes,
                             .stop = EndOnDiskFailure};
  absl::StatusOr<std::unique_ptr<RocksEngine>> engine =
      RocksEngine::Open(std::move(options), executor_, metrics_);
  if (!engine.ok()) return FailureOf(engine.status(), NodeExit::kDirectoryLocked);
  engine_ = *std::move(engine);
  return std::nullopt;
}

std::optional<Failure> NodeProcess::Parts::TakePorts() {
  absl::StatusOr<TlsTransportOptions> options = TransportOptionsOf(setup_);
  if (!options.ok()) return FailureOf(options.status(), NodeExit::kConfiguration);
  options->on_rejected = [this](std::string reason) {
    // Marked on disk first: a supervisor that starts the process again and again would count its way past the peers.
    node_->replica().Retire([this, reason] {
      GiveUp({NodeExit::kRefusedByPeers, absl::StrCat("refused by a peer: ", reason, kRejoinHint)});
    });
  };
  options->is_gone = [this](ReplicaId number) { return node_->registrar().IsGone(number); };
  options->on_guest = [this](Guest guest, AppMessage message, std::function<void(AppMessage)> reply) {
    node_->registrar().HandleGuest(
        guest.name, message.bytes, [reply = std::move(reply)](const ClusterMessage& answer) {
          reply(AppMessage{static_cast<uint32_t>(MachineId::kCluster), EncodeClusterMessage(answer)});
        });
  };
  transport_ = std::make_unique<TlsTransport>(*std::move(options), context_, clock_, metrics_);
  if (absl::Status listening = transport_->Listen(); !listening.ok()) {
    return FailureOf(listening, NodeExit::kPortTaken);
  }
  NodeOptions node_options = NodeOptionsOf(setup_);
  node_options.heard = heard_;
  node_ = std::make_unique<Node>(std::move(node_options), ReplicaPorts{.clock = &clock_,
                                                                       .executor = &executor_,
                                                                       .random = &random_,
                                                                       .engine = engine_.get(),
                                                                       .transport = transport_.get(),
                                                                       .metrics = &metrics_});
  alarm_ = std::make_unique<ClockAlarm>(
      executor_, [this] { return node_->replica().ClockOffsetMicros(); }, metrics_);
  api_ = std::make_unique<ApiServer>(ApiOptionsOf(setup_), *node_, clock_, metrics_);
  if (absl::Status listening = api_->Listen(); !listening.ok()) {
    return FailureOf(listening, NodeExit::kPortTaken);
  }
  return std::nullopt;
}

// Reading the disk happens here, before the strand has a thread; the rest waits on the strand for the new
// incarnation to be durable (consensus.md rule 1), and the door opens once the transport was started.
std::optional<Failure> NodeProcess::Parts::Recover() {
  std::promise<void> started;
  absl::Status recovered = node_->Recover([this, &started] {
    transport_->Start(node_->replica().lineage(), node_->replica());
    node_->Start();
    alarm_->Start();
    started.set_value();
  });
  if (absl::IsDataLoss(recovered)) {
    return Failure{NodeExit::kData, absl::StrCat(recovered.message(), kRejoinHint)};
  }
  if (!recovered.ok()) return FailureOf(recovered, NodeExit::kMachine);
  strand_ = std::thread([this] { context_.run(); });
  started.get_future().wait();
  return std::nullopt;
}

std::optional<Failure> NodeProcess::Parts::Start() {
  std::optional<Failure> failure = OpenEngine();
  if (!failure.has_value()) failure = TakePorts();
  if (!failure.has_value()) failure = Recover();
  if (failure.has_value()) {
    Stop();
    return failure;
  }
  api_->Start();
  Log(LogLevel::kInfo, "ledgerd", "serving")
      .With("data_centre", setup_.self.data_centre)
      .With("node", setup_.self.name)
      .With("replica", setup_.self.replica.value)
      .With("incarnation", node_->replica().incarnation().value)
      .With("cluster", setup_.genesis.cluster_id)
      .With("shards", setup_.genesis.shards)
      .With("https", absl::StrCat(setup_.config.https.host, ":", api_->port()))
      .With("peers", absl::StrCat(setup_.config.peers.host, ":", transport_->port()))
      .With("pid", ::getpid());
  return std::nullopt;
}

std::optional<Failure> NodeProcess::Parts::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void NodeProcess::Parts::GiveUp(Failure failure) {
  {
    std::lock_guard lock(mutex_);
    if (failure_.has_value()) return;
    failure_ = std::move(failure);
  }
  ::kill(::getpid(), SIGTERM);  // the main thread waits for it, see RunNode
}

void NodeProcess::Parts::Drain() {
  if (absl::Status drained = api_->Drain(kDoorDrain); !drained.ok()) {
    Log(LogLevel::kWarn, "ledgerd", "requests are still open").With("status", ToStd(drained.message()));
  }
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> drained = done->get_future();
  executor_.Post([this, done] { node_->Drain([done] { done->set_value(); }); });
  if (drained.wait_for(kNodeDrain) != std::future_status::ready) {
    Log(LogLevel::kWarn, "ledgerd",
        "the hand-over did not finish in time; the peers take over by themselves");
  }
}

void NodeProcess::Parts::Stop() {
  if (api_ != nullptr) api_->Stop();
  if (strand_.joinable()) {
    executor_.Post([this] {
      transport_->Stop();
      context_.stop();
    });
    strand_.join();
  }
  // Against the order of making, with the executor last: the engine still posts what it carries out now.
  api_.reset();
  alarm_.reset();
  node_.reset();
  transport_.reset();
  engine_.reset();
}

NodeProcess::NodeProcess(NodeSetup setup, Directory heard)
    : parts_(std::make_unique<Parts>(std::move(setup), std::move(heard))) {}
NodeProcess::~NodeProcess() { Stop(); }
std::optional<Failure> NodeProcess::Start() { return parts_->Start(); }
std::optional<Failure> NodeProcess::failure() const { return parts_->failure(); }
void NodeProcess::Drain() { parts_->Drain(); }
void NodeProcess::Stop() { parts_->Stop(); }

}  // namespace paxledger
