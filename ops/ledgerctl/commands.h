#pragma once

#include <string>
#include <vector>

#include "ops/ledgerctl/connection.h"

/// The subcommands of `ledgerctl`. Each takes the words after its own name, prints, and gives the exit code.
namespace paxledger {

using Words = std::vector<std::string>;

ExitCode RunImport(const Words& words);
ExitCode RunAccount(const Words& words);   // open, get, list, postings
ExitCode RunTransfer(const Words& words);  // post, get
ExitCode RunEvents(const Words& words);
ExitCode RunStatus(const Words& words);
ExitCode RunCluster(const Words& words);  // status, add-node, drain, ...
ExitCode RunAudit(const Words& words);    // quick

}  // namespace paxledger
