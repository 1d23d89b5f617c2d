#pragma once

#include <cstddef>

namespace paxledger::sim {

/// What the build knew: made by tests/sim/build_facts.py at each build, written only where it changed.
extern const char* const
    kRevision;  // of git, with "+" where files were changed; "unknown" outside a repository
extern const char* const kMarks[];  // the coverage marks and fault points in production code, sorted
extern const size_t kMarkCount;

}  // namespace paxledger::sim
