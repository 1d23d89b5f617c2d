#include "replication/core/barrier.h"

#include <algorithm>
#include <utility>

#include "base/mark.h"
#include "base/planted.h"

namespace paxledger {

BarrierEffects Barrier::Read(ReadTicket ticket, const Local& local) {
  BarrierEffects out;
  if (round_.has_value() && Bug("consensus.barrier_joined_late")) {
    round_->readers.push_back(ticket);
    return out;
  }
  next_.push_back(ticket);
  if (!round_.has_value()) {
    StartRound(local, out);
    EndRoundIfMajority(local, out);
  }
  return out;
}

void Barrier::StartRound(const Local& local, BarrierEffects& out) {
  Round round;
  round.id = next_round_++;
  round.since = local.members.since;
  round.readers.swap(next_);
  round.sent_at_us = local.now_us;
  out.broadcast = BarrierRequest{shard_, round.id};
  round_ = std::move(round);
  CountOwn(local);
}

// Rule 9 asks only that it is read after the round began.
void Barrier::CountOwn(const Local& local) {
  if (!round_.has_value() || round_->own_counts || !local.own.has_value()) return;
  round_->own_counts = true;
  round_->highest = std::max(round_->highest, *local.own);
}

BarrierEffects Barrier::Answer(ReplicaId from, const BarrierAnswer& answer, const Local& local) {
  BarrierEffects out;
  if (!round_.has_value() || answer.round != round_->id) return out;
  RestartUnder(local, out);
  if (answer.round != round_->id || !local.members.Contains(from)) return out;
  if (std::find(round_->answered.begin(), round_->answered.end(), from) != round_->answered.end()) return out;
  round_->answered.push_back(from);
  round_->highest = std::max(round_->highest, answer.highest);
  EndRoundIfMajority(local, out);
  return out;
}

void Barrier::EndRoundIfMajority(const Local& local, BarrierEffects& out) {
  CountOwn(local);
  while (round_.has_value() &&
         round_->answered.size() + (round_->own_counts ? 1 : 0) >= local.members.majority()) {
    for (ReadTicket ticket : round_->readers) {
      if (round_->highest <= local.chosen) {
        out.ready.push_back(ticket);
      } else {
        waiting_.push_back({ticket, round_->highest, round_->since, local.now_us});
      }
    }
    round_.reset();
    if (!next_.empty()) StartRound(local, out);
  }
}

// Rule 10: what a majority of an older configuration said may miss what one of the newer has chosen since.
void Barrier::RestartUnder(const Local& local, BarrierEffects& out) {
  if (!round_.has_value() || round_->since == local.members.since) return;
  Mark("barrier.restarted");
  next_.insert(next_.begin(), round_->readers.begin(), round_->readers.end());
  round_.reset();
  StartRound(local, out);
}

BarrierEffects Barrier::Chosen(const Local& local) {
  BarrierEffects out;
  std::erase_if(waiting_, [&](const Waiting& w) {
    if (w.target > local.chosen) return false;
    if (w.since == local.members.since) {
      out.ready.push_back(w.ticket);
    } else {
      Mark("barrier.repeated");
      next_.push_back(w.ticket);
    }
    return true;
  });
  RestartUnder(local, out);
  if (!round_.has_value() && !next_.empty()) StartRound(local, out);
  EndRoundIfMajority(local, out);
  return out;
}

BarrierEffects Barrier::Tick(const Local& local, int64_t retransmit_us) {
  BarrierEffects out;
  RestartUnder(local, out);
  EndRoundIfMajority(local, out);
  if (round_.has_value() && local.now_us >= round_->sent_at_us + retransmit_us) {
    round_->sent_at_us = local.now_us;
    out.broadcast = BarrierRequest{shard_, round_->id};
  }
  return out;
}

void Barrier::Cancel(ReadTicket ticket) {
  std::erase(next_, ticket);
  std::erase_if(waiting_, [&](const Waiting& w) { return w.ticket == ticket; });
  if (round_.has_value()) std::erase(round_->readers, ticket);
}

std::optional<LogIndex> Barrier::Overdue(int64_t since_us) const {
  std::optional<LogIndex> highest;
  for (const Waiting& w : waiting_) {
    if (w.since_us <= since_us && (!highest.has_value() || w.target > *highest)) highest = w.target;
  }
  return highest;
}

}  // namespace paxledger
