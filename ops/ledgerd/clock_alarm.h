#pragma once

#include <cstdint>
#include <functional>

#include "base/executor.h"
#include "base/metrics.h"

namespace paxledger {

/// Looks once a second how far this node's clock is from its peers' (`offset`: microseconds, signed), and raises an
/// alarm where that is more than transactions.md rule 9 bears (limits::kClockSkewMaxUs): a warning in the log, repeated
/// each minute, and `paxledger_clock_alarm` beside `paxledger_clock_offset_us`.
/// Borrows: the executor and the metrics, which outlive it; it outlives what runs on the strand.
/// Threads: the node's strand.
class ClockAlarm {
 public:
  ClockAlarm(Executor& executor, std::function<int64_t()> offset, Metrics& metrics);
  void Start();

 private:
  void Look();

  Executor& executor_;
  std::function<int64_t()> offset_;
  Gauge& offset_gauge_;
  Gauge& alarm_gauge_;
  int looks_since_warning_ = 0;
};

}  // namespace paxledger
