#include "ops/ledgerctl/decimal.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "base/bytes.h"

namespace paxledger {
absl::StatusOr<Amount> ParseDecimal(std::string_view text, uint32_t scale) {
  const std::string_view trimmed = ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("amount '", ToAbsl(text.substr(0, 60)), "': ", ToAbsl(why)));
  };
  Amount amount = 0;
  const auto push = [&](unsigned digit) {
    if (amount > (kTransferAmountMax - digit) / 10) return false;
    amount = amount * 10 + digit;
    return true;
  };
  size_t digits = 0;
  uint32_t fraction_digits = 0;
  bool in_fraction = false;
  for (const char c : trimmed) {
    if (c == '.' && !in_fraction) {
      in_fraction = true;
      continue;
    }
    if (c < '0' || c > '9') return bad("not a plain decimal number");
    ++digits;
    if (in_fraction && fraction_digits == scale) {
      if (c != '0') return bad("more decimals than the asset has");
      continue;
    }
    if (in_fraction) ++fraction_digits;
    if (!push(static_cast<unsigned>(c - '0'))) return bad("too large");
  }
  if (digits == 0) return bad("not a plain decimal number");
  for (; fraction_digits < scale; ++fraction_digits) {
    if (!push(0)) return bad("too large");
  }
  return amount;
}

std::string FormatDecimal(Amount amount, uint32_t scale) {
  std::string digits;
  AppendAmount(&digits, amount);
  if (scale == 0) return digits;
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  digits.insert(digits.size() - scale, 1, '.');
  return digits;
}

absl::StatusOr<uint32_t> AssetScale(std::string_view asset) {
  const size_t slash = asset.rfind('/');
  uint32_t scale = 0;
  if (!IsAsset(asset) || !absl::SimpleAtoi(ToAbsl(asset.substr(slash + 1)), &scale)) {
    return absl::InvalidArgumentError(
        absl::StrCat("asset '", ToAbsl(asset), "' is not of the form CODE/scale, as USD/2"));
  }
  return scale;
}

}  // namespace paxledger
