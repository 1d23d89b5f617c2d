#include "ops/ledgerd/run_command.h"

#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/log.h"
#include "cluster/node_config.h"
#include "ops/ledgerctl/arguments.h"
#include "ops/ledgerd/node_process.h"

namespace paxledger {
namespace {

std::string_view SignalName(int signal) { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }

// Blocks the signals that ask for an end, in this thread and those it will start, so that `sigwait` gets
// them.
sigset_t BlockEndSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  // A client that hangs up is an error of that write, not the end of the process.
  ::signal(SIGPIPE, SIG_IGN);
  return ends;
}

NodeExit Fail(const Failure& failure) {
  Log(LogLevel::kError, "ledgerd", failure.text).With("exit", static_cast<int>(failure.code));
  return failure.code;
}

NodeExit CodeOfEntry(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return NodeExit::kNoPeer;
  if (absl::IsInvalidArgument(status) || absl::IsNotFound(status)) return NodeExit::kConfiguration;
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) return NodeExit::kData;
  return NodeExit::kMachine;
}

}  // namespace

NodeExit RunNode(Entry entry, const std::vector<std::string>& words) {
  const char* name = entry == Entry::kRun ? "run" : "rejoin";
  absl::StatusOr<Arguments> line = Arguments::Parse({{"config", "FILE", "", ""}}, words);
  if (!line.ok() || !line->Given("config") || !line->positional().empty()) {
    std::fprintf(stderr, "ledgerd %s: %s\n", name,
                 line.ok() ? "usage: --config FILE" : std::string(line.status().message()).c_str());
    return NodeExit::kUsage;
  }
  absl::StatusOr<NodeSetup> setup = LoadNodeSetup(line->Get("config"));
  if (!setup.ok()) {
    bool newer = setup.status().code() == absl::StatusCode::kFailedPrecondition;
    return Fail({newer ? NodeExit::kData : NodeExit::kConfiguration, std::string(setup.status().message())});
  }
  SetLogLevel(setup->config.log_level);

  absl::StatusOr<Directory> heard = FindIdentity(entry, *setup);
  if (!heard.ok()) return Fail({CodeOfEntry(heard.status()), std::string(heard.status().message())});

  const sigset_t ends = BlockEndSignals();
  NodeProcess node(*std::move(setup), *std::move(heard));
  if (std::optional<Failure> failure = node.Start(); failure.has_value()) return Fail(*failure);

  int signal = 0;
  ::sigwait(&ends, &signal);
  // What came first counts: a node that its peers refused wakes this thread by the same signal.
  if (std::optional<Failure> failure = node.failure(); failure.has_value()) {
    node.Stop();
    return Fail(*failure);
  }
  Log(LogLevel::kInfo, "ledgerd", "draining").With("signal", SignalName(signal));
  node.Drain();
  node.Stop();
  Log(LogLevel::kInfo, "ledgerd", "stopped");
  return NodeExit::kOk;
}

}  // namespace paxledger
