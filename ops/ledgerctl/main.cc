#include <cstdio>
#include <string>
#include <vector>

#include "ops/ledgerctl/commands.h"

namespace {

constexpr char kHelp[] = R"(ledgerctl: works on a PaxLedger cluster over its HTTPS interface

  ledgerctl import FILE       replay a CSV file of payments
  ledgerctl account open|get|list|postings
  ledgerctl transfer post|get
  ledgerctl events            what is committed, as it comes
  ledgerctl status            the data centres: ready, quorum, lag, clock
  ledgerctl cluster           nodes and shards: add, drain, replace, move, wait
  ledgerctl audit quick       are the books balanced, do all replicas agree?

`ledgerctl COMMAND --help` explains the flags. All take --endpoints, --ca, --api-key-file, --ledger and --json.

Exit codes: 0 ok; 1 refused; 2 wrong usage; 3 unfinished; 4 no data centre answers; 5 an audit found a difference
)";

}  // namespace

int main(int argc, char** argv) {
  using namespace paxledger;
  std::vector<std::string> words(argv + 1, argv + argc);
  const std::string command = words.empty() ? "" : words[0];
  if (command == "--help" || command == "help" || command == "-h") {
    std::printf("%s", kHelp);
    return 0;
  }
  if (!words.empty()) words.erase(words.begin());
  ExitCode code = ExitCode::kUsage;
  if (command == "import") {
    code = RunImport(words);
  } else if (command == "account") {
    code = RunAccount(words);
  } else if (command == "transfer") {
    code = RunTransfer(words);
  } else if (command == "events") {
    code = RunEvents(words);
  } else if (command == "status") {
    code = RunStatus(words);
  } else if (command == "cluster") {
    code = RunCluster(words);
  } else if (command == "audit") {
    code = RunAudit(words);
  } else {
    std::fprintf(stderr, "%s", kHelp);
  }
  return static_cast<int>(code);
}
