#include "replication/core/slot.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace paxledger {

void Slot::Promise(Ballot ballot) {
  Check(ballot > latest_.promised, "a promise is raised, never lowered");
  latest_.promised = ballot;
}

void Slot::Accept(Ballot ballot, const Digest& digest, SharedBytes value) {
  Check(ballot >= latest_.promised || Bug("consensus.accept_below_promise"),
        "a replica accepts only at or above its promise");
  Check(value != nullptr && !digest.none(), "a vote is durable no earlier than its value (rule 8)");
  latest_.promised = std::max(latest_.promised, ballot);
  latest_.accepted = ballot;
  latest_.digest = digest;
  value_ = std::move(value);
}

Record Slot::Persisted(uint64_t serial) {
  Record before = durable_;
  while (!writing_.empty() && writing_.front().serial <= serial) {
    durable_ = writing_.front().record;
    writing_.pop_front();
  }
  return before;
}

void Slot::Restore(const Record& record, SharedBytes value) {
  latest_ = record;
  durable_ = record;
  value_ = std::move(value);
}

PeerView& Slot::peer(ReplicaId replica) {
  for (PeerView& view : peers_) {
    if (view.replica == replica) return view;
  }
  if (peers_.empty()) peers_.reserve(4);
  peers_.push_back(PeerView{});
  peers_.back().replica = replica;
  return peers_.back();
}

const Record& Slot::RecordOf(ReplicaId replica, ReplicaId self) const {
  static const Record kNothing;
  if (replica == self) return durable_;
  for (const PeerView& view : peers_) {
    if (view.replica == replica) return view.record;
  }
  return kNothing;
}

// Only what is durable counts, our own vote included (rule 3).
const Record& Slot::VoteOf(ReplicaId replica, ReplicaId self) const {
  if (replica == self && Bug("consensus.own_vote_early")) return latest_;
  return RecordOf(replica, self);
}

void Slot::Merge(ReplicaId replica, const Record& record) {
  Record& known = peer(replica).record;
  known.promised = std::max(known.promised, record.promised);
  if (record.accepted > known.accepted) {
    known.accepted = record.accepted;
    known.digest = record.digest;
  }
}

std::optional<Digest> Slot::Chosen(const Configuration& members, ReplicaId self) const {
  size_t majority = members.majority() - (Bug("consensus.minority_decides") ? 1 : 0);
  for (ReplicaId m : members.members) {
    const Record& candidate = VoteOf(m, self);
    if (candidate.accepted.none()) continue;
    size_t votes = 0;
    for (ReplicaId other : members.members) {
      const Record& vote = VoteOf(other, self);
      if (vote.accepted == candidate.accepted && vote.digest == candidate.digest) ++votes;
    }
    if (votes >= majority) return candidate.digest;
  }
  return std::nullopt;
}

size_t Slot::Promises(Ballot ballot, const Configuration& members, ReplicaId self) const {
  size_t count = 0;
  for (ReplicaId m : members.members) {
    if (RecordOf(m, self).promised == ballot) ++count;
  }
  return count;
}

Ballot Slot::HighestPromise() const {
  Ballot highest = latest_.promised;
  for (const PeerView& view : peers_) highest = std::max(highest, view.record.promised);
  return highest;
}

Ballot Slot::HighestPrepare(const Configuration& members) const {
  Ballot highest;
  for (const PeerView& view : peers_) {
    bool own = view.record.promised.replica() == view.replica;
    if (own && members.Contains(view.replica)) highest = std::max(highest, view.record.promised);
  }
  return highest;
}

SharedBytes Slot::ValueOf(const Digest& digest) const {
  if (value_ != nullptr && latest_.digest == digest) return value_;
  auto it = seen_.find(digest);
  return it == seen_.end() ? nullptr : it->second;
}

void Slot::CheckInvariants() const {
  Check(latest_.accepted <= latest_.promised, "a replica accepts only at or below its promise");
  Check(durable_.promised <= latest_.promised, "the disk is never ahead of what was written");
  Check(latest_.accepted.none() == latest_.digest.none(), "a vote names its value");
  Check(latest_.accepted.none() || value_ != nullptr, "a voter holds the value it voted for");
}

}  // namespace paxledger
