#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/log_store.h"
#include "replication/replica.h"
#include "replication/row_pull.h"

namespace paxledger {

/// How far a piece of the journal was good.
struct VerifiedRows {
  LogIndex through;
  Digest chain;
  bool whole = true;  // false: a row was damaged, missing or out of place, and nothing after it counts
};

/// Takes rows of the log as a peer holds them, entries from `at->through` + 1 on: checks every checksum and place, continues the
/// hash chain, and makes chosen rows of them. Stops at the first that is not what it should be.
/// Nothing after `last` is taken.
PackedPieces VerifyRows(ShardId shard, const std::vector<SharedBytes>& parts, LogIndex last,
                        VerifiedRows* at);

/// Fills the gaps of the node's logs while it serves: a few shards at a time, at a bounded rate, in order, each stretch
/// verified against the hash chain of the journal before it counts.
/// Owns:    the pulls. Borrows the ports.
/// Threads: the node's strand.
class Backfill {
 public:
  /// What it asks the replica.
  struct Host {
    std::function<std::optional<ReplicaId>(ShardId, uint32_t turn)> source;
    std::function<uint64_t()> new_session;
    /// The rows up to `gap.through` are durable: keeps the gap as it is now. Where it is closed (`through` == `last`), it must be
    /// that the chain ends as it should; false: it does not, and the gap is to be filled anew.
    std::function<bool(ShardId, const LogGap& gap)> filled;
    std::function<void()> flush_soon;
  };
  Backfill(const ReplicaPorts& ports, Host host, const CatchUpOptions& options);
  ~Backfill();

  /// The gap of the shard from now on, in place of an earlier one.
  void Add(ShardId shard, const LogGap& gap);
  /// No more is filled in there, for now; `Add` goes on.
  void Pause(ShardId shard);
  /// The rows of the shard are about to be removed: nothing is on its way to the disk any more when `done` is called, perhaps
  /// inside the call.
  void Remove(ShardId shard, std::function<void()> done);
  /// Call every now and then.
  void Tick();
  /// The pull of that session, or null.
  RowPull* Find(uint64_t session);
  size_t shards() const { return fills_.size(); }

 private:
  class Fill;
  enum class Begin : uint8_t { kAllowed, kNotYet };
  void Erase(ShardId shard);
  int64_t Pace(size_t bytes);

  const ReplicaPorts& ports_;
  Host host_;
  uint64_t bytes_per_second_;
  size_t ingest_bytes_;
  std::map<ShardId, std::unique_ptr<Fill>> fills_;
  int64_t paced_until_us_ = 0;
  Counter* bytes_ = nullptr;
  Gauge* shards_ = nullptr;
};

}  // namespace paxledger
