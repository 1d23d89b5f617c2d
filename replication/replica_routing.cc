// Commands on their way to whoever can have them chosen soonest.
#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kHealthEveryUs = limits::kHeartbeatUs / 2;
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
  Router::Choice choice = router_.Choose(id, attempt);
  // A Prepare from here would wait for the disk.
  if (choice.to == options.self && !disk_.HasRoom(choice.to) && !shard.log->owns_next()) {
    choice = {ElsewhereWithRoom(id, attempt).value_or(choice.to), true};
  }
  if (choice.to == options.self || command.hops >= kHopsMax) {
    if (choice.takes_over) command.hops = kHopsMax;
    shard.proposals.push_back(std::move(command));
    return;
  }
  // Who is to take over does so, even where the owner looks well from there.
  if (choice.takes_over) command.hops = kHopsMax - 1;
  Forward(choice.to, id, std::move(command));
}

bool Replica::State::OwnedElsewhere(const Shard& shard) const {
  if (shard.log == nullptr) return false;
  ReplicaId owner = shard.log->owner().replica;
  return owner != options.self && shard.log->configuration().Contains(owner);
}

// What came when this replica owned the shard, and has lost it in the same turn, must not take it back.
void Replica::State::RouteAnew(Shard& shard) {
  if (!OwnedElsewhere(shard)) return;
  for (PendingCommand& command : std::exchange(shard.proposals, {})) {
    if (command.hops < kHopsMax) {
      Route(shard.id, std::move(command), 0);
    } else {
      shard.proposals.push_back(std::move(command));
    }
  }
}

// From here nothing can be proposed. What went in a circle is dropped: whoever waits for it submits it again.
void Replica::State::RouteElsewhere(ShardId id, PendingCommand command, uint32_t attempt) {
  if (command.hops >= kHopsMax) return;
  Router::Choice choice = router_.Choose(id, attempt);
  if (attempt == 0 && choice.to != options.self && router_.HealthOf(choice.to) == Health::kUp) {
    if (choice.takes_over) command.hops = kHopsMax - 1;
    return Forward(choice.to, id, std::move(command));
  }
  std::vector<ReplicaId> hosts = HostsOf(id);
  if (hosts.empty()) return;
  Forward(hosts[attempt % hosts.size()], id, std::move(command));
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
  if (At(shard).log != nullptr) forwarded.chosen = At(shard).log->chosen();
  forwarded.commands.push_back(std::move(command.bytes));
}

void Replica::State::UpdateHealth() {
  LookAtDisk();
  int64_t now_us = ports.clock->MonotonicMicros();
  ExcuseOwnStall(now_us);
  bool lost = false;
  for (const auto& [id, peer] : peers_) {
    Health health = peer.watch.Silent(now_us) || !disk_.HasRoom(id) ? Health::kSuspected : Health::kUp;
    if (!ports.transport->IsUp(id)) health = Health::kDown;
    if (health == Health::kSuspected && router_.HealthOf(id) == Health::kUp) Mark("replica.suspects");
    lost = router_.SetHealth(id, health, now_us) || lost;
  }
  if (lost && peer_lost_handler) peer_lost_handler();
}

void Replica::State::LookAtDisk() {
  if (!ready_) return;
  // What is owned here commits by the others' votes alone as long as both live; better that one of them owns it.
  if (disk_.Look(options.members, ports.clock->MonotonicMicros())) HandOver();
  FlushSoon();
}

// Where this process itself stood still, the silence was not the peers'.
void Replica::State::ExcuseOwnStall(int64_t now_us) {
  int64_t stall_us = now_us - std::exchange(health_at_us_, now_us) - kHealthEveryUs;
  if (stall_us < kHealthEveryUs) return;
  if (stall_us > kHeardWithinUs) LoseTouch();
  for (auto& [id, peer] : peers_) peer.watch.Excuse(stall_us, now_us);
}

void Replica::State::WatchHealth() {
  UpdateHealth();
  if (HasQuorum()) {
    in_touch_ = true;
  } else {
    LoseTouch();
  }
  HandOverNext();
  ports.executor->After(absl::Microseconds(kHealthEveryUs), [this] { WatchHealth(); });
}

void Replica::State::LoseTouch() {
  if (std::exchange(in_touch_, false) && out_of_touch_handler) out_of_touch_handler();
}

// Rule 14: with the incarnation last heard from the receiver.
void Replica::State::HandOverNext() {
  std::optional<Router::HandOver> next = router_.NextHandOver(ports.clock->MonotonicMicros());
  if (!next.has_value()) return;
  Shard& shard = At(next->shard);
  auto peer = peers_.find(next->to);
  if (peer == peers_.end() || shard.log == nullptr || !shard.log->owns_next()) return;
  Mark("replica.hands_over");
  Step(shard, event::HandOver{Owner{next->to, peer->second.incarnation}});
}

// The round trip to the nearest majority of `members`, this replica among it.
int64_t Replica::State::MajorityRoundTrip(const Configuration& members) const {
  std::array<int64_t, limits::kReplicasMax> round_trips{};
  size_t known = 0;
  for (ReplicaId member : members.members) {
    auto peer = peers_.find(member);
    if (peer == peers_.end() || router_.HealthOf(member) != Health::kUp) continue;
    round_trips[known++] = peer->second.watch.round_trip_us();
  }
  if (known == 0) return 0;
  std::sort(round_trips.begin(), round_trips.begin() + static_cast<std::ptrdiff_t>(known));
  return round_trips[std::min(std::max<size_t>(members.majority() - 1, 1), known) - 1];
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
