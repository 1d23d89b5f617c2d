#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "replication/backfill.h"
#include "replication/core/barrier.h"
#include "replication/core/shard_log.h"
#include "replication/disk_watch.h"
#include "replication/entry_fetch.h"
#include "replication/lineage.h"
#include "replication/log_store.h"
#include "replication/peer_watch.h"
#include "replication/replica.h"
#include "replication/routing.h"
#include "replication/row_source.h"
#include "replication/scrub.h"
#include "replication/snapshot_install.h"

namespace paxledger {

/// The inside of `Replica`. What events cause is gathered over a turn of the strand and carried out by `Flush` in the
/// order of `Effects`: one batch to the disk, one frame to each peer, then the chosen entries to their machines.
/// Threads: the node's strand.
class Replica::State {
 public:
  State(ReplicaOptions options, ReplicaPorts ports);

  absl::Status Recover(std::function<StateMachine&(ShardId)> machine, absl::AnyInvocable<void()> ready);
  absl::Status Submit(ShardId shard, MachineId machine, std::string_view bytes, Urgency urgency,
                      uint32_t attempt);
  Task<absl::StatusOr<LogIndex>> ReadBarrier(ShardId shard, Deadline deadline);

  bool HasQuorum() const;
  bool Hosts(ShardId shard) const { return At(shard).log != nullptr; }
  bool Serves(ShardId shard) const {
    return Hosts(shard) && !At(shard).catch_up.suspended &&
           At(shard).applied >= At(shard).catch_up.stored_through;
  }
  std::vector<ShardId> Hosted() const;
  Configuration MembersOf(ShardId shard) const;
  std::vector<ReplicaId> HostsOf(ShardId shard) const;
  std::optional<HeldThrough> HeldAt(ShardId shard, ReplicaId replica) const;
  void Host(ShardId shard);
  bool MayDrop(ShardId shard) const;
  void Drop(ShardId shard, absl::AnyInvocable<void()> done);
  absl::Status ChangeMembers(ShardId shard, const MembershipChange& change);
  void SetNodes(std::vector<ReplicaId> nodes, std::vector<ReplicaId> near);
  absl::Status MayBegin() const { return disk_.MayBegin(options.members); }
  ShardStatus Status(ShardId shard) const;
  absl::StatusOr<SharedBytes> ReadEntry(ShardId shard, LogIndex index) const;
  Task<absl::StatusOr<SharedBytes>> FetchEntry(ShardId shard, LogIndex index, Deadline deadline);
  int64_t ClockOffsetMicros() const;
  void HandOver();
  bool Idle() const;

  void Handle(ReplicaId from, PaxosMessage& message);
  void Handle(ReplicaId from, FetchRequest& request);
  void AnswerFetch(ReplicaId from, const FetchRequest& request);
  void AnswerNextFetch();
  void Handle(ReplicaId from, FetchAnswer& answer);
  void Handle(ReplicaId from, BarrierRequest& request);
  void Handle(ReplicaId from, BarrierAnswer& answer);
  void Handle(ReplicaId from, ForwardedCommands& forwarded);
  void Handle(ReplicaId from, Notices& notices);
  void Handle(ReplicaId from, DiskNotice& notice);
  void Handle(ReplicaId from, RowsRequest& request);
  void Handle(ReplicaId from, RowsHead& head);
  void Handle(ReplicaId from, RowsPart& part);
  void Handle(ReplicaId from, AppMessage& message);

  void Retire(absl::AnyInvocable<void()> done);
  void OnPeerUp(ReplicaId peer, Incarnation incarnation);
  void OnPeerDown(ReplicaId peer);
  void OnPeerClock(ReplicaId peer, int64_t wall_us);
  void OnRoundTrip(ReplicaId peer, int64_t took_us);
  void AdmitPeer(ReplicaId peer, const Lineage& process, absl::AnyInvocable<void(bool)> admitted);

  void Flush();
  void FlushSoon();

  ReplicaOptions options;
  ReplicaPorts ports;
  Lineage lineage;
  int64_t commit_us;  // moving average from proposal to applied, of entries proposed here
  std::function<void(ReplicaId, AppMessage)> app_handler;
  std::function<void()> peer_lost_handler;
  std::function<void()> out_of_touch_handler;

 private:
  /// Of a forwarded command: to a host, to the owner, who is none any more, and to the next one. One that has so many is proposed
  /// where it is, lest it go in a circle, and so is one that is to take the shard over.
  static constexpr uint32_t kHopsMax = 4;
  static constexpr int kIncarnationRandomBits = 20;  // below the counter of processes
  static constexpr std::string_view kRetiredName = "retired";
  static constexpr int64_t kNoticesEveryUs = 500'000;
  static constexpr int64_t kHeldWithinUs = 4 * kNoticesEveryUs;
  static constexpr uint64_t kHosted = 1;  // in the meta row of a shard; 0: as the creation document says
  static constexpr uint64_t kDropped = 2;

  struct RecentEntry {
    LogIndex index;
    SharedBytes value;
    uint64_t
        batch;  // the last one that was handed to the disk when this was applied: its row is in there, or before
  };
  /// What others said of a shard, at first what the creation document says.
  struct Heard {
    struct Replica {
      HeldThrough held;
      int64_t at_us = 0;
    };
    Configuration members;
    Owner owner;
    std::map<ReplicaId, Replica> durable;
  };
  struct UnappliedEntry {
    ChosenEntry entry;
    uint64_t batch;  // its row is in there, or before; see BatchOf
  };
  /// How a shard that is far behind, or lost its state, comes back; replica_catchup.cc.
  struct CatchUp {
    std::unique_ptr<SnapshotInstall> install;  // null: none under way
    bool suspended = false;                    // the machine has no state: nothing is applied, `applied` is 0
    bool state_lost = false;                   // a snapshot at any index will do
    bool replaying = false;                    // the state is being emptied, to be made from the journal
    bool frozen = false;  // the last batch of an installation is on its way: the log must not move
    std::vector<event::Persisted> held_back;
    LogIndex stored_through;  // entries up to here are to be applied from their rows
    std::optional<LogGap> gap;
    std::optional<FetchWanted> fetch;  // waits until what was fetched before is applied and durable
    std::set<ReplicaId> refused;       // peers that have not got the next entry any more
    uint64_t fetched_bytes = 0;        // since it was last level with its peers...
    uint32_t installs = 0;             // ...and as many snapshots
    struct {
      uint64_t batch = 0;     // the last gap is closed once this is durable...
      LogIndex whole_before;  // ...and up to here the journal is whole before
    } closed;
    Digest journal_before;         // of the machine, when the installation began...
    LogIndex applied_before;       // ...and at which index
    LogIndex damaged;              // what this process found unreadable at its start ends here
    int64_t nudged_at_us = 0;      // when others were last asked to decide that
    std::set<LogIndex> repairing;  // rows that are being fetched from peers
  };
  struct Shard {
    ShardId id;
    std::unique_ptr<ShardLog> log;  // null: not hosted here, and so are the next two
    std::unique_ptr<Barrier> barrier;
    StateMachine* machine = nullptr;
    bool dropping = false;
    uint64_t life = 0;  // how often it was hosted: tells writes of an earlier log from those of this one
    Heard heard;
    LogIndex members_since;           // of the configuration that others were told of
    int64_t learn_at_us = INT64_MAX;  // when a learner asks for more
    uint32_t learn_turn = 0;          // and whom
    LogIndex applied;
    LogIndex durable;  // everything up to here is applied, and its row durable
    std::deque<std::pair<LogIndex, uint64_t>>
        applied_not_durable;  // with the batch that must be durable first
    int64_t wake_at_us = INT64_MAX;
    std::vector<PendingCommand> proposals;  // of this turn
    std::deque<UnappliedEntry> to_apply;
    CatchUp catch_up;
    std::deque<RecentEntry> recent;
    size_t recent_bytes = 0;
    int64_t proposed_at_us = 0;  // when the value in flight was proposed here; 0: none
  };
  struct Peer {
    Incarnation incarnation;
    int64_t heard_at_us = 0;
    PeerWatch watch;
    int64_t clock_offset_us = 0;  // its clock minus ours
    bool clock_known = false;
  };
  struct WaitingRead {
    Completion<absl::StatusOr<LogIndex>> done;
    ShardId shard;
    TimerId timer = 0;
  };

  Shard& At(ShardId shard);
  const Shard& At(ShardId shard) const;
  absl::StatusOr<bool> WasHosted(const Shard& shard) const;
  absl::Status RecoverShard(Shard& shard);
  std::vector<ReplicaId> FirstMembers(ShardId shard) const;
  static std::string HostName(ShardId shard);
  static std::string LeftName(ShardId shard);
  void Replay(Shard& shard, LogIndex through);
  Moment Now(const Shard& shard) const;
  void UpdateClockOffset();
  void UpdateHealth();
  void LookAtDisk();
  std::optional<ReplicaId> ElsewhereWithRoom(ShardId shard, uint32_t attempt) const;
  void ExcuseOwnStall(int64_t now_us);
  void WatchHealth();
  void HandOverNext();
  void LoseTouch();
  int64_t MajorityRoundTrip(const Configuration& members) const;

  /// Nothing where the shard is not hosted.
  void Step(Shard& shard, const ShardLogEvent& event);
  void RunBarrier(Shard& shard, BarrierEffects effects);
  std::optional<LogIndex> OwnBarrierAnswer(const Shard& shard) const;
  Barrier::Local LocalOf(const Shard& shard) const;
  void Route(ShardId shard, PendingCommand command, uint32_t attempt);
  void RouteElsewhere(ShardId shard, PendingCommand command, uint32_t attempt);
  void RouteAnew(Shard& shard);
  bool OwnedElsewhere(const Shard& shard) const;
  std::vector<Owner> HeirsOf(const Configuration& members) const;
  const Configuration& KnownMembers(const Shard& shard) const;
  bool HeardLately(ReplicaId peer) const;
  bool HasQuorum(const Shard& shard) const;
  void Forward(ReplicaId to, ShardId shard, PendingCommand command);
  void ProposeGathered();
  void SendForwards();
  void WriteGathered();
  void ApplyGathered();
  void ApplyOne(Shard& shard, const ChosenEntry& entry);
  void NoteDurable();
  void RemoveRows(ShardId shard, LogIndex left_at, absl::AnyInvocable<void()> done);
  HeldThrough HeldHere(const Shard& shard) const;
  ShardNotice NoticeOf(const Shard& shard) const;
  void SendNotices(ReplicaId to);
  void SendNoticesToAll();
  void TellOfChange(Shard& shard);
  void LearnOrNot(Shard& shard);
  void Learn(Shard& shard, int64_t now_us);
  void LearnOn(Shard& shard, size_t entries);
  void Wake();
  void ArmTimer();

  // Catching up
  LogIndex KnownChosen(const Shard& shard) const;
  bool WantsSnapshot(const Shard& shard) const;
  void FetchFrom(Shard& shard, FetchWanted wanted);
  void NoteFetched(Shard& shard, ReplicaId from, const FetchAnswer& answer);
  void NoteLevel(Shard& shard);
  bool NobodyHasNext(const Shard& shard) const;
  std::vector<ReplicaId> LivingHostsOf(ShardId shard) const;
  void BeginInstall(Shard& shard);
  bool NeedsNoInstall(const Shard& shard) const;
  bool NobodyHasState(const Shard& shard) const;
  void ReplayJournal(Shard& shard);
  void Suspend(Shard& shard);
  void ClearForInstall(Shard& shard, std::function<void()> done);
  bool FinishInstall(Shard& shard, const InstalledSnapshot& at);
  void OnInstalled(Shard& shard, const InstalledSnapshot& at);
  std::optional<LogGap> GapAfter(const Shard& shard, const InstalledSnapshot& at) const;
  bool FilledGap(ShardId shard, const LogGap& gap);
  absl::Status RecoverCatchUp(Shard& shard);
  void DropCatchUp(Shard& shard, std::function<void()> done);
  void ResumeFetches();
  uint64_t BatchOf(const UnappliedEntry& unapplied) const;
  void DropStored(Shard& shard);
  void ReplayStored(Shard& shard);
  RowSource::Host RowSourceHost();
  Backfill::Host BackfillHost();
  RowPull* PullOf(uint64_t session);
  void TickCatchUp(int64_t now_us);
  // Repair
  void NoteDamage(Shard& shard, LogIndex through);
  void Remember(ShardId shard, LogIndex index, SharedBytes value);
  void LoseState(Shard& shard, const absl::Status& why);
  void RepairEntry(Shard& shard, LogIndex index, const absl::Status& why);
  void NudgeDamaged(Shard& shard, int64_t now_us);
  Scrub::Host ScrubHost();
  static std::string InstallingName(ShardId shard);
  void FailReadsOf(ShardId shard);
  void AnswerRead(ReadTicket ticket, absl::StatusOr<LogIndex> result);

  LogStore store_;
  DiskWatch disk_;
  Router router_;
  RowSource row_source_;
  Backfill backfill_;
  EntryFetch entries_wanted_;
  Scrub scrub_;
  int64_t catch_up_at_us_ = INT64_MAX;
  struct FetchedEntry {
    ShardId shard;
    LogIndex index;
    SharedBytes value;
  };
  std::deque<FetchedEntry> fetched_;  // lately, of entries whose rows are not here
  std::vector<Shard> shards_;
  std::map<ReplicaId, Peer> peers_;
  std::map<ReplicaId, uint64_t> admitted_;
  /// Of who asks for one entry, that entry too: a repair must not take the place of what a learner asks for, or of other repairs.
  using FetchName = std::tuple<ReplicaId, ShardId, LogIndex>;
  std::map<FetchName, FetchRequest> fetches_;  // to be answered, one in a turn
  FetchName fetch_answered_;                   // the last one
  std::map<std::pair<ReplicaId, uint64_t>, ForwardedCommands>
      forwards_;  // by peer, and shard with urgency and hops
  EngineBatch batch_;
  uint64_t batches_written_ = 0;  // handed to the disk
  uint64_t batches_done_ = 0;     // of these, durable and readable
  struct WrittenRow {
    ShardId shard;
    uint64_t life;
    event::Persisted event;
  };
  std::vector<WrittenRow> batch_persisted_;
  std::map<ReadTicket, WaitingRead> reads_;
  ReadTicket next_ticket_ = 1;
  bool in_touch_ = false;        // with a majority
  int64_t health_at_us_ = 0;     // when the peers' health was looked at last
  std::vector<ReplicaId> near_;  // nodes of the own data centre, without this one
  std::function<StateMachine&(ShardId)> machine_of_;
  int64_t notices_at_us_ = 0;           // when they are due again
  int64_t median_clock_offset_us_ = 0;  // of all members' clocks against ours
  Counter* entries_ = nullptr;
  Counter* commands_ = nullptr;
  TimerId timer_ = 0;
  int64_t armed_at_us_ = INT64_MAX;
  bool flush_wanted_ = false;
  bool flush_posted_ = false;
  bool flushing_ = false;
  bool ready_ = false;
  bool retired_ = false;
};

}  // namespace paxledger
