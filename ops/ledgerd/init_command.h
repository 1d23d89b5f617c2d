#pragma once

#include <string>
#include <vector>

#include "ops/ledgerd/exit_code.h"

namespace paxledger {

/// `ledgerd init`: invents a cluster and writes its creation document. Says on standard error what went wrong.
/// A document that is there already is never overwritten: it is the identity of a cluster.
ExitCode RunInit(const std::vector<std::string>& words);

}  // namespace paxledger
