#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "replication/core/configuration.h"
#include "replication/core/envelope.h"
#include "replication/core/message.h"
#include "replication/core/state_machine.h"
#include "replication/lineage.h"
#include "replication/net/transport.h"
#include "replication/routing.h"
#include "replication/store/engine.h"

namespace paxledger {

/// When a replica takes a snapshot instead of entries, and how fast it does in the background what can wait.
struct CatchUpOptions {
  uint64_t snapshot_behind_entries = limits::kSnapshotBehindEntries;
  uint64_t snapshot_empty_entries = limits::kSnapshotEmptyEntries;
  uint64_t backfill_bytes_per_second = limits::kBackfillBytesPerSecond;
  uint64_t scrub_bytes_per_second = limits::kScrubBytesPerSecond;
  size_t part_bytes = limits::kRowsPartBytes;  // of rows that are sent in bulk
  size_t ingest_bytes = limits::kIngestBytes;  // rows that are gathered for one file
};

/// What a node durably has of a shard.
struct HeldThrough {
  LogIndex durable;  // everything up to here is applied...
  LogIndex whole;    // ...and the journal here without a gap
};

struct ReplicaOptions {
  ReplicaId self;
  std::vector<ReplicaId> members;  // all nodes of the creation document
  uint32_t shards = 0;
  std::vector<std::vector<ReplicaId>>
      placement;                      // by shard: its members at index 0, sorted; empty: `members`
  std::vector<ShardRouting> routing;  // by shard; empty: all are leaderless
  /// SHA-256 of the creation document: the value at index 0 of every shard (consensus.md rule 6).
  Digest genesis;
  CatchUpOptions catch_up;
};

/// The ports a replica reaches the outside through; all outlive it.
struct ReplicaPorts {
  Clock* clock = nullptr;
  Executor* executor = nullptr;
  Random* random = nullptr;
  Engine* engine = nullptr;
  Transport* transport = nullptr;
  Metrics* metrics = nullptr;
};

/// Of a shard that is not hosted here: as last heard of it.
struct ShardStatus {
  LogIndex chosen;        // known chosen and applied
  LogIndex durable;       // ...and durable
  LogIndex highest_seen;  // the highest index that any peer is known to hold
  Owner owner;            // of the next index
  Configuration members;  // in force for the next index
  bool hosted = false;
  bool voting = true;     // false: lost data was noticed (consensus.md rule 18)
  LogIndex silent_below;  // it left there once and dropped its records: it votes at none below
};

/// The driver of a node's shards: feeds events to the pure core, carries out its effects in their order, routes commands
/// to the preferred replica and takes over when that is slow or dead.
/// Owns:    the shard logs. Borrows the ports and the state machines.
/// Threads: the node's strand.
class Replica : public TransportListener {
 public:
  Replica(ReplicaOptions options, ReplicaPorts ports);
  ~Replica() override;

  /// Reads the log, replays what the machines have not applied, and takes a new incarnation. Call once. `machine(shard)`
  /// gives the state machine of a shard, recovered already; it is called for the shards that are hosted here, and again for
  /// each that `Host` adds. `ready` is called on the strand when the incarnation is
  /// durable: only then may the transport start (consensus.md rule 1).
  /// Errors: kDataLoss  a row of the log is damaged or missing: nothing was started, `ready` is not called
  [[nodiscard]] absl::Status Recover(std::function<StateMachine&(ShardId)> machine,
                                     absl::AnyInvocable<void()> ready);
  /// The number of this process among those of its replica, above a few random bits: so two processes that start from the
  /// same disk image differ. Valid after Recover.
  Incarnation incarnation() const { return lineage().incarnation; }
  /// This process and those before it from this disk, for the greeting.
  const Lineage& lineage() const;

  /// Hands a command to whoever can have it chosen soonest. Best effort: it may be lost, or be chosen twice, so the
  /// caller watches its state machine and submits again. `attempt` counts the caller's tries, from 0: see Router::Choose.
  /// Errors: kResourceExhausted  the queue of the shard is full; nothing was proposed
  ///         kUnavailable        no majority was heard for a second, or as `MayBegin`; nothing was proposed
  [[nodiscard]] absl::Status Submit(ShardId shard, MachineId machine, std::string_view bytes, Urgency urgency,
                                    uint32_t attempt);

  /// Strong read barrier (consensus.md rules 9-11): when it returns an index, everything that was chosen in `shard` before
  /// the call is applied here, up to that index at least. Writes no log entry unless an index was in doubt.
  /// Errors: kDeadlineExceeded, kUnavailable; nothing happened
  Task<absl::StatusOr<LogIndex>> ReadBarrier(ShardId shard, Deadline deadline);

  /// A majority of the members of every shard that is hosted here was heard within the last second, and of every other
  /// shard at least one.
  bool HasQuorum() const;
  /// Errors: kUnavailable  for want of room on disks nothing can be begun here; says where
  absl::Status MayBegin() const;

  // Who hosts what (ADR 0008).
  /// A replica of the shard is here: a member, a learner, or one that left.
  bool Hosts(ShardId shard) const;
  /// ...and its machine has its state: false while that is replaced by a snapshot.
  bool Serves(ShardId shard) const;
  std::vector<ShardId> Hosted() const;
  /// In force for the next index as known here, or as last heard.
  Configuration MembersOf(ShardId shard) const;
  /// Nodes to turn to for a shard, best first: those that are up, of the own data centre, its owner. Not this one, and who is silent
  /// or down only where there is no other.
  std::vector<ReplicaId> HostsOf(ShardId shard) const;
  /// How much `replica` has, as it said in the last seconds; nullopt: it said nothing of the shard.
  std::optional<HeldThrough> HeldAt(ShardId shard, ReplicaId replica) const;
  /// Hosts a learner of the shard from now on, also after a restart; where it is hosted already nothing happens.
  void Host(ShardId shard);
  /// Its own log says so. A replica that has not got as far may be a member there that the others know to have left.
  bool MayDrop(ShardId shard) const;
  /// Removes the replica of a shard that this node is no member of, with all its rows; `done` when they are gone, durably.
  /// The caller has seen that a majority of the members durably holds everything up to the change (consensus.md rule 16).
  void Drop(ShardId shard, absl::AnyInvocable<void()> done);
  /// Proposes a change of members through this replica. Best effort: watch `MembersOf`.
  /// Errors: kFailedPrecondition  this replica does not vote in the shard, or the change is for another configuration
  [[nodiscard]] absl::Status ChangeMembers(ShardId shard, const MembershipChange& change);
  /// All nodes that there are, and those of the own data centre.
  void SetNodes(std::vector<ReplicaId> nodes, std::vector<ReplicaId> near);

  ShardStatus Status(ShardId shard) const;
  /// The value chosen at `index` from the log.
  /// Errors: kNotFound     not chosen here (yet)
  ///         kUnavailable  chosen, but its row is not here yet: see FetchEntry
  ///         kDataLoss     its row is damaged
  absl::StatusOr<SharedBytes> ReadEntry(ShardId shard, LogIndex index) const;
  /// The same, from a peer where it is not here.
  /// Errors: kUnavailable  nobody had it in time
  Task<absl::StatusOr<SharedBytes>> FetchEntry(ShardId shard, LogIndex index, Deadline deadline);
  /// How long a command usually takes from submission to applied, for adaptive deadlines.
  absl::Duration TypicalCommit() const;
  /// The largest distance of this node's clock from the median of its peers', signed, in microseconds.
  int64_t ClockOffsetMicros() const;

  /// Messages of layers above, to and from peers.
  void SendApp(ReplicaId to, AppMessage message);
  void set_app_handler(std::function<void(ReplicaId from, AppMessage message)> handler);

  /// Called on the strand when a peer's connection was lost, or a connected peer fell silent: commands that were sent to it
  /// may never be chosen, and are better submitted again.
  void set_peer_lost_handler(std::function<void()> handler);

  /// Called on the strand when this replica lost its majority, or stood still itself for as long as that takes: what is
  /// applied here may be far behind by now.
  void set_out_of_touch_handler(std::function<void()> handler);

  /// Gives this replica up for good, as its peers did who refused it for an older process or a lost disk: it votes no more,
  /// and no process will start from its disk. `done` once that is durable.
  void Retire(absl::AnyInvocable<void()> done);

  /// Proposes a hand-over of every shard owned here to a living peer, for a planned stop (consensus.md rule 14).
  void HandOver();
  /// No command is queued or in flight here.
  bool Idle() const;

  // TransportListener
  void OnMessage(ReplicaId from, PeerMessage message) override;
  void OnFrameEnd() override;
  void OnPeerUp(ReplicaId peer, Incarnation incarnation) override;
  void OnPeerDown(ReplicaId peer) override;
  void OnPeerClock(ReplicaId peer, int64_t wall_us) override;
  void OnRoundTrip(ReplicaId peer, int64_t took_us) override;
  void AdmitPeer(ReplicaId peer, const Lineage& process, absl::AnyInvocable<void(bool)> admitted) override;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace paxledger
