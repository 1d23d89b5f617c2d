// How a shard that is far behind, or has no state, comes back: snapshots, the tail after them, and the journal before them
// (consensus.md rules 18 and 20).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/planted.h"
#include "replication/log_row.h"
#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kTickUs = 50'000;
constexpr uint64_t kFetchedBytesMax = 32 << 20;  // entry by entry, before a snapshot is taken for the rest
constexpr uint32_t kDoublingsMax = 16;
constexpr uint32_t kRefusedBeforeReplay = 50;  // at 200 ms each
constexpr size_t kFetchedKept = 64;            // entries whose rows are not here
constexpr size_t kReplayEntriesMax = 256;      // in one turn of the strand

void AddClearing(Engine& engine, ShardId shard, EngineBatch& batch) {
  std::string begin = LogKey(shard, LogIndex{}).substr(0, 4);
  std::string end = LogKey(ShardId{shard.value + 1}, LogIndex{}).substr(0, 4);
  for (Table table : kMachineTables) {
    // A range that was never there needs no tombstone, under which files could only be ingested on top.
    std::unique_ptr<EngineCursor> rows = engine.Scan(table, begin, end);
    if (rows->valid() || !rows->status().ok()) batch.Add(EngineBatch::DeleteRange{table, begin, end});
  }
}

}  // namespace

std::string Replica::State::InstallingName(ShardId shard) { return absl::StrCat("installing/", shard.value); }

// --- fetching -------------------------------------------------------------------------------------------------------

LogIndex Replica::State::KnownChosen(const Shard& shard) const {
  LogIndex known = shard.log->highest_seen();
  for (const auto& [host, said] : shard.heard.durable) known = std::max(known, said.held.durable);
  return known;
}

bool Replica::State::WantsSnapshot(const Shard& shard) const {
  LogIndex chosen = shard.log->chosen();
  uint64_t behind = std::max(KnownChosen(shard), chosen).value - chosen.value;
  const CatchUpOptions& bounds = options.catch_up;
  if (behind > 0 && NobodyHasNext(shard)) return true;
  if (chosen == LogIndex{} && behind > bounds.snapshot_empty_entries) return true;
  // Each snapshot since it was last level with its peers doubles what must be missing for another: where entries come faster than
  // snapshots, the tail is what converges.
  uint32_t doublings = std::min(shard.catch_up.installs, kDoublingsMax);
  if (behind > bounds.snapshot_behind_entries << doublings) return true;
  return shard.catch_up.fetched_bytes > kFetchedBytesMax << doublings &&
         behind > bounds.snapshot_empty_entries;
}

void Replica::State::NoteLevel(Shard& shard) {
  // What is known may be a proposal that is under way.
  if (Next(shard.log->chosen()) < KnownChosen(shard)) return;
  shard.catch_up.fetched_bytes = 0;
  shard.catch_up.installs = 0;
}

bool Replica::State::NobodyHasNext(const Shard& shard) const {
  if (shard.catch_up.refused.empty()) return false;
  std::vector<ReplicaId> hosts = LivingHostsOf(shard.id);
  return std::all_of(hosts.begin(), hosts.end(),
                     [&](ReplicaId host) { return shard.catch_up.refused.contains(host); });
}

void Replica::State::ResumeFetches() {
  for (Shard& shard : shards_) {
    if (!shard.catch_up.fetch.has_value()) continue;
    FetchFrom(shard, *shard.catch_up.fetch);
    if (!shard.catch_up.fetch.has_value()) FlushSoon();
  }
}

void Replica::State::FetchFrom(Shard& shard, FetchWanted wanted) {
  CatchUp& catch_up = shard.catch_up;
  catch_up.fetch.reset();
  if (shard.log == nullptr) return;
  // Where the state is lost and the log is not far behind, it goes on learning, so that this replica can promise and vote.
  if (catch_up.install != nullptr && (!catch_up.suspended || WantsSnapshot(shard))) return;
  if (WantsSnapshot(shard)) return BeginInstall(shard);
  if (!catch_up.suspended && wanted.first > Next(shard.durable)) {
    catch_up.fetch = wanted;  // memory holds one piece at a time, however far behind this replica is
    return;
  }
  ports.transport->Send(wanted.from, FetchRequest{shard.id, wanted.first, wanted.last});
}

void Replica::State::NoteFetched(Shard& shard, ReplicaId from, const FetchAnswer& answer) {
  if (shard.log == nullptr) return;
  CatchUp& catch_up = shard.catch_up;
  for (const ChosenValue& entry : answer.entries) {
    if (entry.index > shard.log->chosen()) catch_up.fetched_bytes += entry.value->size();
  }
  LogIndex next = Next(shard.log->chosen());
  if (!answer.entries.empty()) catch_up.refused.clear();
  if (!answer.lacks || answer.from != next) return;
  catch_up.refused.insert(from);
  if (WantsSnapshot(shard)) return BeginInstall(shard);
  for (ReplicaId host : LivingHostsOf(shard.id)) {
    if (catch_up.refused.contains(host)) continue;
    LogIndex last{next.value + limits::kFetchEntriesMax - 1};
    return FetchFrom(shard, FetchWanted{host, next, last});
  }
}

std::vector<ReplicaId> Replica::State::LivingHostsOf(ShardId shard) const {
  std::vector<ReplicaId> hosts = HostsOf(shard);
  // Who left keeps its rows until a majority has the whole journal (rule 16), and may be the only one who has it now.
  int64_t since_us = ports.clock->MonotonicMicros() - kHeldWithinUs;
  for (const auto& [replica, said] : At(shard).heard.durable) {
    bool listed = std::find(hosts.begin(), hosts.end(), replica) != hosts.end();
    if (!listed && said.at_us >= since_us) hosts.push_back(replica);
  }
  std::erase_if(hosts, [this](ReplicaId host) { return !ports.transport->IsUp(host); });
  return hosts;
}

Task<absl::StatusOr<SharedBytes>> Replica::State::FetchEntry(ShardId id, LogIndex index, Deadline deadline) {
  absl::StatusOr<SharedBytes> here = ReadEntry(id, index);
  if (here.ok()) co_return here;
  if (index <= At(id).applied) RepairEntry(At(id), index, here.status());
  Completion<absl::StatusOr<SharedBytes>> done(*ports.executor);
  entries_wanted_.Ask(id, index, deadline.monotonic_us,
                      [done](absl::StatusOr<SharedBytes> value) { done.Set(std::move(value)); });
  catch_up_at_us_ = std::min(catch_up_at_us_, ports.clock->MonotonicMicros() + kTickUs);
  FlushSoon();
  absl::StatusOr<SharedBytes> value = co_await done;
  if (value.ok()) Remember(id, index, *value);
  co_return value;
}

void Replica::State::Remember(ShardId shard, LogIndex index, SharedBytes value) {
  fetched_.push_back({shard, index, std::move(value)});
  if (fetched_.size() > kFetchedKept) fetched_.pop_front();
}

// --- snapshots ------------------------------------------------------------------------------------------------------

RowSource::Host Replica::State::RowSourceHost() {
  RowSource::Host host;
  host.checkpoint = [this](ShardId id, std::function<void()> done) {
    if (!ready_ || id.value >= shards_.size()) return false;
    Shard& shard = At(id);
    if (shard.log == nullptr || shard.catch_up.suspended || shard.applied == LogIndex{}) return false;
    shard.machine->Checkpoint([done = std::move(done)] { done(); });
    return true;
  };
  host.basis = [this](ShardId id, EngineSnapshot& rows) -> absl::StatusOr<RowSource::Basis> {
    const Shard& shard = At(id);
    if (shard.log == nullptr || shard.catch_up.suspended)
      return absl::NotFoundError("the shard has no state here");
    absl::StatusOr<CheckpointMark> mark = shard.machine->CheckpointIn(rows);
    if (!mark.ok()) return mark.status();
    std::string key = LogKey(id, mark->applied);
    absl::StatusOr<std::optional<std::string>> row = rows.Get(Table::kLog, key);
    if (!row.ok()) return row.status();
    if (!row->has_value()) return absl::NotFoundError("the entry of the checkpoint is not here");
    absl::StatusOr<LogRow> entry = DecodeLogRow(key, **row);
    if (!entry.ok()) return entry.status();
    absl::StatusOr<Configuration> members =
        store_.ReadConfiguration(id, mark->applied, Configuration{LogIndex{}, FirstMembers(id)});
    if (!members.ok()) return members.status();
    return RowSource::Basis{mark->applied, std::make_shared<const std::string>(entry->value),
                            *std::move(members), mark->journal};
  };
  host.log_through = [this](ShardId id, LogIndex from) {
    LogIndex nothing{from.value - 1};
    if (!ready_ || id.value >= shards_.size() || from == LogIndex{}) return nothing;
    const Shard& shard = At(id);
    if (shard.log == nullptr || shard.catch_up.suspended || from > shard.durable) return nothing;
    const std::optional<LogGap>& gap = shard.catch_up.gap;
    if (!gap.has_value() || from > gap->last) return shard.durable;
    return gap->Contains(from) ? nothing : gap->through;
  };
  host.flush_soon = [this] { FlushSoon(); };
  return host;
}

void Replica::State::BeginInstall(Shard& shard) {
  CatchUp& catch_up = shard.catch_up;
  if (catch_up.install != nullptr || retired_) return;
  ShardId id = shard.id;
  SnapshotInstall::Host host;
  host.source = [this, id](uint32_t turn) -> std::optional<ReplicaId> {
    std::vector<ReplicaId> hosts = LivingHostsOf(id);
    if (hosts.empty()) return std::nullopt;
    return hosts[turn % hosts.size()];
  };
  host.new_session = [this] { return ports.random->Next(); };
  host.wanted = [this, id](LogIndex index) {
    const Shard& at = At(id);
    // Below the end of a gap nothing could be applied after the snapshot.
    if (at.catch_up.gap.has_value() && index <= at.catch_up.gap->last) return false;
    // It may have caught up by itself since it asked. Once the rows are gone, any state is better than none.
    if (!at.catch_up.suspended && !at.catch_up.state_lost && !WantsSnapshot(at)) return false;
    return at.catch_up.state_lost || index > at.log->chosen();
  };
  host.clear = [this, id](std::function<void()> done) { ClearForInstall(At(id), std::move(done)); };
  host.finish = [this, id](const InstalledSnapshot& at) { return FinishInstall(At(id), at); };
  host.flush_soon = [this] { FlushSoon(); };
  backfill_.Pause(id);  // where its gap ends is about to change
  catch_up.install =
      std::make_unique<SnapshotInstall>(id, ports, std::move(host), options.catch_up.ingest_bytes);
  catch_up_at_us_ = 0;
  ArmTimer();
}

// From here on this replica knows no state: others serve the shard, and what is chosen waits in its rows.
void Replica::State::Suspend(Shard& shard) {
  CatchUp& catch_up = shard.catch_up;
  catch_up.state_lost = true;
  if (std::exchange(catch_up.suspended, true)) return;
  catch_up.journal_before = shard.machine->journal();
  catch_up.applied_before = shard.applied;
  // Up to the last one applied; what was applied and is not durable yet is so before anything could be read of it.
  catch_up.stored_through = std::max(catch_up.stored_through, shard.applied);
  shard.applied = LogIndex{};
  shard.recent.clear();
  shard.recent_bytes = 0;
}

void Replica::State::ClearForInstall(Shard& shard, std::function<void()> done) {
  Suspend(shard);
  ShardId id = shard.id;
  uint64_t life = shard.life;
  shard.machine->Release([this, id, life, done = std::move(done)]() mutable {
    if (At(id).life != life || At(id).log == nullptr) return;
    EngineBatch batch;
    LogStore::AddNumber(InstallingName(id), 1, batch);
    AddClearing(*ports.engine, id, batch);
    ports.engine->Write(std::move(batch), Durability::kSync, [this, id, life, done = std::move(done)] {
      if (At(id).life == life && At(id).log != nullptr) done();
    });
  });
}

// It has caught up by itself, before a source was found: nothing was cleared yet.
bool Replica::State::NeedsNoInstall(const Shard& shard) const {
  const CatchUp& catch_up = shard.catch_up;
  bool begun = catch_up.install != nullptr && (catch_up.install->running() || catch_up.suspended);
  return catch_up.install != nullptr && !begun && !catch_up.state_lost && !WantsSnapshot(shard);
}

// All who are left lost their states, perhaps because the one that they took snapshots from is dead now.
bool Replica::State::NobodyHasState(const Shard& shard) const {
  const CatchUp& catch_up = shard.catch_up;
  bool idle = catch_up.install != nullptr && !catch_up.install->running() && !catch_up.replaying;
  return idle && catch_up.suspended && !catch_up.gap.has_value() &&
         catch_up.install->refused() >= kRefusedBeforeReplay;
}

// The journal is here from the first entry on, and says what the state is.
void Replica::State::ReplayJournal(Shard& shard) {
  Mark("snapshot.replayed_instead");
  shard.catch_up.replaying = true;
  Log(LogLevel::kWarn, "snapshot", "no peer has a state of the shard: it is made from the journal")
      .With("shard", shard.id.value)
      .With("entries", shard.catch_up.stored_through.value);
  ShardId id = shard.id;
  uint64_t life = shard.life;
  auto alive = [this, id, life] { return At(id).life == life && At(id).log != nullptr; };
  auto begin = [this, id, alive] {
    Shard& at = At(id);
    if (!alive()) return;
    at.catch_up.install.reset();
    at.catch_up.suspended = at.catch_up.state_lost = at.catch_up.replaying = false;
    at.applied = at.machine->applied();
    FlushSoon();
  };
  auto emptied = [this, id, begin] {
    absl::Status read = At(id).machine->Reload();
    Check(read.ok() && At(id).machine->applied() == LogIndex{}, "a machine whose rows are gone begins anew");
    EngineBatch batch;
    LogStore::AddNumber(InstallingName(id), 0, batch);
    ports.engine->Write(std::move(batch), Durability::kSync, begin);
  };
  shard.catch_up.install->End([this, id, alive, emptied] {
    // Not inside a call of what it ends.
    ports.executor->Post([this, id, alive, emptied] {
      if (alive()) ClearForInstall(At(id), emptied);
    });
  });
}

// What is missing of the journal once the snapshot is in.
std::optional<LogGap> Replica::State::GapAfter(const Shard& shard, const InstalledSnapshot& at) const {
  const std::optional<LogGap>& before = shard.catch_up.gap;
  if (at.index <= shard.log->chosen()) return before;
  LogGap gap;
  gap.through = before.has_value() ? before->through : shard.catch_up.applied_before;
  gap.chain = before.has_value() ? before->chain : shard.catch_up.journal_before;
  gap.last = LogIndex{at.index.value - 1};
  gap.chain_after = at.journal;
  return gap;
}

bool Replica::State::FinishInstall(Shard& shard, const InstalledSnapshot& at) {
  CatchUp& catch_up = shard.catch_up;
  absl::Status read = shard.machine->Reload();
  bool as_named = read.ok() && shard.machine->applied() == at.index && shard.machine->journal() == at.journal;
  if (!as_named) return false;
  // Votes that were cast so far are handed to the disk first, and no more are until the log knows: a row at an index of the
  // snapshot must not be written over.
  WriteGathered();
  catch_up.frozen = true;
  EngineBatch batch;
  if (at.index > shard.log->chosen()) {
    LogStore::AddChosenRow(shard.id, at.index, *at.value, batch);
    LogStore::AddChosenThrough(shard.id, at.index, batch);
    if (at.members.since > LogIndex{}) LogStore::AddConfiguration(shard.id, at.members, batch);
  }
  std::optional<LogGap> gap = GapAfter(shard, at);
  if (Bug("replica.gap_forgotten")) gap.reset();
  if (gap.has_value()) LogStore::AddGap(shard.id, *gap, batch);
  LogStore::AddNumber(InstallingName(shard.id), 0, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, [this, id = shard.id, life = shard.life, at, gap] {
    Shard& installed = At(id);
    if (installed.life != life || installed.log == nullptr) return;
    installed.catch_up.gap = gap;
    OnInstalled(installed, at);
  });
  return true;
}

void Replica::State::OnInstalled(Shard& shard, const InstalledSnapshot& at) {
  CatchUp& catch_up = shard.catch_up;
  catch_up.frozen = false;
  catch_up.install.reset();
  std::vector<event::Persisted> held_back = std::exchange(catch_up.held_back, {});
  catch_up.suspended = catch_up.state_lost = false;
  catch_up.refused.clear();
  catch_up.fetched_bytes = 0;
  ++catch_up.installs;
  shard.applied = at.index;
  if (at.index > shard.log->chosen()) {
    shard.to_apply.clear();
    shard.applied_not_durable.clear();
    shard.durable = at.index;
    catch_up.stored_through = at.index;
    EnvelopeHead head = PeekEnvelope(*at.value);
    Step(shard, event::Installed{at.index, head.owner, Sha256(*at.value), at.members});
  }
  for (const event::Persisted& persisted : held_back) Step(shard, persisted);
  if (retired_) Step(shard, event::Retired{});
  LearnOrNot(shard);
  if (catch_up.gap.has_value() && catch_up.gap->through >= catch_up.gap->last) catch_up.gap.reset();
  if (catch_up.gap.has_value()) backfill_.Add(shard.id, *catch_up.gap);
  catch_up_at_us_ = 0;
  RunBarrier(shard, shard.barrier->Chosen(LocalOf(shard)));
  Flush();
}

// --- entries that wait in their rows --------------------------------------------------------------------------------

// Its row may be there since it was accepted. Then nothing was gathered for it, and what is gathered next need not be waited for.
uint64_t Replica::State::BatchOf(const UnappliedEntry& unapplied) const {
  return batch_.empty() ? std::min(unapplied.batch, batches_written_) : unapplied.batch;
}

void Replica::State::DropStored(Shard& shard) {
  while (!shard.to_apply.empty() && BatchOf(shard.to_apply.front()) <= batches_done_) {
    shard.catch_up.stored_through = shard.to_apply.front().entry.index;
    shard.durable = std::max(shard.durable, shard.catch_up.stored_through);
    shard.to_apply.pop_front();
  }
}

void Replica::State::ReplayStored(Shard& shard) {
  for (size_t i = 0; !shard.catch_up.suspended && shard.applied < shard.catch_up.stored_through; ++i) {
    if (i == kReplayEntriesMax) return FlushSoon();
    LogIndex index = Next(shard.applied);
    absl::StatusOr<SharedBytes> value = store_.ReadValue(shard.id, index);
    if (!value.ok()) return RepairEntry(shard, index, value.status());
    ApplyOne(shard, {index, *value, Sha256(**value)});
  }
}

// --- the journal before a snapshot ----------------------------------------------------------------------------------

Backfill::Host Replica::State::BackfillHost() {
  Backfill::Host host;
  host.source = [this](ShardId shard, uint32_t turn) -> std::optional<ReplicaId> {
    std::vector<ReplicaId> hosts = LivingHostsOf(shard);
    if (hosts.empty()) return std::nullopt;
    return hosts[turn % hosts.size()];
  };
  host.new_session = [this] { return ports.random->Next(); };
  host.filled = [this](ShardId shard, const LogGap& gap) { return FilledGap(shard, gap); };
  host.flush_soon = [this] { FlushSoon(); };
  return host;
}

bool Replica::State::FilledGap(ShardId id, const LogGap& gap) {
  Shard& shard = At(id);
  bool closed = gap.through >= gap.last;
  if (closed) {
    // The entry after it is here since the snapshot; the chain up to it is the one that the snapshot's machine computed.
    absl::StatusOr<SharedBytes> after = store_.ReadValue(id, Next(gap.last));
    if (!after.ok()) RepairEntry(shard, Next(gap.last), after.status());
    bool sound = after.ok() && Sha256(gap.chain.view(), Sha256(**after).view()) == gap.chain_after;
    if (!sound) return false;
    Mark("backfill.closed");
  }
  LogStore::AddGap(id, gap, batch_);
  if (closed) shard.catch_up.closed = {batches_written_ + 1, gap.through};
  shard.catch_up.gap = closed ? std::nullopt : std::optional<LogGap>(gap);
  FlushSoon();
  return true;
}

// --- recovery and time ----------------------------------------------------------------------------------------------

absl::Status Replica::State::RecoverCatchUp(Shard& shard) {
  shard.catch_up = CatchUp();
  absl::StatusOr<std::optional<LogGap>> gap = store_.ReadGap(shard.id);
  if (!gap.ok()) return gap.status();
  shard.catch_up.gap = *gap;
  if (gap->has_value()) backfill_.Add(shard.id, **gap);
  absl::StatusOr<uint64_t> installing = store_.ReadNumber(InstallingName(shard.id));
  if (!installing.ok()) return installing.status();
  catch_up_at_us_ = 0;
  if (*installing == 0) {
    absl::Status read = shard.machine->Reload();
    if (!absl::IsDataLoss(read)) return read;
    LoseState(shard, read);
  } else {
    Mark("snapshot.begun_anew");
  }
  shard.catch_up.suspended = shard.catch_up.state_lost = true;
  return absl::OkStatus();
}

void Replica::State::DropCatchUp(Shard& shard, std::function<void()> done) {
  ShardId id = shard.id;
  auto ended = [this, id, done = std::move(done)] {
    At(id).catch_up = CatchUp();
    backfill_.Remove(id, done);
  };
  if (shard.catch_up.install == nullptr) return ended();
  // Not inside a call of what it destroys.
  shard.catch_up.install->End([this, ended = std::move(ended)] { ports.executor->Post(ended); });
}

RowPull* Replica::State::PullOf(uint64_t session) {
  for (Shard& shard : shards_) {
    RowPull* pull = shard.catch_up.install == nullptr ? nullptr : shard.catch_up.install->pull();
    if (pull != nullptr && pull->session() == session) return pull;
  }
  return backfill_.Find(session);
}

void Replica::State::Handle(ReplicaId from, RowsRequest& request) {
  if (ready_) row_source_.Handle(from, request);
}

void Replica::State::Handle(ReplicaId from, RowsHead& head) {
  RowPull* pull = PullOf(head.session);
  if (pull != nullptr) pull->Handle(from, head);
}

void Replica::State::Handle(ReplicaId from, RowsPart& part) {
  RowPull* pull = PullOf(part.session);
  if (pull != nullptr) pull->Handle(from, part);
}

void Replica::State::TickCatchUp(int64_t now_us) {
  bool more = backfill_.shards() > 0;
  size_t installing = 0;
  for (const Shard& shard : shards_) {
    installing += shard.catch_up.install != nullptr && shard.catch_up.install->running() ? 1 : 0;
  }
  for (Shard& shard : shards_) {
    if (shard.log == nullptr) continue;
    if (shard.catch_up.state_lost && shard.catch_up.install == nullptr) BeginInstall(shard);
    if (NobodyHasState(shard)) ReplayJournal(shard);
    if (NeedsNoInstall(shard)) {
      shard.catch_up.install.reset();
      if (shard.catch_up.gap.has_value()) backfill_.Add(shard.id, *shard.catch_up.gap);
    }
    if (shard.catch_up.install != nullptr) {
      bool ran = shard.catch_up.install->running();
      bool room = installing < limits::kInstallsMax;
      shard.catch_up.install->Tick(room ? SnapshotInstall::Begin::kAllowed : SnapshotInstall::Begin::kNotYet);
      installing += !ran && shard.catch_up.install->running() ? 1 : 0;
    }
    NudgeDamaged(shard, now_us);
    more = more || shard.catch_up.install != nullptr || shard.catch_up.damaged > shard.log->chosen();
  }
  backfill_.Tick();
  entries_wanted_.Tick();
  more = more || entries_wanted_.waiting();
  catch_up_at_us_ = more ? now_us + kTickUs : INT64_MAX;
  FlushSoon();
}

}  // namespace paxledger
