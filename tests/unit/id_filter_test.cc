#include "txn/id_filter.h"

#include <gtest/gtest.h>

#include <string>

namespace paxledger {
namespace {

std::string Key(size_t i) { return "main" + std::string(1, '\0') + "pay-" + std::to_string(i); }

TEST(IdFilterTest, NeverForgetsAnIdAndSeldomClaimsOne) {
  IdFilter filter;
  EXPECT_FALSE(filter.MayContain(Key(0)));
  constexpr size_t kKeys = 100'000;
  for (size_t i = 0; i < kKeys; ++i) filter.Add(Key(i));
  for (size_t i = 0; i < kKeys; ++i) ASSERT_TRUE(filter.MayContain(Key(i))) << i;
  size_t claimed = 0;
  for (size_t i = kKeys; i < 2 * kKeys; ++i) claimed += filter.MayContain(Key(i)) ? 1 : 0;
  EXPECT_LT(claimed, kKeys / 20);
}

TEST(IdFilterTest, IsGivenUpRatherThanGrowWithoutBound) {
  IdFilter filter;
  for (size_t i = 0; i <= IdFilter::kKeysMax; ++i) filter.Add(Key(i));
  EXPECT_TRUE(filter.given_up());
  EXPECT_TRUE(filter.MayContain("anything"));
}

}  // namespace
}  // namespace paxledger
