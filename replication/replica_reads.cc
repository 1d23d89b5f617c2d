// Strong reads: the barrier's driver (consensus.md rules 9-11).
#include <algorithm>
#include <utility>

#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kBarrierTickUs = 5'000;

}  // namespace

std::optional<LogIndex> Replica::State::OwnBarrierAnswer(const Shard& shard) const {
  if (!shard.log->may_vote()) return std::nullopt;
  return shard.log->HighestDurable();
}

Barrier::Local Replica::State::LocalOf(const Shard& shard) const {
  return {shard.log->configuration(), OwnBarrierAnswer(shard), shard.applied, ports.clock->MonotonicMicros()};
}

void Replica::State::RunBarrier(Shard& shard, BarrierEffects effects) {
  if (effects.broadcast.has_value()) {
    for (ReplicaId member : shard.log->configuration().members) {
      if (member != options.self) ports.transport->Send(member, *effects.broadcast);
    }
    FlushSoon();
  }
  for (ReadTicket ticket : effects.ready) AnswerRead(ticket, shard.applied);
  if (!shard.barrier->quiet()) {
    shard.wake_at_us = std::min(shard.wake_at_us, ports.clock->MonotonicMicros() + kBarrierTickUs);
    ArmTimer();
  }
}

void Replica::State::AnswerRead(ReadTicket ticket, absl::StatusOr<LogIndex> result) {
  auto it = reads_.find(ticket);
  if (it == reads_.end()) return;
  WaitingRead read = std::move(it->second);
  reads_.erase(it);
  ports.executor->Cancel(read.timer);
  if (At(read.shard).barrier != nullptr) At(read.shard).barrier->Cancel(ticket);
  read.done.Set(std::move(result));
}

void Replica::State::FailReadsOf(ShardId shard) {
  std::vector<ReadTicket> tickets;
  for (const auto& [ticket, read] : reads_) {
    if (read.shard == shard) tickets.push_back(ticket);
  }
  for (ReadTicket ticket : tickets)
    AnswerRead(ticket, absl::UnavailableError("the shard is not hosted here"));
}

Task<absl::StatusOr<LogIndex>> Replica::State::ReadBarrier(ShardId id, Deadline deadline) {
  if (!Hosts(id)) co_return absl::UnavailableError("the shard is not hosted here");
  if (!Serves(id)) co_return absl::UnavailableError("the state of the shard is being replaced by a snapshot");
  if (!HasQuorum(At(id)))
    co_return absl::UnavailableError("no majority of data centres was heard for a second");
  int64_t now_us = ports.clock->MonotonicMicros();
  if (deadline.Passed(now_us))
    co_return absl::DeadlineExceededError("the deadline passed before the read began");
  ReadTicket ticket = next_ticket_++;
  Completion<absl::StatusOr<LogIndex>> done(*ports.executor);
  TimerId timer = ports.executor->After(absl::Microseconds(deadline.monotonic_us - now_us), [this, ticket] {
    AnswerRead(ticket, absl::DeadlineExceededError("no majority answered the read in time"));
  });
  reads_.emplace(ticket, WaitingRead{done, id, timer});
  Shard& shard = At(id);
  RunBarrier(shard, shard.barrier->Read(ticket, LocalOf(shard)));
  absl::StatusOr<LogIndex> index = co_await done;
  co_return index;
}

}  // namespace paxledger
