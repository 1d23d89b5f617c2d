#include "txn/placement.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/planted.h"

namespace paxledger {
namespace {

constexpr size_t kHomeDigits = 4;
constexpr uint32_t kHomeBase = 36;
constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

uint64_t KeyHash(KeyKind kind, std::string_view ledger, std::string_view id) {
  // What was validated fits; anything else is still placed, only slower.
  std::array<char, 2 + 2 * limits::kIdBytesMax> room;
  size_t size = ledger.size() + id.size() + 2;
  std::string large;
  char* at = room.data();
  if (size > room.size()) {
    large.resize(size);
    at = large.data();
  }
  at[0] = static_cast<char>(kind);
  std::copy(ledger.begin(), ledger.end(), at + 1);
  at[1 + ledger.size()] = '\0';
  std::copy(id.begin(), id.end(), at + 2 + ledger.size());
  return PlacementHash64({at, size});
}

ShardId HashedShard(KeyKind kind, std::string_view ledger, std::string_view id, uint32_t shards) {
  Check(shards > 0, "a cluster has shards");
  return ShardId{static_cast<uint32_t>(KeyHash(kind, ledger, id) % shards)};
}

std::optional<uint32_t> NamedHome(std::string_view id) {
  if (id.size() < kHomeDigits + 1 || id[id.size() - kHomeDigits - 1] != '@') return std::nullopt;
  uint32_t home = 0;
  for (char c : id.substr(id.size() - kHomeDigits)) {
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'z') {
      digit = static_cast<uint32_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    home = home * kHomeBase + digit;
  }
  if (home >= limits::kShardsMax) return std::nullopt;
  return home;
}

}  // namespace

ShardId ShardOfAccount(std::string_view ledger, std::string_view id, uint32_t shards) {
  return HashedShard(KeyKind::kAccount, ledger, id, shards);
}

ShardId ShardOfTransaction(std::string_view ledger, std::string_view id, uint32_t shards) {
  Check(shards > 0, "a cluster has shards");
  if (std::optional<uint32_t> home = NamedHome(id)) return ShardId{*home % shards};
  return HashedShard(KeyKind::kTransaction, ledger, id, shards);
}

std::string PlacedTransactionId(std::string_view stem, ShardId home) {
  Check(home.value < limits::kShardsMax, "a home is a shard");
  std::string id(stem);
  id.push_back('@');
  id.append(kHomeDigits, '0');
  uint32_t rest = home.value;
  for (size_t i = 0; i < kHomeDigits; ++i, rest /= kHomeBase)
    id[id.size() - 1 - i] = kDigits[rest % kHomeBase];
  return id;
}

std::vector<ShardId> Participants(const Transaction& transaction, uint32_t shards) {
  std::vector<ShardId> participants;
  participants.reserve(1 + 2 * transaction.transfers.size());
  if (!Bug("txn.home_not_participant")) {
    participants.push_back(ShardOfTransaction(transaction.ledger, transaction.id, shards));
  }
  for (const Transfer& transfer : transaction.transfers) {
    participants.push_back(ShardOfAccount(transaction.ledger, transfer.debit_account, shards));
    participants.push_back(ShardOfAccount(transaction.ledger, transfer.credit_account, shards));
  }
  std::sort(participants.begin(), participants.end());
  participants.erase(std::unique(participants.begin(), participants.end()), participants.end());
  return participants;
}

}  // namespace paxledger
