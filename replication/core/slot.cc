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

void Slot::Merge(size_t member, const Record& record) {
  Record& known = peers_[member].record;
  known.promised = std::max(known.promised, record.promised);
  if (record.accepted > known.accepted) {
    known.accepted = record.accepted;
    known.digest = record.digest;
  }
}

std::optional<Digest> Slot::Chosen(size_t members, size_t self) const {
  size_t majority = members / 2 + (Bug("consensus.minority_decides") ? 0 : 1);
  const Record& own = Bug("consensus.own_vote_early") ? latest_ : durable_;
  auto record = [&](size_t m) -> const Record& { return m == self ? own : peers_[m].record; };
  for (size_t m = 0; m < members; ++m) {
    const Record& candidate = record(m);
    if (candidate.accepted.none()) continue;
    size_t votes = 0;
    for (size_t other = 0; other < members; ++other) {
      const Record& vote = record(other);
      if (vote.accepted == candidate.accepted && vote.digest == candidate.digest) ++votes;
    }
    if (votes >= majority) return candidate.digest;
  }
  return std::nullopt;
}

size_t Slot::Promises(Ballot ballot, size_t members, size_t self) const {
  size_t count = 0;
  for (size_t m = 0; m < members; ++m) {
    const Record& record = m == self ? durable_ : peers_[m].record;
    if (record.promised == ballot) ++count;
  }
  return count;
}

Ballot Slot::HighestPromise(size_t members) const {
  Ballot highest = latest_.promised;
  for (size_t m = 0; m < members; ++m) highest = std::max(highest, peers_[m].record.promised);
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
