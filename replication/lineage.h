#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/strong_id.h"

namespace paxledger {

/// A process of a replica and the processes that ran before it from the same disk. A peer hears a new process only where it
/// descends from the one that the peer heard last: a counter alone would not do, since an emptied disk, or an old image
/// of it, that is started a few times without reaching anybody counts past the one that was known (consensus.md rules 1 and 18,
/// ADR 0010).
struct Lineage {
  /// So many restarts may pass before a peer that heard of none of them refuses the replica, which then has to rejoin.
  static constexpr size_t kBeforeMax = 4096;

  Incarnation incarnation;
  std::vector<Incarnation> before;  // newest first; those before the last kBeforeMax are forgotten

  bool DescendsFrom(Incarnation earlier) const {
    return std::find(before.begin(), before.end(), earlier) != before.end();
  }
  friend bool operator==(const Lineage&, const Lineage&) = default;
};

}  // namespace paxledger
