#include "tests/sim/world.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mark.h"
#include "tests/sim/barrier_probe.h"
#include "tests/sim/faults.h"
#include "tests/sim/feed_checker.h"
#include "tests/sim/history.h"
#include "tests/sim/log_checker.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/workload.h"

namespace paxledger::sim {
namespace {

constexpr int64_t kSetupUsMax = 60'000'000;
constexpr int64_t kSettleUsMax =
    90'000'000;  // liveness: after the faults end, everything has an outcome by then
constexpr int64_t kLookUs = 100'000;
constexpr size_t kLinesShown = 60;

// The trace to print when a Check ends the process.
const Trace* g_trace = nullptr;

void OnAbort(int) {
  if (g_trace != nullptr) {
    std::fprintf(stderr, "the last events:\n");
    g_trace->Dump(kLinesShown);
  }
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

/// One run, from birth to verdict.
class World {
 public:
  World(const SimOptions& options, Random& random, Verbosity verbosity)
      : plan_(DrawPlan(options, random)),
        marks_(random.Next()),
        cluster_(plan_, random.Next()),
        checker_(cluster_, [this](std::string what) { Fail(std::move(what)); }),
        history_(cluster_, [this](std::string what) { Fail(std::move(what)); }),
        workload_(
            cluster_, plan_, history_, [this](std::string what) { Fail(std::move(what)); }, random.Next()),
        faults_(cluster_, plan_, random.Next()),
        barriers_(
            cluster_, checker_, [this](std::string what) { Fail(std::move(what)); }, random.Next()),
        deaths_(random.Next()),
        options_(options) {
    cluster_.scheduler().trace().set_echo(verbosity == Verbosity::kEveryEvent);
    cluster_.on_recovered = [this](uint32_t machine) { checker_.OnRecovered(machine); };
    cluster_.on_work = [this](uint32_t machine) { checker_.OnWork(machine); };
    cluster_.on_death = [this](uint32_t machine) { workload_.OnDeath(machine); };
    cluster_.on_end = [this](uint32_t machine) { OnEnd(machine); };
    cluster_.on_failure = [this](std::string what) { Fail(std::move(what)); };
    workload_.on_request = [this](uint32_t machine) {
      return faults_.OnRequest(machine) == Faults::Fate::kDies && deaths_.Chance(1, 2);
    };
    Marks::Install(&marks_);
    g_trace = &cluster_.scheduler().trace();
  }
  ~World() {
    Marks::Install(nullptr);
    g_trace = nullptr;
  }

  SimReport Run() {
    for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) cluster_.Boot(machine);
    workload_.StartSetup();
    RunUntil(kSetupUsMax, [this] { return workload_.ready(); }, "the accounts were not opened");
    marks_.set_faults_per_thousand(plan_.rare_choices_per_thousand);
    faults_.Start();
    int64_t end_us = now_us() + options_.seconds * 1'000'000;
    workload_.StartClients(options_.transfers, options_.seconds * 1'000'000);
    barriers_.Start(plan_.barrier_every_us);
    while (failure_.empty() && now_us() < end_us) Step(end_us);
    // Where clients waited much, they get more time.
    int64_t extended_us = end_us + 2 * options_.seconds * 1'000'000;
    while (failure_.empty() && workload_.transfers() < options_.transfers && now_us() < extended_us) {
      Step(extended_us);
    }
    Settle();
    return Report();
  }

 private:
  int64_t now_us() { return cluster_.scheduler().now_us(); }
  void Fail(std::string what) {
    if (!failure_.empty()) return;
    failure_ = std::move(what);
    std::fprintf(stderr, "FAILED at %.6f s: %s\nthe last events:\n", static_cast<double>(now_us()) / 1e6,
                 failure_.c_str());
    cluster_.scheduler().trace().Dump(kLinesShown);
  }

  void OnEnd(uint32_t machine) {
    if (!healed_) {
      faults_.OnEnd(machine);
    } else if (!cluster_.lost(machine)) {  // it was draining when the faults ended
      cluster_.Boot(machine);
    }
  }

  void Step(int64_t end_us) { cluster_.scheduler().RunUntil(std::min(end_us, now_us() + kLookUs)); }

  template <class Condition>
  void RunUntil(int64_t within_us, Condition condition, const std::string& complaint) {
    int64_t end_us = now_us() + within_us;
    while (failure_.empty() && !condition()) {
      if (now_us() >= end_us) {
        Fail(complaint + Unsettled());
        return;
      }
      Step(end_us);
    }
  }

  /// The second phase: a quorum is healed, and everything must come to its end.
  void Settle() {
    if (!failure_.empty()) return;
    int64_t began_us = now_us();
    cluster_.scheduler().Note(EventKind::kFault, 0, 0, "the faults end");
    faults_.StopAndHeal();
    healed_ = true;
    marks_.set_faults_per_thousand(0);
    workload_.Finish();
    barriers_.Stop();
    RunUntil(
        kSettleUsMax, [this] { return workload_.finished(); }, "a client was not told an outcome in time");
    RunUntil(kSettleUsMax, [this] { return NothingInDoubt(); }, "a transaction stays in doubt");
    RunUntil(
        kSettleUsMax, [this] { return cluster_.InPlace(); }, "a shard does not come to where it is wanted");
    for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
      if (cluster_.counts(machine)) workload_.Look(machine);
    }
    RunUntil(kSettleUsMax, [this] { return workload_.finished(); }, "a read was not answered in time");
    RunUntil(kSettleUsMax, [this] { return Converged(); }, "the replicas do not converge");
    settled_after_us_ = now_us() - began_us;
    for (uint32_t machine = 1; machine <= cluster_.size() && failure_.empty(); ++machine) {
      if (cluster_.counts(machine)) history_.CheckFinal(machine);
    }
    for (uint32_t machine = 1; machine <= cluster_.size() && failure_.empty(); ++machine) {
      if (!cluster_.counts(machine)) continue;
      std::string complaint = CheckFeeds(cluster_, checker_.fold(), machine);
      if (!complaint.empty()) Fail(std::move(complaint));
    }
    if (failure_.empty()) checker_.fold().CheckEnd();
    if (failure_.empty()) order_ = history_.CheckOrder(checker_.fold());
    if (!order_.failure.empty()) Fail(order_.failure);
  }

  bool NothingInDoubt() {
    for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
      if (!cluster_.counts(machine)) continue;
      for (uint32_t s = 0; s < plan_.shards; ++s) {
        bool hosts = cluster_.hosts(machine, ShardId{s});
        if (hosts && cluster_.node(machine)->machine(ShardId{s}).in_doubt() > 0) return false;
      }
    }
    return true;
  }

  bool Converged() {
    for (uint32_t s = 0; s < plan_.shards; ++s) {
      std::optional<LogIndex> index;
      for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
        if (!cluster_.counts(machine) || !cluster_.hosts(machine, ShardId{s})) continue;
        LogIndex applied = cluster_.node(machine)->machine(ShardId{s}).applied();
        if (index.has_value() && *index != applied) return false;
        index = applied;
      }
    }
    return true;
  }

  /// Where everybody stands, for the reader of a failure.
  std::string Unsettled() {
    std::string text = absl::StrCat("; ", workload_.running(), " clients wait");
    for (uint32_t machine = 1; machine <= cluster_.size(); ++machine) {
      absl::StrAppend(&text, "; machine ", machine);
      if (!cluster_.serving(machine)) {
        absl::StrAppend(&text, " down");
        continue;
      }
      for (uint32_t s = 0; s < plan_.shards; ++s) {
        if (!cluster_.hosts(machine, ShardId{s})) continue;
        const ShardMachine& books = cluster_.node(machine)->machine(ShardId{s});
        ShardStatus status = cluster_.node(machine)->replica().Status(ShardId{s});
        absl::StrAppend(&text, " ", s, ":", books.applied().value, "/", status.highest_seen.value);
        if (books.in_doubt() > 0) absl::StrAppend(&text, "(", books.in_doubt(), " in doubt)");
        if (!status.voting) absl::StrAppend(&text, "(not voting)");
      }
    }
    return text;
  }

  SimReport Report() {
    SimReport report;
    report.failure = failure_;
    report.plan = plan_.Describe();
    report.hash = cluster_.scheduler().trace().hash();
    report.events = cluster_.scheduler().delivered();
    report.requests = workload_.requests();
    report.http_requests = workload_.http_requests();
    report.transfers = workload_.transfers();
    report.barriers = barriers_.answered();
    report.committed = history_.committed();
    report.refused = history_.refused();
    report.conflicts = history_.conflicts();
    report.reads = history_.reads();
    report.entries = checker_.entries();
    report.commands = checker_.commands();
    report.messages = cluster_.network().messages();
    report.messages_lost = cluster_.network().messages_lost();
    report.peer_bytes = cluster_.network().bytes();
    report.virtual_us = now_us();
    report.settled_after_us = settled_after_us_;
    report.reads_placed = order_.reads_placed;
    report.reads_ambiguous = order_.reads_ambiguous;
    report.faults = faults_.struck();
    report.marks = marks_.hits();
    return report;
  }

  Plan plan_;
  Marks marks_;
  SimCluster cluster_;
  LogChecker checker_;
  History history_;
  Workload workload_;
  Faults faults_;
  BarrierProbe barriers_;
  Random deaths_;
  SimOptions options_;
  bool healed_ = false;
  std::string failure_;
  int64_t settled_after_us_ = 0;
  SerialVerdict order_;
};

}  // namespace

SimReport RunWorld(const SimOptions& options, Verbosity verbosity) {
  std::signal(SIGABRT, OnAbort);
  Random random(options.seed);
  World world(options, random, verbosity);
  return world.Run();
}

}  // namespace paxledger::sim
