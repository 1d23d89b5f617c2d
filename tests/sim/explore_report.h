#pragma once

#include <cstdint>
#include <string>

namespace paxledger::sim {

/// What an explorer saw.
struct ExploreReport {
  std::string failure;     // empty: every rule held in every state that was reached
  std::string path;        // how to come to the failure, an event a line
  uint32_t depth = 0;      // all states within so many events were reached
  bool exhausted = false;  // there are no others within the other bounds
  uint64_t states = 0;
  uint64_t transitions = 0;  // between them, the ones that change nothing included
  uint64_t steps = 0;  // of the production code: a step from an equal state on an equal event is taken once
  uint64_t local_states = 0;  // of one replica, or one shard
  uint64_t compared = 0;      // states that were held equal, and whose next steps were compared
};

}  // namespace paxledger::sim
