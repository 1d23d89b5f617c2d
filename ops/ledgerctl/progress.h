#pragma once

#include <cstdint>
#include <string>

namespace paxledger {

/// How far a long run is, on standard error: a bar where that is a terminal, else a line every few seconds.
/// Threads: one.
class Progress {
 public:
  Progress(std::string what, uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  struct Counts {
    uint64_t done = 0;
    uint64_t refused = 0;
    uint64_t retried = 0;
  };
  /// Cheap; draws when it is time to.
  void Show(const Counts& counts);
  double seconds() const;

 private:
  void Draw();
  std::string Line() const;

  std::string what_;
  uint64_t total_;
  Counts counts_;
  bool terminal_;
  bool drawn_ = false;
  int64_t started_us_;
  int64_t drawn_us_;
  int64_t rate_since_us_;  // the rate shown is of a sliding window
  uint64_t rate_from_ = 0;
  double rate_ = 0;
};

}  // namespace paxledger
