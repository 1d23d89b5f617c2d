#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/executor.h"

namespace paxledger {

/// A hashed timer wheel: many deadlines, most of them cancelled, at a few dozen nanoseconds each.
/// Threads: one owner, which calls `Advance` often.
/// Units:   microseconds of a monotonic clock; a timer fires within one tick after its time.
class TimerWheel {
 public:
  explicit TimerWheel(int64_t now_us, int64_t tick_us = 1000);
  TimerId Set(int64_t at_us, absl::AnyInvocable<void()> work);
  void Cancel(TimerId timer);
  /// Runs what is due at `now_us`, in order of ticks; what it sets meanwhile runs in a later call.
  void Advance(int64_t now_us);
  bool empty() const { return live_.empty(); }

 private:
  static constexpr size_t kSlots = 4096;
  struct Timer {
    int64_t at_us;
    absl::AnyInvocable<void()> work;
  };
  int64_t tick_us_;
  int64_t tick_;  // the next tick to look at
  TimerId next_id_ = 1;
  absl::flat_hash_map<TimerId, Timer> live_;
  std::vector<std::vector<TimerId>> slots_;  // may name timers that are gone
};

}  // namespace paxledger
