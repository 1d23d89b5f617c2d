#pragma once

#include <string_view>

namespace paxledger {

#ifdef PAXLEDGER_PLANTED_BUGS
/// The one planted bug that is switched on in this process; only `ledger-sim-bugs` is built with it.
/// Threads: set before anything else runs.
inline std::string_view planted_bug;
inline bool Bug(std::string_view name) { return planted_bug == name; }
#else
/// True where the planted bug `name` is switched on: never in a production binary, which holds neither the branch nor the
/// name. A rule of consensus.md or transactions.md is left out there, so that the simulator can show that it would notice.
/// Every name stands in the table of tests/sim/planted_bugs.txt, which says who catches it.
constexpr bool Bug(std::string_view) { return false; }
#endif

}  // namespace paxledger
