#pragma once

#include <algorithm>
#include <cstdint>

namespace paxledger {

/// A token bucket: retries may not outgrow a share of the answers, so that they never make an overload worse.
/// Threads: one owner.
class RetryBudget {
 public:
  RetryBudget(double burst, double per_second, double per_answer)
      : burst_(burst), per_second_(per_second), per_answer_(per_answer), tokens_(burst) {}

  void OnAnswer() { tokens_ = std::min(burst_, tokens_ + per_answer_); }

  /// Takes a token, on credit if need be. Returns how long the retry must wait for it, in microseconds; 0:
  /// not at all.
  int64_t Take(int64_t now_us) {
    if (now_us > refilled_us_) {
      if (refilled_us_ != 0) {
        tokens_ = std::min(burst_, tokens_ + per_second_ * static_cast<double>(now_us - refilled_us_) / 1e6);
      }
      refilled_us_ = now_us;
    }
    tokens_ -= 1;
    return tokens_ >= 0 ? 0 : static_cast<int64_t>(-tokens_ / per_second_ * 1e6);
  }

 private:
  double burst_;
  double per_second_;
  double per_answer_;
  double tokens_;
  int64_t refilled_us_ = 0;
};

}  // namespace paxledger
