#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/strong_id.h"
#include "ledger/account.h"

namespace paxledger {

/// Where a posting stands: the log entry that made it, and its number there, from 0. The same on every replica.
struct PostingPlace {
  LogIndex index;  // 0: nowhere
  uint32_t slot = 0;
  friend constexpr bool operator==(PostingPlace, PostingPlace) = default;
};

/// A transaction that an entry committed in its shard, and where its body is: command `command` of the entry at `body_at`.
struct PostedTransaction {
  std::string id;
  LogTime committed_at;
  LogIndex body_at;
  uint32_t command = 0;
  friend bool operator==(const PostedTransaction&, const PostedTransaction&) = default;
};

/// One line on one account.
struct Posting {
  uint32_t transaction = 0;  // number among the entry's
  uint32_t transfer = 0;     // number in the body
  Side side = Side::kDebit;
  Amount amount = 0;
  /// All older lines of the account were committed at this time at the latest; exact only where it is not below the line's own
  /// time. 0: there are none.
  LogTime older_until;
  PostingPlace previous;     // the account's line before this one, in the order of the log
  Amount debits_posted = 0;  // the account's totals with it, in the order of the log
  Amount credits_posted = 0;
  friend bool operator==(const Posting&, const Posting&) = default;
};

/// What one entry did to the accounts of its shard, but for clearing accounts: one row, whatever it holds. Amounts and places,
/// no more; the rest of a line is in the journal.
/// Format:  docs/formats.md#statement-rows
struct EntryRow {
  std::vector<PostedTransaction> transactions;
  std::vector<Posting> postings;  // by transaction, in the order of their transfers, debit before credit

  void Clear() {
    transactions.clear();
    postings.clear();
  }
};

/// `index`: of the entry, which the row does not repeat.
std::string EncodeEntryRow(LogIndex index, const EntryRow& row);
/// Errors: kDataLoss  it is damaged
absl::StatusOr<EntryRow> DecodeEntryRow(LogIndex index, std::string_view bytes);

/// The lines of one account, as its row keeps them.
struct PostingChain {
  PostingPlace newest;
  uint64_t lines = 0;
  LogTime latest;          // the latest commit time of a line; 0: there is none
  LogTime indexed_until;   // the column of the newest cell of the index; 0: there is none
  uint32_t unindexed = 0;  // lines since that cell
  friend bool operator==(const PostingChain&, const PostingChain&) = default;
};

void WritePostingChain(ByteWriter& out, const PostingChain& chain);
PostingChain ReadPostingChain(ByteReader& in);

}  // namespace paxledger
