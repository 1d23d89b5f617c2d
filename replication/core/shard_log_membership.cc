// Who belongs to a shard: changes of the configuration and installed snapshots (consensus.md rules 16 and 20).
#include <algorithm>
#include <utility>

#include "base/mark.h"
#include "replication/core/shard_log.h"

namespace paxledger {

void ShardLog::On(const event::ChangeMembers& e, Effects& out) {
  if (!may_vote() || e.change.since != configuration_.since) return;
  change_ = e;
  MaybePropose(out);
}

// `serial` wrote the entry: everything up to it is durable when that is, since writes become durable in order.
void ShardLog::ComeIntoForce(Configuration next, uint64_t serial) {
  bool was_member = member();
  configuration_ = std::move(next);
  if (!member()) {
    Mark("shard_log.left");
    admitted_by_.reset();
  } else if (!was_member) {
    Mark("shard_log.joined");
    admitted_by_ = serial;
  }
}

void ShardLog::NoteDurable(uint64_t serial, Effects& out) {
  if (!admitted_by_.has_value() || serial < *admitted_by_) return;
  admitted_by_.reset();
  AnswerEarlierPrepare(out);
  MaybePropose(out);
}

void ShardLog::On(const event::Installed& e, Effects& out) {
  if (e.index <= chosen_) return;
  Mark("shard_log.installed");
  chosen_ = e.index;
  chosen_digest_ = e.digest;
  owner_ = e.owner;
  configuration_ = e.members;
  admitted_by_
      .reset();  // durable up to `index`, and so up to the entry that admitted this replica, if one did
  highest_seen_ = std::max(highest_seen_, e.index);
  slots_.erase(slots_.begin(), slots_.upper_bound(e.index.value));
  phase_ = Phase::kIdle;
  ballot_ = Ballot{};
  not_before_us_ = 0;
  fetched_at_us_ = 0;
  if (batch_.has_value()) Requeue(*std::exchange(batch_, std::nullopt));
  hand_over_.reset();
  change_.reset();
  ReturnQueueIfNotOwner(out);
  AnswerEarlierPrepare(out);
  Advance(out);
  MaybePropose(out);
  MaybeFetch(out);
}

}  // namespace paxledger
