#include "tests/sim/runner.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "base/check.h"
#include "tests/sim/build_facts.h"

namespace paxledger::sim {
namespace {

constexpr uint64_t kSeedsShownEach = 20;  // more of them are only summed up

using SteadyTime = std::chrono::steady_clock::time_point;

/// A seed that runs in its own process; what it says goes to two files that nobody else sees.
struct Child {
  uint64_t seed = 0;
  std::FILE* report = nullptr;
  std::FILE* words = nullptr;  // its stderr
};

std::string ReadAll(std::FILE* file) {
  std::string text;
  char buffer[4096];
  std::rewind(file);
  while (size_t n = std::fread(buffer, 1, sizeof(buffer), file)) text.append(buffer, n);
  std::fclose(file);
  return text;
}

std::string ShowReport(uint64_t seed, const SimReport& report, double took_s) {
  std::string faults;
  for (const auto& [name, count] : report.faults) absl::StrAppend(&faults, " ", name, " ", count);
  return absl::StrFormat(
      "seed %d: %s, hash %016x\n  %s\n"
      "  %d requests for %d transfers: %d committed, %d refused, %d conflicts; %d reads (%d placed, %d "
      "ambiguous), "
      "%d barriers; %d entries with %d commands\n"
      "  %.1f virtual s (settled %.1f s after the faults), %d events, %d messages (%d lost); %.2f core s\n"
      "  faults:%s\n",
      seed, report.failure.empty() ? "ok" : "FAILED", report.hash, report.plan, report.requests,
      report.transfers, report.committed, report.refused, report.conflicts, report.reads, report.reads_placed,
      report.reads_ambiguous, report.barriers, report.entries, report.commands,
      static_cast<double>(report.virtual_us) / 1e6, static_cast<double>(report.settled_after_us) / 1e6,
      report.events, report.messages, report.messages_lost, took_s, faults.empty() ? " none" : faults);
}

class Runner {
 public:
  explicit Runner(const RunOptions& options) : options_(options), began_(std::chrono::steady_clock::now()) {}

  SimSummary Run() {
    uint64_t next = options_.first_seed;
    while (next <= options_.last_seed || !running_.empty()) {
      while (next <= options_.last_seed && running_.size() < options_.jobs) Start(next++);
      Collect();
      ShowProgress(Progress::kSometimes);
    }
    ShowProgress(Progress::kLast);
    return std::move(summary_);
  }

 private:
  enum class Progress : uint8_t { kSometimes, kLast };
  uint64_t count() const { return options_.last_seed - options_.first_seed + 1; }
  SimOptions OptionsOf(uint64_t seed) const {
    SimOptions sim = options_.sim;
    sim.seed = seed;
    return sim;
  }

  void Start(uint64_t seed) {
    Child child{seed, std::tmpfile(), std::tmpfile()};
    Check(child.report != nullptr && child.words != nullptr, "a temporary file can be made");
    std::fflush(stdout);
    pid_t pid = fork();
    Check(pid >= 0, "a process can be made");
    if (pid == 0) {
      if (options_.verbosity == Verbosity::kQuiet) dup2(fileno(child.words), STDERR_FILENO);
      SimReport report = RunWorld(OptionsOf(seed), options_.verbosity);
      std::string text = EncodeReport(report);
      std::fwrite(text.data(), 1, text.size(), child.report);
      std::fflush(child.report);
      std::fflush(stderr);
      // Without the destructors of the parent's copies.
      std::_Exit(report.failure.empty() ? 0 : 1);
    }
    running_.emplace(pid, child);
  }

  void Collect() {
    int status = 0;
    rusage used{};
    pid_t pid = wait4(-1, &status, 0, &used);
    auto at = running_.find(pid);
    Check(at != running_.end(), "only seeds run beside this process");
    Child child = at->second;
    running_.erase(at);
    auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    Ended(child, status, seconds(used.ru_utime) + seconds(used.ru_stime));
  }

  void Ended(const Child& child, int status, double took_s) {
    std::optional<SimReport> report = DecodeReport(ReadAll(child.report));
    std::string words = ReadAll(child.words);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && report.has_value();
    SimReport died;
    died.failure = WIFSIGNALED(status)
                       ? absl::StrCat("ended by signal ", WTERMSIG(status), ", as a failed check does")
                       : "ended without a report";
    const SimReport& result = report.has_value() ? *report : died;
    summary_.Add(result, took_s);
    if (!good || count() <= kSeedsShownEach) {
      absl::PrintF("%s", words);
      absl::PrintF("%s", ShowReport(child.seed, result, took_s));
    }
    if (good) return;
    std::string what = result.failure;
    if (!report.has_value()) absl::StrAppend(&what, ": ", words.substr(0, words.find('\n')));
    summary_.failed.push_back({child.seed, what, ReplayCommand(OptionsOf(child.seed))});
    absl::PrintF("seed %d FAILED at revision %s: %s\nreplay: %s\n", child.seed, kRevision, what,
                 summary_.failed.back().replay);
    std::fflush(stdout);
  }

  void ShowProgress(Progress when) {
    if (count() <= kSeedsShownEach) return;
    SteadyTime now = std::chrono::steady_clock::now();
    auto often = terminal_ ? std::chrono::seconds(1) : std::chrono::seconds(30);
    if (when == Progress::kSometimes && now - shown_ < often) return;
    shown_ = now;
    absl::FPrintF(stderr, "%s%d of %d seeds, %d failed, %.0f s, %.0f outcomes per core second%s",
                  terminal_ ? "\r" : "", summary_.seeds, count(), summary_.failed.size(),
                  std::chrono::duration<double>(now - began_).count(), summary_.OutcomesPerSecond(),
                  terminal_ && when == Progress::kSometimes ? " " : "\n");
  }

  RunOptions options_;
  SteadyTime began_;
  SteadyTime shown_ = std::chrono::steady_clock::now();
  bool terminal_ = isatty(STDERR_FILENO) == 1;
  std::map<pid_t, Child> running_;
  SimSummary summary_;
};

}  // namespace

std::string ReplayCommand(const SimOptions& options) {
  std::string command = absl::StrCat("ledger-sim --seed ", options.seed, " --seconds ", options.seconds,
                                     " --transfers ", options.transfers);
  if (options.data_centres != 0) absl::StrAppend(&command, " --dcs ", options.data_centres);
  if (options.nodes_per_data_centre != 1)
    absl::StrAppend(&command, " --nodes-per-dc ", options.nodes_per_data_centre);
  if (options.shards != 0) absl::StrAppend(&command, " --shards ", options.shards);
  if (options.profile != Profile::kChaos)
    absl::StrAppend(&command, " --profile ", ToAbsl(ProfileName(options.profile)));
  return command;
}

SimSummary RunSeeds(const RunOptions& options) { return Runner(options).Run(); }

}  // namespace paxledger::sim
