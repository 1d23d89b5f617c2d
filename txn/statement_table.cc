#include "txn/statement_table.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "ledger/encoding.h"
#include "txn/account_cache.h"
#include "txn/command_view.h"
#include "txn/state_rows.h"
#include "txn/try_table.h"

namespace paxledger {
namespace {

std::string Prefix(ShardId shard, TableRow kind) {
  std::string prefix;
  AppendBigEndian32(&prefix, shard.value);
  prefix.push_back(static_cast<char>(kind));
  return prefix;
}

std::string EncodePoint(PostingPlace place, const Totals& totals) {
  std::string value;
  ByteWriter out(&value);
  out.Varint(place.index.value);
  out.Varint(place.slot);
  WriteAmount(out, totals.debits_posted);
  WriteAmount(out, totals.credits_posted);
  return value;
}

// What will be posted to the account from here on is committed later than this: the transactions in doubt on it at their
// Prepare here or later, others by this entry or later ones.
LogTime ClosedUntil(const CachedAccount& account, LogTime at) {
  LogTime open = at;
  // Oldest first, so the first was prepared first.
  if (!account.reservations.empty()) open = std::min(open, account.reservations.front()->at);
  return LogTime{open.value - 1};
}

}  // namespace

StatementTable::StatementTable(ShardId shard, Engine& engine)
    : shard_(shard), engine_(engine), cells_(Prefix(shard, TableRow::kStatementCell), engine) {}

void StatementTable::Add(CachedAccount& account, uint32_t transfer, Leg leg, LogIndex index, LogTime at) {
  Check(!entry_.transactions.empty(), "a posting is part of a transaction");
  PostingChain& chain = account.chain;
  Posting& posting = entry_.postings.emplace_back();
  posting.transaction = static_cast<uint32_t>(entry_.transactions.size() - 1);
  posting.transfer = transfer;
  posting.side = leg.side;
  posting.amount = leg.amount;
  posting.previous = chain.newest;
  posting.older_until = chain.latest;
  posting.debits_posted = account.account.totals.debits_posted;
  posting.credits_posted = account.account.totals.credits_posted;
  chain.newest = {index, static_cast<uint32_t>(entry_.postings.size() - 1)};
  ++chain.lines;
  ++chain.unindexed;
  chain.latest = std::max(chain.latest, entry_.transactions.back().committed_at);
  if (chain.unindexed < kLinesPerCell) return;
  LogTime closed = ClosedUntil(account, at);
  if (closed <= chain.indexed_until) return;  // the cell that is there serves as well, and for more
  cells_.Put(account.key, static_cast<uint64_t>(closed.value), index,
             EncodePoint(chain.newest, account.account.totals));
  chain.indexed_until = closed;
  chain.unindexed = 0;
}

void StatementTable::EndEntry(LogIndex index) {
  if (entry_.transactions.empty()) return;
  active_.emplace_back(index, EncodeEntryRow(index, entry_));
  entry_.Clear();
}

absl::StatusOr<std::optional<StatementTable::ChainPoint>> StatementTable::FirstClosedAt(
    std::string_view account_key, LogTime at, LogIndex as_of) const {
  absl::StatusOr<std::optional<Table2d::Cell>> cell =
      cells_.FirstAtOrAfter(account_key, static_cast<uint64_t>(std::max<int64_t>(at.value, 0)), as_of);
  if (!cell.ok()) return cell.status();
  if (!cell->has_value()) return std::optional<ChainPoint>();
  ByteReader in((*cell)->value);
  ChainPoint point;
  point.closed = LogTime{static_cast<int64_t>((*cell)->column)};
  point.place.index = LogIndex{in.Varint()};
  point.place.slot = static_cast<uint32_t>(in.Varint());
  point.debits_posted = ReadAmount(in);
  point.credits_posted = ReadAmount(in);
  if (!in.AtEnd()) return absl::DataLossError("a cell of the statements is damaged");
  return std::optional<ChainPoint>(point);
}

std::string StatementTable::RowKey(LogIndex index) const {
  std::string key = Prefix(shard_, TableRow::kEntry);
  AppendBigEndian64(&key, index.value);
  return key;
}

absl::StatusOr<std::string> StatementTable::ReadRow(LogIndex index) const {
  for (const Rows* rows : {&active_, &frozen_}) {
    auto row = std::lower_bound(rows->begin(), rows->end(), index,
                                [](const auto& r, LogIndex i) { return r.first < i; });
    if (row != rows->end() && row->first == index) return row->second;
  }
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kTables, RowKey(index));
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::DataLossError("a row that a chain of postings names is missing");
  return **std::move(row);
}

absl::StatusOr<const EntryRow*> StatementTable::Row(LogIndex index) {
  for (const auto& [at, row] : decoded_) {
    if (at == index) return &row;
  }
  absl::StatusOr<std::string> bytes = ReadRow(index);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<EntryRow> row = DecodeEntryRow(index, *bytes);
  if (!row.ok()) return row.status();
  if (decoded_.size() < kDecodedKept) decoded_.emplace_back();
  auto& slot = decoded_[next_decoded_++ % kDecodedKept];
  slot = {index, *std::move(row)};
  return &slot.second;
}

void StatementTable::Freeze(std::vector<EngineRow>* rows) {
  Check(frozen_.empty() && entry_.transactions.empty(), "one checkpoint at a time, between entries");
  frozen_.swap(active_);
  for (const auto& [index, value] : frozen_) rows->push_back({RowKey(index), value});
  cells_.Freeze(rows);
}

void StatementTable::RowsWritten() {
  frozen_ = Rows();
  cells_.RowsWritten();
}

}  // namespace paxledger
