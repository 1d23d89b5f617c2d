#include "tests/sim/faults.h"

#include <utility>

namespace paxledger::sim {

void Faults::Start() {
  started_ = true;
  Every(plan_.crash_every_us, "crash", &Faults::Crash);
  Every(plan_.pause_every_us, "pause", &Faults::Pause);
  Every(plan_.cut_every_us, "one-way cut", &Faults::CutLink);
  Every(plan_.partition_every_us, "partition", &Faults::Partition);
  Every(plan_.reset_every_us, "reset", &Faults::ResetConnection);
  Every(plan_.clock_jump_every_us, "clock jump", &Faults::JumpClock);
  Every(plan_.slow_disk_every_us, "slow disk", &Faults::SlowDisk);
  Every(plan_.full_disk_every_us, "full disk", &Faults::FullDisk);
  Every(plan_.failing_write_every_us, "failing write", &Faults::FailingWrite);
  Every(plan_.hand_over_every_us, "hand-over", &Faults::HandOver);
  Every(plan_.move_every_us, "shard moved", &Faults::MoveShard);
  Every(plan_.node_state_every_us, "node drained", &Faults::ChangeNodeState);
  Every(plan_.planned_restart_every_us, "planned restart", &Faults::PlannedRestart);
  if (plan_.clock_skew_us_max > 0) {
    for (uint32_t m = 1; m <= cluster_.size(); ++m) {
      cluster_.clock(m).set_offset_us(random_.Between(-plan_.clock_skew_us_max, plan_.clock_skew_us_max));
    }
  }
  if (plan_.loss != Plan::Loss::kNone) Later(plan_.loss_at_us, [this] { LoseMachine(); });
  if (plan_.loss == Plan::Loss::kRestoredDisk) Later(plan_.loss_at_us / 3, [this] { TakeImage(); });
}

void Faults::Every(int64_t interval_us, const char* name, Act act) {
  if (interval_us == 0) return;
  Later(random_.Between(interval_us / 2, interval_us * 3 / 2), [this, interval_us, name, act] {
    if (stopped_) return;
    ++struck_[name];
    (this->*act)();
    Every(interval_us, name, act);
  });
}

Faults::Fate Faults::OnRequest(uint32_t machine) {
  if (!started_ || stopped_ || !random_.Chance(plan_.gateway_dies_per_thousand, 1000)) return Fate::kLives;
  ++struck_["gateway dies"];
  Later(random_.Between(0, 2 * plan_.network.delay_us_max + plan_.disk.sync_us_max), [this, machine] {
    if (!stopped_) CrashMachine(machine);
  });
  return Fate::kDies;
}

void Faults::Crash() { CrashMachine(AnyMachine()); }

void Faults::CrashMachine(uint32_t machine) {
  if (!cluster_.running(machine)) return;
  cluster_.Crash(machine, random_.Chance(2, 3) ? SimNetwork::Death::kReset : SimNetwork::Death::kSilent);
  // Sometimes it comes back before its peers have noticed.
  BootLater(machine, random_.Chance(1, 4) ? random_.Between(100, 5'000) : UpTo(plan_.down_us_max));
}

void Faults::BootLater(uint32_t machine, int64_t delay_us) {
  Later(delay_us, [this, machine] {
    bool dead = cluster_.lost(machine) && plan_.loss == Plan::Loss::kDeath;
    if (!stopped_ && !dead && !cluster_.running(machine)) cluster_.Boot(machine);
  });
}

void Faults::OnEnd(uint32_t machine) { BootLater(machine, random_.Between(50'000, 1'000'000)); }

void Faults::Pause() {
  uint32_t machine = AnyMachine();
  cluster_.Pause(machine);
  Later(UpTo(plan_.pause_us_max), [this, machine] { cluster_.Resume(machine); });
}

void Faults::CutFor(uint32_t from, uint32_t to, int64_t delay_us, int64_t duration_us) {
  Later(delay_us, [this, from, to] {
    if (stopped_) return;
    cluster_.scheduler().Note(EventKind::kFault, to, from, "does not hear");
    cluster_.network().Cut(from, to);
  });
  Later(delay_us + duration_us, [this, from, to] {
    cluster_.scheduler().Note(EventKind::kFault, to, from, "hears again");
    cluster_.network().Heal(from, to);
  });
}

void Faults::CutLink() {
  uint32_t from = AnyMachine();
  uint32_t to = AnyMachine();
  if (from != to) CutFor(from, to, 0, UpTo(plan_.cut_us_max));
}

void Faults::Partition() {
  if (random_.Chance(1, 3)) {
    Swizzle();
    return;
  }
  // A data centre, or one machine of several there.
  uint32_t picked = AnyMachine();
  bool whole = plan_.nodes_per_data_centre > 1 && random_.Chance(1, 2);
  auto alone = [&](uint32_t machine) {
    return machine == picked || (whole && plan_.DataCentreOf(machine) == plan_.DataCentreOf(picked));
  };
  int64_t duration_us = UpTo(plan_.cut_us_max);
  for (uint32_t inside = 1; inside <= cluster_.size(); ++inside) {
    for (uint32_t other = 1; alone(inside) && other <= cluster_.size(); ++other) {
      if (alone(other)) continue;
      CutFor(inside, other, 0, duration_us);
      CutFor(other, inside, 0, duration_us);
    }
  }
}

void Faults::Swizzle() {
  // A random set of links, clogged one by one and freed in another order.
  for (uint32_t from = 1; from <= cluster_.size(); ++from) {
    for (uint32_t to = 1; to <= cluster_.size(); ++to) {
      if (from == to || random_.Chance(1, 2)) continue;
      CutFor(from, to, random_.Between(0, plan_.cut_us_max / 2), UpTo(plan_.cut_us_max));
    }
  }
}

void Faults::ResetConnection() {
  uint32_t a = AnyMachine();
  uint32_t b = AnyMachine();
  if (a != b) cluster_.network().Reset(a, b);
}

void Faults::JumpClock() {
  uint32_t machine = AnyMachine();
  int64_t offset_us = random_.Between(-plan_.clock_jump_us_max, plan_.clock_jump_us_max);
  cluster_.scheduler().Note(EventKind::kFault, machine, 0, "clock jumps to offset",
                            static_cast<uint64_t>(offset_us));
  cluster_.clock(machine).set_offset_us(offset_us);
}

void Faults::SlowDisk() {
  uint32_t machine = AnyMachine();
  DiskTrouble& trouble = cluster_.disk(machine).trouble();
  trouble.slow_until_us = cluster_.scheduler().now_us() + UpTo(plan_.slow_disk_us_max);
  trouble.slow_us_max = plan_.slow_sync_us_max;
  cluster_.scheduler().Note(EventKind::kFault, machine, 0, "its disk is slow until, by",
                            static_cast<uint64_t>(trouble.slow_until_us),
                            static_cast<uint64_t>(trouble.slow_us_max));
}

void Faults::FullDisk() {
  uint32_t machine = AnyMachine();
  DiskTrouble& trouble = cluster_.disk(machine).trouble();
  trouble.full_until_us = cluster_.scheduler().now_us() + UpTo(plan_.full_disk_us_max);
  cluster_.scheduler().Note(EventKind::kFault, machine, 0, "its disk is full until",
                            static_cast<uint64_t>(trouble.full_until_us));
}

void Faults::FailingWrite() { cluster_.disk(AnyMachine()).trouble().next_write_fails = true; }

void Faults::HandOver() {
  uint32_t machine = AnyMachine();
  if (cluster_.serving(machine)) cluster_.HandOver(machine);
}

void Faults::MoveShard() {
  uint32_t via = AnyMachine();
  ShardId shard{static_cast<uint32_t>(random_.Below(cluster_.shards()))};
  uint32_t to = AnyMachine();
  if (cluster_.serving(via)) cluster_.Wish(via, PinShard{shard, SimCluster::NameOf(to)});
}

void Faults::ChangeNodeState() {
  uint32_t via = AnyMachine();
  SetNodeState change{SimCluster::NameOf(AnyMachine())};
  change.state = random_.Chance(1, 2) ? NodeState::kDraining : NodeState::kActive;
  if (cluster_.serving(via)) cluster_.Wish(via, std::move(change));
}

void Faults::PlannedRestart() {
  uint32_t machine = AnyMachine();
  if (cluster_.serving(machine)) cluster_.Drain(machine);
}

// --- what a machine does not come back from -------------------------------------------------------------------------

void Faults::TakeImage() {
  if (stopped_) return;
  victim_ = AnyMachine();
  cluster_.Resume(victim_);
  if (cluster_.running(victim_)) CrashMachine(victim_);
  cluster_.disk(victim_).CopyRowsTo(image_);
  image_life_ = cluster_.life(victim_);
}

void Faults::LoseMachine() {
  if (stopped_) return;
  if (victim_ == 0) victim_ = AnyMachine();
  cluster_.Resume(victim_);
  cluster_.Lose(victim_);
  switch (plan_.loss) {
    case Plan::Loss::kNone:
      break;
    case Plan::Loss::kDeath:
      ++struck_["death for good"];
      cluster_.Crash(victim_, random_.Chance(1, 2) ? SimNetwork::Death::kReset : SimNetwork::Death::kSilent);
      break;
    case Plan::Loss::kEmptiedDisk:
    case Plan::Loss::kRestoredDisk:
      SwapDisk();
      break;
    case Plan::Loss::kRot:
      cluster_.disk(victim_).trouble().rots = true;
      Every(plan_.rot_every_us, "flipped bit", &Faults::Rot);
      break;
  }
}

void Faults::SwapDisk() {
  cluster_.Crash(victim_, SimNetwork::Death::kReset);
  // Peers can only tell an old image from the disk that they knew where each has met a later life than the one that it was
  // taken after (consensus.md rule 1); of any other restored image an operator must beware himself.
  bool known = image_life_ > 0;
  for (uint32_t peer = 1; peer <= cluster_.size(); ++peer) {
    if (peer != victim_ && cluster_.life_met(victim_, peer) <= image_life_) known = false;
  }
  if (!known) {
    for (Rows& rows : image_) rows.clear();
  }
  ++struck_[known ? "restored disk" : "emptied disk"];
  cluster_.scheduler().Note(EventKind::kFault, victim_, 0,
                            known ? "its disk is an old image" : "its disk is empty");
  cluster_.disk(victim_).Replace(image_);
  cluster_.Boot(victim_);
}

void Faults::Rot() { cluster_.disk(victim_).FlipBit(random_); }

void Faults::StopAndHeal() {
  stopped_ = true;
  cluster_.network().Calm();
  cluster_.network().HealAll();
  for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
    DiskTrouble& trouble = cluster_.disk(machine).trouble();
    trouble.slow_until_us = trouble.full_until_us = 0;
    trouble.next_write_fails = false;
    cluster_.clock(machine).set_offset_us(random_.Between(-20'000, 20'000));
    cluster_.Resume(machine);
    if (!cluster_.lost(machine) && !cluster_.running(machine)) cluster_.Boot(machine);
  }
}

}  // namespace paxledger::sim
