#include "ops/ledgerd/node_process.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/status/status.h"
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
    default:
      return NodeExit::kMachine;
  }
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
  options.genesis = GenesisDigest(setup.genesis);
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
  explicit Parts(NodeSetup setup) : setup_(std::move(setup)), random_(Seed()), executor_(context_) {}

  std::optional<Failure> Start() {
    if (std::optional<Failure> failure = Open(); failure.has_value()) return failure;
    if (std::optional<Failure> failure = Recover(); failure.has_value()) return failure;
    api_->Start();
    Log(LogLevel::kInfo, "ledgerd", "serving")
        .With("data_centre", setup_.self.data_centre)
        .With("replica", setup_.self.replica.value)
        .With("incarnation", node_->replica().incarnation().value)
        .With("cluster", setup_.genesis.cluster_id)
        .With("shards", setup_.genesis.shards)
        .With("https", absl::StrCat(setup_.config.https.host, ":", api_->port()))
        .With("pid", ::getpid());
    return std::nullopt;
  }

  std::optional<Failure> failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
  }

  void Drain() {
    if (absl::Status drained = api_->Drain(kDoorDrain); !drained.ok()) {
      Log(LogLevel::kWarn, "ledgerd", "requests are still open").With("status", ToStd(drained.message()));
    }
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> drained = done->get_future();
    executor_.Post([this, done] { node_->Drain([done] { done->set_value(); }); });
    if (drained.wait_for(kNodeDrain) != std::future_status::ready) {
      Log(LogLevel::kWarn, "ledgerd", "hand-over did not finish in time; the peers take over by themselves");
    }
  }

  void Stop() {
    if (api_ != nullptr) api_->Stop();
    if (strand_.joinable()) {
      executor_.Post([this] { transport_->Stop(); });
      executor_.Post([this] { context_.stop(); });
      strand_.join();
    }
    // Against the order of making; see `Node` and `RocksEngine` about the executor.
    api_.reset();
    alarm_.reset();
    node_.reset();
    transport_.reset();
    engine_.reset();
  }

 private:
  // Everything that can be refused is asked for before anything is said to anybody.
  std::optional<Failure> Open();
  std::optional<Failure> Recover();

  void GiveUp(Failure failure) {
    {
      std::lock_guard lock(mutex_);
      if (failure_.has_value()) return;
      failure_ = std::move(failure);
    }
    ::kill(::getpid(), SIGTERM);
  }

  NodeSetup setup_;
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
  std::thread strand_;  // runs `context_` from Recover to Stop

  mutable std::mutex mutex_;
  std::optional<Failure> failure_;
};

}  // namespace paxledger
