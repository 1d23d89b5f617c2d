#pragma once

#include <cstdint>
#include <random>

namespace paxledger {

/// The raw output of mt19937_64 and simple reductions of it: the same on every compiler and library, which std
/// distributions are not. Seeded by the simulator, or from the machine's device in `ledgerd`.
/// Threads: one owner.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t Next() { return engine_(); }
  /// Uniform in [0, n); n > 0. The bias of the reduction is below n / 2^64.
  uint64_t Below(uint64_t n) { return Next() % n; }
  /// Uniform in [low, high], both included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  /// True in `numerator` of `denominator` cases.
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace paxledger
