#include "tests/sim/sim_cluster.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cluster/placement.h"

namespace paxledger::sim {

SimCluster::Process::Process(SimCluster& cluster, uint32_t machine, uint64_t seed)
    : strand(cluster.scheduler_, machine),
      random(seed),
      engine(cluster.scheduler_, strand, cluster.machines_[machine].disk, cluster.plan_.disk, seed + 1),
      transport(cluster.network_, strand, cluster.machines_[machine].clock) {}

SimCluster::SimCluster(const Plan& plan, uint64_t seed)
    : plan_(plan), random_(seed), network_(scheduler_, plan.network, plan.machines(), random_.Next()) {
  machines_.reserve(plan.machines() + 1);
  for (uint32_t machine = 0; machine <= plan.machines(); ++machine) machines_.emplace_back(scheduler_);
  network_.on_rejected = [this](uint32_t machine) { OnRejected(machine); };
  network_.on_connected = [this](uint32_t a, uint32_t b) {
    lives_met_[{a, b}] = machines_[a].lives;
    lives_met_[{b, a}] = machines_[b].lives;
  };
}

SimCluster::~SimCluster() {
  for (Machine& machine : machines_) {
    if (machine.process != nullptr) machine.process->Die();
  }
}

void SimCluster::Process::Die() {
  strand.Kill();
  probes.Abandon();
  api.reset();
  node.reset();
  strand.Forget();
}

NodeOptions SimCluster::OptionsOf(uint32_t machine) const {
  NodeOptions options;
  options.cluster_id = "simulated";
  options.data_centre = absl::StrCat("dc", plan_.DataCentreOf(machine));
  options.self = ReplicaId{static_cast<uint16_t>(machine)};
  for (uint32_t m = 1; m <= plan_.machines(); ++m)
    options.members.push_back(ReplicaId{static_cast<uint16_t>(m)});
  for (uint32_t m = 1; m <= plan_.machines(); ++m) {
    NodeEntry& entry = options.creation.nodes.emplace_back();
    entry.number = ReplicaId{static_cast<uint16_t>(m)};
    entry.name = NameOf(m);
    entry.data_centre = absl::StrCat("dc", plan_.DataCentreOf(m));
  }
  options.creation.next_number = plan_.machines() + 1;
  options.shards = plan_.shards;
  for (uint32_t shard = 0; shard < plan_.shards; ++shard) {
    std::vector<ReplicaId>& members = options.placement.emplace_back();
    for (uint32_t dc = 1; dc <= plan_.data_centres; ++dc) {
      uint32_t host = plan_.HostIn(dc, shard);
      members.push_back(ReplicaId{static_cast<uint16_t>(host)});
      options.creation.pins.push_back({ShardId{shard}, NameOf(host)});
    }
    bool primary = shard < plan_.primary_shards;
    options.routing.push_back(primary ? ShardRouting{ShardMode::kPrimary, members[shard % members.size()]}
                                      : ShardRouting{});
  }
  std::sort(options.creation.pins.begin(), options.creation.pins.end(),
            [](const Pin& a, const Pin& b) { return std::tie(a.shard, a.node) < std::tie(b.shard, b.node); });
  options.genesis = Sha256("simulated genesis");
  options.checkpoint_commands = plan_.checkpoint_commands;
  options.cached_accounts_max = plan_.cached_accounts;
  options.catch_up = plan_.catch_up;
  return options;
}

void SimCluster::Boot(uint32_t number) {
  Machine& machine = machines_[number];
  Check(machine.process == nullptr, "one process runs on a machine");
  ++machine.lives;
  machine.process = std::make_unique<Process>(*this, number, random_.Next());
  Process* process = machine.process.get();
  scheduler_.Note(EventKind::kFault, number, 0, "boots: life", machine.lives);
  ReplicaPorts ports;
  ports.clock = &machine.clock;
  ports.executor = &process->strand;
  ports.random = &process->random;
  ports.engine = &process->engine;
  ports.transport = &process->transport;
  ports.metrics = &process->metrics;
  process->engine.on_failed_write = [this, number] { OnFailedWrite(number); };
  process->node = std::make_unique<Node>(OptionsOf(number), ports);
  process->api = std::make_unique<SimApi>(*process->node, machine.clock, process->metrics, process->strand,
                                          absl::StrCat("dc", plan_.DataCentreOf(number)), random_.Next());
  absl::Status recovered = process->node->Recover([this, process, number] {
    process->ready = true;
    process->transport.Listen(process->node->replica(), process->node->replica().lineage());
    process->node->Start();
    scheduler_.Note(EventKind::kFault, number, 0, "serves");
  });
  if (!recovered.ok() && lost(number)) {
    scheduler_.Note(EventKind::kFault, number, 0, "does not start from its disk");
    Bury(number);
    return;
  }
  if (!recovered.ok()) {
    on_failure(absl::StrCat("dc", number, " cannot start again: ", recovered.ToString()));
    return;
  }
  on_recovered(number);
  process->strand.set_after_work([this, number] { on_work(number); });
}

void SimCluster::Crash(uint32_t number, SimNetwork::Death death) {
  Machine& machine = machines_[number];
  if (machine.process == nullptr) return;
  scheduler_.Note(EventKind::kFault, number, 0, "dies with unsynced batches", machine.disk.unsynced());
  machine.process->strand.Kill();
  if (machine.process->ready) network_.Leave(number, death);
  machine.process->engine.Crash(random_);
  Bury(number);
  on_death(number);
}

void SimCluster::Bury(uint32_t number) {
  machines_[number].process->Die();
  dead_.push_back(std::move(machines_[number].process));
}

void SimCluster::OnFailedWrite(uint32_t number) {
  scheduler_.Note(EventKind::kFault, number, 0, "a write fails");
  Crash(number, SimNetwork::Death::kReset);
  on_end(number);
}

// As ledgerd does: marked on disk first, then the process ends.
void SimCluster::OnRejected(uint32_t number) {
  if (!lost(number)) {
    on_failure(absl::StrCat("dc", number, " was refused by a peer, though it has lost nothing"));
    return;
  }
  Process* process = machines_[number].process.get();
  process->strand.Take([this, process, number] {
    process->node->replica().Retire([this, number] { EndSoon(number, "ends, refused by a peer"); });
  });
}

void SimCluster::EndSoon(uint32_t number, const char* why) {
  // Not inside a call of the process itself.
  scheduler_.After(0, EventKind::kFault, nullptr, [this, number, why, life = machines_[number].lives] {
    if (!running(number) || machines_[number].lives != life) return;
    scheduler_.Note(EventKind::kFault, number, 0, why);
    Crash(number, SimNetwork::Death::kReset);
    on_end(number);
  });
}

void SimCluster::HandOver(uint32_t number) {
  Check(serving(number), "an operator speaks to a process that serves");
  scheduler_.Note(EventKind::kFault, number, 0, "hands over");
  Process* process = machines_[number].process.get();
  process->strand.Take([process] { process->node->replica().HandOver(); });
}

std::string SimCluster::NameOf(uint32_t machine) { return absl::StrCat("node", machine); }

void SimCluster::Wish(uint32_t via, DirectoryChange change) {
  Check(serving(via), "an operator speaks to a process that serves");
  scheduler_.Note(EventKind::kFault, via, 0, "changes the directory: wish, kind", wishes_, change.index());
  Process* process = machines_[via].process.get();
  DirectoryCommand wish{
      .request = absl::StrCat("wish-", ++wishes_), .if_version = 0, .change = std::move(change)};
  Deadline deadline = DeadlineAfter(clock(via), absl::Seconds(5));
  process->strand.Take([process, deadline, wish = std::move(wish)]() mutable {
    process->node->ChangeCluster(std::move(wish), deadline, [](absl::StatusOr<DirectoryResult>) {});
  });
}

bool SimCluster::InPlace() {
  for (uint32_t machine = 1; machine <= size(); ++machine) {
    if (!counts(machine)) continue;
    const Directory& directory = node(machine)->registrar().directory();
    for (uint32_t i = 0; i < shards(); ++i) {
      ShardId shard{i};
      std::vector<ReplicaId> wanted = WantedMembers(directory, shard);
      if (std::any_of(wanted.begin(), wanted.end(), [this](ReplicaId id) { return !counts(id.value); }))
        continue;
      if (node(machine)->replica().MembersOf(shard).members != wanted) return false;
      ReplicaId self{static_cast<uint16_t>(machine)};
      if (hosts(machine, shard) != std::binary_search(wanted.begin(), wanted.end(), self)) return false;
    }
  }
  return true;
}

void SimCluster::Drain(uint32_t number) {
  Check(serving(number), "an operator speaks to a process that serves");
  scheduler_.Note(EventKind::kFault, number, 0, "drains");
  Process* process = machines_[number].process.get();
  process->strand.Take([this, process, number] {
    process->node->Drain([this, number] { EndSoon(number, "ends, drained"); });
  });
}

void SimCluster::Pause(uint32_t number) {
  if (!running(number) || paused(number)) return;
  scheduler_.Note(EventKind::kFault, number, 0, "is paused");
  machines_[number].process->strand.Pause();
  if (machines_[number].process->ready) network_.Pause(number);
}

void SimCluster::Resume(uint32_t number) {
  if (!paused(number)) return;
  scheduler_.Note(EventKind::kFault, number, 0, "goes on");
  machines_[number].process->strand.Resume();
}

namespace {

Task<void> Barrier(Node& node, ShardId shard, Deadline deadline,
                   absl::AnyInvocable<void(absl::StatusOr<LogIndex>)> done) {
  absl::StatusOr<LogIndex> index = co_await node.replica().ReadBarrier(shard, deadline);
  done(std::move(index));
}

}  // namespace

void SimCluster::Enter(uint32_t number, absl::AnyInvocable<void(Gate)> request) {
  Check(serving(number), "a request comes to a process that serves");
  Process* process = machines_[number].process.get();
  process->strand.Take(
      [process, request = std::move(request)]() mutable { request(Gate{*process->node, *process->api}); });
}

void SimCluster::AskBarrier(uint32_t number, ShardId shard, absl::Duration patience,
                            absl::AnyInvocable<void(absl::StatusOr<LogIndex>)> done) {
  Check(serving(number), "a barrier is asked of a machine that serves");
  Process* process = machines_[number].process.get();
  Deadline deadline = DeadlineAfter(clock(number), patience);
  process->strand.Take([process, shard, deadline, done = std::move(done)]() mutable {
    process->probes.Spawn(Barrier(*process->node, shard, deadline, std::move(done)));
  });
}

bool SimCluster::hosts(uint32_t machine, ShardId shard) {
  return node(machine) != nullptr && node(machine)->replica().Hosts(shard);
}

Node* SimCluster::node(uint32_t number) {
  Machine& machine = machines_[number];
  return machine.process != nullptr ? machine.process->node.get() : nullptr;
}

}  // namespace paxledger::sim
