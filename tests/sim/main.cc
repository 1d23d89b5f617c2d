// ledger-sim: the whole cluster, or its consensus core alone, in a deterministic simulation. See tests/sim/README.md.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "tests/sim/core_commands.h"
#include "tests/sim/world.h"

namespace paxledger::sim {
namespace {

constexpr char kUsage[] =
    "ledger-sim --seed N | --seeds A..B  [--seconds S] [--transfers T] [--dcs 3|5] [--verbose] [--marks]\n"
    "ledger-sim-bugs: likewise, with --bug NAME (tests/sim/planted_bugs.txt)\n"
    "exit code: 0 all held, 1 a seed failed, 2 wrong usage\n";

struct Arguments {
  uint64_t first_seed = 1;
  uint64_t last_seed = 1;
  int64_t seconds = 60;
  uint64_t transfers = 500;
  uint32_t data_centres = 0;
  Verbosity verbosity = Verbosity::kQuiet;
  bool marks = false;
};

template <class Number>
bool ReadNumber(std::string_view text, Number* number) {
  return absl::SimpleAtoi(ToAbsl(text), number);
}

bool ReadSeeds(std::string_view text, Arguments* arguments) {
  std::pair<std::string, std::string> range = absl::StrSplit(ToAbsl(text), absl::MaxSplits("..", 1));
  if (range.second.empty()) range.second = range.first;
  return ReadNumber(range.first, &arguments->first_seed) && ReadNumber(range.second, &arguments->last_seed) &&
         arguments->first_seed <= arguments->last_seed;
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    bool good = true;
    if (name == "--verbose") {
      arguments.verbosity = Verbosity::kEveryEvent;
      continue;
    } else if (name == "--marks") {
      arguments.marks = true;
      continue;
    } else if (name == "--seed" || name == "--seeds") {
      good = ReadSeeds(value, &arguments);
    } else if (name == "--seconds") {
      good = ReadNumber(value, &arguments.seconds) && arguments.seconds > 0;
    } else if (name == "--transfers") {
      good = ReadNumber(value, &arguments.transfers) && arguments.transfers > 0;
    } else if (name == "--dcs") {
      good = ReadNumber(value, &arguments.data_centres);
    } else {
      good = false;
    }
    if (!good) return std::nullopt;
    ++i;
  }
  return arguments;
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

std::string Counts(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) absl::StrAppendFormat(&text, " %s %d", name, count);
  return text;
}

void Print(uint64_t seed, const SimReport& report, double took, const Arguments& arguments) {
  absl::PrintF("seed %d: %s, hash %016x\n", seed, report.failure.empty() ? "ok" : "FAILED", report.hash);
  absl::PrintF("  %s\n", report.plan);
  absl::PrintF(
      "  %d requests: %d committed, %d refused, %d conflicts; %d reads (%d placed, %d ambiguous), %d "
      "barriers; %d entries with %d commands\n",
      report.requests, report.committed, report.refused, report.conflicts, report.reads, report.reads_placed,
      report.reads_ambiguous, report.barriers, report.entries, report.commands);
  absl::PrintF(
      "  %.1f virtual s (settled %.1f s after the faults), %d events, %d messages (%d lost); %.2f wall s, "
      "%.0f outcomes/s\n",
      static_cast<double>(report.virtual_us) / 1e6, static_cast<double>(report.settled_after_us) / 1e6,
      report.events, report.messages, report.messages_lost, took,
      static_cast<double>(report.committed + report.refused + report.conflicts) / took);
  if (!report.faults.empty()) absl::PrintF("  faults:%s\n", Counts(report.faults));
  if (arguments.marks) absl::PrintF("  marks:%s\n", Counts(report.marks));
}

int RunSeed(uint64_t seed, const Arguments& arguments) {
  SimOptions options;
  options.seed = seed;
  options.seconds = arguments.seconds;
  options.transfers = arguments.transfers;
  options.data_centres = arguments.data_centres;
  auto began = std::chrono::steady_clock::now();
  SimReport report = RunWorld(options, arguments.verbosity);
  Print(seed, report, Seconds(began), arguments);
  return report.failure.empty() ? 0 : 1;
}

/// Each seed in a process of its own, so that a failed check ends that seed only.
int RunSeeds(const Arguments& arguments) {
  uint64_t failed = 0;
  for (uint64_t seed = arguments.first_seed; seed <= arguments.last_seed; ++seed) {
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      int code = RunSeed(seed, arguments);
      std::fflush(stdout);
      std::exit(code);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 2;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    ++failed;
    absl::PrintF("seed %d FAILED%s\nreplay: ledger-sim --seed %d --seconds %d --transfers %d --dcs %d\n",
                 seed, WIFSIGNALED(status) ? " by a check or a signal" : "", seed, arguments.seconds,
                 arguments.transfers, arguments.data_centres);
  }
  uint64_t count = arguments.last_seed - arguments.first_seed + 1;
  if (count > 1) absl::PrintF("%d seeds, %d failed\n", count, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace paxledger::sim

int main(int argc, char** argv) {
  if (!paxledger::sim::TakePlantedBug(&argc, argv)) {
    std::fputs("planted bugs are built into ledger-sim-bugs alone; --bug takes a name\n", stderr);
    return 2;
  }
  if (std::optional<int> code = paxledger::sim::RunCoreCommand(argc, argv)) return *code;
  std::optional<paxledger::sim::Arguments> arguments = paxledger::sim::Parse(argc, argv);
  if (!arguments.has_value()) {
    std::fputs(paxledger::sim::kCoreUsage, stderr);
    std::fputs(paxledger::sim::kUsage, stderr);
    return 2;
  }
  return paxledger::sim::RunSeeds(*arguments);
}
