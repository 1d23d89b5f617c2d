#include "ops/ledgerd/clock_alarm.h"

#include "absl/time/time.h"
#include "base/limits.h"
#include "base/log.h"

namespace paxledger {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr int kLooksBetweenWarnings = 60;

}  // namespace

ClockAlarm::ClockAlarm(Executor& executor, Replica& replica, Metrics& metrics)
    : executor_(executor),
      replica_(replica),
      offset_(metrics.gauge("paxledger_clock_offset_us")),
      alarm_(metrics.gauge("paxledger_clock_alarm")) {}

void ClockAlarm::Start() {
  executor_.After(kInterval, [this] {
    Look();
    Start();
  });
}

void ClockAlarm::Look() {
  int64_t offset_us = replica_.ClockOffsetMicros();
  bool off = offset_us > limits::kClockSkewMaxUs || offset_us < -limits::kClockSkewMaxUs;
  bool was_off = alarm_.value() != 0;
  offset_.Set(offset_us);
  alarm_.Set(off ? 1 : 0);
  if (off && (!was_off || ++looks_since_warning_ >= kLooksBetweenWarnings)) {
    looks_since_warning_ = 0;
    Log(LogLevel::kWarn, "clock", "this clock is too far from those of the peers; correct it")
        .With("offset_us", offset_us)
        .With("bound_us", limits::kClockSkewMaxUs);
  }
  if (!off && was_off) Log(LogLevel::kInfo, "clock", "within bounds again").With("offset_us", offset_us);
}

}  // namespace paxledger
