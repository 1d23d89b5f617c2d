#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "cluster/cluster_machine.h"
#include "cluster/cluster_report.h"
#include "cluster/mover_task.h"
#include "cluster/registrar.h"
#include "replication/core/state_machine.h"
#include "txn/node_context.h"

namespace paxledger {

/// A node's part in running the cluster: the machine of the directory beside that of shard 0's ledger, who is there, and
/// where replicas belong.
/// Owns:    those. Borrows the context.
/// Threads: the node's strand.
class NodeCluster {
 public:
  explicit NodeCluster(NodeContext& node);

  /// Errors: kDataLoss
  [[nodiscard]] absl::Status Recover();
  void Start();
  /// Takes no steps any more; the directory is still passed on.
  void Stop() { mover_.Stop(); }
  /// What drives a shard's log: the machine of its ledger, and of shard 0 the directory's beside it.
  StateMachine& MachineOf(ShardId shard, StateMachine& ledger);

  void Handle(ReplicaId from, const AppMessage& message);
  Registrar& registrar() { return registrar_; }
  ClusterReport Report();

 private:
  /// The entries of shard 0 go to the directory's machine first: its row is older than any checkpoint of the ledger
  /// that holds the same entry.
  class ShardZero : public StateMachine {
   public:
    explicit ShardZero(ClusterMachine& directory) : directory_(directory) {}
    void set_ledger(StateMachine& ledger) { ledger_ = &ledger; }
    LogIndex applied() const override;
    void Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) override;
    Digest journal() const override { return ledger_->journal(); }
    void Checkpoint(absl::AnyInvocable<void()> done) override { ledger_->Checkpoint(std::move(done)); }
    absl::StatusOr<CheckpointMark> CheckpointIn(EngineSnapshot& rows) const override {
      return ledger_->CheckpointIn(rows);
    }
    void Release(absl::AnyInvocable<void()> done) override;
    absl::Status Reload() override;

   private:
    ClusterMachine& directory_;
    StateMachine* ledger_ = nullptr;
  };

  NodeContext& node_;
  ClusterMachine machine_;
  ShardZero shard_zero_;
  Registrar registrar_;
  MoverTask mover_;
};

}  // namespace paxledger
