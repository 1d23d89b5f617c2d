#pragma once

#include <cstdint>

#include "tests/sim/explore_report.h"

namespace paxledger::sim {

/// Where the explorer begins.
enum class CoreStart : uint8_t {
  kEmpty = 0,  // nothing is chosen: the first proposer has to prepare
  kOwned = 1,  // index 1 is chosen and known to all, and replica 1 owns the next
  // Replicas 2 and 3 chose index 1, and at index 2 that 3 leaves; its records are removed, and it is started anew. Replica 1
  // has heard of nothing.
  kDropped = 2,
};
inline constexpr uint32_t kCoreStarts = 3;

/// How far the explorer of the consensus core goes. Messages may be lost, late, and come any number of times; all else is
/// bounded by numbers.
struct CoreExploreOptions {
  uint32_t replicas = 3;
  uint32_t proposers = 2;   // replicas 1.., each of which may be given either of two commands, each once
  uint32_t crashes = 1;     // in all
  uint32_t reads = 0;       // in all
  uint32_t hand_overs = 0;  // in all
  uint64_t rounds = 2;      // ballots of higher rounds are not followed
  uint64_t indexes = 2;     // nor is anything more than so many indexes beyond those chosen at the start
  CoreStart start = CoreStart::kEmpty;
  uint32_t depth = 12;  // events from the start
  uint64_t states_max = 50'000'000;
};

/// Breadth first through all states of a few real shard logs, up to symmetry of the two commands. Replicas share nothing but
/// messages, so a step depends on one replica and one event: it is taken once, and global states are tuples of local ones.
/// Time is two-valued: each timer has run out, or has not; a tick lets all of one replica run out. Checks what `CoreWorld` checks.
/// A `Check` that fails ends the process; its path is printed first.
ExploreReport ExploreCore(const CoreExploreOptions& options);

}  // namespace paxledger::sim
