#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mark.h"
#include "base/metrics.h"
#include "base/random.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_engine.h"
#include "tests/sim/sim_network.h"
#include "txn/node.h"

namespace paxledger {

/// Three data centres of whole nodes on simulated ports. Calls run the world until they are answered. Nodes 1, 2 and 3 are in
/// data centres 1, 2 and 3, and so are 4, 5 and 6; each shard has a replica on one node of each.
class ShellCluster {
 public:
  static constexpr uint32_t kDataCentres = 3;
  static constexpr uint32_t kShards = 4;

  /// Who is in the cluster from the start: all; or nodes 1, 2 and 3, called dc1, dc2 and dc3, as a creation document would
  /// have them, so that the directory decides who else comes and where replicas are. `StartNode` starts a later one with
  /// what a living one knows.
  enum class Founders : uint8_t { kAll, kOnePerDataCentre };
  explicit ShellCluster(uint64_t seed = 1, uint32_t nodes_per_dc = 1, Founders founders = Founders::kAll,
                        uint32_t shards = kShards, std::vector<ShardRouting> routing = {});
  ~ShellCluster();

  uint32_t nodes() const { return kDataCentres * nodes_per_dc_; }
  static uint32_t DataCentreOf(uint32_t id) { return (id - 1) % kDataCentres + 1; }
  /// The node that hosts `shard` in a data centre.
  uint32_t HostIn(uint32_t data_centre, ShardId shard) const {
    return data_centre + kDataCentres * ((shard.value + data_centre) % nodes_per_dc_);
  }
  /// The state of `shard` on a living node that hosts it; the highest data centre's.
  ShardMachine& MachineOf(ShardId shard);

  Node& node(uint32_t id) { return *machines_[id].node; }
  sim::SimNetwork& network() { return network_; }
  /// Between two lives of `id`.
  sim::SimDisk& DiskOf(uint32_t id) { return machines_[id].disk; }
  sim::SimClock& clock(uint32_t id) { return *machines_[id].clock; }
  /// How often a place was reached, on any node.
  uint64_t Hits(std::string_view mark) const;
  uint64_t Metric(uint32_t id, std::string_view name) { return machines_[id].metrics->counter(name).value(); }
  /// Of its disk, by all of its processes.
  uint64_t Syncs(uint32_t id) const { return machines_.at(id).disk.syncs(); }
  int64_t Level(uint32_t id, std::string_view name) { return machines_[id].metrics->gauge(name).value(); }
  int64_t now_us() const { return scheduler_.now_us(); }
  uint64_t Syncs(uint32_t id) { return machines_[id].disk.syncs(); }
  void RunFor(absl::Duration time);
  /// True when `condition` held within `time`.
  template <class Condition>
  bool RunUntil(Condition condition, absl::Duration time = absl::Seconds(60)) {
    int64_t until_us = scheduler_.now_us() + absl::ToInt64Microseconds(time);
    while (!condition() && scheduler_.now_us() < until_us) {
      if (!scheduler_.RunOne()) break;
    }
    return condition();
  }
  /// Of nodes that are started from now on.
  CatchUpOptions catch_up;
  /// What is left of the node when it is dead.
  sim::SimDisk& disk(uint32_t id) { return machines_[id].disk; }
  /// The process dies, and its memory with it; the disk keeps what was durable.
  void Kill(uint32_t id);
  void StartNode(uint32_t id);
  bool Alive(uint32_t id) const { return machines_.at(id).node != nullptr; }
  /// The process stands still, and its connections with it.
  void Pause(uint32_t id);
  void Resume(uint32_t id) { machines_[id].executor->Resume(); }
  /// No node can talk to `id`, or the other way.
  void Isolate(uint32_t id);

  Deadline In(uint32_t id, absl::Duration time) { return DeadlineAfter(clock(id), time); }
  void Open(std::string id, LimitRule limit = LimitRule::kDebitsMustNotExceedCredits,
            std::string asset = "USD/2");
  /// Opens `id` and gives it `amount` from "world".
  void Fund(std::string id, Amount amount);
  std::vector<TransactionResult> Execute(uint32_t via, std::vector<Transaction> transactions,
                                         absl::Duration timeout = absl::Seconds(5));
  TransactionResult Pay(uint32_t via, std::string id, std::string from, std::string to, Amount amount,
                        absl::Duration timeout = absl::Seconds(5));
  absl::StatusOr<AccountRead> Read(uint32_t via, std::string id, ReadMode mode = ReadMode::kStrong);
  /// credits - debits, posted; the account must exist.
  int64_t Balance(uint32_t via, std::string id);
  absl::StatusOr<TransferRead> ReadTransaction(uint32_t via, std::string id, std::string token = "");
  absl::StatusOr<AccountPage> List(uint32_t via, std::string prefix, size_t limit = 100);
  absl::StatusOr<StatementPage> ReadStatement(uint32_t via, StatementRequest request,
                                              ReadMode mode = ReadMode::kStrong);
  /// Of ledger main.
  absl::StatusOr<EventsPage> ReadEvents(uint32_t via, EventsRequest request,
                                        absl::Duration wait = absl::ZeroDuration());
  /// How many rows the disk of a living node has of a shard.
  size_t RowsOf(uint32_t id, ShardId shard, Table table);
  /// Reservations in doubt over all shards of all living nodes.
  size_t InDoubt();
  /// Nothing is in doubt, and all living nodes have equal digests.
  bool Settled();

 private:
  struct Machine {
    sim::SimDisk disk;
    std::unique_ptr<sim::SimClock> clock;
    std::unique_ptr<Random> random;
    std::unique_ptr<Metrics> metrics;
    std::unique_ptr<sim::SimExecutor> executor;
    std::unique_ptr<sim::SimEngine> engine;
    std::unique_ptr<sim::SimTransport> transport;
    std::unique_ptr<Node> node;
  };

  NodeOptions OptionsOf(uint32_t id);
  uint32_t founders() const { return founders_ == Founders::kAll ? nodes() : kDataCentres; }

  uint32_t nodes_per_dc_;
  Founders founders_;
  uint32_t shards_;
  std::vector<ShardRouting> routing_;
  Marks marks_;
  sim::Scheduler scheduler_;
  sim::SimNetwork network_;
  Random random_;
  std::map<uint32_t, Machine> machines_;
  std::vector<std::unique_ptr<sim::SimExecutor>> dead_strands_;
  std::vector<std::unique_ptr<sim::SimEngine>> dead_engines_;
  std::vector<std::unique_ptr<sim::SimTransport>> dead_transports_;
};

Transaction Payment(std::string id, std::string from, std::string to, Amount amount);
/// Names of accounts of ledger main that live on `shard`, the n-th.
std::string AccountOn(ShardId shard, int n = 0);

/// An id whose home is `shard`.
std::string IdAt(ShardId shard, std::string stem);
Try TryOf(const Transaction& body, uint32_t attempt);
/// Plays a gateway by hand: hands `command` to `shards` and waits until it is applied.
void HandTo(ShellCluster& cluster, const std::vector<ShardId>& shards, const TxnCommand& command);
PrepareCommand PrepareOf(const Transaction& body, uint32_t attempt, int64_t deadline_us);

}  // namespace paxledger
