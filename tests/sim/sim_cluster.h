#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "base/task.h"
#include "tests/sim/plan.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_engine.h"
#include "tests/sim/sim_network.h"
#include "txn/node.h"

namespace paxledger::sim {

/// The data centres of a simulated cluster, one machine each: what survives a crash (disk, clock), and the process that runs
/// there, which is the production node over simulated ports.
/// Owns:    everything simulated. A dead process is destroyed, its coroutines where they stand; the shells of its ports stay
///          until the end, since events still name them.
class SimCluster {
 public:
  SimCluster(const Plan& plan, uint64_t seed);
  ~SimCluster();

  Scheduler& scheduler() { return scheduler_; }
  SimNetwork& network() { return network_; }
  uint32_t size() const { return static_cast<uint32_t>(machines_.size()) - 1; }
  uint32_t shards() const { return plan_.shards; }

  /// Machines are numbered from 1, as replicas are.
  void Boot(uint32_t machine);
  void Crash(uint32_t machine, SimNetwork::Death death);
  void Pause(uint32_t machine);
  void Resume(uint32_t machine);
  SimClock& clock(uint32_t machine) { return machines_[machine].clock; }

  /// Null: no process runs.
  Node* node(uint32_t machine);
  /// It accepts requests: it has recovered and its incarnation is durable.
  bool serving(uint32_t machine) const { return running(machine) && machines_[machine].process->ready; }
  /// Counts the processes that ran on the machine.
  uint64_t life(uint32_t machine) const { return machines_[machine].lives; }
  bool running(uint32_t machine) const { return machines_[machine].process != nullptr; }
  bool paused(uint32_t machine) const {
    return running(machine) && machines_[machine].process->strand.paused();
  }
  const SimDisk& disk(uint32_t machine) const { return machines_[machine].disk; }
  /// A read barrier on the strand of a machine that serves; `done` is not called where the process dies before.
  void AskBarrier(uint32_t machine, ShardId shard, absl::Duration patience,
                  absl::AnyInvocable<void(absl::StatusOr<LogIndex>)> done);

  // Hooks of the checkers and clients.
  std::function<void(uint32_t machine)> on_recovered;  // before it serves
  std::function<void(uint32_t machine)> on_work;       // after each piece of work of its strand
  std::function<void(uint32_t machine)> on_death;
  std::function<void(std::string what)> on_failure;

 private:
  struct Process {
    Process(SimCluster& cluster, uint32_t machine, uint64_t seed);
    SimExecutor strand;
    Random random;
    SimEngine engine;
    SimTransport transport;
    Metrics metrics;
    std::unique_ptr<Node> node;
    TaskGroup probes;
    bool ready = false;
    /// Nothing of it runs any more.
    void Die();
  };
  struct Machine {
    explicit Machine(const Scheduler& scheduler) : clock(scheduler) {}
    SimDisk disk;
    SimClock clock;
    std::unique_ptr<Process> process;
    uint64_t lives = 0;
  };
  NodeOptions OptionsOf(uint32_t machine) const;

  const Plan& plan_;
  Random random_;
  Scheduler scheduler_;
  SimNetwork network_;
  std::vector<Machine> machines_;  // [0] is unused
  std::vector<std::unique_ptr<Process>> dead_;
};

}  // namespace paxledger::sim
