#include "ops/ledgerctl/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace {

constexpr int64_t kDrawUs = 100'000;
constexpr int64_t kLineUs = 3'000'000;
constexpr int64_t kRateWindowUs = 1'000'000;
constexpr size_t kBarWidth = 24;

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Progress::Progress(std::string what, uint64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      started_us_(NowMicros()),
      drawn_us_(started_us_),
      rate_since_us_(started_us_) {}

Progress::~Progress() {
  if (!drawn_) return;
  Draw();
  if (terminal_) std::fputc('\n', stderr);
}

void Progress::Show(const Counts& counts) {
  counts_ = counts;
  const int64_t now_us = NowMicros();
  if (now_us - rate_since_us_ >= kRateWindowUs) {
    const double latest =
        static_cast<double>(counts.done - rate_from_) * 1e6 / static_cast<double>(now_us - rate_since_us_);
    rate_ = rate_ == 0 ? latest : 0.6 * rate_ + 0.4 * latest;
    rate_from_ = counts.done;
    rate_since_us_ = now_us;
  }
  if (now_us - drawn_us_ < (terminal_ ? kDrawUs : kLineUs)) return;
  drawn_us_ = now_us;
  drawn_ = true;
  Draw();
}

double Progress::seconds() const { return static_cast<double>(NowMicros() - started_us_) / 1e6; }

std::string Progress::Line() const {
  const double share = total_ == 0 ? 1 : static_cast<double>(counts_.done) / static_cast<double>(total_);
  const double overall = static_cast<double>(counts_.done) / std::max(seconds(), 1e-3);
  const double rate = rate_ > 0 && counts_.done < total_ ? rate_ : overall;
  std::string line = absl::StrFormat("%-10s", what_);
  if (terminal_) {
    const auto full = static_cast<size_t>(share * static_cast<double>(kBarWidth));
    absl::StrAppend(&line, "[", std::string(full, '#'), std::string(kBarWidth - full, '.'), "] ");
  }
  absl::StrAppendFormat(&line, "%3.0f%%  %s/%s  %s rows/s  refused %s", share * 100, Grouped(counts_.done),
                        Grouped(total_), Grouped(static_cast<uint64_t>(rate)), Grouped(counts_.refused));
  if (counts_.retried > 0) absl::StrAppend(&line, "  retried ", Grouped(counts_.retried));
  if (counts_.done < total_ && rate > 0) {
    const auto left = static_cast<uint64_t>(static_cast<double>(total_ - counts_.done) / rate + 0.5);
    absl::StrAppendFormat(&line, "  ETA %d:%02d", left / 60, left % 60);
  }
  return line;
}

void Progress::Draw() {
  if (terminal_) {
    std::fprintf(stderr, "\r%s\x1b[K", Line().c_str());
  } else {
    std::fprintf(stderr, "%s\n", Line().c_str());
  }
}

}  // namespace paxledger
