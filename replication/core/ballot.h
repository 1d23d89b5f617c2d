#pragma once

#include <compare>
#include <cstdint>

#include "base/strong_id.h"

namespace paxledger {

/// A ballot: ordered by round, then replica; none < (0, ·) < (1, ·) < … (consensus.md rule 2).
/// `packed` is 0 for none, else (round + 1) << 16 | replica, so that integers order as ballots do.
struct Ballot {
  uint64_t packed = 0;

  static constexpr Ballot Of(uint64_t round, ReplicaId replica) {
    return Ballot{((round + 1) << 16) | replica.value};
  }
  constexpr bool none() const { return packed == 0; }
  /// Undefined for none.
  constexpr uint64_t round() const { return (packed >> 16) - 1; }
  constexpr ReplicaId replica() const { return ReplicaId{static_cast<uint16_t>(packed & 0xffff)}; }
  friend constexpr bool operator==(Ballot, Ballot) = default;
  friend constexpr auto operator<=>(Ballot, Ballot) = default;
};

/// An incarnation of a replica (consensus.md rule 1). Replica 0 is "nobody".
struct Owner {
  ReplicaId replica;
  Incarnation incarnation;
  friend constexpr bool operator==(Owner, Owner) = default;
};

}  // namespace paxledger
