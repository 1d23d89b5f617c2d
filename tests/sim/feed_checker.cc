#include "tests/sim/feed_checker.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "replication/core/envelope.h"
#include "txn/command.h"
#include "txn/placement.h"

namespace paxledger::sim {

namespace {

constexpr size_t kPageLines = 7;
constexpr size_t kPageEvents = 50;

/// What a transaction did to an account.
struct Line {
  LogTime at;
  std::string id;
  JournalFold::Sums sums;
  friend bool operator==(const Line&, const Line&) = default;
};

std::vector<Line> LinesDue(const JournalFold& fold, const std::string& account) {
  std::vector<Line> due;
  auto effects = fold.effects().find(account);
  if (effects == fold.effects().end()) return due;
  for (const JournalFold::Effect& effect : effects->second) {
    const JournalFold::Committed& transaction = fold.committed().at(effect.of);
    due.push_back({transaction.at, transaction.id, effect.sums});
  }
  std::sort(due.begin(), due.end(),
            [](const Line& a, const Line& b) { return std::tie(a.at, a.id) < std::tie(b.at, b.id); });
  return due;
}

/// The statement of an account, read page by page; a line for each transaction. A complaint instead, where a page or a total
/// is wrong in itself.
std::optional<std::string> ReadStatement(ShardMachine& books, const LedgerKey& account,
                                         std::vector<Line>* lines) {
  StatementRange range;
  range.until = books.ClosedUntil(account);
  range.limit = kPageLines;
  JournalFold::Sums sum;
  while (true) {
    std::optional<StatementScan> scan = books.ScanStatement(account, range);
    if (!scan.has_value()) return "is not there";
    while (true) {
      absl::StatusOr<StatementScan::Progress> progress = books.StepStatement(*scan, kPageLines);
      if (!progress.ok()) return progress.status().ToString();
      if (*progress == StatementScan::Progress::kDone) break;
    }
    for (const LedgerLine& line : scan->lines()) {
      if (range.after.has_value() && !(*range.after < line.key)) return "goes backwards";
      range.after = line.key;
      JournalFold::Sums moved;
      (line.side == Side::kDebit ? moved.debits : moved.credits) = line.amount;
      sum.Add(moved);
      if (line.debits_after != sum.debits || line.credits_after != sum.credits) return "has wrong totals";
      bool another = lines->empty() || lines->back().id != line.key.transaction;
      if (another) lines->push_back({line.key.committed_at, line.key.transaction, {}});
      lines->back().sums.Add(moved);
    }
    if (!scan->has_more()) return std::nullopt;
  }
}

std::string CheckStatements(SimCluster& cluster, const JournalFold& fold, uint32_t machine, ShardId shard) {
  ShardMachine& books = cluster.node(machine)->machine(shard);
  for (const AccountRow& row : books.ListAccounts("main", "", "", SIZE_MAX)) {
    std::vector<Line> lines;
    std::optional<std::string> complaint = ReadStatement(books, row.key, &lines);
    if (!complaint.has_value() && lines != LinesDue(fold, row.key.id))
      complaint = "is not what was committed";
    if (complaint.has_value())
      return absl::StrCat("dc", machine, ": the statement of ", row.key.id, " ", *complaint);
  }
  return "";
}

/// The id of the transaction in a place of the journal, as any machine holds it; empty: there is none.
std::string IdAt(SimCluster& cluster, ShardId shard, LogIndex index, uint32_t command) {
  for (uint32_t machine = 1; machine <= cluster.size(); ++machine) {
    if (!cluster.counts(machine) || !cluster.hosts(machine, shard)) continue;
    absl::StatusOr<SharedBytes> value = cluster.node(machine)->replica().ReadEntry(shard, index);
    if (!value.ok()) continue;
    absl::StatusOr<Envelope> entry = DecodeEnvelope(**value);
    if (!entry.ok() || command >= entry->commands.size()) return "";
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(entry->commands[command].bytes);
    if (!decoded.ok()) return "";
    if (const auto* execute = std::get_if<ExecuteCommand>(&*decoded)) return execute->body.id;
    if (const auto* prepare = std::get_if<PrepareCommand>(&*decoded)) return prepare->body.id;
    return "";
  }
  return "";
}

std::string CheckOutbox(SimCluster& cluster, const JournalFold& fold, uint32_t machine, ShardId shard) {
  std::vector<std::pair<std::string, LogTime>> due;
  for (const auto& [number, transaction] : fold.committed()) {
    if (ShardOfTransaction("main", transaction.id, cluster.shards()) == shard)
      due.push_back({transaction.id, transaction.at});
  }
  const Outbox& outbox = cluster.node(machine)->machine(shard).outbox();
  std::vector<std::pair<std::string, LogTime>> told;
  for (QueuePosition from = outbox.head(); from < outbox.tail();) {
    absl::StatusOr<std::vector<OutboxEvent>> events = outbox.Read(from, kPageEvents);
    if (!events.ok()) return absl::StrCat("dc", machine, ": ", events.status().ToString());
    if (events->empty()) return absl::StrCat("dc", machine, ": an outbox ends before its end");
    for (const OutboxEvent& event : *events) {
      told.push_back({IdAt(cluster, shard, event.body_at, event.command), event.committed_at});
      from = {event.at.batch, event.at.item + 1};
    }
  }
  std::sort(due.begin(), due.end());
  std::sort(told.begin(), told.end());
  if (told == due) return "";
  return absl::StrCat("dc", machine, ": the outbox of shard ", shard.value, " tells ", told.size(),
                      " transactions, not the ", due.size(), " that were committed, or others");
}

}  // namespace

std::string CheckFeeds(SimCluster& cluster, const JournalFold& fold, uint32_t machine) {
  for (uint32_t s = 0; s < cluster.shards(); ++s) {
    ShardId shard{s};
    if (!cluster.hosts(machine, shard)) continue;
    std::string complaint = CheckStatements(cluster, fold, machine, shard);
    if (complaint.empty()) complaint = CheckOutbox(cluster, fold, machine, shard);
    if (!complaint.empty()) return complaint;
  }
  return "";
}

}  // namespace paxledger::sim
