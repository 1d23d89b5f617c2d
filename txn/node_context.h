#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "replication/replica.h"
#include "txn/command.h"
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
  Digest genesis;                                 // SHA-256 of the creation document
  uint32_t checkpoint_commands = 16384;
  size_t cached_accounts_max = 50'000;
};

/// What the tasks of a node share: its replica, the machines of its shards, and the means to wait.
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
  ShardMachine& machine(ShardId shard) { return *machines_[shard.value]; }
  uint32_t shards() const { return options_.shards; }
  std::vector<ShardId> AllShards() const;
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
  /// Read barriers of several shards beside each other; ok when all are.
  /// Errors: as Replica::ReadBarrier.
  Task<absl::Status> BarrierAll(std::vector<ShardId> shards, Deadline deadline);
  /// Waits until the clock of `shard` is at least `at`, writing a Close where it is behind (rules 9 and 10).
  /// Errors: kDeadlineExceeded, kUnavailable, kResourceExhausted
  Task<absl::Status> RaiseClock(ShardId shard, LogTime at, Deadline deadline);

 private:
  NodeOptions options_;
  ReplicaPorts ports_;
  Timers timers_;
  WakeQueue wakes_;
  VoteBoard board_;
  std::vector<std::unique_ptr<ShardMachine>> machines_;
  Replica replica_;
  TaskGroup tasks_;
  uint64_t peer_losses_ = 0;
};

/// A body as a gateway sent it.
struct RecordedBody {
  Transaction transaction;
  /// Wall clock: until then the request that sent it may begin another attempt. Its Prepare says so; of an Execute
  /// it is the longest that a request may last.
  int64_t live_until_us = 0;
};

/// The body of a transaction, from the journal of a shard that records it.
/// Errors: kNotFound   the shard does not hold the body (it only saw a Resolve)
///         kDataLoss   the journal does not hold what the index says
absl::StatusOr<RecordedBody> ReadBody(NodeContext& node, ShardId shard, const TransactionRecord& record);

/// The assets of the debit accounts of `body`, as known here; nothing where every transfer names its own.
std::vector<std::string> UnnamedAssets(NodeContext& node, const Transaction& body);

/// Shows `tally` what the machines of this node know of its try.
void AskMachines(NodeContext& node, Tally& tally);

}  // namespace paxledger
