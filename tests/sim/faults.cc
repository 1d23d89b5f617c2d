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
  if (plan_.clock_skew_us_max > 0) {
    for (uint32_t m = 1; m <= cluster_.size(); ++m) {
      cluster_.clock(m).set_offset_us(random_.Between(-plan_.clock_skew_us_max, plan_.clock_skew_us_max));
    }
  }
  if (plan_.kill_at_us > 0) Later(plan_.kill_at_us, [this] { KillForGood(); });
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
  int64_t down_us = random_.Chance(1, 4) ? random_.Between(100, 5'000) : UpTo(plan_.down_us_max);
  Later(down_us, [this, machine] {
    if (!stopped_ && machine != killed_ && !cluster_.running(machine)) cluster_.Boot(machine);
  });
}

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
  uint32_t alone = AnyMachine();
  int64_t duration_us = UpTo(plan_.cut_us_max);
  for (uint32_t other = 1; other <= cluster_.size(); ++other) {
    if (other == alone) continue;
    CutFor(alone, other, 0, duration_us);
    CutFor(other, alone, 0, duration_us);
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

void Faults::KillForGood() {
  if (stopped_) return;
  killed_ = AnyMachine();
  ++struck_["death for good"];
  cluster_.Resume(killed_);
  cluster_.Crash(killed_, random_.Chance(1, 2) ? SimNetwork::Death::kReset : SimNetwork::Death::kSilent);
}

void Faults::StopAndHeal() {
  stopped_ = true;
  cluster_.network().Calm();
  cluster_.network().HealAll();
  for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
    cluster_.clock(machine).set_offset_us(random_.Between(-20'000, 20'000));
    cluster_.Resume(machine);
    if (machine != killed_ && !cluster_.running(machine)) cluster_.Boot(machine);
  }
}

}  // namespace paxledger::sim
