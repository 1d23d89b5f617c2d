#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace paxledger {

/// Counts of values over a high dynamic range: buckets of powers of two, each cut into 128 equal parts.
/// Values below 256 are exact, others within 1/128 (0.8 %).
/// Units:   the caller's (microseconds); up to 2^40, larger ones count as that.
/// Threads: one.
class Histogram {
 public:
  void Record(uint64_t value) {
    value = std::min(value, kValueMax);
    ++counts_[IndexOf(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_); }

  /// The least value that `share` (0..1) of the recorded ones do not exceed, as the highest value of its
  /// bucket; 0: none.
  uint64_t Quantile(double share) const {
    const double wanted = share * static_cast<double>(count_);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] > 0 && static_cast<double>(seen) >= wanted) return std::min(HighestOf(i), max_);
    }
    return max_;
  }

 private:
  static constexpr int kPartBits = 7;
  static constexpr uint64_t kParts = uint64_t{1} << kPartBits;
  static constexpr uint64_t kValueMax = (uint64_t{1} << 40) - 1;
  static constexpr size_t kBuckets = (40 - kPartBits + 1) << kPartBits;

  /// The top kPartBits + 1 bits of the value, and how far they were shifted.
  static size_t IndexOf(uint64_t value) {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kPartBits - 1);
    return (static_cast<size_t>(shift) << kPartBits) + static_cast<size_t>(value >> shift);
  }
  static uint64_t HighestOf(size_t index) {
    if (index < 2 * kParts) return index;
    const size_t shift = (index >> kPartBits) - 1;
    const uint64_t top = (index & (kParts - 1)) + kParts;
    return ((top + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace paxledger
