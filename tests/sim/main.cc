// ledger-sim: the whole cluster, or its consensus core alone, in a deterministic simulation. See tests/sim/README.md.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/log.h"
#include "tests/sim/build_facts.h"
#include "tests/sim/core_commands.h"
#include "tests/sim/runner.h"

namespace paxledger::sim {
namespace {

constexpr char kUsage[] =
    "ledger-sim --seed N | --seeds A..B | --fresh N  runs whole clusters, one for each seed; N that nobody "
    "ran before\n"
    "  --dcs 3|5            data centres; drawn where it is left out\n"
    "  --nodes-per-dc 1..4  machines in each (1), of which one hosts each shard\n"
    "  --shards N           1..64; drawn where it is left out\n"
    "  --profile NAME       chaos (default), calm, disk, network, duel, rot\n"
    "  --seconds S          of virtual time under faults, at least (60)\n"
    "  --transfers T        begun in that time, at least (500)\n"
    "  --jobs N             seeds that run beside each other (1)\n"
    "  --report FILE        writes the summary as JSON\n"
    "  --marks all          a coverage mark that no seed hit is a failure\n"
    "  --verbose            every event on stderr\n"
    "ledger-sim --revision  prints the git revision it was built from\n"
    "ledger-sim-bugs: likewise, with --bug NAME (tests/sim/planted_bugs.txt)\n"
    "exit code: 0 all held, 1 a seed failed or a mark was missed, 2 wrong usage\n";

struct Arguments {
  RunOptions run;
  std::string report_path;
  bool all_marks = false;
};

template <class Number>
bool ReadNumber(std::string_view text, Number low, Number high, Number* number) {
  return absl::SimpleAtoi(ToAbsl(text), number) && *number >= low && *number <= high;
}

bool ReadSeeds(std::string_view text, RunOptions* run) {
  std::pair<std::string, std::string> range = absl::StrSplit(ToAbsl(text), absl::MaxSplits("..", 1));
  if (range.second.empty()) range.second = range.first;
  return absl::SimpleAtoi(range.first, &run->first_seed) && absl::SimpleAtoi(range.second, &run->last_seed) &&
         run->first_seed <= run->last_seed;
}

/// A range of `count` seeds that begins anywhere.
bool DrawSeeds(std::string_view text, RunOptions* run) {
  uint64_t count = 0;
  if (!ReadNumber<uint64_t>(text, 1, 1'000'000'000, &count)) return false;
  run->first_seed = 1 + std::random_device()() * uint64_t{1'000'000};
  run->last_seed = run->first_seed + count - 1;
  return true;
}

/// Reads the value of one argument; false: an unknown name, or a value that makes no sense.
bool ReadArgument(std::string_view name, std::string_view value, Arguments* arguments) {
  SimOptions& sim = arguments->run.sim;
  if (name == "--seed" || name == "--seeds") return ReadSeeds(value, &arguments->run);
  if (name == "--fresh") return DrawSeeds(value, &arguments->run);
  if (name == "--seconds") return ReadNumber<int64_t>(value, 1, 100'000, &sim.seconds);
  if (name == "--transfers") return ReadNumber<uint64_t>(value, 1, 1'000'000, &sim.transfers);
  if (name == "--nodes-per-dc") return ReadNumber<uint32_t>(value, 1, 4, &sim.nodes_per_data_centre);
  if (name == "--shards") return ReadNumber<uint32_t>(value, 1, 64, &sim.shards);
  if (name == "--jobs") return ReadNumber<uint32_t>(value, 1, 256, &arguments->run.jobs);
  if (name == "--dcs") {
    bool number = ReadNumber<uint32_t>(value, 0, 5, &sim.data_centres);
    return number && (sim.data_centres == 0 || sim.data_centres == 3 || sim.data_centres == 5);
  }
  if (name == "--profile") {
    std::optional<Profile> profile = ProfileFromName(value);
    if (profile.has_value()) sim.profile = *profile;
    return profile.has_value();
  }
  if (name == "--report") {
    arguments->report_path = value;
    return !value.empty();
  }
  if (name == "--marks") return arguments->all_marks = value == "all";
  return false;
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--verbose") {
      arguments.run.verbosity = Verbosity::kEveryEvent;
      continue;
    }
    if (i + 1 >= argc || !ReadArgument(name, argv[i + 1], &arguments)) return std::nullopt;
    ++i;
  }
  return arguments;
}

int RunAndReport(const Arguments& arguments, int argc, char** argv) {
  absl::PrintF("seeds %d..%d\n", arguments.run.first_seed, arguments.run.last_seed);
  SimSummary summary = RunSeeds(arguments.run);
  absl::PrintF("%s", summary.Text());
  for (const FailedSeed& failed : summary.failed) absl::PrintF("replay: %s\n", failed.replay);
  if (!arguments.report_path.empty()) {
    std::string command;
    for (int i = 0; i < argc; ++i) absl::StrAppend(&command, i > 0 ? " " : "", argv[i]);
    std::ofstream file(arguments.report_path);
    file << summary.Json(command);
    if (!file.flush()) {
      absl::FPrintF(stderr, "cannot write %s\n", arguments.report_path);
      return 2;
    }
  }
  bool missed = arguments.all_marks && !summary.MarksMissed().empty();
  return summary.failed.empty() && !missed ? 0 : 1;
}

}  // namespace
}  // namespace paxledger::sim

int main(int argc, char** argv) {
  if (!paxledger::sim::TakePlantedBug(&argc, argv)) {
    std::fputs("planted bugs are built into ledger-sim-bugs alone; --bug takes a name\n", stderr);
    return 2;
  }
  if (argc == 2 && std::string_view(argv[1]) == "--revision") {
    std::puts(paxledger::sim::kRevision);
    return 0;
  }
  if (std::optional<int> code = paxledger::sim::RunCoreCommand(argc, argv)) return *code;
  std::optional<paxledger::sim::Arguments> arguments = paxledger::sim::Parse(argc, argv);
  if (!arguments.has_value()) {
    std::fputs(paxledger::sim::kCoreUsage, stderr);
    std::fputs(paxledger::sim::kUsage, stderr);
    return 2;
  }
  bool verbose = arguments->run.verbosity == paxledger::sim::Verbosity::kEveryEvent;
  if (!verbose) paxledger::SetLogLevel(paxledger::LogLevel::kError);
  return paxledger::sim::RunAndReport(*arguments, argc, argv);
}
