#include "replication/replica.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/replica_state.h"

namespace paxledger {

Replica::Replica(ReplicaOptions options, ReplicaPorts ports)
    : state_(std::make_unique<State>(std::move(options), ports)) {}
Replica::~Replica() = default;

absl::Status Replica::Recover(std::function<StateMachine&(ShardId)> machine,
                              absl::AnyInvocable<void()> ready) {
  return state_->Recover(std::move(machine), std::move(ready));
}
const Lineage& Replica::lineage() const { return state_->lineage; }

absl::Status Replica::Submit(ShardId shard, MachineId machine, std::string_view bytes, Urgency urgency,
                             uint32_t attempt) {
  return state_->Submit(shard, machine, bytes, urgency, attempt);
}

Task<absl::StatusOr<LogIndex>> Replica::ReadBarrier(ShardId shard, Deadline deadline) {
  return state_->ReadBarrier(shard, deadline);
}

bool Replica::HasQuorum() const { return state_->HasQuorum(); }
bool Replica::Hosts(ShardId shard) const { return state_->Hosts(shard); }
bool Replica::Serves(ShardId shard) const { return state_->Serves(shard); }
std::vector<ShardId> Replica::Hosted() const { return state_->Hosted(); }
Configuration Replica::MembersOf(ShardId shard) const { return state_->MembersOf(shard); }
std::vector<ReplicaId> Replica::HostsOf(ShardId shard) const { return state_->HostsOf(shard); }
std::optional<HeldThrough> Replica::HeldAt(ShardId shard, ReplicaId replica) const {
  return state_->HeldAt(shard, replica);
}
void Replica::Host(ShardId shard) { state_->Host(shard); }
bool Replica::MayDrop(ShardId shard) const { return state_->MayDrop(shard); }
void Replica::Drop(ShardId shard, absl::AnyInvocable<void()> done) { state_->Drop(shard, std::move(done)); }
absl::Status Replica::ChangeMembers(ShardId shard, const MembershipChange& change) {
  return state_->ChangeMembers(shard, change);
}
void Replica::SetNodes(std::vector<ReplicaId> nodes, std::vector<ReplicaId> near) {
  state_->SetNodes(std::move(nodes), std::move(near));
}
absl::Status Replica::MayBegin() const { return state_->MayBegin(); }
ShardStatus Replica::Status(ShardId shard) const { return state_->Status(shard); }
absl::StatusOr<SharedBytes> Replica::ReadEntry(ShardId shard, LogIndex index) const {
  return state_->ReadEntry(shard, index);
}
Task<absl::StatusOr<SharedBytes>> Replica::FetchEntry(ShardId shard, LogIndex index, Deadline deadline) {
  return state_->FetchEntry(shard, index, deadline);
}
absl::Duration Replica::TypicalCommit() const { return absl::Microseconds(state_->commit_us); }
int64_t Replica::ClockOffsetMicros() const { return state_->ClockOffsetMicros(); }

void Replica::SendApp(ReplicaId to, AppMessage message) {
  state_->ports.transport->Send(to, std::move(message));
  state_->FlushSoon();
}
void Replica::set_app_handler(std::function<void(ReplicaId, AppMessage)> handler) {
  state_->app_handler = std::move(handler);
}

void Replica::set_peer_lost_handler(std::function<void()> handler) {
  state_->peer_lost_handler = std::move(handler);
}

void Replica::set_out_of_touch_handler(std::function<void()> handler) {
  state_->out_of_touch_handler = std::move(handler);
}

void Replica::Retire(absl::AnyInvocable<void()> done) { state_->Retire(std::move(done)); }

void Replica::HandOver() { state_->HandOver(); }
bool Replica::Idle() const { return state_->Idle(); }

void Replica::OnMessage(ReplicaId from, PeerMessage message) {
  std::visit([&](auto& m) { state_->Handle(from, m); }, message);
  // A transport that ends frames flushes at once; another one gets the flush at the end of this turn.
  state_->FlushSoon();
}
void Replica::OnFrameEnd() { state_->Flush(); }
void Replica::OnPeerUp(ReplicaId peer, Incarnation incarnation) { state_->OnPeerUp(peer, incarnation); }
void Replica::OnPeerDown(ReplicaId peer) { state_->OnPeerDown(peer); }
void Replica::OnRoundTrip(ReplicaId peer, int64_t took_us) { state_->OnRoundTrip(peer, took_us); }
void Replica::OnPeerClock(ReplicaId peer, int64_t wall_us) { state_->OnPeerClock(peer, wall_us); }
void Replica::AdmitPeer(ReplicaId peer, const Lineage& process, absl::AnyInvocable<void(bool)> admitted) {
  state_->AdmitPeer(peer, process, std::move(admitted));
}

}  // namespace paxledger
