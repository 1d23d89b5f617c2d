#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "txn/shard_machine.h"

namespace paxledger {

/// The digests of the last indexes, so that replicas that are not equally far can be compared.
class DigestRing {
 public:
  static constexpr size_t kSlots = 4096;

  void Add(const DigestsAtIndex& digests) {
    size_t slot = SlotOf(digests.index);
    if (slot >= ring_.size()) ring_.resize(slot + 1);  // grows with the log, not at once
    ring_[slot] = digests;
  }
  std::optional<DigestsAtIndex> At(LogIndex index) const {
    size_t slot = SlotOf(index);
    if (slot >= ring_.size() || ring_[slot].index != index) return std::nullopt;
    return ring_[slot];
  }

 private:
  static size_t SlotOf(LogIndex index) { return static_cast<size_t>(index.value % kSlots); }
  std::vector<DigestsAtIndex> ring_;
};

}  // namespace paxledger
