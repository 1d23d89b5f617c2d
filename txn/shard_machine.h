#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "replication/core/state_machine.h"
#include "replication/store/engine.h"
#include "txn/command.h"
#include "txn/outbox.h"
#include "txn/statement_scan.h"

namespace paxledger {

enum class OpenStatus : uint8_t { kOpened = 0, kExists = 1, kExistsWithOtherFields = 2 };

/// Learns what entries did, as they are applied. Called inside Apply: must not call the machine or the replica back; a
/// `Completion` or an executor's `Post` is the way.
/// Threads: the node's strand.
class ShardObserver {
 public:
  virtual ~ShardObserver() = default;
  /// After each Prepare, Execute (kRefused or kFinished; kPrepared never), Resolve and Finish: the vote as it stands.
  virtual void OnVote(ShardId shard, const Vote& vote) = 0;
  virtual void OnOpened(ShardId shard, const LedgerKey& key, const AccountSpec& asked, OpenStatus status) = 0;
  /// After each entry. `at` is the shard's clock.
  virtual void OnApplied(ShardId shard, LogIndex index, LogTime at) = 0;
};

struct ShardMachineOptions {
  ShardId shard;
  uint32_t shards = 0;
  std::string cluster_id;                // keys the state digest
  uint32_t checkpoint_commands = 16384;  // commands between two checkpoints
  size_t cached_accounts_max = 50'000;   // clean accounts kept in memory per shard
  uint64_t events_kept_min = limits::kEventsKeptMin;
};

/// A try in doubt: not yet finished here.
struct InDoubt {
  Vote vote;
  std::vector<ShardId> participants;
  int64_t deadline_us = 0;
};

/// Where the body of a transaction stands, and how it ended here.
struct TransactionRecord {
  Try of;
  std::vector<ShardId> participants;  // empty for a transaction that is finished: recompute from the body
  LogIndex body_at;                   // the entry that holds its Execute or Prepare; 0: only Resolve was seen
  std::optional<Decision> decision;   // nullopt: in doubt
  /// Wall clock, where in doubt: until then its gateway cares for it. 0: nobody does, because it was resolved or is
  /// finished.
  int64_t deadline_us = 0;
};

struct AccountRow {
  LedgerKey key;
  Account account;
};

/// Sums over the accounts of one shard; posted debits and credits are equal at every index (design §1.4).
struct AssetTotals {
  std::string asset;
  Totals totals;
};

struct ClearingTotals {
  ShardId counterpart;
  std::string asset;
  Totals totals;
};

struct DigestsAtIndex {
  LogIndex index;
  Digest journal;  // hash chain over the chosen values
  Digest state;
};

/// The ledger of one shard on one replica: a fold over its journal (transactions.md rules 1-6, 8, 9, 16, 18), with accounts
/// cached over the engine's kState table, the index of ids on disk, and checkpoints.
/// Owns:    its rows in kState and kTables. Borrows engine and observer.
/// Threads: the node's strand.
/// Format:  docs/formats.md#shard-state
class ShardMachine : public StateMachine {
 public:
  ShardMachine(ShardMachineOptions options, Engine& engine, ShardObserver& observer);
  ~ShardMachine() override;

  /// Reads the newest checkpoint; an empty store is a shard at index 0.
  /// Errors: kDataLoss  a row is damaged
  [[nodiscard]] absl::Status Recover();

  // StateMachine
  LogIndex applied() const override;
  void Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) override;
  void Release(absl::AnyInvocable<void()> done) override;
  absl::Status Reload() override;
  Digest journal() const override;
  void Checkpoint(absl::AnyInvocable<void()> done) override;
  absl::StatusOr<CheckpointMark> CheckpointIn(EngineSnapshot& rows) const override;

  LogTime clock() const;
  /// nullptr: no such account. The pointer is good until the next call.
  const Account* FindAccount(const LedgerKey& key);
  /// Reservations in doubt on the account, oldest first.
  std::vector<InDoubt> InDoubtOn(const LedgerKey& account) const;
  /// The vote recorded for the try, or what a Prepare of it would be told without recording (kSuperseded, kFinished,
  /// kConflict); nullopt: nothing is known of it here.
  std::optional<Vote> FindVote(const Try& of);
  /// The records of an id, newest attempt only, one per digest. At its home the one that the id is bound to comes first, and
  /// all others are conflicts.
  std::vector<TransactionRecord> FindTransaction(const LedgerKey& key);
  /// Accounts of `ledger` whose id is above `after` and starts with `prefix`, in order of id, without clearing accounts.
  std::vector<AccountRow> ListAccounts(std::string_view ledger, std::string_view prefix,
                                       std::string_view after, size_t limit);
  /// A walk through the lines of an account; nullopt: no such account. `range` must end at `ClosedUntil` or before. It goes on by
  /// `StepStatement`, whatever happens in between.
  std::optional<StatementScan> ScanStatement(const LedgerKey& account, StatementRange range);
  /// See StatementScan::Step.
  absl::StatusOr<StatementScan::Progress> StepStatement(StatementScan& scan, size_t lines_max);
  /// What will be posted to the account from here on is committed later than this.
  LogTime ClosedUntil(const LedgerKey& account) const;
  /// Committed transactions whose home is this shard.
  const Outbox& outbox() const;
  /// Tries in doubt whose deadline plus grace lies before `now_us`.
  std::vector<InDoubt> Overdue(int64_t now_us) const;

  size_t in_doubt() const;
  std::vector<AssetTotals> TotalsByAsset() const;
  std::vector<ClearingTotals> Clearing() const;
  DigestsAtIndex digests() const;
  /// Of a recent index (the last 4096 or so).
  std::optional<DigestsAtIndex> DigestsAt(LogIndex index) const;

 private:
  class State;
  ShardMachineOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace paxledger
