// Peers that come, go and tell the time; what a stop hands over.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/planted.h"
#include "replication/replica_state.h"

namespace paxledger {

void Replica::State::OnPeerUp(ReplicaId peer, Incarnation peer_incarnation) {
  peers_[peer].incarnation = peer_incarnation;
  peers_[peer].heard_at_us = ports.clock->MonotonicMicros();
  peers_[peer].watch.Connected(peers_[peer].heard_at_us);
  UpdateHealth();
  if (!ready_) return;
  for (Shard& shard : shards_) Step(shard, event::PeerUp{peer});
  SendNotices(peer);
}

// Rule 18: what one shard noticed holds for the whole disk, and for every process that starts from it.
void Replica::State::Retire(absl::AnyInvocable<void()> done) {
  retired_ = true;
  EngineBatch batch;
  LogStore::AddNumber(kRetiredName, 1, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, std::move(done));
  for (Shard& shard : shards_) Step(shard, event::Retired{});
}

void Replica::State::OnPeerDown(ReplicaId peer) {
  peers_[peer].heard_at_us = 0;
  UpdateHealth();
}

void Replica::State::OnPeerClock(ReplicaId id, int64_t wall_us) {
  Peer& peer = peers_[id];
  peer.heard_at_us = ports.clock->MonotonicMicros();
  ExcuseOwnStall(peer.heard_at_us);
  peer.watch.Heard(peer.heard_at_us);
  peer.clock_offset_us = wall_us - ports.clock->WallMicros();
  peer.clock_known = true;
  UpdateClockOffset();
  UpdateHealth();
}

void Replica::State::OnRoundTrip(ReplicaId id, int64_t took_us) {
  if (auto peer = peers_.find(id); peer != peers_.end()) peer->second.watch.RoundTrip(took_us);
}

void Replica::State::UpdateClockOffset() {
  std::vector<int64_t> offsets{0};
  for (const auto& [id, peer] : peers_) {
    if (peer.clock_known) offsets.push_back(peer.clock_offset_us);
  }
  // The lower median: with two clocks the slower one counts, so that a fast clock alone never pulls the log ahead.
  auto middle = offsets.begin() + static_cast<std::ptrdiff_t>((offsets.size() - 1) / 2);
  std::nth_element(offsets.begin(), middle, offsets.end());
  median_clock_offset_us_ = *middle;
}

int64_t Replica::State::ClockOffsetMicros() const { return -median_clock_offset_us_; }

// Rules 1 and 18: who does not descend from the process that was seen last comes from another disk than it, or is older.
void Replica::State::AdmitPeer(ReplicaId peer, const Lineage& process,
                               absl::AnyInvocable<void(bool)> admitted) {
  auto it = admitted_.find(peer);
  uint64_t seen = it == admitted_.end() ? 0 : it->second;
  bool same_process = seen == process.incarnation.value;
  bool newer = (process.incarnation.value >> kIncarnationRandomBits) > (seen >> kIncarnationRandomBits);
  bool descends = seen == 0 || process.DescendsFrom(Incarnation{seen}) || Bug("replica.descent_unchecked");
  bool stranger = !same_process && !(newer && descends) && !Bug("consensus.emptied_disk_votes");
  if (it == admitted_.end() || stranger) {
    ports.executor->Post([admitted = std::move(admitted)]() mutable { admitted(false); });
    return;
  }
  it->second = process.incarnation.value;
  EngineBatch batch;
  LogStore::AddNumber(absl::StrCat("peer/", peer.value), process.incarnation.value, batch);
  ports.engine->Write(std::move(batch), Durability::kSync,
                      [admitted = std::move(admitted)]() mutable { admitted(true); });
}

ShardStatus Replica::State::Status(ShardId id) const {
  const Shard& shard = At(id);
  ShardStatus status;
  status.members = MembersOf(id);
  status.owner = shard.heard.owner;
  if (shard.log == nullptr) return status;
  status.hosted = true;
  status.chosen = shard.applied;
  status.durable = shard.durable;
  status.highest_seen = shard.log->highest_seen();
  status.owner = shard.log->owner();
  status.voting = shard.log->voting();
  status.silent_below = shard.log->silent_below();
  return status;
}

// Rule 14: members that are up, with the incarnation last heard from them.
std::vector<Owner> Replica::State::HeirsOf(const Configuration& members) const {
  std::vector<Owner> heirs;
  for (const auto& [id, peer] : peers_) {
    if (members.Contains(id) && router_.HealthOf(id) == Health::kUp) heirs.push_back({id, peer.incarnation});
  }
  return heirs;
}

void Replica::State::HandOver() {
  size_t turn = 0;
  for (Shard& shard : shards_) {
    if (shard.log == nullptr || !shard.log->owns_next()) continue;
    std::vector<Owner> heirs = HeirsOf(shard.log->configuration());
    if (heirs.empty()) continue;
    Step(shard, event::HandOver{heirs[turn++ % heirs.size()]});
  }
}

bool Replica::State::Idle() const {
  for (const Shard& shard : shards_) {
    if (shard.log == nullptr) continue;
    if (!shard.log->idle() || !shard.proposals.empty() || !shard.to_apply.empty()) return false;
  }
  return forwards_.empty();
}

}  // namespace paxledger
