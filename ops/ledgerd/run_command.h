#pragma once

#include <string>
#include <vector>

#include "ops/ledgerd/join.h"
#include "ops/ledgerd/node_exit.h"

namespace paxledger {

/// `ledgerd run` and `ledgerd rejoin`: a node from its start to its end, which SIGTERM or SIGINT asks for, or its peers.
NodeExit RunNode(Entry entry, const std::vector<std::string>& words);

}  // namespace paxledger
