#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/plan.h"

namespace paxledger::sim {

struct SimReport {
  std::string failure;  // empty: everything held
  std::string plan;
  uint64_t hash = 0;  // of everything that happened
  uint64_t events = 0;
  uint64_t requests = 0;
  uint64_t http_requests = 0;  // of these and of the reads, those that came as HTTP
  uint64_t transfers = 0;      // begun under faults
  uint64_t barriers = 0;       // asked for directly, and answered
  uint64_t committed = 0;
  uint64_t refused = 0;
  uint64_t conflicts = 0;
  uint64_t reads = 0;
  uint64_t reads_placed = 0;     // in the order of all transactions, by the balances that they saw
  uint64_t reads_ambiguous = 0;  // whose balances have several explanations
  uint64_t entries = 0;
  uint64_t commands = 0;
  uint64_t messages = 0;
  uint64_t messages_lost = 0;
  uint64_t peer_bytes = 0;  // of all frames
  int64_t virtual_us = 0;
  int64_t settled_after_us = 0;  // from the end of the faults until nothing was left to do
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> marks;
};

enum class Verbosity : uint8_t { kQuiet, kEveryEvent };

/// Runs one seed: a cluster of production nodes with clients, first under faults and then, healed, until nothing is left to
/// do. The same options give the same report, on every machine.
/// On failure the last events are printed to stderr, also where a `Check` fails.
SimReport RunWorld(const SimOptions& options, Verbosity verbosity);

}  // namespace paxledger::sim
