#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "ledger/account.h"

namespace paxledger::sim {

/// Where the clients of a seed tag their amounts, a unit is 2^64 and the lower bits are random: so a balance tells which
/// transfers it is the sum of.
inline constexpr Amount kTaggedUnit = Amount{1} << 64;

/// In plain decimals, or as units:tag.
inline std::string ShowAmount(Amount amount) {
  auto low = static_cast<uint64_t>(amount);
  auto high = static_cast<uint64_t>(amount >> 64);
  return high == 0 ? absl::StrCat(low) : absl::StrCat(high, ":", absl::Hex(low, absl::kZeroPad16));
}

}  // namespace paxledger::sim
