#pragma once

#include <cstdint>

#include "tests/sim/explore_report.h"

namespace paxledger::sim {

/// What the two gateways are asked for. Accounts begin with 100.
enum class TxnScenario : uint8_t {
  kRetry = 0,      // the same transaction through both, over two shards
  kTwoBodies = 1,  // two bodies under one id
  kContended = 2,  // two transactions over two shards, of which the account bears one
  kHomeAway = 3,   // two bodies under one id, whose home holds none of their accounts
  kTwice = 4,      // one of two transfers that the account bears only one of, and one that pays back into it
  kRefused = 5,    // one that its second shard refuses, and one that stands in its way at the first
};
inline constexpr uint32_t kTxnScenarios = 6;

/// How far the explorer of transactions goes. Commands and votes may be lost, late, and come any number of times; all else is
/// bounded by numbers.
struct TxnExploreOptions {
  TxnScenario scenario = TxnScenario::kRetry;
  uint32_t attempts = 2;    // of each transaction
  uint32_t recoveries = 1;  // begun by somebody who is no gateway
  uint32_t depth = 12;      // events from the start
  uint64_t states_max = 20'000'000;
};

/// Breadth first through all states of two shards, two gateways that may stop anywhere, and recovery. Shards are the production
/// machines (`ExploredShard`), and what gateways and recovery make of votes is the production `Tally`; around it they do what
/// `Coordinator` and `Settler` do, with no time: a deadline may have passed at any moment. Checks what `ExploredShard` checks, and
///   - nobody decides before all participants have voted; decisions on one try never differ; an id has at most one outcome, whatever its body (transactions.md rules 1, 2)
///   - from every state recovery alone brings everything to an end, in which a transaction has its effect on all of its shards or
///     on none, as whoever knew the outcome before was told (rules 2, 3, 5, 18)
/// A `Check` that fails ends the process; its path is printed first.
ExploreReport ExploreTxn(const TxnExploreOptions& options);

}  // namespace paxledger::sim
