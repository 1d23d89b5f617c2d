#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "txn/entry_row.h"
#include "txn/statement_table.h"

namespace paxledger {

/// The order of a statement (api.md): commit time, then transaction, then its transfers in their order.
struct LineKey {
  LogTime committed_at;
  std::string transaction;
  uint32_t transfer = 0;
  friend bool operator==(const LineKey&, const LineKey&) = default;
  friend auto operator<=>(const LineKey&, const LineKey&) = default;
};

/// One line of a statement, but for what only the body says.
struct LedgerLine {
  LineKey key;
  Side side = Side::kDebit;
  Amount amount = 0;
  // Posted totals of the account with this line and all before it, in the order of the statement.
  Amount debits_after = 0;
  Amount credits_after = 0;
  LogIndex body_at;
  uint32_t command = 0;
};

enum class LineOrder : uint8_t { kOldestFirst, kNewestFirst };

struct StatementRange {
  LogTime from;   // lines committed at `from` or later...
  LogTime until;  // ...and at `until` or before; nothing may be posted below it any more
  LineOrder order = LineOrder::kOldestFirst;
  std::optional<LineKey> after;  // go on behind this line, in that order
  size_t limit = 1;
};

/// Reads a page of one account's statement out of its chain of postings, a bounded number of rows at a time, so that a strand can
/// do something else between. The chain is walked backwards from a point of the index where all lines of interest are older
/// (StatementTable); what the walk meets above the range is taken off the totals, so that those of a line are the sums of
/// the lines up to it in the order of the statement, not of the log. What the account does meanwhile makes no difference.
/// Owns:    its progress; the table is given with each step.
/// Threads: the node's strand.
class StatementScan {
 public:
  /// `chain`: the account's, at index `as_of`.
  StatementScan(std::string account_key, const PostingChain& chain, LogIndex as_of, StatementRange range);

  enum class Progress : uint8_t { kMore, kDone };
  /// Looks at up to `lines_max` lines.
  /// Errors: kDataLoss  a row is damaged or missing
  absl::StatusOr<Progress> Step(StatementTable& table, size_t lines_max);

  // Once done.
  const std::vector<LedgerLine>& lines() const { return lines_; }
  std::vector<LedgerLine> TakeLines() { return std::move(lines_); }
  bool has_more() const { return has_more_; }

 private:
  /// Begins the walk of the next piece of the range; false: there is none.
  absl::StatusOr<bool> NextPiece(const StatementTable& table);
  absl::Status WalkOne(StatementTable& table);
  void Keep(LedgerLine line);
  void EndPiece();
  void Finish();
  void TakeOff(Side side, Amount amount);
  /// No older line of the chain is in the piece, or could find a place on the page.
  bool EnoughBelow(LogTime older_until) const;
  size_t room() const { return range_.limit + 1 - lines_.size(); }

  std::string account_key_;
  PostingChain chain_;
  LogIndex as_of_;
  StatementRange range_;
  LineKey above_;  // lines of the range are above this...
  LineKey below_;  // ...and below this
  LineKey piece_below_;
  bool last_piece_ = false;
  bool walking_ = false;
  bool done_ = false;
  bool has_more_ = false;
  bool first_of_piece_ = false;
  PostingPlace place_;
  std::optional<StatementTable::ChainPoint>
      point_;  // where the walk of the piece began; none: at the newest line
  // Totals with all lines of the chain that are below the piece's upper end, less those that were evicted.
  Amount debits_ = 0;
  Amount credits_ = 0;
  std::vector<LedgerLine> kept_;  // of the piece, a heap with the one to evict on top
  std::vector<LedgerLine> lines_;
};

}  // namespace paxledger
