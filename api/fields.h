#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ledger/account.h"

namespace paxledger {

/// `[A-Za-z0-9._:@-]{1,64}`.
bool IsId(std::string_view text);

/// `CODE/scale`: a capital letter and up to 15 capitals or digits, and how many digits follow the decimal
/// point, 0..30.
bool IsAsset(std::string_view text);

/// A decimal without sign, fraction, exponent or leading zero, 0..2^127-1; nullopt: anything else.
std::optional<Amount> ParseAmount(std::string_view digits);
/// As `ParseAmount`, for the source of a JSON number: up to 2^53, where every parser still sees the same
/// integer.
std::optional<Amount> ParseJsonIntegerAmount(std::string_view number);

/// Any value of a total, 0..2^128-1.
void AppendAmount(std::string* out, Amount amount);

/// What is left of a sum; total over everything that can be stored.
class SignedAmount {
 public:
  explicit SignedAmount(Amount amount) : magnitude_(amount) {}
  SignedAmount& operator-=(Amount amount);
  void AppendTo(std::string* out) const;

 private:
  bool negative_ = false;
  Amount magnitude_;
};

/// "2026-01-31T12:00:00.000000Z".
void AppendTime(std::string* out, int64_t micros);
/// RFC 3339 in UTC ("Z" or "+00:00"), up to six digits of a second; microseconds since the epoch. nullopt: no
/// such time.
std::optional<int64_t> ParseTime(std::string_view text);

std::optional<uint64_t> ParseUint64(std::string_view digits);
void AppendUint64(std::string* out, uint64_t value);
void AppendInt64(std::string* out, int64_t value);

/// Exactly `digits` lower-case hexadecimal digits.
void AppendHex(std::string* out, uint64_t value, int digits);
std::optional<uint64_t> ParseHex(std::string_view text);

}  // namespace paxledger
