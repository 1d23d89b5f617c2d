#include "replication/core/configuration.h"

#include <algorithm>

#include "base/limits.h"

namespace paxledger {

bool Configuration::Contains(ReplicaId replica) const {
  return std::binary_search(members.begin(), members.end(), replica);
}

std::optional<Configuration> Changed(const Configuration& before, const MembershipChange& change,
                                     LogIndex at) {
  if (change.none() || change.since != before.since) return std::nullopt;
  if (change.remove != ReplicaId{} && !before.Contains(change.remove)) return std::nullopt;
  if (change.add != ReplicaId{} && before.Contains(change.add)) return std::nullopt;
  Configuration after{at, before.members};
  if (change.remove != ReplicaId{}) std::erase(after.members, change.remove);
  if (change.add != ReplicaId{}) {
    after.members.insert(std::upper_bound(after.members.begin(), after.members.end(), change.add),
                         change.add);
  }
  if (after.members.empty() || after.members.size() > limits::kReplicasMax) return std::nullopt;
  return after;
}

}  // namespace paxledger
