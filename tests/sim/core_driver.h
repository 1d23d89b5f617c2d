#pragma once

#include <cstdint>
#include <string>

namespace paxledger::sim {

struct CoreRunOptions {
  uint32_t replicas = 3;
  uint64_t seed = 1;
  uint64_t steps = 300'000;
};

struct CoreRunReport {
  std::string failure;        // empty: every rule held
  uint64_t failed_world = 0;  // the seed of the world that failed...
  uint64_t failed_step = 0;   // ...and the step within it
  uint64_t steps = 0;
  uint64_t worlds = 0;
  uint64_t chosen = 0;  // indexes
  uint64_t reads = 0;
  uint64_t crashes = 0;
  uint64_t hash = 0;  // of everything that happened
};

/// Takes random steps over shard logs in one small world after another: messages delivered in any order, twice or never,
/// writes durable late or lost in a crash, restarts, reads, hand-overs, time. Each world ends in calm: nothing is lost any
/// more, and everything proposed must be decided and known to all within a bounded number of steps.
CoreRunReport RunCore(const CoreRunOptions& options);

/// Runs one world again and prints every step to stderr.
CoreRunReport ReplayCoreWorld(uint32_t replicas, uint64_t world_seed);

}  // namespace paxledger::sim
