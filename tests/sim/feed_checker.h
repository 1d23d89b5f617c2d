#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/journal_fold.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// Holds what a machine would tell readers, in the end, against the checker's own books:
///   - the statement of each account is the list of what was committed on it, in the order of commit times, with its sums
///   - the outbox of each shard tells the transactions that the shard is home of, each once
/// Returns what is wrong; empty: nothing. Nothing may be in doubt on the machine any more.
std::string CheckFeeds(SimCluster& cluster, const JournalFold& fold, uint32_t machine);

}  // namespace paxledger::sim
