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

absl::Status Replica::State::RecoverShard(Shard& shard) {
  const std::vector<ReplicaId> first =
      options.placement.empty() ? options.members : options.placement[shard.id.value];
  ++shard.life;
  shard.machine = &machine_of_(shard.id);
  shard.applied = shard.machine->applied();
  absl::StatusOr<RecoveredLog> log =
      store_.Recover(shard.id, shard.applied, options.genesis, Configuration{LogIndex{}, first});
  if (!log.ok()) return log.status();
  absl::StatusOr<uint64_t> left_at = store_.ReadNumber(LeftName(shard.id));
  if (!left_at.ok()) return left_at.status();
  shard.log = std::make_unique<ShardLog>(ShardLogOptions{shard.id, options.self, lineage.incarnation, first,
                                                         options.genesis, LogIndex{*left_at}},
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
  return Replay(shard, log->chosen);
}

absl::Status Replica::State::Replay(Shard& shard, LogIndex through) {
  while (shard.applied < through) {
    LogIndex index = Next(shard.applied);
    absl::StatusOr<SharedBytes> value = store_.ReadValue(shard.id, index);
    if (!value.ok()) {
      return absl::DataLossError(absl::StrCat("shard ", shard.id.value, ": chosen entry ", index.value,
                                              " cannot be replayed: ", value.status().message()));
    }
    ApplyOne(shard, {index, *value, Sha256(**value)});
  }
  return absl::OkStatus();
}

}  // namespace paxledger
