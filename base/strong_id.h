#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <utility>

namespace paxledger {

/// An integer that cannot be mistaken for another kind of integer.
template <class Tag, class Rep>
struct StrongId {
  Rep value{};
  friend constexpr bool operator==(StrongId, StrongId) = default;
  friend constexpr std::strong_ordering operator<=>(StrongId, StrongId) = default;
  template <class H>
  friend H AbslHashValue(H state, StrongId id) {
    return H::combine(std::move(state), id.value);
  }
};

/// One PaxosLog with one replica in each data centre; 0..shards-1.
using ShardId = StrongId<struct ShardIdTag, uint32_t>;
/// Position in a shard's log. 0 is the genesis value, the first written entry is 1.
using LogIndex = StrongId<struct LogIndexTag, uint64_t>;
/// A replica's identity; 1..n in the genesis document, 0 is "none". Never used again (consensus.md rule 18).
using ReplicaId = StrongId<struct ReplicaIdTag, uint16_t>;
/// A counter that a process increments and syncs before its first message (consensus.md rule 1).
using Incarnation = StrongId<struct IncarnationTag, uint64_t>;
/// Log time: microseconds since the Unix epoch, strictly increasing within a shard (transactions.md rule 9).
using LogTime = StrongId<struct LogTimeTag, int64_t>;

constexpr LogIndex Next(LogIndex i) { return LogIndex{i.value + 1}; }

}  // namespace paxledger
