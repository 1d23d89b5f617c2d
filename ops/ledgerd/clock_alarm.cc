#include "ops/ledgerd/clock_alarm.h"

#include <utility>

#include "absl/time/time.h"
#include "base/limits.h"
#include "base/log.h"

namespace paxledger {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr int kLooksBetweenWarnings = 60;

}  // namespace

ClockAlarm::ClockAlarm(Executor& executor, std::function<int64_t()> offset, Metrics& metrics)
    : executor_(executor),
      offset_(std::move(offset)),
      offset_gauge_(metrics.gauge("paxledger_clock_offset_us")),
      alarm_gauge_(metrics.gauge("paxledger_clock_alarm")) {}

void ClockAlarm::Start() {
  executor_.After(kInterval, [this] {
    Look();
    Start();
  });
}

void ClockAlarm::Look() {
  int64_t offset_us = offset_();
  bool off = offset_us > limits::kClockSkewMaxUs || offset_us < -limits::kClockSkewMaxUs;
  bool was_off = alarm_gauge_.value() != 0;
  offset_gauge_.Set(offset_us);
  alarm_gauge_.Set(off ? 1 : 0);
  if (off && (!was_off || ++looks_since_warning_ >= kLooksBetweenWarnings)) {
    looks_since_warning_ = 0;
    Log(LogLevel::kWarn, "clock", "this clock is too far from those of the peers; correct it")
        .With("offset_us", offset_us)
        .With("bound_us", limits::kClockSkewMaxUs);
  }
  if (!off && was_off) Log(LogLevel::kInfo, "clock", "within bounds again").With("offset_us", offset_us);
}

}  // namespace paxledger
