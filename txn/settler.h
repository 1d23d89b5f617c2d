#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "txn/command.h"
#include "txn/node_context.h"
#include "txn/tally.h"

namespace paxledger {

/// Brings tries of others to their end: what blocks a transaction (transactions.md rule 7), what a strong
/// read finds committed (rule 10), what a gateway left behind (rule 18). Votes are read first; a Resolve is
/// written only where none is recorded and only past deadline and grace; then the decision is finished at
/// every participant. Each try is driven once at a time on a node, however many wait for it.
/// Threads: the node's strand.
class Settler {
 public:
  explicit Settler(NodeContext& node);
  Settler(const Settler&) = delete;
  Settler& operator=(const Settler&) = delete;

  /// What is known of a try. kOpen: not decided, and the driving goes on for a while. kSuperseded: it aborted, and
  /// a later attempt runs.
  struct Learned {
    Tally::Standing standing = Tally::Standing::kOpen;
    Decision decision;  // unless kOpen
  };
  /// Drives `of` and waits until it is finished at every participant, or until `until_us` on the monotonic
  /// clock.
  Task<Learned> Settle(Try of, std::vector<ShardId> participants, int64_t deadline_us, int64_t until_us);
  /// The same for several beside each other, bounded in number by the caller.
  Task<void> SettleAll(std::vector<Blocker> blockers, int64_t until_us);

  /// Looks for tries past their deadline on the shards that are hosted here, until `Stop`: the recovery sweep. The members
  /// of a shard, one in each data centre, are staggered, so that normally one of them does the work.
  Task<void> Sweep();
  void Stop();

 private:
  struct Settlement;
  using TryName = std::pair<Digest, uint32_t>;

  /// `waiting`, unless null, is woken at its end; whoever gave it takes it out of `waiting` again.
  std::shared_ptr<Settlement> Begin(const Try& of, std::vector<ShardId> participants, int64_t deadline_us,
                                    Wakeup* waiting = nullptr);
  Task<void> Drive(std::shared_ptr<Settlement> settlement);
  /// Behind a barrier of each shard whose vote is missing.
  Task<absl::Status> ReadVotes(Settlement& settlement);
  Task<void> Learn(std::shared_ptr<Settlement> settlement);
  Task<void> Finish(std::shared_ptr<Settlement> settlement);
  void Ask(Settlement& settlement, VoteBoard::TallyWatch::Whom whom);
  void Resolve(Settlement& settlement, uint32_t round);
  void SweepShard(ShardId shard, size_t& budget);
  int64_t StaggerMicros(ShardId shard) const;

  NodeContext& node_;
  absl::flat_hash_map<TryName, std::shared_ptr<Settlement>> running_;
  Wakeup stop_;
  Counter& settled_;
  Counter& resolves_;
  Counter& overdue_;
};

}  // namespace paxledger
