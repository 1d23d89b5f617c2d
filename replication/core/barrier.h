#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/message.h"

namespace paxledger {

/// Names a read that waits for a barrier.
using ReadTicket = uint64_t;

/// What the caller must do after an event of a barrier.
struct BarrierEffects {
  std::optional<BarrierRequest> broadcast;  // to all other members
  std::vector<ReadTicket> ready;            // may be answered from what is chosen and applied here
};

/// The strong read barrier of one shard on one replica: the pure core (consensus.md rules 9-11). A majority is asked for
/// the highest index at which it durably holds an accepted or chosen value; a read is ready when that is chosen here.
/// Readers share rounds: a read joins only a round whose requests were not yet sent when it arrived.
/// Threads: one owner.
class Barrier {
 public:
  /// `members` of the shard, this replica among them.
  Barrier(ShardId shard, size_t members) : shard_(shard), majority_(members / 2 + 1) {}

  /// `own` is this replica's answer (rule 9); nullopt where it may not answer (rule 18).
  BarrierEffects Read(ReadTicket ticket, std::optional<LogIndex> own, LogIndex chosen, int64_t now_us);
  BarrierEffects Answer(size_t member, const BarrierAnswer& answer, std::optional<LogIndex> own,
                        LogIndex chosen, int64_t now_us);
  /// The chosen index moved.
  BarrierEffects Chosen(LogIndex chosen);
  /// Sends a round again that lost its answers.
  BarrierEffects Tick(int64_t now_us, int64_t retransmit_us);
  /// Gives a read up.
  void Cancel(ReadTicket ticket);

  /// The highest index that some read has been waiting for since before `since_us`; nullopt: none. To be completed
  /// (rule 11: not before the patience has passed, lest every read kill the owner's proposal).
  std::optional<LogIndex> Overdue(int64_t since_us) const;
  bool quiet() const { return !round_.has_value() && waiting_.empty(); }

 private:
  struct Round {
    uint64_t id;
    LogIndex highest;
    uint64_t answered = 0;  // bit per member
    size_t answers = 0;
    int64_t sent_at_us = 0;
    std::vector<ReadTicket> readers;
  };
  struct Waiting {
    ReadTicket ticket;
    LogIndex target;
    int64_t since_us;
  };
  void StartRound(std::optional<LogIndex> own, int64_t now_us, BarrierEffects& out);
  void EndRoundIfMajority(std::optional<LogIndex> own, LogIndex chosen, int64_t now_us, BarrierEffects& out);

  ShardId shard_;
  size_t majority_;
  uint64_t next_round_ = 1;
  std::optional<Round> round_;
  std::vector<ReadTicket> next_;  // for the round after
  std::vector<Waiting> waiting_;
};

}  // namespace paxledger
