#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace paxledger {

/// Judges one door of the cluster from what a client hears of it: whether it is in use, when to ask it for a sign of life, and
/// how soon to come back to one that failed. A slow answer alone proves nothing, so a silence longer than usual only leads to
/// a probe (GET /readyz), and a probe that is not answered either, or says no, takes the door out of use. Out of use it is
/// probed with growing pauses. Pure: time is an input.
/// Units:   microseconds of the monotonic clock.
class DoorWatch {
 public:
  static constexpr int64_t kPatienceMinUs = 60'000;
  static constexpr int64_t kPatienceMaxUs = 1'000'000;
  static constexpr int64_t kDownUsMin = 100'000;
  static constexpr int64_t kDownUsMax = 2'000'000;
  static constexpr int64_t kReturnUs = 2'000'000;  // over which one that is back gets its requests back

  bool up() const { return up_; }
  bool probing() const { return probing_; }

  /// A request left for it. Silence counts while one is under way.
  void Sent(int64_t now_us) {
    if (under_way_++ == 0) busy_since_us_ = now_us;
  }
  /// A request ended without an answer.
  void Lost() { --under_way_; }
  /// A request was answered.
  void Answered(int64_t sent_us, int64_t now_us) {
    --under_way_;
    heard_us_ = now_us;
    const int64_t took_us = now_us - sent_us;
    if (mean_us_ == 0) mean_us_ = took_us;
    deviation_us_ += (std::abs(took_us - mean_us_) - deviation_us_) / 8;
    mean_us_ += (took_us - mean_us_) / 8;
  }

  /// How long is waited for something to be heard: first for any answer, then for that to a probe.
  int64_t patience_us() const {
    return std::clamp(2 * mean_us_ + 4 * deviation_us_, kPatienceMinUs, kPatienceMaxUs);
  }
  /// It answered, but may not serve: it is to be probed.
  void Doubt() { doubted_ = true; }
  bool WantsProbe(int64_t now_us) const {
    if (probing_) return false;
    if (!up_) return now_us >= probe_at_us_;
    if (doubted_) return true;
    return under_way_ > 0 && now_us - std::max(heard_us_, busy_since_us_) > patience_us();
  }
  void ProbeSent() {
    probing_ = true;
    doubted_ = false;
  }
  void ProbeAnswered(int64_t now_us) {
    probing_ = false;
    reachable_ = true;
    heard_us_ = now_us;
    if (up_) return;
    up_ = true;
    back_us_ = now_us;
    down_for_us_ = 0;
  }
  /// A probe was answered with no.
  void Refused(int64_t now_us) {
    probing_ = false;
    up_ = false;
    reachable_ = true;
    heard_us_ = now_us;
    down_for_us_ = kDownUsMin;
    probe_at_us_ = now_us + down_for_us_;
  }
  /// A probe was not answered, or a connection could not be opened. Several that fail at once count as one.
  void Failed(int64_t now_us) {
    probing_ = false;
    const bool known = !up_ && !reachable_ && now_us < probe_at_us_;
    up_ = false;
    reachable_ = false;
    if (known) return;
    down_for_us_ = std::clamp(2 * down_for_us_, kDownUsMin, kDownUsMax);
    probe_at_us_ = now_us + down_for_us_;
  }
  /// Where no door is in use: worth trying, since it answers at least, or was left alone for long enough.
  bool Rested(int64_t now_us) const { return reachable_ || now_us >= probe_at_us_; }

  /// 0..1000: which part of the requests that would go there may, so that all do not come back to it at once.
  int64_t SharePerThousand(int64_t now_us) const {
    if (back_us_ == 0) return 1000;
    return std::clamp<int64_t>((now_us - back_us_) * 1000 / kReturnUs, 0, 1000);
  }

 private:
  bool up_ = true;
  bool reachable_ = true;
  bool probing_ = false;
  bool doubted_ = false;
  int64_t under_way_ = 0;
  int64_t busy_since_us_ = 0;  // since when at least one request has been under way
  int64_t heard_us_ = 0;
  int64_t mean_us_ = 0;  // of the time that answers take, and their deviation
  int64_t deviation_us_ = 0;
  int64_t down_for_us_ = 0;
  int64_t probe_at_us_ = 0;
  int64_t back_us_ = 0;  // when it came back into use; 0: it was never out of use
};

}  // namespace paxledger
