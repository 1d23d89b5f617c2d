#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "ledger/posting.h"
#include "replication/store/engine.h"
#include "replication/store/table_2d.h"
#include "txn/entry_row.h"

namespace paxledger {

struct CachedAccount;

/// The lines of a shard's accounts, for statements. Each account has a chain of postings, each of which names the one before it
/// in the order of the log; what an entry posted is one row. The chain is not in the order of commit times, since the Finish of a
/// transaction comes later than its Prepare. So every `kLinesPerCell` lines a cell of a 2-D table, account by *closed time*, says
/// where the chain stood: whatever was or will be posted after that place was committed later than the cell's column. It is
/// the account's oldest reservation in doubt that holds the closed time back, else the entry's own time.
/// All of it is derived from the journal and in no digest.
/// Owns:    its rows in kTables. Borrows the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#statement-rows
class StatementTable {
 public:
  static constexpr uint32_t kLinesPerCell = 64;

  StatementTable(ShardId shard, Engine& engine);

  /// The entry being applied commits a transaction; what is posted next is part of it.
  void Begin(PostedTransaction transaction) { entry_.transactions.push_back(std::move(transaction)); }
  /// `leg` of transfer `transfer` was posted to `account`, by the entry at `index` and `at`.
  void Add(CachedAccount& account, uint32_t transfer, Leg leg, LogIndex index, LogTime at);
  void EndEntry(LogIndex index);

  /// Where `account` stood in its chain at a closed time that is `at` or later: lines that are committed at `at` or before are
  /// at the place or older. nullopt: no such cell; they may be anywhere in the chain.
  struct ChainPoint {
    LogTime closed;
    PostingPlace place;
    Amount debits_posted = 0;  // with the line at `place`, in the order of the log
    Amount credits_posted = 0;
  };
  absl::StatusOr<std::optional<ChainPoint>> FirstClosedAt(std::string_view account_key, LogTime at,
                                                          LogIndex as_of) const;
  /// What the entry at `index` did, which has a row. Good until the next call.
  /// Errors: kDataLoss  the row is damaged or missing
  absl::StatusOr<const EntryRow*> Row(LogIndex index);

  /// Begins a checkpoint: appends all rows since the last one, sorted by key. They stay in memory until `RowsWritten`.
  void Freeze(std::vector<EngineRow>* rows);
  void RowsWritten();

 private:
  using Rows = std::vector<std::pair<LogIndex, std::string>>;  // ascending
  static constexpr size_t kDecodedKept = 8;

  std::string RowKey(LogIndex index) const;
  absl::StatusOr<std::string> ReadRow(LogIndex index) const;

  ShardId shard_;
  Engine& engine_;
  Table2d cells_;
  EntryRow entry_;  // of the entry that is being applied
  Rows active_;
  Rows frozen_;                                         // of the checkpoint that is being written
  std::vector<std::pair<LogIndex, EntryRow>> decoded_;  // of the last reads
  size_t next_decoded_ = 0;
};

}  // namespace paxledger
