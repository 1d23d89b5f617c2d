#include <cstdio>
#include <string>
#include <vector>

#include "ops/ledgerd/init_command.h"
#include "ops/ledgerd/node_exit.h"
#include "ops/ledgerd/run_command.h"

namespace paxledger {
namespace {

constexpr char kHelp[] = R"(ledgerd - a node of a PaxLedger cluster

  ledgerd init --data-centres dc1,dc2,dc3 --peers dc1=host:port,dc2=host:port,dc3=host:port
               [--nodes-per-dc 1] [--shards 12] [--mode leaderless] [--out genesis.json]
      With several nodes in each data centre they are called dc1-a, dc1-b, dc2-a, ..., and --peers names all.
      Mode leaderless: whoever owns a shard writes it. Mode primary: one node writes it, others only while that is down.
      Invents a cluster and writes its creation document, which every node needs. Never overwrites one.

  ledgerd run --config FILE
      Runs a node until SIGTERM or SIGINT; then it finishes the requests in flight, hands its shards over and ends.
      FILE is JSON; its keys are described in cluster/node_config.proto. The log goes to standard error.
      A node that joined the cluster later (ledgerctl cluster add-node) asks the others for its number first.

  ledgerd rejoin --config FILE
      Runs a node that lost its disk: starts with an empty data directory, asks the cluster for a new number under its
      name, and goes on as `ledgerd run`; the others bring its shards back. Harmless where that was done already.

Exit codes:
   0  done, or stopped by a signal
  64  wrong command line
  65  data that is damaged, or of a newer format than this program knows
  68  a node that joins or rejoins reaches no other node of the cluster
  69  a port is taken, or its address is not of this machine
  70  refused by the peers: they know a newer process of this replica (was its disk emptied, or an old image restored?)
  71  the machine refused, for want of a permission, say
  73  no room on the disk of the data directory: free some, then start again
  74  a write or a sync of the disk failed; it is never retried, and what was confirmed before is safe
  75  another process uses the data directory
  78  configuration: a wrong key or value, a file or a certificate that cannot be used
 134  a rule of the program failed; the last line of the log says which
)";

int Main(const std::vector<std::string>& words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h" || words[0] == "help")) {
    std::fputs(kHelp, stdout);
    return static_cast<int>(NodeExit::kOk);
  }
  if (words.empty() || (words[0] != "init" && words[0] != "run" && words[0] != "rejoin")) {
    std::fputs("usage: ledgerd init ... | ledgerd run|rejoin --config FILE; see ledgerd --help\n", stderr);
    return static_cast<int>(NodeExit::kUsage);
  }
  std::vector<std::string> rest(words.begin() + 1, words.end());
  if (words[0] == "init") return static_cast<int>(RunInit(rest));
  return static_cast<int>(RunNode(words[0] == "run" ? Entry::kRun : Entry::kRejoin, rest));
}

}  // namespace
}  // namespace paxledger

int main(int argc, char** argv) { return paxledger::Main(std::vector<std::string>(argv + 1, argv + argc)); }
