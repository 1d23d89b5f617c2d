#include "ops/ledgerd/clock_alarm.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "gtest/gtest.h"
#include "tests/sim/scheduler.h"

namespace paxledger {
namespace {

class ClockAlarmTest : public testing::Test {
 protected:
  ClockAlarmTest() { alarm_.Start(); }

  /// Lets virtual time pass and returns how many lines were logged meanwhile.
  size_t LinesIn(int64_t seconds) {
    testing::internal::CaptureStderr();
    scheduler_.RunUntil(scheduler_.now_us() + seconds * 1'000'000);
    std::string log = testing::internal::GetCapturedStderr();
    return static_cast<size_t>(std::count(log.begin(), log.end(), '\n'));
  }
  int64_t gauge(std::string_view name) { return metrics_.gauge(name).value(); }

  int64_t offset_us_ = 0;
  Metrics metrics_;
  sim::Scheduler scheduler_;
  sim::SimExecutor strand_{scheduler_, 1};
  ClockAlarm alarm_{strand_, [this] { return offset_us_; }, metrics_};
};

TEST_F(ClockAlarmTest, IsSilentWithinTheBound) {
  offset_us_ = -limits::kClockSkewMaxUs;
  EXPECT_EQ(LinesIn(100), 0u);
  EXPECT_EQ(gauge("paxledger_clock_offset_us"), -limits::kClockSkewMaxUs);
  EXPECT_EQ(gauge("paxledger_clock_alarm"), 0);
}

TEST_F(ClockAlarmTest, WarnsAtOnceThenEachMinuteAndSaysWhenItIsOver) {
  for (int64_t offset_us : {limits::kClockSkewMaxUs + 1, -limits::kClockSkewMaxUs - 1}) {
    offset_us_ = offset_us;
    EXPECT_EQ(LinesIn(2), 1u);
    EXPECT_EQ(gauge("paxledger_clock_alarm"), 1);
    EXPECT_EQ(LinesIn(120), 2u);
    offset_us_ = 0;
    EXPECT_EQ(LinesIn(2), 1u);
    EXPECT_EQ(gauge("paxledger_clock_alarm"), 0);
    EXPECT_EQ(LinesIn(100), 0u);
  }
}

}  // namespace
}  // namespace paxledger
