#pragma once

#include <optional>

namespace paxledger::sim {

/// What `ledger-sim` does with one shard and without nodes: `--core`, `--core-world`. Returns the exit code; nullopt: the first
/// argument names none of these.
/// `--bug NAME`, anywhere, switches a planted bug on where they are built in; its two words are taken out of the arguments.
std::optional<int> RunCoreCommand(int argc, char** argv);

/// Switches on what `--bug NAME` names and takes the two words away. False: bugs are not built in, or the name is missing.
bool TakePlantedBug(int* argc, char** argv);

extern const char kCoreUsage[];

}  // namespace paxledger::sim
