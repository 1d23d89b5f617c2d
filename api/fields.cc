#include "api/fields.h"

#include <array>
#include <charconv>

#include "base/limits.h"

namespace paxledger {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

constexpr std::array<bool, 256> kIdBytes = [] {
  std::array<bool, 256> allowed{};
  for (size_t c = 'a'; c <= 'z'; ++c) allowed[c] = true;
  for (size_t c = 'A'; c <= 'Z'; ++c) allowed[c] = true;
  for (size_t c = '0'; c <= '9'; ++c) allowed[c] = true;
  for (char c : {'.', '_', ':', '@', '-'}) allowed[static_cast<uint8_t>(c)] = true;
  return allowed;
}();

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; `month` 1..12. Counts years from
/// March, so that the leap day is a year's last.
int64_t DaysOfDate(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct Date {
  int64_t year;
  int64_t month;
  int64_t day;
};

Date DateOfDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t from_march = (5 * day_of_year + 2) / 153;
  const int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * from_march + 2) / 5 + 1};
}

int64_t DaysInMonth(int64_t year, int64_t month) {
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr std::array<int64_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap ? 29 : kDays[static_cast<size_t>(month - 1)];
}

void AppendPadded(std::string* out, int64_t value, int width) {
  char digits[20];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out->append(digits, static_cast<size_t>(width));
}

/// The next `width` digits of `text`; fails where they are not digits.
bool TakeDigits(std::string_view* text, size_t width, int64_t* value) {
  if (text->size() < width) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) {
    if (!IsDigit((*text)[i])) return false;
    *value = *value * 10 + ((*text)[i] - '0');
  }
  text->remove_prefix(width);
  return true;
}

bool TakeChar(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

/// ".5" or nothing; in microseconds.
bool TakeFraction(std::string_view* text, int64_t* micros) {
  *micros = 0;
  if (!TakeChar(text, '.')) return true;
  int64_t unit = 100'000;
  size_t digits = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) {
    if (unit == 0) return false;
    *micros += unit * ((*text)[digits] - '0');
    unit /= 10;
    ++digits;
  }
  text->remove_prefix(digits);
  return digits > 0;
}

}  // namespace

bool IsId(std::string_view text) {
  if (text.empty() || text.size() > limits::kIdBytesMax) return false;
  for (char c : text) {
    if (!kIdBytes[static_cast<uint8_t>(c)]) return false;
  }
  return true;
}

bool IsAsset(std::string_view text) {
  constexpr size_t kCodeMax = 16;
  constexpr uint64_t kScaleMax = 30;
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash > kCodeMax) return false;
  if (!IsUpper(text.front())) return false;
  for (char c : text.substr(0, slash)) {
    if (!IsUpper(c) && !IsDigit(c)) return false;
  }
  const std::string_view scale = text.substr(slash + 1);
  if (scale.empty() || scale.size() > 2 || (scale.size() == 2 && scale.front() == '0')) return false;
  std::optional<uint64_t> value = ParseUint64(scale);
  return value.has_value() && *value <= kScaleMax;
}

std::optional<Amount> ParseAmount(std::string_view digits) {
  constexpr size_t kDigitsMax = 39;  // 2^127-1 has 39
  if (digits.empty() || digits.size() > kDigitsMax) return std::nullopt;
  if (digits.front() == '0' && digits.size() > 1) return std::nullopt;
  constexpr size_t kFitIn64Bits = 18;
  if (digits.size() <= kFitIn64Bits) {
    std::optional<uint64_t> small = ParseUint64(digits);
    if (!small.has_value()) return std::nullopt;
    return *small;
  }
  Amount value = 0;
  for (char c : digits) {
    if (!IsDigit(c)) return std::nullopt;
    const auto digit = static_cast<Amount>(c - '0');
    if (value > (kTransferAmountMax - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::optional<Amount> ParseJsonIntegerAmount(std::string_view number) {
  constexpr Amount kExactMax = Amount{1} << 53;
  std::optional<Amount> value = ParseAmount(number);
  if (!value.has_value() || *value > kExactMax) return std::nullopt;
  return value;
}

void AppendAmount(std::string* out, Amount amount) {
  char digits[40];
  size_t at = sizeof(digits);
  // Division of 128 bits is slow: peel off 18 digits at a time, most amounts have fewer.
  constexpr uint64_t kChunk = 1'000'000'000'000'000'000;
  while (amount >= kChunk) {
    uint64_t low = static_cast<uint64_t>(amount % kChunk);
    amount /= kChunk;
    for (int i = 0; i < 18; ++i) {
      digits[--at] = static_cast<char>('0' + low % 10);
      low /= 10;
    }
  }
  auto rest = static_cast<uint64_t>(amount);
  do {
    digits[--at] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  out->append(digits + at, sizeof(digits) - at);
}

SignedAmount& SignedAmount::operator-=(Amount amount) {
  if (negative_) {
    const Amount sum = magnitude_ + amount;
    magnitude_ = sum < amount ? ~Amount{0} : sum;  // the books hold no such sum; still never wrap
  } else if (magnitude_ >= amount) {
    magnitude_ -= amount;
  } else {
    negative_ = true;
    magnitude_ = amount - magnitude_;
  }
  return *this;
}

void SignedAmount::AppendTo(std::string* out) const {
  if (negative_) out->push_back('-');
  AppendAmount(out, magnitude_);
}

void AppendTime(std::string* out, int64_t micros) {
  constexpr int64_t kDay = int64_t{86'400} * 1'000'000;
  int64_t days = micros / kDay;
  int64_t rest = micros % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const Date date = DateOfDays(days);
  AppendPadded(out, date.year, 4);
  out->push_back('-');
  AppendPadded(out, date.month, 2);
  out->push_back('-');
  AppendPadded(out, date.day, 2);
  out->push_back('T');
  const int64_t seconds = rest / 1'000'000;
  AppendPadded(out, seconds / 3600, 2);
  out->push_back(':');
  AppendPadded(out, seconds / 60 % 60, 2);
  out->push_back(':');
  AppendPadded(out, seconds % 60, 2);
  out->push_back('.');
  AppendPadded(out, rest % 1'000'000, 6);
  out->push_back('Z');
}

std::optional<int64_t> ParseTime(std::string_view text) {
  int64_t year, month, day, hour, minute, second, micros;
  if (!TakeDigits(&text, 4, &year) || !TakeChar(&text, '-') || !TakeDigits(&text, 2, &month) ||
      !TakeChar(&text, '-') || !TakeDigits(&text, 2, &day)) {
    return std::nullopt;
  }
  if (!TakeChar(&text, 'T') && !TakeChar(&text, 't')) return std::nullopt;
  if (!TakeDigits(&text, 2, &hour) || !TakeChar(&text, ':') || !TakeDigits(&text, 2, &minute) ||
      !TakeChar(&text, ':') || !TakeDigits(&text, 2, &second) || !TakeFraction(&text, &micros)) {
    return std::nullopt;
  }
  if (text != "Z" && text != "z" && text != "+00:00") return std::nullopt;
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const int64_t seconds = DaysOfDate(year, month, day) * 86'400 + hour * 3600 + minute * 60 + second;
  return seconds * 1'000'000 + micros;
}

std::optional<uint64_t> ParseUint64(std::string_view digits) {
  uint64_t value = 0;
  if (digits.empty() || !IsDigit(digits.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

void AppendUint64(std::string* out, uint64_t value) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  (void)error;
  out->append(digits, static_cast<size_t>(end - digits));
}

void AppendInt64(std::string* out, int64_t value) {
  if (value < 0) out->push_back('-');
  AppendUint64(out, value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value));
}

void AppendHex(std::string* out, uint64_t value, int digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out->push_back(kHex[(value >> (4 * i)) & 15]);
}

std::optional<uint64_t> ParseHex(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (!IsDigit(c) && !(IsLower(c) && c <= 'f')) return std::nullopt;
    value = value * 16 + static_cast<uint64_t>(IsDigit(c) ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace paxledger
