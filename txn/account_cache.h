#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "ledger/checks.h"
#include "replication/store/engine.h"
#include "txn/books.h"
#include "txn/entry_row.h"

namespace paxledger {

struct OpenTry;

/// An account in memory.
struct CachedAccount {
  std::string key;  // ledger key
  Account account;
  PostingChain chain;  // none for a clearing account
  AssetBook* book = nullptr;
  std::vector<OpenTry*> reservations;  // tries that are Prepared here, oldest first
  OwnLegs own;                         // of the transaction that is being judged; zero between judgements
  Digest element;                      // its part of the state digest, where `element_known`
  bool element_known = false;
  bool in_digest = false;  // false: opened by the entry that is being applied
  bool touched = false;    // by the entry that is being applied
  bool dirty = false;      // changed since the last checkpoint began
  bool writing = false;    // in the checkpoint that is being written
  bool clearing = false;
  bool recent = true;  // for eviction: used since the hand passed
};

/// An account as its row holds it.
struct StoredAccount {
  Account account;
  PostingChain chain;
};

/// The accounts of one shard: a bounded cache over the rows in kState. Pinned are those that are newer than
/// their row, those with reservations and clearing accounts; of the others, the ones not used lately are
/// forgotten.
/// Owns:    the accounts; a pointer stays good while the account is pinned, others until `EndEntry`.
/// Threads: the node's strand.
/// Format:  docs/formats.md#shard-state, #state-digest
class AccountCache {
 public:
  AccountCache(ShardId shard, size_t clean_max, Engine& engine, Books& books, MultisetDigest& digest);

  /// nullptr: no such account. Reads its row where it is not in memory; a damaged one stops the process.
  CachedAccount* Find(std::string_view key);
  /// nullptr: not in memory.
  CachedAccount* FindCached(std::string_view key) const;
  /// Opens an account that is not there, as part of the entry being applied.
  CachedAccount& Create(std::string_view key, Account account);
  /// The clearing account towards `counterpart` (transactions.md rule 16), opened at `at` where it is
  /// missing.
  CachedAccount& Clearing(AssetBook& book, ShardId counterpart, LogTime at);

  /// Must come before every change of an account.
  void Touch(CachedAccount& account);
  /// Ends an entry: brings digest and books up to date with what it touched, and forgets accounts over the
  /// bound.
  void EndEntry();
  /// Forgets accounts over the bound. Ends the life of pointers to accounts that are not pinned.
  void Shrink();

  /// Adds the rows of all accounts that changed since the last call. They stay pinned until `RowsWritten`.
  void AppendRows(EngineBatch* batch);
  void RowsWritten();
  /// Loads the clearing accounts.
  [[nodiscard]] absl::Status Recover();

  /// Accounts that are newer than their rows and whose key is in [begin, end), in order of key.
  std::vector<CachedAccount*> NewerThanRows(std::string_view begin, std::string_view end) const;
  /// kDataLoss: not the row of an account.
  static absl::StatusOr<StoredAccount> DecodeRow(std::string_view value);
  size_t size() const { return accounts_.size(); }

 private:
  struct Touched {
    CachedAccount* account;
    Totals before;
  };
  CachedAccount& Insert(std::string_view key, StoredAccount stored);
  Digest ElementOf(const CachedAccount& account);

  ShardId shard_;
  size_t clean_max_;
  Engine& engine_;
  Books& books_;
  MultisetDigest& digest_;
  absl::flat_hash_map<absl::string_view, std::unique_ptr<CachedAccount>>
      accounts_;                      // by `CachedAccount::key`
  std::vector<CachedAccount*> ring_;  // all accounts, in the order in which the hand looks at them
  size_t hand_ = 0;
  std::vector<Touched> touched_;
  std::vector<CachedAccount*> dirty_;
  std::vector<CachedAccount*> writing_;
  std::string scratch_;
};

}  // namespace paxledger
