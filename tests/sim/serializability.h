#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ledger/account.h"

namespace paxledger::sim {

/// What clients asked for and were told, and where it stands in the logs.
struct SerialHistory {
  /// A committed transaction, or a strong read that was answered.
  struct Operation {
    std::string name;
    int64_t invoked_us = 0;
    std::optional<int64_t> responded_us;  // nullopt: nobody was ever told
  };
  /// What a committed transaction did to one account. Positions count the commands of the account's shard log.
  struct Effect {
    size_t operation = 0;
    int64_t voted = 0;  // where its shard judged and reserved it; for an Execute the same as `done`
    int64_t done = 0;   // where it was posted
    Amount debits = 0;
    Amount credits = 0;
  };
  struct Read {
    size_t operation = 0;
    std::string account;
    Amount debits = 0;
    Amount credits = 0;
  };
  std::vector<Operation> operations;
  std::map<std::string, std::vector<Effect>> effects;  // by account, ascending in `done`
  std::vector<Read> reads;
};

struct SerialVerdict {
  std::string failure;           // empty: serializable, and in the order of real time
  uint64_t reads_placed = 0;     // reads whose balances say exactly which effects they saw
  uint64_t reads_ambiguous = 0;  // of these only what is common to all explanations was used
};

/// Strict serializability: is there one order of all operations that explains everything that was seen?
///   - real time: what was answered before another was asked for comes before it
///   - the log of each account: what was posted before another was judged comes before it. Of two that overlap neither
///     knew of the other, and in which order they were posted nobody can see but by a read
///   - a read comes after the effects that its balances contain, and before all others of that account
/// Commit timestamps are no witness (transactions.md rule 11).
SerialVerdict CheckSerializable(const SerialHistory& history);

}  // namespace paxledger::sim
