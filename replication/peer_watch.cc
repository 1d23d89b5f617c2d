#include "replication/peer_watch.h"

#include <algorithm>
#include <cstdlib>

#include "base/limits.h"

namespace paxledger {
namespace {
constexpr int64_t kRoundTripMaxUs = 10'000'000;
}

void PeerWatch::Connected(int64_t now_us) {
  heard_us_ = now_us;
  window_began_us_ = now_us;
  longest_us_ = 0;
  mean_us_ = limits::kHeartbeatUs;
  deviation_us_ = limits::kHeartbeatUs / 4;
}

void PeerWatch::Heard(int64_t now_us) {
  if (heard_us_ == 0) Connected(now_us);
  longest_us_ = std::max(longest_us_, now_us - heard_us_);
  heard_us_ = now_us;
  if (now_us - window_began_us_ >= kWindowUs) EndWindow(now_us);
}

void PeerWatch::EndWindow(int64_t now_us) {
  // One long silence must not raise the deadline out of sight: it counts as the longest that is ever waited for.
  int64_t sample_us = std::min(longest_us_, kDeadlineMaxUs);
  deviation_us_ += (std::abs(sample_us - mean_us_) - deviation_us_) / 4;
  mean_us_ += (sample_us - mean_us_) / 8;
  longest_us_ = 0;
  window_began_us_ = now_us;
}

void PeerWatch::Excuse(int64_t stall_us, int64_t now_us) {
  if (heard_us_ != 0) heard_us_ = std::min(now_us, heard_us_ + std::max<int64_t>(stall_us, 0));
}

void PeerWatch::RoundTrip(int64_t took_us) {
  if (took_us <= 0 || took_us > kRoundTripMaxUs) return;
  if (round_trip_us_ == 0) round_trip_us_ = took_us;
  round_trip_us_ += (took_us - round_trip_us_) / 8;
}

int64_t PeerWatch::deadline_us() const {
  return std::clamp(limits::kHeartbeatUs + mean_us_ + 4 * deviation_us_, kDeadlineMinUs, kDeadlineMaxUs);
}

}  // namespace paxledger
