// What a replica reads from its disk before it speaks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/planted.h"
#include "replication/replica_state.h"

namespace paxledger {

absl::Status Replica::State::Recover(std::function<StateMachine&(ShardId)> machine,
                                     absl::AnyInvocable<void()> ready) {
  machine_of_ = std::move(machine);
  absl::StatusOr<uint64_t> gone = store_.ReadNumber(kRetiredName);
  if (!gone.ok()) return gone.status();
  if (*gone != 0) {
    return absl::DataLossError(
        "this data directory lost records that its replica had promised to keep, or is an old copy of one: "
        "its votes "
        "cannot be trusted, and the replica may not run from it (consensus.md rule 18)");
  }
  absl::StatusOr<std::vector<Incarnation>> before = store_.ReadLineage();
  if (!before.ok()) return before.status();
  uint64_t last = before->empty() ? 0 : before->front().value;
  lineage.incarnation = Incarnation{(((last >> kIncarnationRandomBits) + 1) << kIncarnationRandomBits) |
                                    ports.random->Below(uint64_t{1} << kIncarnationRandomBits)};
  if (Bug("replica.incarnation_reused") && last != 0) lineage.incarnation = Incarnation{last};
  lineage.before = *std::move(before);
  if (lineage.before.size() > Lineage::kBeforeMax) lineage.before.resize(Lineage::kBeforeMax);
  for (auto& [id, peer] : peers_) {
    absl::StatusOr<uint64_t> seen = store_.ReadNumber(absl::StrCat("peer/", id.value));
    if (!seen.ok()) return seen.status();
    admitted_[id] = *seen;
  }
  for (Shard& shard : shards_) {
    absl::StatusOr<bool> hosted = WasHosted(shard);
    if (!hosted.ok()) return hosted.status();
    if (!*hosted) continue;
    absl::Status status = RecoverShard(shard);
    if (!status.ok()) return status;
  }
  EngineBatch batch;
  std::vector<Incarnation> processes{lineage.incarnation};
  processes.insert(processes.end(), lineage.before.begin(), lineage.before.end());
  LogStore::AddLineage(processes, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, [this, ready = std::move(ready)]() mutable {
    ready_ = true;
    ready();
    scrub_.Start();
    Wake();
    WatchHealth();
  });
  return absl::OkStatus();
}

// Until an operator's wish says otherwise, the creation document does.
absl::StatusOr<bool> Replica::State::WasHosted(const Shard& shard) const {
  absl::StatusOr<uint64_t> said = store_.ReadNumber(HostName(shard.id));
  if (!said.ok()) return said.status();
  const std::vector<ReplicaId>& first = shard.heard.members.members;
  if (*said == 0) return std::binary_search(first.begin(), first.end(), options.self);
  return *said == kHosted;
}

std::vector<ReplicaId> Replica::State::FirstMembers(ShardId shard) const {
  return options.placement.empty() ? options.members : options.placement[shard.value];
}

absl::Status Replica::State::RecoverShard(Shard& shard) {
  const std::vector<ReplicaId> first = FirstMembers(shard.id);
  ++shard.life;
  shard.machine = &machine_of_(shard.id);
  absl::Status state = RecoverCatchUp(shard);
  if (!state.ok()) return state;
  shard.applied = shard.catch_up.suspended ? LogIndex{} : shard.machine->applied();
  absl::StatusOr<LogIndex> known = store_.ReadChosenThrough(shard.id);
  if (!known.ok()) return known.status();
  absl::StatusOr<uint64_t> left_at = store_.ReadNumber(LeftName(shard.id));
  if (!left_at.ok()) return left_at.status();
  LogIndex chosen = std::max(*known, shard.applied);
  Replay(shard, chosen);
  LogIndex replayed = shard.catch_up.suspended ? chosen : shard.applied;
  absl::StatusOr<RecoveredLog> log = store_.Recover(
      shard.id, {replayed, chosen, shard.catch_up.gap, options.genesis, Configuration{LogIndex{}, first}});
  if (!log.ok()) return log.status();
  NoteDamage(shard, log->damaged);
  // Rules 16 and 19: silent up to where it left once, and up to where something that it knew cannot be read.
  shard.log =
      std::make_unique<ShardLog>(ShardLogOptions{shard.id, options.self, lineage.incarnation, first,
                                                 options.genesis, std::max(LogIndex{*left_at}, log->damaged)},
                                 *ports.random);
  // Drawn, so that no late answer to a request of an earlier process counts for one of this (consensus.md rule 9).
  shard.barrier = std::make_unique<Barrier>(shard.id, ports.random->Next() >> 1);
  shard.log->RestoreChosen(log->chosen, log->owner, log->digest, std::move(log->members));
  shard.durable = log->chosen;
  shard.members_since = shard.log->configuration().since;
  router_.SetMembers(shard.id, shard.log->configuration().members);
  LearnOrNot(shard);
  for (RecoveredLog::Row& row : log->above) {
    shard.log->RestoreRecord(row.index, row.record, std::move(row.value));
  }
  router_.SetOwner(shard.id, log->owner.replica, log->chosen);
  if (shard.catch_up.suspended) {
    shard.catch_up.stored_through = log->chosen;
  } else {
    Replay(shard, log->chosen);
  }
  return absl::OkStatus();
}

// As far as the entries can be read.
void Replica::State::Replay(Shard& shard, LogIndex through) {
  while (!shard.catch_up.suspended && shard.applied < through) {
    LogIndex index = Next(shard.applied);
    absl::StatusOr<SharedBytes> value = store_.ReadValue(shard.id, index);
    if (!value.ok()) return;
    ApplyOne(shard, {index, *value, Sha256(**value)});
  }
}

}  // namespace paxledger
