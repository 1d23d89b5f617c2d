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
  if (!HasQuorum(At(shard)))
    return absl::UnavailableError("no majority of data centres was heard for a second");
  if (absl::Status may = disk_.Begin(KnownMembers(At(shard)).members); !may.ok()) return may;
  if (Hosts(shard) && At(shard).log->queued_bytes() > limits::kShardQueueBytesMax) {
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
  if (shard.log == nullptr || !shard.log->may_vote()) return RouteElsewhere(id, std::move(command), attempt);
  ReplicaId to = ChooseProposer(id, shard.log->owner(), shard.health, options.self, attempt);
  // A Prepare from here would wait for the disk.
  if (to == options.self && !disk_.HasRoom(to) && !shard.log->owns_next()) {
    to = ElsewhereWithRoom(id, attempt).value_or(to);
  }
  if (to == options.self || command.hops >= kHopsMax) {
    shard.proposals.push_back(std::move(command));
  } else {
    Forward(to, id, std::move(command));
  }
}

// From here nothing can be proposed. What went in a circle is dropped: whoever waits for it submits it again.
void Replica::State::RouteElsewhere(ShardId id, PendingCommand command, uint32_t attempt) {
  if (command.hops >= kHopsMax) return;
  const Shard& shard = At(id);
  Owner owner = shard.log == nullptr ? shard.heard.owner : shard.log->owner();
  std::vector<ReplicaId> hosts = HostsOf(id);
  if (hosts.empty()) return;
  bool to_owner = attempt == 0 && std::find(hosts.begin(), hosts.end(), owner.replica) != hosts.end() &&
                  ports.transport->IsUp(owner.replica);
  Forward(to_owner ? owner.replica : hosts[attempt % hosts.size()], id, std::move(command));
}

std::optional<ReplicaId> Replica::State::ElsewhereWithRoom(ShardId shard, uint32_t attempt) const {
  std::vector<ReplicaId> able = MembersOf(shard).members;
  std::erase_if(able, [this](ReplicaId id) {
    return id == options.self || !ports.transport->IsUp(id) || !disk_.HasRoom(id);
  });
  if (able.empty()) return std::nullopt;
  return able[(shard.value + attempt) % able.size()];
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
  LookAtDisk();
  int64_t now_us = ports.clock->MonotonicMicros();
  bool lost = false;
  bool changed = false;
  for (MemberHealth& member : health_) {
    MemberHealth before = member;
    member.up = ports.transport->IsUp(member.replica);
    member.suspected =
        now_us - peers_.at(member.replica).heard_at_us > kSuspectAfterUs || !disk_.HasRoom(member.replica);
    changed = changed || before.up != member.up || before.suspected != member.suspected;
    lost = lost || (before.up && !member.up) || (member.up && !before.suspected && member.suspected);
  }
  if (changed) {
    for (Shard& shard : shards_) {
      if (shard.log != nullptr) UpdateHealthOf(shard);
    }
  }
  if (lost && peer_lost_handler) peer_lost_handler();
}

void Replica::State::LookAtDisk() {
  if (!ready_) return;
  // What is owned here commits by the others' votes alone as long as both live; better that one of them owns it.
  if (disk_.Look(options.members, ports.clock->MonotonicMicros())) HandOver();
  FlushSoon();
}

void Replica::State::UpdateHealthOf(Shard& shard) {
  shard.health.clear();
  shard.health_of = shard.log->configuration().since;
  for (ReplicaId member : shard.log->configuration().members) {
    MemberHealth health{member, member == options.self, false};
    for (const MemberHealth& known : health_) {
      if (known.replica == member) health = known;
    }
    shard.health.push_back(health);
  }
}

bool Replica::State::HeardLately(ReplicaId id) const {
  if (id == options.self) return true;
  auto it = peers_.find(id);
  if (it == peers_.end() || it->second.heard_at_us == 0) return false;
  return ports.clock->MonotonicMicros() - it->second.heard_at_us <= kHeardWithinUs;
}

bool Replica::State::HasQuorum(const Shard& shard) const {
  const Configuration& members = KnownMembers(shard);
  size_t heard = 0;
  for (ReplicaId member : members.members) heard += HeardLately(member) ? 1 : 0;
  return ready_ && heard >= (shard.log == nullptr ? 1 : members.majority());
}

bool Replica::State::HasQuorum() const {
  return std::all_of(shards_.begin(), shards_.end(), [this](const Shard& shard) { return HasQuorum(shard); });
}

}  // namespace paxledger
