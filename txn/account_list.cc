#include "txn/account_list.h"

#include <algorithm>
#include <memory>
#include <string>

#include "ledger/encoding.h"
#include "txn/state_rows.h"

namespace paxledger {

std::vector<AccountRow> ListAccounts(ShardId shard, Engine& engine, const AccountCache& accounts,
                                     std::string_view ledger, std::string_view prefix, std::string_view after,
                                     size_t limit) {
  std::string begin;
  AppendLedgerKey(&begin, ledger, prefix);
  std::string end = PrefixEnd(begin);
  if (!after.empty()) {
    std::string above;
    AppendLedgerKey(&above, ledger, after);
    above.push_back('\0');
    begin = std::max(begin, above);
  }
  std::vector<AccountRow> found;
  if (begin >= end) return found;
  std::vector<CachedAccount*> newer = accounts.NewerThanRows(begin, end);
  std::unique_ptr<EngineCursor> rows =
      engine.Scan(Table::kState, StateRowKey(shard, StateRow::kAccount, begin),
                  StateRowKey(shard, StateRow::kAccount, end));
  auto next = newer.begin();
  while (found.size() < limit && (rows->valid() || next != newer.end())) {
    std::string_view row_key = rows->valid() ? rows->key().substr(kRowPrefixBytes) : std::string_view();
    bool from_memory = next != newer.end() && (!rows->valid() || (*next)->key <= row_key);
    if (from_memory) {
      if (rows->valid() && (*next)->key == row_key) rows->Next();
      found.push_back({SplitLedgerKey((*next)->key), (*next)->account});
      ++next;
      continue;
    }
    absl::StatusOr<StoredAccount> stored = AccountCache::DecodeRow(rows->value());
    if (!stored.ok()) StopOnDamage(stored.status());
    found.push_back({SplitLedgerKey(row_key), std::move(stored->account)});
    rows->Next();
  }
  if (!rows->status().ok()) StopOnDamage(rows->status());
  return found;
}

}  // namespace paxledger
