#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "cluster/cluster_report.h"
#include "cluster/directory_command.h"
#include "ledger/account.h"
#include "ledger/outcome.h"
#include "ledger/transfer.h"
#include "txn/shard_machine.h"

namespace paxledger {

struct OpenAccountRequest {
  LedgerKey key;
  AccountSpec spec;
};

struct OpenAccountResult {
  /// kUnavailable, kResourceExhausted: nothing happened. kDeadlineExceeded: unknown; ask again with the same fields.
  absl::Status failure;
  OpenStatus status = OpenStatus::kOpened;
  Account account;  // as it is here now
};

enum class TransactionState : uint8_t {
  kCommitted,
  kRefused,      // final
  kConflict,     // the id holds another body; final
  kInDoubt,      // outcome unknown: 202, `recovery_token` leads to it
  kContended,    // nothing happened; may be tried again (transactions.md rule 7)
  kUnavailable,  // nothing happened: no majority is heard, or disks are full
  kOverloaded,   // nothing happened: queues are full
};

struct TransactionResult {
  TransactionState state = TransactionState::kInDoubt;
  Outcome refusal = Outcome::kCommitted;
  uint32_t transfer = 0;        // where refused: the transfer that broke the rule
  LogTime committed_at;         // where committed
  std::vector<ShardId> shards;  // participants
  bool replayed = false;        // the id had this outcome before the call
  std::string recovery_token;   // where in doubt: opaque (rule 18), URL-safe
  std::string reason;  // where nothing happened and there is more to say than the state does; for people
  /// Where decided, and some transfer named no asset: the assets of the accounts, one for each transfer; empty strings where
  /// an account does not exist.
  std::vector<std::string> assets;
};

/// How a read is ordered (api.md, consistency).
enum class ReadMode : uint8_t { kStrong, kLocal };

struct AccountRead {
  std::optional<Account> account;  // nullopt: not found
  LogTime at;                      // it answers at this timestamp; 0 for a local read of an empty shard
  int64_t staleness_us = 0;        // of a local read: age of the newest entry's stamp at most
};

struct TransferRead {
  Transaction transaction;
  TransactionResult result;
};

struct AccountPage {
  std::vector<AccountRow> accounts;  // in order of id
  bool has_more = false;
  int64_t staleness_us = 0;  // of a local list: the age of the oldest shard's newest entry
};

/// Which lines of an account's statement are wanted.
struct StatementRequest {
  LedgerKey account;
  LogTime from;              // committed at this time or later...
  LogTime until{INT64_MAX};  // ...and at this time or before
  LineOrder order = LineOrder::kOldestFirst;
  std::optional<LineKey> after;  // go on behind this line
  size_t limit = 1;
};

struct StatementLine {
  LedgerLine line;
  std::string transfer_id;
  std::string counterpart;  // the transfer's other account
  int64_t effective_at_us = 0;
  std::string code;
  std::string reference;
};

/// Nothing will ever be inserted before a line that was served (api.md).
struct StatementPage {
  AccountSpec spec;
  std::vector<StatementLine> lines;
  bool has_more = false;
  LogTime closed_until;      // no line up to here will be added
  int64_t staleness_us = 0;  // of a local read
};

/// Which committed transactions are wanted, out of every shard's outbox.
struct EventsRequest {
  enum class Start : uint8_t { kOldest, kNewest, kPositions };
  std::string ledger;
  Start start = Start::kOldest;
  std::vector<QueuePosition> from;  // kPositions: one per shard
  size_t limit = 1;
  Deadline wait;  // until when to wait for a first one
};

struct CommittedEvent {
  ShardId shard;  // the transaction's home
  QueuePosition at;
  LogTime committed_at;
  Transaction transaction;
  std::vector<ShardId> participants;
};

struct EventsPage {
  std::vector<CommittedEvent>
      events;  // of each shard in its order; over shards about in the order of their commits
  std::vector<QueuePosition> from;  // one per shard: where it began...
  std::vector<QueuePosition> next;  // ...and where to go on
  bool has_more = false;
};

/// One shard as this node sees it.
struct ShardReport {
  ShardId shard;
  /// False: its replicas are on other nodes, of which only owner and members were heard; nothing else is said here.
  bool hosted = true;
  std::vector<ReplicaId> members;
  LogIndex applied;
  LogIndex highest_seen;
  ReplicaId owner;
  bool voting = true;
  LogTime clock;
  DigestsAtIndex digests;
  std::optional<DigestsAtIndex> digests_at;  // at the index that was asked for, where it is still known
  std::vector<AssetTotals> totals;
  std::vector<ClearingTotals> clearing;
  uint64_t in_doubt = 0;
};

struct NodeReport {
  std::string cluster_id;
  std::string data_centre;
  ReplicaId self;
  bool has_quorum = false;
  int64_t clock_offset_us = 0;
  DiskUse disk;
  std::vector<ReplicaId> peers_up;
  std::vector<ShardReport> shards;
};

/// What the HTTPS door calls: whole requests in, whole answers out. The only seam between the API threads and a node's
/// strand.
/// Threads: any; `done` is called once, on the node's strand, so it should only hand over.
class LedgerService {
 public:
  virtual ~LedgerService() = default;
  virtual void OpenAccounts(std::vector<OpenAccountRequest> requests, Deadline deadline,
                            absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) = 0;
  /// Independent transactions, as if sent at the same moment; results in the order of the request.
  /// `after`: the time of a Consistency-Token that the effects are ordered after; 0: none.
  virtual void Execute(std::vector<Transaction> transactions, LogTime after, Deadline deadline,
                       absl::AnyInvocable<void(std::vector<TransactionResult>)> done) = 0;
  /// Errors: kDeadlineExceeded, kUnavailable
  virtual void ReadAccount(LedgerKey key, ReadMode mode, LogTime after, Deadline deadline,
                           absl::AnyInvocable<void(absl::StatusOr<AccountRead>)> done) = 0;
  /// By transaction id. With a `recovery_token` of a 202 it drives the try to its outcome where it can (rule 18).
  /// Errors: kNotFound, kInvalidArgument (token), kDeadlineExceeded, kUnavailable
  virtual void ReadTransaction(LedgerKey key, std::string recovery_token, Deadline deadline,
                               absl::AnyInvocable<void(absl::StatusOr<TransferRead>)> done) = 0;
  /// Accounts whose id starts with `prefix` and is above `after`. Each shard is read after a barrier.
  virtual void ListAccounts(std::string ledger, std::string prefix, std::string after, size_t limit,
                            ReadMode mode, Deadline deadline,
                            absl::AnyInvocable<void(absl::StatusOr<AccountPage>)> done) = 0;
  /// A page of an account's statement. A strong one holds all that was acknowledged before the call.
  /// Errors: kNotFound, kDeadlineExceeded, kUnavailable (also: the journal that far back is not here)
  virtual void ReadStatement(StatementRequest request, ReadMode mode, LogTime after, Deadline deadline,
                             absl::AnyInvocable<void(absl::StatusOr<StatementPage>)> done) = 0;
  /// Committed transactions from the outboxes of this data centre, which trail the answers to the clients a little.
  /// Errors: kOutOfRange  what was there is gone
  ///         kInvalidArgument  the positions are not one per shard
  ///         kUnavailable
  virtual void ReadEvents(EventsRequest request,
                          absl::AnyInvocable<void(absl::StatusOr<EventsPage>)> done) = 0;
  /// `indexes`: per shard, an index whose digests are wanted; may be empty.
  virtual void Report(std::vector<LogIndex> indexes, absl::AnyInvocable<void(NodeReport)> done) = 0;
  /// Who is in the cluster, and where its shards are.
  virtual void ReadCluster(absl::AnyInvocable<void(ClusterReport)> done) = 0;
  /// Has a change of the directory chosen. A refusal is success of this call.
  /// Errors: kDeadlineExceeded  UNKNOWN: ask again with the same request
  virtual void ChangeCluster(DirectoryCommand command, Deadline deadline,
                             absl::AnyInvocable<void(absl::StatusOr<DirectoryResult>)> done) = 0;
  /// A quorum answers and every shard has caught up with what it knew when it started.
  virtual void Ready(absl::AnyInvocable<void(absl::Status)> done) = 0;
  virtual uint32_t shards() const = 0;
};

}  // namespace paxledger
