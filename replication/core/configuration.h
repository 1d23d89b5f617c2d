#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/strong_id.h"

namespace paxledger {

/// The replicas of a shard and since when (consensus.md rule 16): chosen at index `since`, in force for every index above it,
/// until the next. That of the creation document is in force since index 0.
struct Configuration {
  LogIndex since;
  std::vector<ReplicaId> members;  // sorted, each once; one per data centre, as a rule

  bool Contains(ReplicaId replica) const;
  size_t majority() const { return members.size() / 2 + 1; }
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

/// A change that an entry carries: one replica leaves, one joins, or one takes the place of another. It counts only where the
/// configuration in force at its index is still the one it was made for; otherwise its entry changes nothing.
struct MembershipChange {
  LogIndex since;    // of the configuration that it changes
  ReplicaId remove;  // 0: nobody leaves
  ReplicaId add;     // 0: nobody joins

  bool none() const { return remove == ReplicaId{} && add == ReplicaId{}; }
  friend bool operator==(const MembershipChange&, const MembershipChange&) = default;
};

/// The configuration that `change`, chosen at index `at`, brings into force; nullopt: none, because `change` was made for
/// another configuration, or would leave nobody, more than limits::kReplicasMax, or what is there already.
std::optional<Configuration> Changed(const Configuration& before, const MembershipChange& change,
                                     LogIndex at);

}  // namespace paxledger
