#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/strong_id.h"
#include "replication/store/engine.h"
#include "txn/account_cache.h"
#include "txn/shard_machine.h"

namespace paxledger {

/// See ShardMachine::ListAccounts. Merges the rows with the accounts that are newer than their rows. A
/// damaged row stops the process.
std::vector<AccountRow> ListAccounts(ShardId shard, Engine& engine, const AccountCache& accounts,
                                     std::string_view ledger, std::string_view prefix, std::string_view after,
                                     size_t limit);

}  // namespace paxledger
