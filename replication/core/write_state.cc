// What the future of the core's objects depends on (StateWriter), all in one place. A new member of theirs belongs here, unless it is
// fixed for life, follows from the others, or only names things (as serials do).
#include <algorithm>
#include <vector>

#include "replication/core/barrier.h"
#include "replication/core/shard_log.h"
#include "replication/core/slot.h"
#include "replication/core/state_writer.h"

namespace paxledger {
namespace {

void WriteRecord(const Record& record, StateWriter& out) {
  out.Number(record.promised.packed);
  out.Number(record.accepted.packed);
  out.Value(record.digest);
}

void WriteOwner(Owner owner, StateWriter& out) {
  out.Number(owner.replica.value);
  out.Number(owner.incarnation.value);
}

void WriteMembers(const Configuration& members, StateWriter& out) {
  out.Number(members.since.value);
  out.Number(members.members.size());
  for (ReplicaId member : members.members) out.Number(member.value);
}

void WriteCommand(const PendingCommand& command, StateWriter& out) {
  out.Bytes(*command.bytes);
  out.Number(static_cast<uint64_t>(command.urgency));
  out.Number(command.hops);
}

}  // namespace

void Slot::WriteState(StateWriter& out) const {
  WriteRecord(latest_, out);
  WriteRecord(durable_, out);
  out.Number(value_ != nullptr ? 1 : 0);
  std::vector<Digest> seen;
  for (const auto& [digest, value] : seen_) seen.push_back(digest);
  out.Values(seen);
  out.Number(writing_.size());
  for (const Written& written : writing_) WriteRecord(written.record, out);
  // In an order of their own: it means nothing who was heard of first.
  std::vector<const PeerView*> views;
  for (const PeerView& view : peers_) views.push_back(&view);
  std::sort(views.begin(), views.end(), [](auto* a, auto* b) { return a->replica < b->replica; });
  for (const PeerView* view : views) {
    if (view->record == Record{} && !view->was_told && view->offered.none()) continue;  // as if unknown
    out.Number(view->replica.value);
    WriteRecord(view->record, out);
    WriteRecord(view->told, out);
    out.Number(view->was_told ? 1 : 0);
    out.Value(view->offered);
  }
  out.Value(decided.value_or(Digest()));
  out.Time(touched_at_us);
  out.Time(sent_at_us);
  out.Tries(unanswered);
}

void ShardLog::WriteState(StateWriter& out) const {
  out.Number(chosen_.value);
  out.Value(chosen_digest_);
  WriteOwner(owner_, out);
  WriteMembers(configuration_, out);
  out.Number(admitted_by_.has_value() ? 1 : 0);
  out.Number(voting_ ? 1 : 0);

  out.Number(slots_.size());
  for (const auto& [index, slot] : slots_) {
    out.Number(index);
    slot.WriteState(out);
  }
  out.Number(highest_seen_.value);
  out.Number(peer_chosen_.value);
  out.Number(peer_chosen_at_.value);
  out.Time(behind_since_us_);
  out.Number(fetched_at_us_ != 0 ? 1 : 0);
  out.Time(fetched_at_us_);

  out.Number(static_cast<uint64_t>(phase_));
  out.Number(ballot_.packed);
  out.Number(queue_.size());
  for (const PendingCommand& command : queue_) WriteCommand(command, out);
  out.Number(lazy_since_us_ != 0 ? 1 : 0);
  out.Time(lazy_since_us_);
  out.Number(batch_.has_value() ? 1 : 0);
  if (batch_.has_value()) {
    out.Number(batch_->index.value);
    out.Value(batch_->digest);
    for (const PendingCommand& command : batch_->commands) WriteCommand(command, out);
  }
  out.Number(complete_through_.value);
  out.Number(asked_about_.value);
  WriteOwner(hand_over_.value_or(Owner{}), out);
  out.Number(change_.has_value() ? 1 : 0);
  if (change_.has_value()) {
    out.Number(change_->change.since.value);
    out.Number(change_->change.remove.value);
    out.Number(change_->change.add.value);
    WriteOwner(change_->next, out);
  }
  out.Time(not_before_us_);
  out.Tries(lost_ballots_);
}

void Barrier::WriteState(StateWriter& out) const {
  out.Number(next_round_);
  out.Number(round_.has_value() ? 1 : 0);
  if (round_.has_value()) {
    out.Number(round_->id);
    out.Number(round_->highest.value);
    out.Number(round_->since.value);
    std::vector<ReplicaId> answered = round_->answered;
    std::sort(answered.begin(), answered.end());
    out.Number(answered.size());
    for (ReplicaId replica : answered) out.Number(replica.value);
    out.Number(round_->own_counts ? 1 : 0);
    out.Time(round_->sent_at_us);
    out.Number(round_->readers.size());
    for (ReadTicket ticket : round_->readers) out.Number(ticket);
  }
  out.Number(next_.size());
  for (ReadTicket ticket : next_) out.Number(ticket);
  out.Number(waiting_.size());
  for (const Waiting& waiting : waiting_) {
    out.Number(waiting.ticket);
    out.Number(waiting.target.value);
    out.Number(waiting.since.value);
    out.Time(waiting.since_us);
  }
}

}  // namespace paxledger
