#include "base/log.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace paxledger {
namespace {

std::string Logged(void (*write)()) {
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesOneLineWithTimeLevelComponentMessageAndFields) {
  std::string line =
      Logged([] { Log(LogLevel::kWarn, "peers", "clock is off").With("peer", 2).With("by_us", -5); });
  EXPECT_THAT(line, testing::MatchesRegex(
                        "....-..-..T..:..:..\\.......Z WARN  peers: clock is off peer=2 by_us=-5\n"));
}

TEST(Log, EscapesWhatWouldBreakTheLine) {
  std::string line = Logged(
      [] { Log(LogLevel::kInfo, "api", "a \"bad\"\nline").With("path", "a \"b\"\n").With("empty", ""); });
  EXPECT_THAT(line, testing::EndsWith("api: a \"bad\"\\nline path=\"a \\\"b\\\"\\n\" empty=\"\"\n"));
}

TEST(Log, DropsLinesBelowTheLevel) {
  EXPECT_EQ(Logged([] { Log(LogLevel::kDebug, "api", "detail").With("n", 1); }), "");
}

}  // namespace
}  // namespace paxledger
