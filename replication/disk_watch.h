#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/metrics.h"
#include "base/strong_id.h"
#include "replication/net/transport.h"
#include "replication/store/engine.h"

namespace paxledger {

/// Whose disk takes writes: the own one by its engine, the others' as they say. A replica whose disk is full makes no vote
/// durable, so none of its votes counts; where that holds for a majority nothing can be decided, and whoever knows it does not
/// begin what cannot end.
/// Borrows: engine and transport. `metrics` may be null.
/// Threads: the node's strand.
class DiskWatch {
 public:
  DiskWatch(ReplicaId self, std::vector<ReplicaId> peers, Engine& engine, Transport& transport,
            Metrics* metrics);

  /// Looks at the own disk and tells the peers. True once, when it has been full for a second and a majority of `members`
  /// is not: time to hand over what is owned here. Not sooner: had another disk become full with it, nothing could be decided,
  /// and what is under way in a shard keeps its strong reads waiting.
  bool Look(const std::vector<ReplicaId>& members, int64_t now_us);
  /// Who is told.
  void set_peers(std::vector<ReplicaId> peers) { peers_ = std::move(peers); }
  void Heard(ReplicaId from, const DiskNotice& notice, int64_t now_us);

  /// False: the disk of `replica` is full, as far as is known here.
  bool HasRoom(ReplicaId replica) const;
  /// What waits for the own disk has reached its bound: nothing may be taken in that must be written.
  bool backlogged() const { return engine_.pressure().backlogged; }
  /// Errors: kUnavailable  what is proposed from here to `members` could not be decided, or not be learned here; says why
  absl::Status MayBegin(const std::vector<ReplicaId>& members) const;
  /// As `MayBegin`, and counts the refusal.
  absl::Status Begin(const std::vector<ReplicaId>& members);

 private:
  ReplicaId self_;
  std::vector<ReplicaId> peers_;
  Engine& engine_;
  Transport& transport_;
  Counter* refusals_ = nullptr;
  bool full_ = false;       // at the last look
  bool hand_over_ = false;  // is to come yet
  int64_t full_since_us_ = 0;
  int64_t told_at_us_ = 0;
  int64_t now_us_ = 0;  // of the last look
  std::map<ReplicaId, int64_t>
      full_until_us_;  // what a peer said holds for a while, lest the end of it was lost
};

}  // namespace paxledger
