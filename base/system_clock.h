#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace paxledger {

/// The machine's clocks.
/// Threads: any.
class SystemClock : public Clock {
 public:
  int64_t WallMicros() override { return MicrosOf(std::chrono::system_clock::now()); }
  int64_t MonotonicMicros() override { return MicrosOf(std::chrono::steady_clock::now()); }

 private:
  template <class TimePoint>
  static int64_t MicrosOf(TimePoint at) {
    return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
  }
};

}  // namespace paxledger
