// Commands on their way to whoever can have them chosen soonest.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kSuspectAfterUs = 600'000;   // three heartbeats
constexpr int64_t kHeardWithinUs = 1'000'000;  // api.md: no majority heard for 1 s

}  // namespace

absl::Status Replica::State::Submit(ShardId shard, MachineId machine, std::string_view bytes, Urgency urgency,
                                    uint32_t attempt) {
  if (!HasQuorum()) return absl::UnavailableError("no majority of data centres was heard for a second");
  if (At(shard).log->queued_bytes() > limits::kShardQueueBytesMax) {
    return absl::ResourceExhaustedError("the proposal queue of the shard is full");
  }
  PendingCommand command;
  command.bytes = std::make_shared<const std::string>(EncodeCommand(machine, bytes));
  command.urgency = urgency;
  Route(shard, std::move(command), attempt);
  FlushSoon();
  return absl::OkStatus();
}

void Replica::State::Route(ShardId id, PendingCommand command, uint32_t attempt) {
  Shard& shard = At(id);
  ReplicaId to = ChooseProposer(id, shard.log->owner(), health_, options.self, attempt);
  if (to == options.self || command.hops >= kHopsMax) {
    shard.proposals.push_back(std::move(command));
  } else {
    Forward(to, id, std::move(command));
  }
}

void Replica::State::Forward(ReplicaId to, ShardId shard, PendingCommand command) {
  uint64_t group = (uint64_t{shard.value} << 8) | (uint64_t{command.hops & 0x7f} << 1) |
                   static_cast<uint64_t>(command.urgency);
  ForwardedCommands& forwarded = forwards_[{to, group}];
  forwarded.shard = shard;
  forwarded.hops = command.hops;
  forwarded.urgency = command.urgency;
  forwarded.commands.push_back(std::move(command.bytes));
}

void Replica::State::UpdateHealth() {
  int64_t now_us = ports.clock->MonotonicMicros();
  bool lost = false;
  for (MemberHealth& member : health_) {
    if (member.replica == options.self) continue;
    MemberHealth before = member;
    member.up = ports.transport->IsUp(member.replica);
    member.suspected = now_us - peers_.at(member.replica).heard_at_us > kSuspectAfterUs;
    lost = lost || (before.up && !member.up) || (member.up && !before.suspected && member.suspected);
  }
  if (lost && peer_lost_handler) peer_lost_handler();
}

bool Replica::State::HasQuorum() const {
  int64_t now_us = ports.clock->MonotonicMicros();
  size_t heard = 1;
  for (const auto& [id, peer] : peers_) {
    if (peer.heard_at_us != 0 && now_us - peer.heard_at_us <= kHeardWithinUs) ++heard;
  }
  return ready_ && heard >= options.members.size() / 2 + 1;
}

}  // namespace paxledger
