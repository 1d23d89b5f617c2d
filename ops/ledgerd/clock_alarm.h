#pragma once

#include <cstdint>

#include "base/executor.h"
#include "base/metrics.h"
#include "replication/replica.h"

namespace paxledger {

/// Looks once a second how far this node's clock is from its peers', and raises an alarm where that is more
/// than transactions.md rule 9 bears (limits::kClockSkewMaxUs): a warning in the log, repeated each minute,
/// and `paxledger_clock_alarm` beside `paxledger_clock_offset_us`. Borrows: all three; they outlive it, and
/// it outlives the strand.
/// Threads: the node's strand.
class ClockAlarm {
 public:
  ClockAlarm(Executor& executor, Replica& replica, Metrics& metrics);
  void Start();

 private:
  void Look();

  Executor& executor_;
  Replica& replica_;
  Gauge& offset_;
  Gauge& alarm_;
  int looks_since_warning_ = 0;
};

}  // namespace paxledger
