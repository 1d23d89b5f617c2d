#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ledger/account.h"

namespace paxledger {

/// Reads "163.3" as minor units: 16330 at scale 2. Exact: digits alone, no sign, exponent or separators, and
/// no digit other than 0 beyond the scale. Zero is a number; spaces around are not minded. Errors:
/// kInvalidArgument  no such number, or above kTransferAmountMax
[[nodiscard]] absl::StatusOr<Amount> ParseDecimal(std::string_view text, uint32_t scale);

/// 16330 at scale 2 is "163.30".
std::string FormatDecimal(Amount amount, uint32_t scale);

/// The scale of `USD/2`.
/// Errors: kInvalidArgument
[[nodiscard]] absl::StatusOr<uint32_t> AssetScale(std::string_view asset);

}  // namespace paxledger
