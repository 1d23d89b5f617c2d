#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/strong_id.h"
#include "ledger/transfer.h"

namespace paxledger {

/// The two kinds of key that live on shards.
enum class KeyKind : uint8_t { kAccount = 1, kTransaction = 2 };

/// The shard of a key: XXH64, seed 0, over {kind byte, ledger, zero byte, id}, modulo the number of shards. Fixed for ever and
/// golden-tested (transactions.md, Words).
/// A transaction id made by our client library or by the server ends in "@" and four base-36 digits that carry its home
/// (0..shards_max), so that the home is the debit account's shard; any other id is hashed.
/// Format:  docs/formats.md#placement
ShardId ShardOfAccount(std::string_view ledger, std::string_view id, uint32_t shards);
ShardId ShardOfTransaction(std::string_view ledger, std::string_view id, uint32_t shards);

/// `stem` with the suffix that makes `home` the shard of the id, whatever the number of shards is.
std::string PlacedTransactionId(std::string_view stem, ShardId home);

/// The shards of all accounts and the home, sorted, each once.
std::vector<ShardId> Participants(const Transaction& transaction, uint32_t shards);

}  // namespace paxledger
