#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/configuration.h"
#include "replication/core/message.h"
#include "replication/core/state_writer.h"

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
/// Readers share rounds: a read joins only a round whose requests were not yet sent when it arrived. The majority is one of
/// the configuration in force after what is chosen here; where that changes before a read is ready, its round is repeated.
/// Threads: one owner.
class Barrier {
 public:
  /// What the reading replica knows.
  struct Local {
    const Configuration& members;  // in force after what is known chosen here
    std::optional<LogIndex>
        own;          // this replica's answer (rule 9); nullopt where it may not answer (rules 16 and 18)
    LogIndex chosen;  // and applied
    int64_t now_us = 0;
  };

  /// Rounds are numbered from `first_round`, which differs from life to life of a replica: an answer to a request of its
  /// predecessor is none to its own.
  Barrier(ShardId shard, uint64_t first_round) : shard_(shard), next_round_(first_round) {}

  BarrierEffects Read(ReadTicket ticket, const Local& local);
  BarrierEffects Answer(ReplicaId from, const BarrierAnswer& answer, const Local& local);
  /// The chosen index moved, or the configuration changed.
  BarrierEffects Chosen(const Local& local);
  /// Sends a round again that lost its answers. This replica's own counts from when it may answer, also where the round
  /// began before (rule 16: it has just become a voter).
  BarrierEffects Tick(const Local& local, int64_t retransmit_us);
  /// Gives a read up.
  void Cancel(ReadTicket ticket);

  /// The highest index that some read has been waiting for since before `since_us`; nullopt: none. To be completed
  /// (rule 11: not before the patience has passed, lest every read kill the owner's proposal).
  std::optional<LogIndex> Overdue(int64_t since_us) const;
  bool quiet() const { return !round_.has_value() && waiting_.empty(); }
  void WriteState(StateWriter& out) const;

 private:
  struct Round {
    uint64_t id;
    LogIndex since;  // of the configuration that is asked
    LogIndex highest;
    std::vector<ReplicaId> answered;
    bool own_counts = false;
    int64_t sent_at_us = 0;
    std::vector<ReadTicket> readers;
  };
  struct Waiting {
    ReadTicket ticket;
    LogIndex target;
    LogIndex since;  // of the configuration that named the target
    int64_t since_us;
  };
  void StartRound(const Local& local, BarrierEffects& out);
  void CountOwn(const Local& local);
  void EndRoundIfMajority(const Local& local, BarrierEffects& out);
  void RestartUnder(const Local& local, BarrierEffects& out);

  ShardId shard_;
  uint64_t next_round_;
  std::optional<Round> round_;
  std::vector<ReadTicket> next_;  // for the round after
  std::vector<Waiting> waiting_;
};

}  // namespace paxledger
