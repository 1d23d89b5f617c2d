#pragma once

#include <string>
#include <vector>

#include "ops/ledgerd/node_exit.h"

namespace paxledger {

/// `ledgerd init`: invents a cluster and writes its creation document. Says on standard error what went
/// wrong. A document that is there already is never overwritten: it is the identity of a cluster.
NodeExit RunInit(const std::vector<std::string>& words);

}  // namespace paxledger
