#include "txn/tally.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace paxledger {

Tally::Tally(Try of, std::vector<ShardId> participants)
    : of_(std::move(of)), participants_(std::move(participants)) {
  votes_.resize(participants_.size());
  for (size_t i = 0; i < participants_.size(); ++i) votes_[i].shard = participants_[i];
  Restart(of_.attempt);
}

void Tally::Restart(uint32_t attempt) {
  of_.attempt = attempt;
  seats_.assign(participants_.size(), Seat{});
  missing_ = participants_.size();
  unfinished_ = participants_.size();
  standing_ = Standing::kOpen;
  decision_ = Decision{};
  decided_attempt_ = 0;
  superseded_by_ = 0;
  told_ = false;
}

bool Tally::See(ShardId shard, const Vote& vote) {
  auto at = std::find(participants_.begin(), participants_.end(), shard);
  if (at == participants_.end()) return false;  // a Resolve under a forged token may name other shards
  size_t seat = static_cast<size_t>(at - participants_.begin());
  Standing standing_before = standing_;
  bool finished_before = finished_everywhere();

  switch (vote.kind) {
    case VoteKind::kFinished:
      // An outcome is the id's whatever attempt is asked about (rule 3); an aborted attempt is none.
      if (vote.finished.kind == DecisionKind::kAborted && vote.of.attempt < of_.attempt) return false;
      // A later attempt that was aborted only shows that this one is over.
      if (vote.finished.kind == DecisionKind::kAborted && vote.of.attempt > of_.attempt) {
        Supersede(vote.of.attempt);
      } else if (standing_ != Standing::kDecided) {
        standing_ = Standing::kDecided;
        decision_ = vote.finished;
        decided_attempt_ = vote.of.attempt;
        told_ = true;
        ReopenHolders();
      }
      seats_[seat].told = true;
      Finish(seat);
      break;
    case VoteKind::kSuperseded:
      // What was told to a command of an earlier attempt may name this very one.
      if (vote.of.attempt <= of_.attempt) return false;
      MoveOn(seat, vote.of.attempt);
      break;
    case VoteKind::kPrepared:
    case VoteKind::kRefused:
    case VoteKind::kBlocked:
    case VoteKind::kConflict:
    case VoteKind::kResolved:
      if (vote.of.attempt > of_.attempt) {
        MoveOn(seat, vote.of.attempt);
      } else if (vote.of.attempt == of_.attempt || Bug("txn.votes_across_attempts")) {
        Record(seat, vote);
      }
      break;
  }
  return standing_ != standing_before || finished_everywhere() != finished_before;
}

void Tally::Record(size_t seat, const Vote& vote) {
  if (seats_[seat].voted) return;  // recorded votes never change (rule 2)
  seats_[seat].voted = true;
  --missing_;
  Vote& kept = votes_[seat].vote;
  kept.kind = vote.kind;
  kept.at = vote.at;
  kept.refusal = vote.refusal;
  kept.transfer = vote.transfer;
  kept.blockers = vote.blockers;
  // The home that bound the id to another digest holds nothing of this one (rule 1), and may not even record
  // it: nobody waits for it.
  if (vote.kind == VoteKind::kConflict) Finish(seat);
  bool early = (Bug("txn.acknowledged_before_all_votes") && vote.kind == VoteKind::kPrepared) ||
               (Bug("txn.next_attempt_at_first_blocked") && vote.kind == VoteKind::kBlocked) ||
               (Bug("txn.refused_at_first_refusal") && vote.kind == VoteKind::kRefused);
  for (size_t other = 0; early && other < votes_.size(); ++other) {
    VoteKind guessed = vote.kind == VoteKind::kPrepared ? VoteKind::kPrepared : VoteKind::kResolved;
    if (other != seat) votes_[other].vote.kind = guessed;
  }
  if ((missing_ == 0 || early) && standing_ == Standing::kOpen) {
    standing_ = Standing::kDecided;
    decision_ = Decide(votes_);
    decided_attempt_ = of_.attempt;
  }
}

void Tally::Finish(size_t seat) {
  if (seats_[seat].finished) return;
  seats_[seat].finished = true;
  --unfinished_;
}

void Tally::MoveOn(size_t seat, uint32_t attempt) {
  Supersede(attempt);
  seats_[seat].holds = attempt;
  // It has released what it held of this attempt (rule 3); of the try that the decision is of it may hold a
  // reservation, and must be told.
  if (standing_ == Standing::kDecided && decided_attempt_ == attempt) return;
  Finish(seat);
}

void Tally::ReopenHolders() {
  for (Seat& seat : seats_) {
    if (!seat.finished || seat.told || seat.holds != decided_attempt_) continue;
    seat.finished = false;
    ++unfinished_;
  }
}

void Tally::Supersede(uint32_t attempt) {
  superseded_by_ = std::max(superseded_by_, attempt);
  if (standing_ != Standing::kOpen) return;
  // A later attempt is proof that this one aborted (rule 3).
  standing_ = Standing::kSuperseded;
  decision_ = Decision{};
  decision_.kind = DecisionKind::kAborted;
  decided_attempt_ = of_.attempt;
}

Try Tally::decided_try() const {
  Check(standing_ != Standing::kOpen, "only a decided try has a decision");
  Try decided = of_;
  decided.attempt = decided_attempt_;
  return decided;
}

std::vector<ShardId> Tally::Missing() const {
  std::vector<ShardId> missing;
  for (size_t i = 0; i < seats_.size(); ++i) {
    if (!seats_[i].voted && !seats_[i].finished) missing.push_back(participants_[i]);
  }
  return missing;
}

bool Tally::IsMissing(ShardId shard) const {
  auto at = std::find(participants_.begin(), participants_.end(), shard);
  if (at == participants_.end()) return false;
  const Seat& seat = seats_[static_cast<size_t>(at - participants_.begin())];
  return !seat.voted && !seat.finished;
}

bool Tally::IsConflictAt(ShardId shard) const {
  auto at = std::find(participants_.begin(), participants_.end(), shard);
  if (at == participants_.end()) return false;
  size_t seat = static_cast<size_t>(at - participants_.begin());
  bool told =
      seats_[seat].told && standing_ == Standing::kDecided && decision_.kind == DecisionKind::kConflict;
  return told || (seats_[seat].voted && votes_[seat].vote.kind == VoteKind::kConflict);
}

std::vector<ShardId> Tally::Unfinished() const {
  std::vector<ShardId> unfinished;
  for (size_t i = 0; i < seats_.size(); ++i) {
    bool unheard = seats_[i].voted && votes_[i].vote.kind == VoteKind::kConflict && !seats_[i].told;
    if (!seats_[i].finished || unheard) unfinished.push_back(participants_[i]);
  }
  return unfinished;
}

std::vector<Blocker> Tally::Blockers() const {
  std::vector<Blocker> blockers;
  for (size_t i = 0; i < seats_.size(); ++i) {
    if (!seats_[i].voted || votes_[i].vote.kind != VoteKind::kBlocked) continue;
    for (const Blocker& blocker : votes_[i].vote.blockers) {
      bool known =
          std::any_of(blockers.begin(), blockers.end(), [&](const Blocker& b) { return b.of == blocker.of; });
      if (!known) blockers.push_back(blocker);
    }
  }
  return blockers;
}

void Tally::WriteState(StateWriter& out) const {
  out.Value(of_.digest);
  out.Number(of_.attempt);
  for (size_t i = 0; i < seats_.size(); ++i) {
    const Seat& seat = seats_[i];
    out.Number((seat.voted ? 1U : 0U) | (seat.finished ? 2U : 0U) | (seat.told ? 4U : 0U));
    out.Number(seat.holds);
    if (!seat.voted) continue;
    const Vote& vote = votes_[i].vote;
    out.Number(static_cast<uint64_t>(vote.kind));
    out.Number(static_cast<uint64_t>(vote.refusal));
    out.Number(vote.transfer);
    for (const Blocker& blocker : vote.blockers) {
      out.Value(blocker.of.digest);
      out.Number(blocker.of.attempt);
    }
  }
  out.Number(static_cast<uint64_t>(standing_));
  out.Number(static_cast<uint64_t>(decision_.kind));
  out.Number(static_cast<uint64_t>(decision_.refusal));
  out.Number(decision_.transfer);
  out.Number(decided_attempt_);
  out.Number(superseded_by_);
  out.Number(told_ ? 1 : 0);
}

}  // namespace paxledger
