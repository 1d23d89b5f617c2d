// What a replica reads from its disk before it speaks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/planted.h"
#include "replication/replica_state.h"

namespace paxledger {

absl::Status Replica::State::Recover(const std::function<StateMachine&(ShardId)>& machine,
                                     absl::AnyInvocable<void()> ready) {
  absl::StatusOr<uint64_t> gone = store_.ReadNumber(kRetiredName);
  if (!gone.ok()) return gone.status();
  if (*gone != 0) {
    return absl::DataLossError(
        "this data directory lost records that its replica had promised to keep, or is an old copy of one: "
        "its votes "
        "cannot be trusted, and the replica may not run from it (consensus.md rule 18)");
  }
  absl::StatusOr<uint64_t> last = store_.ReadNumber("incarnation");
  if (!last.ok()) return last.status();
  incarnation = Incarnation{(((*last >> kIncarnationRandomBits) + 1) << kIncarnationRandomBits) |
                            ports.random->Below(uint64_t{1} << kIncarnationRandomBits)};
  if (Bug("replica.incarnation_reused") && *last != 0) incarnation = Incarnation{*last};
  for (auto& [id, peer] : peers_) {
    absl::StatusOr<uint64_t> seen = store_.ReadNumber(absl::StrCat("peer/", id.value));
    if (!seen.ok()) return seen.status();
    admitted_[id] = *seen;
  }
  shards_.resize(options.shards);
  for (uint32_t i = 0; i < options.shards; ++i) {
    shards_[i].id = ShardId{i};
    absl::Status status = RecoverShard(shards_[i], machine(ShardId{i}));
    if (!status.ok()) return status;
  }
  EngineBatch batch;
  LogStore::AddNumber("incarnation", incarnation.value, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, [this, ready = std::move(ready)]() mutable {
    ready_ = true;
    ready();
    Wake();
  });
  return absl::OkStatus();
}

absl::Status Replica::State::RecoverShard(Shard& shard, StateMachine& machine) {
  shard.machine = &machine;
  shard.applied = machine.applied();
  absl::StatusOr<RecoveredLog> log = store_.Recover(shard.id, shard.applied, options.genesis);
  if (!log.ok()) return log.status();
  shard.log = std::make_unique<ShardLog>(
      ShardLogOptions{shard.id, options.self, incarnation, options.members, options.genesis}, *ports.random);
  shard.barrier = std::make_unique<Barrier>(shard.id, options.members.size());
  shard.log->RestoreChosen(log->chosen, log->owner, log->digest);
  for (RecoveredLog::Row& row : log->above) {
    shard.log->RestoreRecord(row.index, row.record, std::move(row.value));
  }
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
