#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/task.h"
#include "txn/account_opener.h"
#include "txn/coordinator.h"
#include "txn/event_reader.h"
#include "txn/ledger_service.h"
#include "txn/node_cluster.h"
#include "txn/node_context.h"
#include "txn/reader.h"
#include "txn/settler.h"
#include "txn/shard_host.h"
#include "txn/statement_reader.h"
#include "txn/transaction_reader.h"

namespace paxledger {

/// A node of a cluster: replicas of the shards that are placed here with their state machines, and the gateway to all
/// shards.
/// Owns:    the replica and the machines. Borrows the ports.
/// Threads: LedgerService from any; the rest, the constructor and destructor from the node's strand or while
///          that stands still. When destroyed, the strand must not run anything of the node any more; what it
///          holds may be dropped.
class Node : public LedgerService {
 public:
  Node(NodeOptions options, ReplicaPorts ports);
  ~Node() override;

  /// Reads what the disk holds, and blocks meanwhile; call once. `ready` is called on the strand when the
  /// transport may start (see Replica::Recover).
  /// Errors: kDataLoss  a row is damaged or missing: nothing was started, `ready` is not called
  [[nodiscard]] absl::Status Recover(absl::AnyInvocable<void()> ready);
  /// Begins to serve, to catch up and to sweep for tries left behind. On the strand, when the transport was
  /// started.
  void Start();
  /// A planned stop: no new requests, what is in flight ends (for a bounded time), shards owned here are
  /// handed over, state is checkpointed; then `done`, on the strand.
  void Drain(absl::AnyInvocable<void()> done);

  Replica& replica() { return node_.replica(); }
  /// For the checkers of the simulator and the audit: only of a shard that is hosted here.
  ShardMachine& machine(ShardId shard) { return node_.machine(shard); }
  /// A replica of the shard is here and has caught up.
  bool Hosts(ShardId shard) const { return node_.Hosts(shard); }
  Registrar& registrar() { return cluster_.registrar(); }

  // LedgerService
  void OpenAccounts(std::vector<OpenAccountRequest> requests, Deadline deadline,
                    absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) override;
  void Execute(std::vector<Transaction> transactions, LogTime after, Deadline deadline,
               absl::AnyInvocable<void(std::vector<TransactionResult>)> done) override;
  void ReadAccount(LedgerKey key, ReadMode mode, LogTime after, Deadline deadline,
                   absl::AnyInvocable<void(absl::StatusOr<AccountRead>)> done) override;
  void ReadTransaction(LedgerKey key, std::string recovery_token, Deadline deadline,
                       absl::AnyInvocable<void(absl::StatusOr<TransferRead>)> done) override;
  void ListAccounts(std::string ledger, std::string prefix, std::string after, size_t limit, ReadMode mode,
                    Deadline deadline, absl::AnyInvocable<void(absl::StatusOr<AccountPage>)> done) override;
  void ReadStatement(StatementRequest request, ReadMode mode, LogTime after, Deadline deadline,
                     absl::AnyInvocable<void(absl::StatusOr<StatementPage>)> done) override;
  void ReadEvents(EventsRequest request, absl::AnyInvocable<void(absl::StatusOr<EventsPage>)> done) override;
  void Report(std::vector<LogIndex> indexes, absl::AnyInvocable<void(NodeReport)> done) override;
  void ReadCluster(absl::AnyInvocable<void(ClusterReport)> done) override;
  void ChangeCluster(DirectoryCommand command, Deadline deadline,
                     absl::AnyInvocable<void(absl::StatusOr<DirectoryResult>)> done) override;
  void Ready(absl::AnyInvocable<void(absl::Status)> done) override;
  uint32_t shards() const override { return node_.shards(); }

 private:
  enum class Phase : uint8_t { kStarting, kServing, kDraining };

  void CatchUpAll();
  void StartCatchUp(ShardId shard);
  Task<void> CatchUp(ShardId shard, uint64_t round);
  Task<void> DrainTask(absl::AnyInvocable<void()> done);
  Task<absl::Status> CheckpointAll();
  void OnMessage(ReplicaId from, AppMessage message);
  absl::Status ReadyNow() const;
  ShardReport ReportShard(ShardId shard, const std::vector<LogIndex>& indexes);
  NodeReport ReportNow(const std::vector<LogIndex>& indexes);
  size_t in_flight() const { return coordinator_.in_flight() + opener_.in_flight() + host_.running(); }

  NodeContext node_;
  NodeCluster cluster_;
  Settler settler_;
  Coordinator coordinator_;
  AccountOpener opener_;
  Reader reader_;
  TransactionReader transaction_reader_;
  StatementReader statement_reader_;
  EventReader event_reader_;
  ShardHost host_;
  Phase phase_ = Phase::kStarting;
  uint32_t behind_ = 0;  // shards that have not caught up since the start, or since touch was lost
  uint64_t catch_up_round_ = 0;
};

}  // namespace paxledger
