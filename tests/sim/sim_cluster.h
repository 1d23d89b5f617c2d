#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "base/task.h"
#include "cluster/directory_command.h"
#include "tests/sim/plan.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_api.h"
#include "tests/sim/sim_engine.h"
#include "tests/sim/sim_network.h"
#include "txn/node.h"

namespace paxledger::sim {

/// The machines of a simulated cluster, one or more in each data centre: what survives a crash (disk, clock), and the process that runs
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

  /// What a request that has come in meets.
  struct Gate {
    Node& node;
    SimApi& api;
  };

  /// Machines are numbered from 1, as replicas are.
  void Boot(uint32_t machine);
  void Crash(uint32_t machine, SimNetwork::Death death);
  void Pause(uint32_t machine);
  void Resume(uint32_t machine);
  SimClock& clock(uint32_t machine) { return machines_[machine].clock; }

  /// A process runs on the machine that hosts a replica of the shard.
  bool hosts(uint32_t machine, ShardId shard);
  /// Everybody that counts sees every shard where the directory wants it, and holds what is his and nothing else. A shard that is
  /// wanted on the lost machine goes nowhere.
  bool InPlace();
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
  SimDisk& disk(uint32_t machine) { return machines_[machine].disk; }
  /// The newest life of `machine` that `peer` has greeted; 0: none.
  uint64_t life_met(uint32_t machine, uint32_t peer) const {
    auto at = lives_met_.find({machine, peer});
    return at == lives_met_.end() ? 0 : at->second;
  }
  /// An operator's acts, on the strand of a machine that serves. A drained process ends by itself.
  void HandOver(uint32_t machine);
  using DirectoryChange = decltype(DirectoryCommand::change);
  void Wish(uint32_t via, DirectoryChange change);
  static std::string NameOf(uint32_t machine);
  void Drain(uint32_t machine);
  /// From here on nothing is expected of the machine: its data centre is dead, or its disk has lost something. It must do no
  /// harm, and the others settle without it.
  void Lose(uint32_t machine) { lost_ = machine; }
  bool lost(uint32_t machine) const { return machine == lost_; }
  /// It serves, and what it holds must be what everybody holds.
  bool counts(uint32_t machine) const { return serving(machine) && !lost(machine); }
  /// Runs `request` on the strand of a machine that serves, when it comes to it.
  void Enter(uint32_t machine, absl::AnyInvocable<void(Gate)> request);
  /// A read barrier on the strand of a machine that serves; `done` is not called where the process dies before.
  void AskBarrier(uint32_t machine, ShardId shard, absl::Duration patience,
                  absl::AnyInvocable<void(absl::StatusOr<LogIndex>)> done);

  // Hooks of the checkers and clients.
  std::function<void(uint32_t machine)> on_recovered;  // before it serves
  std::function<void(uint32_t machine)> on_work;       // after each piece of work of its strand
  std::function<void(uint32_t machine)> on_death;
  /// It has died of itself: of a failed write, refused by its peers, or drained.
  std::function<void(uint32_t machine)> on_end;
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
    std::unique_ptr<SimApi> api;
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
  void Bury(uint32_t machine);
  void OnFailedWrite(uint32_t machine);
  void OnRejected(uint32_t machine);
  void EndSoon(uint32_t machine, const char* why);

  const Plan& plan_;
  Random random_;
  Scheduler scheduler_;
  SimNetwork network_;
  std::vector<Machine> machines_;  // [0] is unused
  std::vector<std::unique_ptr<Process>> dead_;
  uint64_t wishes_ = 0;
  uint32_t lost_ = 0;                                            // none
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> lives_met_;  // by machine and peer
};

}  // namespace paxledger::sim
