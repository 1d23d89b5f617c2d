#pragma once

#include <cstdint>

namespace paxledger {

/// How long one peer may be silent before it is passed over, and how long a message takes there and back. Pure: time is an
/// input. A wrong suspicion costs a Prepare, never safety, so the deadline follows what is usual: the mean of the longest
/// silence within each short while, plus four times its mean deviation, within bounds. So a frozen peer on a quiet machine
/// is passed over after kDeadlineMinUs, and one behind a network that stutters is not suspected at each stutter.
/// Units:   microseconds of the monotonic clock.
class PeerWatch {
 public:
  static constexpr int64_t kDeadlineMinUs = 150'000;  // three signs of life
  static constexpr int64_t kDeadlineMaxUs = 400'000;

  /// A connection stands: what was usual before it counts no more than the start values.
  void Connected(int64_t now_us);
  /// Anything came from the peer.
  void Heard(int64_t now_us);
  /// This process stood still for so long itself: that silence was not the peer's.
  void Excuse(int64_t stall_us, int64_t now_us);
  /// A message of ours and its echo took so long; 0 or less, or absurdly long, is ignored.
  void RoundTrip(int64_t took_us);

  /// Never heard counts as silent for ever.
  bool Silent(int64_t now_us) const { return heard_us_ == 0 || now_us - heard_us_ > deadline_us(); }
  int64_t deadline_us() const;
  /// Smoothed; 0: not measured yet.
  int64_t round_trip_us() const { return round_trip_us_; }

 private:
  static constexpr int64_t kWindowUs = 100'000;
  void EndWindow(int64_t now_us);

  int64_t heard_us_ = 0;
  int64_t window_began_us_ = 0;
  int64_t longest_us_ = 0;  // silence within the window
  int64_t mean_us_ = 0;
  int64_t deviation_us_ = 0;
  int64_t round_trip_us_ = 0;
};

}  // namespace paxledger
