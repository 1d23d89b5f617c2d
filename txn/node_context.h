#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "cluster/directory.h"
#include "replication/replica.h"
#include "txn/command.h"
#include "txn/node_mail.h"
#include "txn/remote_shards.h"
#include "txn/shard_machine.h"
#include "txn/vote_board.h"
#include "txn/wakeup.h"

namespace paxledger {

struct NodeOptions {
  std::string cluster_id;
  std::string data_centre;
  ReplicaId self;
  std::vector<ReplicaId> members;  // all nodes of the creation document
  uint32_t shards = 0;
  std::vector<std::vector<ReplicaId>> placement;  // see ReplicaOptions
  /// Of the creation document; no nodes: one in each data centre, called dc1, dc2, ...
  Directory creation;
  std::map<std::string, std::string> creation_addresses;  // by node name
  Directory heard;                                        // before the node was made; version 0: nothing
  std::vector<ShardRouting> routing;                      // see ReplicaOptions
  Digest genesis;                                         // SHA-256 of the creation document
  uint32_t checkpoint_commands = 16384;
  size_t cached_accounts_max = 50'000;
  CatchUpOptions catch_up;
};

/// What the tasks of a node share: its replica, the machines of the shards that are hosted here, the way to those that are
/// not, and the means to wait.
/// Owns:    all of it but the ports.
/// Threads: the node's strand.
class NodeContext {
 public:
  NodeContext(NodeOptions options, ReplicaPorts ports);
  NodeContext(const NodeContext&) = delete;
  NodeContext& operator=(const NodeContext&) = delete;
  /// Abandons the tasks: the strand must have stopped for good.
  ~NodeContext();

  const NodeOptions& options() const { return options_; }
  const ReplicaPorts& ports() const { return ports_; }
  Replica& replica() { return replica_; }
  const Replica& replica() const { return replica_; }
  /// What drives the log of a shard, given the machine of its ledger: that, or one that has others beside it.
  using Compose = std::function<StateMachine&(ShardId, StateMachine& ledger)>;
  /// Reads what the disk holds. `ready` as Replica::Recover.
  [[nodiscard]] absl::Status Recover(Compose compose, absl::AnyInvocable<void()> ready);
  /// Told, on the strand, of a shard whose replica was put here after the start: it must catch up.
  void set_hosted_handler(std::function<void(ShardId)> handler) { hosted_handler_ = std::move(handler); }
  /// The replica of `shard` here has caught up: from now on it serves.
  void Serve(ShardId shard) { serving_[shard.value] = 1; }

  /// A replica of the shard is here and serves. False: ask `remote()`.
  bool Hosts(ShardId shard) const { return serving_[shard.value] != 0 && replica_.Serves(shard); }
  /// Only of a shard that is hosted here; after each wait that must be asked again.
  ShardMachine& machine(ShardId shard) { return *machines_[shard.value]; }
  uint32_t shards() const { return options_.shards; }
  std::vector<ShardId> HostedShards() const;
  RemoteShards& remote() { return remote_; }
  const RemoteShards& remote() const { return remote_; }
  NodeMail& mail() { return mail_; }
  VoteBoard& board() { return board_; }
  WakeQueue& wakes() { return wakes_; }
  Timers& timers() { return timers_; }
  TaskGroup& tasks() { return tasks_; }
  Counter& counter(std::string_view name) { return ports_.metrics->counter(name); }

  int64_t now_us() { return ports_.clock->MonotonicMicros(); }
  int64_t wall_us() { return ports_.clock->WallMicros(); }
  /// A point on this node's wall clock as one on its monotonic clock, and back. Both saturate.
  int64_t MonotonicOf(int64_t wall_us);
  int64_t WallOf(int64_t monotonic_us);
  /// After how long a command that was not seen applied is submitted again: the adaptive deadline of design
  /// §3.
  int64_t PatienceMicros();
  /// Grows when a peer is lost or falls silent: what waits for its entries is submitted again at once, and routed anew. All
  /// waits end then.
  uint64_t peer_losses() const { return peer_losses_; }

  /// See Replica::Submit.
  [[nodiscard]] absl::Status Submit(ShardId shard, const std::string& encoded, Urgency urgency,
                                    uint32_t attempt) {
    return replica_.Submit(shard, MachineId::kTxn, encoded, urgency, attempt);
  }
  /// Read barriers of several hosted shards beside each other; ok when all are.
  /// Errors: as Replica::ReadBarrier.
  Task<absl::Status> BarrierAll(std::vector<ShardId> shards, Deadline deadline);
  /// Waits until the clock of a hosted shard is at least `at`, writing a Close where it is behind (rules 9 and 10).
  /// Errors: kDeadlineExceeded, kUnavailable, kResourceExhausted
  Task<absl::Status> RaiseClock(ShardId shard, LogTime at, Deadline deadline);
  /// Shows `tallies` what `shards`, hosted here or not, know of their tries; with kBarrier what they had chosen when this
  /// was called. Clocks of shards that are not hosted here are raised as well (see VotesQuestion).
  /// Errors: as BarrierAll and RemoteShards::LearnVotes; what was learned is seen nevertheless
  Task<absl::Status> LearnVotes(std::vector<Tally*> tallies, std::vector<ShardId> shards, Freshness freshness,
                                LogTime raise_to, Deadline deadline);

 private:
  std::unique_ptr<ShardMachine> MakeMachine(ShardId shard);
  ShardMachine& MachineFor(ShardId shard);

  NodeOptions options_;
  ReplicaPorts ports_;
  Timers timers_;
  WakeQueue wakes_;
  RemoteShards remote_;
  VoteBoard board_;
  std::vector<std::unique_ptr<ShardMachine>> machines_;  // null: never hosted since the start
  std::vector<uint8_t> serving_;                         // by shard; see Hosts
  std::function<void(ShardId)> hosted_handler_;
  Replica replica_;
  NodeMail mail_;
  TaskGroup tasks_;
  uint64_t peer_losses_ = 0;
  bool recovered_ = false;
};

/// A body as a gateway sent it.
struct RecordedBody {
  Transaction transaction;
  /// Wall clock: until then the request that sent it may begin another attempt. Its Prepare says so; of an Execute
  /// it is the longest that a request may last.
  int64_t live_until_us = 0;
};

/// The body of a transaction, from the journal of a shard that records it.
/// Errors: kNotFound     the shard does not hold the body (it only saw a Resolve)
///         kUnavailable  its entry is not here yet: see FetchBodies
///         kDataLoss     its entry is damaged here: see FetchBodies
absl::StatusOr<RecordedBody> ReadBody(NodeContext& node, ShardId shard, const TransactionRecord& record);

/// Gets entries that hold bodies of `key` and cannot be read here from peers, so that `ReadBody` finds them for a while.
/// Errors: kUnavailable  nobody had one in time, or the shard moved away
Task<absl::Status> FetchBodies(NodeContext& node, ShardId shard, LedgerKey key, Deadline deadline);

/// Null: not known here.
const std::string* AssetOf(NodeContext& node, const LedgerKey& account);
/// The assets of the debit accounts of `body`, as known here; nothing where every transfer names its own.
std::vector<std::string> UnnamedAssets(NodeContext& node, const Transaction& body);
/// The debit accounts of transfers that name no asset which live on other nodes and are not known here: see
/// RemoteShards::LearnAssets.
std::vector<LedgerKey> UnknownAssets(NodeContext& node, const Transaction& body);

/// Shows `tally` what the machines of this node know of its try.
void AskMachines(NodeContext& node, Tally& tally);

}  // namespace paxledger
