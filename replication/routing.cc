#include "replication/routing.h"

namespace paxledger {
namespace {

constexpr uint32_t kTriesOfSuspected = 1;
constexpr uint32_t kTriesOfSilent = 3;

const MemberHealth* Find(const std::vector<MemberHealth>& members, ReplicaId replica) {
  for (const MemberHealth& member : members) {
    if (member.replica == replica) return &member;
  }
  return nullptr;
}

}  // namespace

ReplicaId ChooseProposer(ShardId shard, Owner owner, const std::vector<MemberHealth>& members, ReplicaId self,
                         uint32_t attempt) {
  if (attempt >= kTriesOfSilent) return self;
  const MemberHealth* preferred = Find(members, owner.replica);
  if (preferred == nullptr) preferred = &members[shard.value % members.size()];
  bool passed_over = preferred->suspected && attempt >= kTriesOfSuspected;
  if (preferred->up && !passed_over) return preferred->replica;
  if (passed_over) return self;
  std::vector<ReplicaId> living;
  for (const MemberHealth& member : members) {
    if (member.up && !member.suspected) living.push_back(member.replica);
  }
  if (living.empty()) return self;
  return living[(shard.value / members.size()) % living.size()];
}

}  // namespace paxledger
