#include "tests/sim/core_driver.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/core_world.h"

namespace paxledger::sim {
namespace {

constexpr size_t kFlightsMax = 80;
constexpr uint64_t kCalmStepsMax = 40'000;
constexpr uint64_t kAskAgainSteps = 1'000;

enum class Verbosity : uint8_t { kQuiet, kEveryStep };

/// One world from birth to calm.
class Episode {
 public:
  Episode(uint32_t replicas, uint64_t seed, Verbosity verbosity)
      : random_(seed), world_(replicas, random_.Next()), verbosity_(verbosity) {
    // A swarm: each world has its own mixture.
    chaos_steps_ = 20 + random_.Below(random_.Chance(1, 4) ? 4000 : 400);
    drop_ = random_.Chance(1, 2) ? static_cast<uint32_t>(random_.Below(120)) : 0;
    duplicate_ = random_.Chance(1, 2) ? static_cast<uint32_t>(random_.Below(60)) : 0;
    crash_ = random_.Chance(2, 3) ? static_cast<uint32_t>(random_.Below(15)) : 0;
    crash_after_early_ = random_.Chance(1, 3) ? static_cast<uint32_t>(random_.Below(200)) : 0;
    propose_ = 10 + static_cast<uint32_t>(random_.Below(80));
    read_ = random_.Chance(1, 2) ? static_cast<uint32_t>(random_.Below(60)) : 0;
    hand_over_ = random_.Chance(1, 4) ? 10 : 0;
    sync_ = 40 + static_cast<uint32_t>(random_.Below(300));
    in_order_ = random_.Chance(1, 3);
    one_proposer_ = random_.Chance(1, 3) ? 1 + static_cast<uint32_t>(random_.Below(replicas)) : 0;
    orphan_ = random_.Chance(1, 3) ? static_cast<uint32_t>(random_.Below(500)) : 0;
    wipe_ = random_.Chance(1, 5) ? 3 : 0;
    jump_ = random_.Chance(1, 5) ? static_cast<uint32_t>(random_.Below(20)) : 0;
  }

  void Run() {
    for (step_ = 0; step_ < chaos_steps_ && world_.failure().empty(); ++step_) ChaosStep();
    if (world_.failure().empty()) Calm();
  }

  const CoreWorld& world() const { return world_; }
  const std::string& failure() const { return failure_.empty() ? world_.failure() : failure_; }
  uint64_t steps() const { return step_; }
  uint64_t crashes() const { return crashes_; }

 private:
  uint32_t AnyReplica() { return 1 + static_cast<uint32_t>(random_.Below(world_.replicas())); }
  void Say(const std::string& line) {
    if (verbosity_ == Verbosity::kEveryStep) {
      std::fprintf(stderr, "%6llu  %s\n", static_cast<unsigned long long>(step_), line.c_str());
    }
  }

  void ChaosStep() {
    world_.Advance(random_.Between(0, 150));
    uint64_t roll = random_.Below(1000);
    auto takes = [&roll](uint32_t share) {
      if (roll < share) return true;
      roll -= share;
      return false;
    };
    if (takes(propose_)) {
      ProposeSomething();
    } else if (takes(crash_)) {
      CrashOrRestart(AnyReplica());
    } else if (takes(read_)) {
      uint32_t reader = AnyReplica();
      Say(absl::StrCat("read ", reader));
      world_.StartRead(reader);
    } else if (takes(hand_over_)) {
      uint32_t from = AnyReplica();
      uint32_t to = AnyReplica();
      Say(absl::StrCat("hand-over ", from, " ", to));
      world_.HandOver(from, to);
    } else if (takes(wipe_)) {
      EmptySomeDisk();
    } else if (takes(jump_)) {
      JumpClocks();
    } else if (takes(sync_)) {
      SyncSomething();
    } else if (takes(60)) {
      TickSomebody();
    } else if (!world_.flights().empty()) {
      MoveSomeMessage();
    } else {
      TickSomebody();
    }
    while (world_.flights().size() > kFlightsMax) world_.Drop(random_.Below(world_.flights().size()));
  }

  void ProposeSomething() {
    uint32_t proposer = one_proposer_ != 0 && random_.Chance(9, 10) ? one_proposer_ : AnyReplica();
    size_t flights = world_.flights().size();
    size_t writes = world_.writes_waiting(proposer);
    ++commands_;
    Say(absl::StrCat("propose ", proposer, " c", commands_));
    world_.Propose(proposer, absl::StrCat("c", commands_));
    bool early = world_.flights().size() > flights && world_.writes_waiting(proposer) > writes;
    if (early && random_.Chance(jump_, 200)) JumpClocks();
    if (early && random_.Chance(orphan_, 1000)) {
      OrphanProposal(proposer);
    } else if (early && random_.Chance(crash_after_early_, 1000)) {
      // Deliver one proposal before the proposer's own write is durable, and take the proposer away.
      Deliver(world_.flights().size() - 1);
      CrashOrRestart(proposer);
      CrashOrRestart(proposer);
    }
  }

  /// The proposal that just left reaches one acceptor alone, whose vote a reader then hears of; both proposer and acceptor
  /// crash, the proposer without its own write. The reader has something to complete, and may find nobody who knows it.
  void OrphanProposal(uint32_t proposer) {
    Flight proposal = world_.flights().back();
    uint32_t acceptor = proposal.to.value;
    uint32_t reader = 1 + acceptor % world_.replicas();
    if (reader == proposer) reader = 1 + reader % world_.replicas();
    if (reader == acceptor || !world_.up(acceptor) || !world_.up(reader)) return;
    Deliver(world_.flights().size() - 1);
    Say(absl::StrCat("orphan: sync ", acceptor, ", read ", reader));
    world_.Sync(acceptor, world_.writes_waiting(acceptor));
    world_.StartRead(reader);
    DeliverNewest(reader, acceptor);
    DeliverNewest(acceptor, reader);
    for (uint32_t lost : {proposer, acceptor}) {
      Say(absl::StrCat("crash ", lost));
      ++crashes_;
      world_.Crash(lost, 0);
      // What it said meanwhile is lost with its connections.
      for (size_t flight = world_.flights().size(); flight-- > 0;) {
        if (world_.flights()[flight].from.value == lost) world_.Drop(flight);
      }
    }
    CrashOrRestart(proposer);
    // Or for ever: then the reader knows of a vote whose bytes are nowhere any more.
    if (emptied_ || orphan_ % 2 == 0 || !world_.KnownToAll(acceptor)) return;
    emptied_ = true;
    Say(absl::StrCat("empty the disk of ", acceptor));
    world_.Wipe(acceptor);
    world_.Restart(acceptor);
  }

  void DeliverNewest(uint32_t from, uint32_t to) {
    for (size_t flight = world_.flights().size(); flight-- > 0;) {
      const Flight& found = world_.flights()[flight];
      if (found.from.value != from || found.to.value != to) continue;
      Deliver(flight);
      return;
    }
  }

  /// Once in a world: a majority must be left. Only one that all others would refuse: what an old copy of a disk may do
  /// before anybody met its successor nobody can know.
  void EmptySomeDisk() {
    uint32_t replica = AnyReplica();
    if (emptied_ || !world_.KnownToAll(replica)) return;
    emptied_ = true;
    Say(absl::StrCat("crash ", replica, " and empty its disk"));
    ++crashes_;
    world_.Crash(replica, 0);
    world_.Wipe(replica);
    world_.Restart(replica);
    // Often several times before it speaks to anybody, so that it counts past the incarnation that the others knew.
    for (uint64_t starts = crashes_ % 4; starts > 0; --starts) {
      world_.Crash(replica, 0);
      world_.Restart(replica);
    }
  }

  /// Every clock stands somewhere else, some of them hours behind what they were.
  void JumpClocks() {
    Say("clocks jump");
    for (uint32_t r = 1; r <= world_.replicas(); ++r) {
      bool hours = random_.Chance(1, 2);
      world_.SetClock(r, random_.Between(hours ? -36'000'000'000 : -1'000'000, 1'000'000));
    }
  }

  void CrashOrRestart(uint32_t replica) {
    if (!world_.up(replica)) {
      Say(absl::StrCat("restart ", replica));
      world_.Restart(replica);
      return;
    }
    size_t kept = random_.Below(world_.writes_waiting(replica) + 1);
    Say(absl::StrCat("crash ", replica, " keeping ", kept, " of ", world_.writes_waiting(replica),
                     " writes"));
    ++crashes_;
    world_.Crash(replica, kept);
    if (random_.Chance(1, 2)) {
      Say(absl::StrCat("restart ", replica));
      world_.Restart(replica);
    }
  }

  void SyncSomething() {
    uint32_t replica = AnyReplica();
    if (world_.writes_waiting(replica) == 0) return;
    size_t count = 1 + random_.Below(world_.writes_waiting(replica));
    Say(absl::StrCat("sync ", replica, " ", count));
    world_.Sync(replica, count);
  }

  void TickSomebody() {
    if (random_.Chance(1, 8)) world_.Advance(random_.Between(0, 100'000));
    uint32_t replica = AnyReplica();
    Say(absl::StrCat("tick ", replica));
    world_.Tick(replica);
    if (!world_.up(replica) && random_.Chance(1, 10)) CrashOrRestart(replica);
  }

  void Deliver(size_t flight) {
    if (verbosity_ == Verbosity::kEveryStep) Say("deliver " + FlightName(world_.flights()[flight]));
    world_.Deliver(flight);
  }

  void MoveSomeMessage() {
    size_t count = world_.flights().size();
    size_t flight = in_order_ ? std::min(random_.Below(count), random_.Below(4)) : random_.Below(count);
    if (random_.Chance(drop_, 1000)) {
      if (verbosity_ == Verbosity::kEveryStep) Say("drop " + FlightName(world_.flights()[flight]));
      world_.Drop(flight);
    } else if (random_.Chance(duplicate_, 1000)) {
      Say("duplicate");
      world_.Duplicate(flight);
    } else {
      Deliver(flight);
    }
  }

  /// One step of a world in which nothing goes wrong. False: nothing is left to do before the next timer.
  bool CalmStep() {
    if (!world_.flights().empty() && random_.Chance(2, 3)) {
      Deliver(random_.Below(world_.flights().size()));
      world_.Advance(random_.Between(0, 50));
      return true;
    }
    uint32_t first = AnyReplica();
    for (uint32_t i = 0; i < world_.replicas(); ++i) {
      uint32_t replica = 1 + (first + i) % world_.replicas();
      if (world_.writes_waiting(replica) == 0) continue;
      Say(absl::StrCat("sync ", replica, " all"));
      world_.Sync(replica, world_.writes_waiting(replica));
      return true;
    }
    if (world_.flights().empty()) return false;
    Deliver(random_.Below(world_.flights().size()));
    return true;
  }

  bool Settled() const {
    for (uint32_t r = 1; r <= world_.replicas(); ++r) {
      if (world_.gone(r)) continue;
      if (!world_.log(r).idle() || world_.reading(r)) return false;
      if (world_.log(r).chosen() != world_.highest_chosen()) return false;
    }
    return true;
  }

  void Calm() {
    Say("calm");
    for (uint32_t r = 1; r <= world_.replicas(); ++r) world_.Restart(r);
    // Something to decide, so that whoever is behind hears of it; often by the owner alone, with nobody who would help.
    uint32_t proposer = AnyReplica();
    while (world_.wiped(proposer)) proposer = 1 + proposer % world_.replicas();
    uint32_t owner = world_.log(proposer).owner().replica.value;
    if (random_.Chance(1, 2) && owner != 0 && !world_.wiped(owner)) proposer = owner;
    world_.Propose(proposer, "last");
    bool all_read = random_.Chance(1, 2);
    for (uint32_t r = 1; all_read && r <= world_.replicas(); ++r) world_.StartRead(r);
    uint64_t limit = step_ + kCalmStepsMax;
    for (; step_ < limit && world_.failure().empty(); ++step_) {
      // What was forwarded to a replica that is gone is lost; its client asks again.
      if (emptied_ && (limit - step_) % kAskAgainSteps == 0)
        world_.Propose(proposer, absl::StrCat("again", step_));
      if (CalmStep()) continue;
      if (Settled()) return CheckCommands();
      int64_t wake = INT64_MAX;
      for (uint32_t r = 1; r <= world_.replicas(); ++r) wake = std::min(wake, world_.wake_at_us(r));
      if (wake == INT64_MAX) {
        failure_ = "nothing is on its way and no timer is set, but not everything is decided";
        return;
      }
      world_.Advance(std::max<int64_t>(0, wake - world_.now_us()) + random_.Between(0, 50));
      for (uint32_t r = 1; r <= world_.replicas(); ++r) {
        if (world_.gone(r) || world_.wake_at_us(r) > world_.now_us()) continue;
        Say(absl::StrCat("tick ", r));
        world_.Tick(r);
      }
    }
    if (!world_.failure().empty()) return;
    failure_ = "not everything was decided in calm:";
    for (uint32_t r = 1; r <= world_.replicas(); ++r) {
      if (world_.gone(r)) continue;
      const ShardLog& log = world_.log(r);
      absl::StrAppend(&failure_, " replica ", r, " chosen ", log.chosen().value, log.idle() ? "" : " busy",
                      log.voting() ? "" : " not voting", world_.reading(r) ? " reading" : "", ";");
    }
  }

  void CheckCommands() {
    std::vector<std::string> lost = world_.LostCommands();
    if (lost.empty()) return;
    failure_ = absl::StrCat("a command was lost, though whoever took it lives: ", lost.front());
  }

  Random random_;
  CoreWorld world_;
  Verbosity verbosity_;
  uint64_t chaos_steps_;
  uint32_t drop_, duplicate_, crash_, crash_after_early_, propose_, read_, hand_over_, sync_;
  uint32_t orphan_, wipe_, jump_;
  bool in_order_;
  uint32_t one_proposer_;
  uint64_t step_ = 0;
  uint64_t commands_ = 0;
  uint64_t crashes_ = 0;
  bool emptied_ = false;
  std::string failure_;
};

void Account(const Episode& episode, CoreRunReport& report) {
  report.steps += episode.steps();
  report.crashes += episode.crashes();
  report.reads += episode.world().reads_done();
  report.chosen += episode.world().highest_chosen().value;
  report.hash = report.hash * 0x9e3779b97f4a7c15ULL + episode.world().hash();
  ++report.worlds;
}

}  // namespace

CoreRunReport RunCore(const CoreRunOptions& options) {
  CoreRunReport report;
  Random seeds(options.seed);
  while (report.steps < options.steps) {
    uint64_t seed = seeds.Next();
    Episode episode(options.replicas, seed, Verbosity::kQuiet);
    episode.Run();
    Account(episode, report);
    if (!episode.failure().empty()) {
      report.failure = episode.failure();
      report.failed_world = seed;
      report.failed_step = episode.steps();
      return report;
    }
  }
  return report;
}

CoreRunReport ReplayCoreWorld(uint32_t replicas, uint64_t world_seed) {
  CoreRunReport report;
  Episode episode(replicas, world_seed, Verbosity::kEveryStep);
  episode.Run();
  Account(episode, report);
  report.failure = episode.failure();
  report.failed_world = world_seed;
  report.failed_step = episode.steps();
  return report;
}

}  // namespace paxledger::sim
