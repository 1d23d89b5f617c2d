#include "replication/core/barrier.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace paxledger {

BarrierEffects Barrier::Read(ReadTicket ticket, std::optional<LogIndex> own, LogIndex chosen,
                             int64_t now_us) {
  BarrierEffects out;
  if (round_.has_value() && Bug("consensus.barrier_joined_late")) {
    round_->readers.push_back(ticket);
    return out;
  }
  next_.push_back(ticket);
  if (!round_.has_value()) {
    StartRound(own, now_us, out);
    EndRoundIfMajority(own, chosen, now_us, out);
  }
  return out;
}

void Barrier::StartRound(std::optional<LogIndex> own, int64_t now_us, BarrierEffects& out) {
  Round round;
  round.id = next_round_++;
  round.readers.swap(next_);
  round.sent_at_us = now_us;
  if (own.has_value()) {
    round.highest = *own;
    round.answers = 1;
  }
  out.broadcast = BarrierRequest{shard_, round.id};
  round_ = std::move(round);
}

BarrierEffects Barrier::Answer(size_t member, const BarrierAnswer& answer, std::optional<LogIndex> own,
                               LogIndex chosen, int64_t now_us) {
  BarrierEffects out;
  if (!round_.has_value() || answer.round != round_->id) return out;
  uint64_t bit = uint64_t{1} << member;
  if ((round_->answered & bit) != 0) return out;
  round_->answered |= bit;
  ++round_->answers;
  round_->highest = std::max(round_->highest, answer.highest);
  EndRoundIfMajority(own, chosen, now_us, out);
  return out;
}

void Barrier::EndRoundIfMajority(std::optional<LogIndex> own, LogIndex chosen, int64_t now_us,
                                 BarrierEffects& out) {
  while (round_.has_value() && round_->answers >= majority_) {
    for (ReadTicket ticket : round_->readers) {
      if (round_->highest <= chosen) {
        out.ready.push_back(ticket);
      } else {
        waiting_.push_back({ticket, round_->highest, now_us});
      }
    }
    round_.reset();
    if (!next_.empty()) StartRound(own, now_us, out);
  }
}

BarrierEffects Barrier::Chosen(LogIndex chosen) {
  BarrierEffects out;
  std::erase_if(waiting_, [&](const Waiting& w) {
    if (w.target > chosen) return false;
    out.ready.push_back(w.ticket);
    return true;
  });
  return out;
}

BarrierEffects Barrier::Tick(int64_t now_us, int64_t retransmit_us) {
  BarrierEffects out;
  if (round_.has_value() && now_us >= round_->sent_at_us + retransmit_us) {
    round_->sent_at_us = now_us;
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
