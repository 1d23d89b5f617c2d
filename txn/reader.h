#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"
#include "txn/settler.h"

namespace paxledger {

/// Reads of accounts. A strong read of one account is strictly serializable (transactions.md rule 10 and ADR 0011).
/// Threads: the node's strand.
class Reader {
 public:
  Reader(NodeContext& node, Settler& settler);

  /// See LedgerService::ReadAccount. kInvalidArgument: `after` is too far in the future (rule 9).
  Task<absl::StatusOr<AccountRead>> ReadAccount(LedgerKey key, ReadMode mode, LogTime after,
                                                Deadline deadline);

  /// Of an account that lives on a shard hosted here: a time up to which all that will ever be posted to the account is posted
  /// here; at or after the commit of everything that was acknowledged before the call. What is in doubt on the account is
  /// settled as a strong read does (rule 10).
  /// Errors: as ReadAccount; kUnavailable also where what is decided was not finished
  Task<absl::StatusOr<LogTime>> CloseAccount(LedgerKey key, LogTime after, Deadline deadline);

  /// See LedgerService::ListAccounts. A strong list shows in every balance all transfers that were
  /// acknowledged before it began; each account is read at a moment of its own, so sums over the list may
  /// catch a transfer half way.
  Task<absl::StatusOr<AccountPage>> ListAccounts(std::string ledger, std::string prefix, std::string after,
                                                 size_t limit, ReadMode mode, Deadline deadline);
  /// The part of a list that stands on `question.shards`, all of them hosted here.
  Task<absl::StatusOr<AccountPage>> ListHere(ListQuestion question, Deadline deadline);

 private:
  struct Pages;

  /// A reservation in doubt on an account, and what its participants say.
  struct Doubt {
    InDoubt in_doubt;
    Tally tally;
    ShardId shard;  // of the account
    bool decided() const { return tally.standing() != Tally::Standing::kOpen; }
    bool committed() const { return decided() && tally.decision().kind == DecisionKind::kCommitted; }
  };
  /// Whether a vote that is not known here is looked for in other data centres.
  enum class Asking : uint8_t { kEverywhere, kClocksOnly };

  /// Read barrier, and the shard's clock at `after` or later.
  Task<absl::Status> Arrive(ShardId shard, LogTime after, Deadline deadline);
  AccountRead ReadHere(const LedgerKey& key, ShardId shard);
  std::vector<Doubt> DoubtsOn(const LedgerKey& key, ShardId shard);
  Task<absl::Status> Ask(std::vector<Doubt>* doubts, LogTime at, Asking asking, Deadline deadline);
  /// Finishes what is decided, and lifts the clocks of the accounts' shards to the commit timestamps at least.
  Task<absl::Status> FinishDecided(std::vector<Doubt>* doubts, Deadline deadline);
  /// The reservation was not finished where the account lives.
  bool StillHeld(const Doubt& doubt);
  /// Of those that are committed; 0: none is.
  static LogTime LatestCommit(const std::vector<Doubt>& doubts);
  absl::Status Count(const std::vector<Doubt>& doubts, const LedgerKey& key, ShardId shard,
                     AccountRead* read);
  Task<absl::StatusOr<AccountRead>> ReadDoubtful(LedgerKey key, ShardId shard, Deadline deadline);
  Task<absl::StatusOr<AccountRead>> ReadElsewhere(AccountQuestion question, ShardId shard, Deadline deadline);
  /// The undecided, and the shards of which votes are missing.
  std::vector<ShardId> AskHere(std::vector<Doubt>* doubts, std::vector<Tally*>* undecided);
  Task<void> ListElsewhere(ListQuestion question, Deadline deadline, std::shared_ptr<Pages> pages);
  Task<void> ListAt(ReplicaId host, ListQuestion question, Deadline deadline, std::shared_ptr<Pages> pages);
  AccountPage MergeShards(const ListQuestion& question);

  NodeContext& node_;
  Settler& settler_;
  Counter& strong_reads_;
  Counter& local_reads_;
  Counter& doubtful_reads_;
};

}  // namespace paxledger
