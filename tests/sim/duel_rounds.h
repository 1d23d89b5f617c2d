#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paxledger::sim {

/// Proposers that never stop and never forward: the worst that rule 13 of consensus.md has to bear. Microseconds.
struct DuelOptions {
  /// What they fight for.
  enum class Over : uint8_t {
    kOwnersIndex,  // the next index of one log, which the winner of the one before owns
    kNobodysIndex,  // the first index of one log after another: nobody has the fast path, as after the owner's death
  };
  Over over = Over::kOwnersIndex;
  uint32_t replicas = 3;
  uint32_t proposers = 2;  // each has a command waiting at every moment
  int64_t round_trip_us = 30'000;
  int64_t jitter_percent = 50;  // of each way of a message, and of each sync
  uint64_t late_percent = 10;   // of messages, that take up to two round trips longer
  int64_t sync_us = 500;
  uint64_t indexes = 2'000;
  uint64_t seed = 1;
};

struct DuelReport {
  std::string failure;            // empty: every rule held, and every index was decided
  std::vector<uint64_t> indexes;  // by the round of the ballot that won; 0 is the owner's fast path
  uint64_t prepares = 0;
  std::vector<int64_t> took_us;  // per index, ascending

  uint64_t decided() const { return took_us.size(); }
  /// The least round that so many of a thousand indexes needed no more than.
  uint64_t RoundOf(uint64_t per_thousand) const;
  double MeanRound() const;
};

/// Lets the proposers duel over the real shard logs of one shard until so many indexes are decided.
DuelReport RunDuel(const DuelOptions& options);

}  // namespace paxledger::sim
