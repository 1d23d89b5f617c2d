#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace paxledger {

/// The two clocks of a node. Exactly two implementations: the machine's and the simulator's.
/// Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Microseconds since the Unix epoch. May jump and be wrong; never part of a safety argument.
  virtual int64_t WallMicros() = 0;
  /// Microseconds since some start; never goes back.
  virtual int64_t MonotonicMicros() = 0;
};

/// A point on the monotonic clock after which an answer is of no use.
struct Deadline {
  int64_t monotonic_us = INT64_MAX;
  bool Passed(int64_t now_us) const { return now_us >= monotonic_us; }
  friend constexpr bool operator==(Deadline, Deadline) = default;
  friend constexpr auto operator<=>(Deadline, Deadline) = default;
};

inline Deadline DeadlineAfter(Clock& clock, absl::Duration d) {
  return Deadline{clock.MonotonicMicros() + absl::ToInt64Microseconds(d)};
}

}  // namespace paxledger
