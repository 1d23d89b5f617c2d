#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/world.h"

namespace paxledger::sim {

/// A report as lines of "name value", the way it comes from the process of a seed to the one that sums up.
std::string EncodeReport(const SimReport& report);
/// nullopt: not a whole report.
std::optional<SimReport> DecodeReport(std::string_view text);

/// How a seed failed.
struct FailedSeed {
  uint64_t seed = 0;
  std::string what;    // one line
  std::string replay;  // the command
};

/// What many seeds did together.
struct SimSummary {
  uint64_t seeds = 0;
  std::vector<FailedSeed> failed;
  double wall_s = 0;  // of all processes together
  uint64_t virtual_us = 0;
  uint64_t settled_us_max = 0;
  std::map<std::string, uint64_t> counts;  // transfers, outcomes, reads, messages...
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> marks;

  void Add(const SimReport& report, double took_s);
  /// Those in production code that no seed hit.
  std::vector<std::string> MarksMissed() const;
  /// Simulated transactions that came to an outcome, per second of one core.
  double OutcomesPerSecond() const;
  /// For people, several lines.
  std::string Text() const;
  /// `command`: how the run was asked for.
  std::string Json(std::string_view command) const;
};

}  // namespace paxledger::sim
