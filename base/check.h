#pragma once

#include <source_location>
#include <string_view>

namespace paxledger {

/// Ends the process with `rule` and the place. For bugs only.
[[noreturn]] void CheckFailed(std::string_view rule, std::source_location where);

/// States a rule that a correct program keeps. On in every build.
/// Never for what a peer, a client or a disk sent: that is absl::StatusCode::kInvalidArgument or kDataLoss.
inline void Check(bool holds, std::string_view rule,
                  std::source_location where = std::source_location::current()) {
  if (!holds) [[unlikely]] {
    CheckFailed(rule, where);
  }
}

}  // namespace paxledger
