#include "tests/sim/core_commands.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "base/mark.h"
#include "base/planted.h"
#include "tests/sim/core_driver.h"
#include "tests/sim/duel_rounds.h"
#include "tests/sim/explore_core.h"
#include "tests/sim/explore_txn.h"

namespace paxledger::sim {

const char kCoreUsage[] =
    "ledger-sim --core [--steps N] [--seed N] [--replicas 3|5]\n"
    "ledger-sim --core-world N [--replicas 3|5]\n"
    "ledger-sim --explore consensus [--depth N] [--start 0..2] [--replicas N] [--proposers N] [--crashes N]\n"
    "           [--reads N] [--hand-overs N] [--rounds N] [--indexes N] [--states-max N]\n"
    "ledger-sim --duel-rounds [--indexes N] [--seed N] [--round-trip-us N]\n"
    "ledger-sim --explore txn [--scenario 0..5] [--depth N] [--attempts N] [--recoveries N] [--states-max "
    "N]\n";

namespace {

constexpr double kDuelMeanRoundMax = 1.1;
constexpr uint64_t kDuelRoundsMax = 2;  // of 99 in 100 indexes

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

/// `--name N` for each name of a mode.
class Numbers {
 public:
  /// False: an unknown name, or no number.
  bool Parse(int argc, char** argv, std::map<std::string, uint64_t> defaults) {
    values_ = std::move(defaults);
    for (int i = 1; i < argc; i += 2) {
      auto at = values_.find(argv[i]);
      if (at == values_.end() || i + 1 >= argc || !absl::SimpleAtoi(argv[i + 1], &at->second)) return false;
    }
    return true;
  }
  uint64_t operator[](const std::string& name) const { return values_.at(name); }
  uint32_t small(const std::string& name) const { return static_cast<uint32_t>(values_.at(name)); }

 private:
  std::map<std::string, uint64_t> values_;
};

int WrongUsage() {
  std::fputs(kCoreUsage, stderr);
  return 2;
}

int Print(const CoreRunReport& report, uint32_t replicas, double took) {
  absl::PrintF(
      "%d steps in %d worlds of %d replicas: %d indexes chosen, %d reads, %d crashes; %.1f s, %.0f steps/s; "
      "hash %016x\n",
      report.steps, report.worlds, replicas, report.chosen, report.reads, report.crashes, took,
      static_cast<double>(report.steps) / took, report.hash);
  if (report.failure.empty()) return 0;
  absl::PrintF("FAILED in world %d, step %d: %s\nreplay: ledger-sim --core-world %d --replicas %d\n",
               report.failed_world, report.failed_step, report.failure, report.failed_world, replicas);
  return 1;
}

int Core(int argc, char** argv) {
  Numbers numbers;
  if (!numbers.Parse(argc, argv, {{"--steps", 10'000'000}, {"--seed", 1}, {"--replicas", 3}}))
    return WrongUsage();
  auto began = std::chrono::steady_clock::now();
  Marks marks(1);
  Marks::Install(&marks);
  CoreRunReport report = RunCore({numbers.small("--replicas"), numbers["--seed"], numbers["--steps"]});
  Marks::Install(nullptr);
  int code = Print(report, numbers.small("--replicas"), Seconds(began));
  for (const auto& [name, hits] : marks.hits()) absl::PrintF("  %s %d\n", name, hits);
  return code;
}

int Print(const ExploreReport& report, double took) {
  absl::PrintF(
      "%d states, %s depth %d%s; %d transitions, %d local states, %d steps of the production code; %d equal "
      "states "
      "compared; %.1f s, %.0f states/s\n",
      report.states, report.failure.empty() ? "all to" : "failed beyond", report.depth,
      report.exhausted ? ", and there are no others" : "", report.transitions, report.local_states,
      report.steps, report.compared, took, static_cast<double>(report.states) / took);
  if (report.failure.empty()) return 0;
  absl::PrintF("FAILED: %s\nthe path to it:\n%s", report.failure, report.path);
  return 1;
}

void Print(const DuelOptions& options, const DuelReport& report) {
  double decided = static_cast<double>(report.decided());
  auto share = [&](uint64_t round) {
    return round < report.indexes.size() ? 100.0 * static_cast<double>(report.indexes[round]) / decided : 0.0;
  };
  auto round_trips = [&](uint64_t percent) {
    int64_t took_us = report.took_us[(report.took_us.size() - 1) * percent / 100];
    return static_cast<double>(took_us) / static_cast<double>(options.round_trip_us);
  };
  bool owned = options.over == DuelOptions::Over::kOwnersIndex;
  double more = std::max(0.0, 100.0 - share(0) - share(1) - share(2) - share(3));
  absl::PrintF("| %s | %d | %d ", owned ? "an owner's index" : "nobody's index", options.replicas,
               options.proposers);
  absl::PrintF("| %.1f%% | %.1f%% | %.1f%% | %.1f%% | %.1f%% ", share(0), share(1), share(2), share(3), more);
  absl::PrintF("| %.2f | %d | %d ", report.MeanRound(), report.RoundOf(990), report.indexes.size() - 1);
  absl::PrintF("| %.2f ", static_cast<double>(report.prepares) / decided);
  absl::PrintF("| %.1f | %.1f |\n", round_trips(50), round_trips(99));
}

int ExploreConsensus(int argc, char** argv) {
  Numbers numbers;
  CoreExploreOptions options;
  if (!numbers.Parse(argc, argv,
                     {{"--depth", options.depth},
                      {"--replicas", options.replicas},
                      {"--proposers", options.proposers},
                      {"--crashes", options.crashes},
                      {"--reads", options.reads},
                      {"--hand-overs", options.hand_overs},
                      {"--rounds", options.rounds},
                      {"--indexes", options.indexes},
                      {"--states-max", options.states_max},
                      {"--start", 0}})) {
    return WrongUsage();
  }
  options.depth = numbers.small("--depth");
  options.replicas = numbers.small("--replicas");
  options.proposers = numbers.small("--proposers");
  options.crashes = numbers.small("--crashes");
  options.reads = numbers.small("--reads");
  options.hand_overs = numbers.small("--hand-overs");
  options.rounds = numbers["--rounds"];
  options.indexes = numbers["--indexes"];
  options.states_max = numbers["--states-max"];
  if (numbers["--start"] >= kCoreStarts) return WrongUsage();
  options.start = static_cast<CoreStart>(numbers["--start"]);
  auto began = std::chrono::steady_clock::now();
  ExploreReport report = ExploreCore(options);
  return Print(report, Seconds(began));
}

int ExploreTransactions(int argc, char** argv) {
  Numbers numbers;
  TxnExploreOptions options;
  if (!numbers.Parse(argc, argv,
                     {{"--scenario", 0},
                      {"--depth", options.depth},
                      {"--attempts", options.attempts},
                      {"--recoveries", options.recoveries},
                      {"--states-max", options.states_max}}) ||
      numbers["--scenario"] >= kTxnScenarios) {
    return WrongUsage();
  }
  options.scenario = static_cast<TxnScenario>(numbers["--scenario"]);
  options.depth = numbers.small("--depth");
  options.attempts = numbers.small("--attempts");
  options.recoveries = numbers.small("--recoveries");
  options.states_max = numbers["--states-max"];
  auto began = std::chrono::steady_clock::now();
  ExploreReport report = ExploreTxn(options);
  return Print(report, Seconds(began));
}

int Explore(int argc, char** argv) {
  std::string_view what = argc < 2 ? std::string_view() : argv[1];
  if (what == "consensus") return ExploreConsensus(argc - 1, argv + 1);
  if (what == "txn") return ExploreTransactions(argc - 1, argv + 1);
  return WrongUsage();
}

int DuelRounds(int argc, char** argv) {
  Numbers numbers;
  DuelOptions options;
  if (!numbers.Parse(argc, argv,
                     {{"--indexes", options.indexes},
                      {"--seed", options.seed},
                      {"--round-trip-us", static_cast<uint64_t>(options.round_trip_us)}})) {
    return WrongUsage();
  }
  options.indexes = numbers["--indexes"];
  options.seed = numbers["--seed"];
  options.round_trip_us = static_cast<int64_t>(numbers["--round-trip-us"]);
  std::string table;
  for (int column = 0; column < 14; ++column) table += "---|";
  absl::PrintF("| a duel over | replicas | proposers | round 0 | 1 | 2 | 3 | more | mean | 99%% | highest ");
  absl::PrintF("| Prepares an index | round trips an index, p50 | p99 |\n|%s\n", table.c_str());
  constexpr std::pair<uint32_t, uint32_t> kDuels[] = {{3, 1}, {3, 2}, {3, 3}, {5, 2}, {5, 3}, {5, 5}};
  int code = 0;
  for (DuelOptions::Over over : {DuelOptions::Over::kOwnersIndex, DuelOptions::Over::kNobodysIndex}) {
    for (auto [replicas, proposers] : kDuels) {
      options.over = over;
      options.replicas = replicas;
      options.proposers = proposers;
      DuelReport report = RunDuel(options);
      if (report.failure.empty()) Print(options, report);
      bool bounded = report.MeanRound() <= kDuelMeanRoundMax && report.RoundOf(990) <= kDuelRoundsMax;
      if (report.failure.empty() && bounded) continue;
      absl::PrintF("FAILED: %d proposers of %d replicas: %s\n", proposers, replicas,
                   report.failure.empty() ? "more rounds than a duel may take" : report.failure.c_str());
      code = 1;
    }
  }
  return code;
}

int CoreWorldAgain(int argc, char** argv) {
  Numbers numbers;
  if (!numbers.Parse(argc, argv, {{"--core-world", 0}, {"--replicas", 3}})) return WrongUsage();
  auto began = std::chrono::steady_clock::now();
  CoreRunReport report = ReplayCoreWorld(numbers.small("--replicas"), numbers["--core-world"]);
  return Print(report, numbers.small("--replicas"), Seconds(began));
}

}  // namespace

bool TakePlantedBug([[maybe_unused]] int* argc, [[maybe_unused]] char** argv) {
#ifdef PAXLEDGER_PLANTED_BUGS
  for (int i = 1; i < *argc; ++i) {
    if (std::string_view(argv[i]) != "--bug") continue;
    if (i + 1 >= *argc) return false;
    planted_bug = argv[i + 1];
    for (int from = i + 2; from < *argc; ++from) argv[from - 2] = argv[from];
    *argc -= 2;
    return true;
  }
  return true;
#else
  for (int i = 1; i < *argc; ++i) {
    if (std::string_view(argv[i]) == "--bug") return false;
  }
  return true;
#endif
}

std::optional<int> RunCoreCommand(int argc, char** argv) {
  if (argc < 2) return std::nullopt;
  std::string_view mode = argv[1];
  if (mode == "--core") return Core(argc - 1, argv + 1);
  if (mode == "--explore") return Explore(argc - 1, argv + 1);
  if (mode == "--duel-rounds") return DuelRounds(argc - 1, argv + 1);
  if (mode == "--core-world") return CoreWorldAgain(argc, argv);
  return std::nullopt;
}

}  // namespace paxledger::sim
