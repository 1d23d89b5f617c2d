#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "replication/core/barrier.h"
#include "replication/core/shard_log.h"

namespace paxledger::sim {

/// A value at an index and a ballot.
struct BallotValue {
  LogIndex index;
  Ballot ballot;
  Digest digest;
  SharedBytes value;  // null where only the digest was said
};

/// What a replica did in one event.
struct CoreOutput {
  std::vector<std::pair<ReplicaId, PeerMessage>> sends;
  std::vector<BallotValue> proposals;
  std::vector<BallotValue> votes;  // that became durable
  std::vector<ChosenEntry> applied;
  std::vector<std::pair<ReadTicket, LogIndex>> answered;  // reads, at what was chosen here
  std::vector<SharedBytes> dropped;                       // commands that it will never propose
  uint32_t prepares = 0;                                  // begun
  std::string failure;                                    // a rule that this replica broke by itself
};

/// One replica of a shard with everything around its log reduced to a few lines: a disk whose writes become durable when told,
/// and the barrier. A value: a copy goes its own way.
/// Checks that no message tells of a record that is not durable here (consensus.md rule 2), that a Prepare keeps to its backoff (rule
/// 13), and that who lost nothing votes.
/// Threads: one.
class CoreNode {
 public:
  /// `random` outlives the node.
  CoreNode(ReplicaId self, std::vector<ReplicaId> members, Random& random)
      : self_(self), members_(std::move(members)), random_(&random) {}
  CoreNode(const CoreNode& other);
  CoreNode(CoreNode&&) = default;
  CoreNode& operator=(const CoreNode&) = delete;

  /// What the disk holds of an index.
  struct Row {
    Record record;
    bool chosen = false;
    SharedBytes value;
    LogIndex chosen_through;
    std::optional<Configuration> members;  // that a chosen value brings into force
  };

  // A process. `first_round` numbers its barriers.
  bool up() const { return log_ != nullptr; }
  void Start(uint64_t first_round, const Moment& now, CoreOutput& out);
  /// The first `writes_kept` of the writes that wait at the disk are durable, the others lost.
  void Crash(size_t writes_kept, CoreOutput& out);
  /// The replica left the shard: the process ends, its records are removed, and the next one knows below which index it may not
  /// vote any more (consensus.md rule 16).
  void Drop();
  /// The disk is found empty, the incarnation with it; only while down.
  void Wipe();
  /// The records are gone, and nothing else.
  void LoseRecords();

  // Events; only while up.
  void Step(const ShardLogEvent& event, const Moment& now, CoreOutput& out);
  void Handle(ReplicaId from, const PeerMessage& message, const Moment& now, CoreOutput& out);
  /// Makes the first `count` of the writes that wait at the disk durable: one group commit.
  void Sync(size_t count, const Moment& now, CoreOutput& out);
  void Tick(const Moment& now, CoreOutput& out);
  void Read(ReadTicket ticket, const Moment& now, CoreOutput& out);

  const ShardLog& log() const { return *log_; }
  Incarnation incarnation() const { return Incarnation{incarnation_}; }
  size_t writes_waiting() const { return waiting_.size(); }
  int64_t wake_at_us() const { return std::min(wake_at_us_, barrier_wake_at_us_); }
  /// nullptr: none.
  const Row* DiskRow(LogIndex index) const;
  void WriteState(StateWriter& out) const;

 private:
  Barrier::Local LocalAt(const Moment& now) const;
  void CarryOut(Effects effects, const Moment& now, CoreOutput& out);
  void NotePrepare(LogIndex index, Ballot ballot, const Moment& now, CoreOutput& out);
  void CheckRevealed(const PaxosMessage& message, CoreOutput& out) const;
  void Return(std::vector<PendingCommand> commands, CoreOutput& out);
  void OnBarrier(BarrierEffects effects, const Moment& now, CoreOutput& out);
  void Answer(ReplicaId from, const FetchRequest& request, CoreOutput& out) const;
  void Store(const RecordWrite& write, CoreOutput& out);
  void Restore();
  void Broadcast(const PeerMessage& message, CoreOutput& out) const;

  ReplicaId self_;
  std::vector<ReplicaId> members_;
  Random* random_;

  // On disk.
  uint64_t incarnation_ = 0;
  std::map<uint64_t, Row> disk_;
  bool lost_records_ = false;
  LogIndex silent_below_;

  // Of the process.
  std::unique_ptr<ShardLog> log_;  // null: down
  std::unique_ptr<Barrier> barrier_;
  std::deque<RecordWrite> waiting_;         // at the disk
  std::map<uint64_t, SharedBytes> chosen_;  // applied in this life, for peers that fetch
  struct Prepared {
    Ballot ballot;
    int64_t at_us = 0;  // last
    uint32_t times = 0;
  };
  std::map<uint64_t, Prepared> prepared_;  // by index
  int64_t wake_at_us_ = INT64_MAX;
  int64_t barrier_wake_at_us_ = INT64_MAX;
};

/// "none" or "(round,replica)".
std::string BallotName(Ballot ballot);
/// "promised (1,2) accepted (0,1)"
std::string RecordName(const Record& record);

}  // namespace paxledger::sim
