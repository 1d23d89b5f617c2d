#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/plan.h"
#include "tests/sim/summary.h"
#include "tests/sim/world.h"

namespace paxledger::sim {

struct RunOptions {
  SimOptions sim;  // but for its seed
  uint64_t first_seed = 1;
  uint64_t last_seed = 1;
  uint32_t jobs = 1;
  Verbosity verbosity = Verbosity::kQuiet;
};

/// The command that runs one seed again.
std::string ReplayCommand(const SimOptions& options);

/// Runs the seeds, each in a process of its own, so that a failed check ends that seed only; `jobs` at a time. Prints what
/// a failing seed said, one line for each good one where there are few, and the progress to stderr.
SimSummary RunSeeds(const RunOptions& options);

}  // namespace paxledger::sim
