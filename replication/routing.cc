#include "replication/routing.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace paxledger {
namespace {
constexpr uint32_t kTriesOfSilent = 3;
}

Router::Router(ReplicaId self, const std::vector<ReplicaId>& members, uint32_t shards) : self_(self) {
  shards_.resize(shards);
  for (Shard& shard : shards_) shard.members = members;
  for (ReplicaId member : members) health_[member] = member == self ? Health::kUp : Health::kDown;
  health_[self] = Health::kUp;
  for (uint32_t shard = 0; shard < shards; ++shard) Resolve(shard);
}

void Router::SetMembers(ShardId shard, std::vector<ReplicaId> members) {
  Check(!members.empty(), "a shard has members");
  shards_.at(shard.value).members = std::move(members);
  Resolve(shard.value);
}

void Router::SetRouting(ShardId shard, ShardRouting routing) {
  shards_.at(shard.value).routing = routing;
  Resolve(shard.value);
}

void Router::SetOwner(ShardId id, ReplicaId owner, LogIndex chosen) {
  Shard& shard = shards_.at(id.value);
  shard.chosen = chosen;
  if (shard.owner == owner) return;
  shard.owner = owner;
  Resolve(id.value);
}

void Router::NoteChosenAt(ShardId id, ReplicaId replica, LogIndex chosen) {
  LogIndex& known = shards_.at(id.value).chosen_at[replica];
  known = std::max(known, chosen);
}

bool Router::SetHealth(ReplicaId replica, Health health, int64_t now_us) {
  Health& known = health_[replica];
  if (known == health) return false;
  bool lost = known == Health::kUp;
  bool matters = lost || health == Health::kUp;
  known = health;
  if (!matters) return false;
  changed_us_ = now_us;
  // In the order of the shards, so that others with the same view come to the same heirs.
  for (uint32_t shard = 0; shard < shards_.size(); ++shard) Resolve(shard);
  return lost;
}

Health Router::HealthOf(ReplicaId replica) const {
  auto it = health_.find(replica);
  return it == health_.end() ? Health::kDown : it->second;
}

bool Router::Has(const std::vector<ReplicaId>& members, ReplicaId replica) {
  return std::find(members.begin(), members.end(), replica) != members.end();
}

/// A primary that is no member any more is none.
bool Router::HasPrimary(const Shard& shard) {
  return shard.routing.mode == ShardMode::kPrimary && Has(shard.members, shard.routing.primary);
}

ReplicaId Router::Preferred(ShardId id) const {
  const Shard& shard = shards_.at(id.value);
  bool primary = HasPrimary(shard);
  // An owner that took over keeps the shard until it hands it back: its fast path is worth more than the primary's Prepare.
  if (shard.owner != ReplicaId{} && (!primary || Up(shard.owner))) return shard.owner;
  if (primary) return shard.routing.primary;
  return shard.members[id.value % shard.members.size()];
}

Router::Choice Router::Choose(ShardId id, uint32_t attempt) const {
  const Shard& shard = shards_.at(id.value);
  ReplicaId to = attempt >= kTriesOfSilent ? self_ : shard.writer;
  return {to, shard.owner != ReplicaId{} && to != shard.owner};
}

void Router::Resolve(uint32_t number) {
  Shard& shard = shards_[number];
  ReplicaId preferred = Preferred(ShardId{number});
  if (Up(preferred)) {
    Assign(shard, preferred);
  } else if (!Up(shard.writer) || !Has(shard.members, shard.writer)) {
    Assign(shard, FewestOf(shard, number));
  }
}

void Router::Assign(Shard& shard, ReplicaId writer) {
  if (shard.writer == writer) return;
  if (shard.writer != ReplicaId{}) --load_[shard.writer];
  shard.writer = writer;
  ++load_[writer];
}

/// The living member that has the fewest shards; of equals the shard's number decides, so that one shard more or less is not
/// always the same replica's. Where none is living, this replica.
ReplicaId Router::FewestOf(const Shard& shard, uint32_t number) const {
  ReplicaId best;
  for (size_t k = 0; k < shard.members.size(); ++k) {
    ReplicaId member = shard.members[(number + k) % shard.members.size()];
    if (Up(member) && (best == ReplicaId{} || LoadOf(member) < LoadOf(best))) best = member;
  }
  return best == ReplicaId{} ? self_ : best;
}

uint32_t Router::LoadOf(ReplicaId replica) const {
  auto it = load_.find(replica);
  return it == load_.end() ? 0 : it->second;
}

bool Router::MayReceive(const Shard& shard, ReplicaId replica) const {
  if (replica == self_ || !Up(replica)) return false;
  if (!Has(shard.members, replica)) return false;
  auto known = shard.chosen_at.find(replica);
  return known != shard.chosen_at.end() && known->second.value + kLagMax >= shard.chosen.value;
}

std::optional<ReplicaId> Router::ReceiverOf(const Shard& shard) const {
  if (HasPrimary(shard)) {
    if (!MayReceive(shard, shard.routing.primary)) return std::nullopt;
    return shard.routing.primary;
  }
  std::optional<ReplicaId> receiver;
  uint32_t fewest = LoadOf(self_);
  for (ReplicaId member : shard.members) {
    if (!MayReceive(shard, member)) continue;
    uint32_t load = LoadOf(member);
    // With one shard fewer it would only change places with this replica.
    if (load + (receiver.has_value() ? 1 : 2) > fewest) continue;
    receiver = member;
    fewest = load;
  }
  return receiver;
}

std::optional<Router::HandOver> Router::NextHandOver(int64_t now_us) {
  if (now_us < changed_us_ + kSettledUs || now_us < handed_over_us_ + kHandOverEveryUs) return std::nullopt;
  for (uint32_t k = 0; k < shards_.size(); ++k) {
    uint32_t number = (turn_ + k) % static_cast<uint32_t>(shards_.size());
    const Shard& shard = shards_[number];
    if (shard.owner != self_) continue;
    std::optional<ReplicaId> receiver = ReceiverOf(shard);
    if (!receiver.has_value()) continue;
    turn_ = number + 1;
    handed_over_us_ = now_us;
    return HandOver{ShardId{number}, *receiver};
  }
  return std::nullopt;
}

}  // namespace paxledger
