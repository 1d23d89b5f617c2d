#include "txn/statement_scan.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace paxledger {

StatementScan::StatementScan(std::string account_key, const PostingChain& chain, LogIndex as_of,
                             StatementRange range)
    : account_key_(std::move(account_key)), chain_(chain), as_of_(as_of), range_(std::move(range)) {
  Check(range_.limit > 0, "a page has room for a line");
  // No transaction has the empty id, so these lie beside all lines of their time.
  above_ = {range_.from, "", 0};
  below_ = {LogTime{range_.until.value + 1}, "", 0};
  if (range_.after.has_value()) {
    if (range_.order == LineOrder::kOldestFirst) {
      above_ = std::max(above_, *range_.after);
    } else {
      below_ = std::min(below_, *range_.after);
    }
  }
  done_ = chain_.lines == 0 || above_ >= below_;
}

absl::StatusOr<StatementScan::Progress> StatementScan::Step(StatementTable& table, size_t lines_max) {
  for (size_t looked = 0; !done_ && looked < lines_max; ++looked) {
    if (!walking_) {
      absl::StatusOr<bool> next = NextPiece(table);
      if (!next.ok()) return next.status();
      if (!*next) Finish();
      continue;
    }
    absl::Status walked = WalkOne(table);
    if (!walked.ok()) return walked;
  }
  return done_ ? Progress::kDone : Progress::kMore;
}

absl::StatusOr<bool> StatementScan::NextPiece(const StatementTable& table) {
  if (last_piece_ || room() == 0) return false;
  bool newest_first = range_.order == LineOrder::kNewestFirst;
  // From the newest on, one walk finds what the page holds. From the oldest on, the walks are from cell to cell, so that none
  // is much longer than what it finds.
  LogTime wanted = above_.committed_at;
  if (newest_first) wanted = LogTime{below_.committed_at.value - (below_.transaction.empty() ? 1 : 0)};
  absl::StatusOr<std::optional<StatementTable::ChainPoint>> point =
      table.FirstClosedAt(account_key_, wanted, as_of_);
  if (!point.ok()) return point.status();
  piece_below_ = below_;
  place_ = chain_.newest;
  last_piece_ = true;
  if (point->has_value()) {
    LineKey closed{LogTime{(*point)->closed.value + 1}, "", 0};
    if (!newest_first && closed < below_) {
      piece_below_ = closed;
      last_piece_ = false;
    }
    place_ = (*point)->place;
  }
  point_ = *point;
  first_of_piece_ = true;
  walking_ = true;
  return true;
}

void StatementScan::TakeOff(Side side, Amount amount) {
  (side == Side::kDebit ? debits_ : credits_) -= amount;
}

absl::Status StatementScan::WalkOne(StatementTable& table) {
  absl::StatusOr<const EntryRow*> row = table.Row(place_.index);
  if (!row.ok()) return row.status();
  if (place_.slot >= (*row)->postings.size()) return absl::DataLossError("a chain of postings is broken");
  const Posting& posting = (*row)->postings[place_.slot];
  const PostedTransaction& transaction = (*row)->transactions[posting.transaction];
  if (std::exchange(first_of_piece_, false)) {
    debits_ = posting.debits_posted;
    credits_ = posting.credits_posted;
    // Written by the same entry, in two places.
    bool agree =
        !point_.has_value() || (point_->debits_posted == debits_ && point_->credits_posted == credits_);
    if (!agree) return absl::DataLossError("a cell of the statements contradicts the line that it names");
  }
  LineKey key{transaction.committed_at, transaction.id, posting.transfer};
  if (key >= piece_below_) {
    TakeOff(posting.side, posting.amount);
  } else if (key > above_) {
    Keep(LedgerLine{std::move(key), posting.side, posting.amount, 0, 0, transaction.body_at,
                    transaction.command});
  }
  place_ = posting.previous;
  if (place_.index.value == 0 || EnoughBelow(posting.older_until)) EndPiece();
  return absl::OkStatus();
}

bool StatementScan::EnoughBelow(LogTime older_until) const {
  if (older_until < above_.committed_at) return true;
  return range_.order == LineOrder::kNewestFirst && kept_.size() == room() &&
         older_until < kept_.front().key.committed_at;
}

void StatementScan::Keep(LedgerLine line) {
  bool newest_first = range_.order == LineOrder::kNewestFirst;
  auto evicted_last = [newest_first](const LedgerLine& a, const LedgerLine& b) {
    return newest_first ? a.key > b.key : a.key < b.key;
  };
  kept_.push_back(std::move(line));
  std::push_heap(kept_.begin(), kept_.end(), evicted_last);
  if (kept_.size() <= room()) return;
  std::pop_heap(kept_.begin(), kept_.end(), evicted_last);
  // What lies above the lines that stay is not in their totals.
  if (!newest_first) TakeOff(kept_.back().side, kept_.back().amount);
  kept_.pop_back();
}

void StatementScan::EndPiece() {
  walking_ = false;
  std::sort(kept_.begin(), kept_.end(),
            [](const LedgerLine& a, const LedgerLine& b) { return a.key > b.key; });
  for (LedgerLine& line : kept_) {
    line.debits_after = debits_;
    line.credits_after = credits_;
    TakeOff(line.side, line.amount);
  }
  if (range_.order == LineOrder::kOldestFirst) {
    std::reverse(kept_.begin(), kept_.end());
    above_ = std::max(above_, piece_below_);
  }
  lines_.insert(lines_.end(), std::make_move_iterator(kept_.begin()), std::make_move_iterator(kept_.end()));
  kept_.clear();
}

void StatementScan::Finish() {
  done_ = true;
  has_more_ = lines_.size() > range_.limit;
  if (has_more_) lines_.resize(range_.limit);
}

}  // namespace paxledger
