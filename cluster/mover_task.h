#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/metrics.h"
#include "base/strong_id.h"
#include "cluster/mover.h"
#include "cluster/registrar.h"
#include "replication/replica.h"

namespace paxledger {

/// Moves replicas until all are where the directory wants them: looks at the shards of this node a few times a second,
/// takes the next step of each that it is the mover of, holds the learners that others ask for, and gives up replicas that
/// are members no more. Nothing is remembered between two looks but what the log says.
/// Borrows: all, which outlives it.
/// Threads: the node's strand.
class MoverTask {
 public:
  MoverTask(ReplicaId self, uint32_t shards, ReplicaPorts ports, Replica& replica, Registrar& registrar);
  void Start();
  void Stop() { stopped_ = true; }

  /// How much of a shard counts as held: what it takes to vote, or the whole journal.
  enum class Held : uint8_t { kDurable, kWhole };
  /// What this node knows of a shard, be it here or not.
  ShardView ViewOf(ShardId shard, Held held) const;

 private:
  void Look();
  void HostOwn();
  void TakeStep(const ShardView& view);
  void HostAsked(const HostShard& asked);
  size_t Learners() const;

  ReplicaId self_;
  uint32_t shards_;
  ReplicaPorts ports_;
  Replica& replica_;
  Registrar& registrar_;
  Counter& changes_;
  Gauge& moving_gauge_;
  std::map<ShardId, MoveStep> logged_;
  size_t moving_ = 0;  // of this look
  bool stopped_ = false;
};

}  // namespace paxledger
