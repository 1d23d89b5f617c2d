#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strong_id.h"
#include "ledger/account.h"
#include "ledger/transfer.h"
#include "txn/command.h"
#include "txn/shard_machine.h"

namespace paxledger {
class TestShard;
}

namespace paxledger::sim {

constexpr uint32_t kExploredShards = 2;

/// The transactions that an exploration is about; each is named by its place.
class ExploredBodies {
 public:
  explicit ExploredBodies(std::vector<Transaction> bodies);

  size_t size() const { return bodies_.size(); }
  const Transaction& operator[](uint32_t body) const { return bodies_[body]; }
  const std::vector<ShardId>& participants(uint32_t body) const { return participants_[body]; }
  Try OfTry(uint32_t body, uint32_t attempt) const;
  uint32_t Find(const Digest& digest) const;

  // Names without times: what differs only in them is held equal.
  std::string NameOf(const Try& of) const;
  std::string NameOf(const Vote& vote) const;

 private:
  std::vector<Transaction> bodies_;
  std::vector<Digest> digests_;
  std::vector<std::vector<ShardId>> participants_;
};

std::string DecisionName(const Decision& decision);

/// All states that the machine of one shard comes to, each numbered; 0 is the one with its accounts opened and funded. The
/// machine is the production one: a state is the journal that leads to it, and a step replays it. An entry is one command.
/// Checks in every state: an account's totals and what is in doubt on it are those of the transactions that are finished or
/// prepared here, no limit is crossed in the worst case, and clearing accounts hold the other half; of every refusal, that it was
/// true (transactions.md rules 5, 6, 8, 16).
class ExploredShard {
 public:
  struct Applied {
    uint32_t after = 0;
    std::vector<Vote> said;
  };

  ExploredShard(ShardId shard, const ExploredBodies& bodies, uint32_t attempts);

  /// Applies `command`, which `number` names for ever.
  const Applied& Apply(uint32_t state, uint32_t number, const TxnCommand& command);
  /// ShardMachine::FindVote.
  const std::optional<Vote>& FindVote(uint32_t state, uint32_t body, uint32_t attempt) const;
  /// Oldest first.
  const std::vector<InDoubt>& in_doubt(uint32_t state) const { return states_[state].in_doubt; }
  /// nullopt: not finished here.
  std::optional<DecisionKind> Finished(uint32_t state, uint32_t body) const {
    return states_[state].finished[body];
  }

  /// What is wrong with the last step that was taken for the first time, or nothing.
  const std::string& wrong() const { return wrong_; }
  size_t size() const { return states_.size(); }
  uint64_t steps() const { return steps_; }
  uint64_t compared() const { return compared_; }

 private:
  struct State {
    std::vector<std::string> journal;
    std::vector<std::optional<Vote>> votes;  // by body and attempt
    std::vector<InDoubt> in_doubt;
    std::vector<std::optional<DecisionKind>> finished;  // by body
    std::map<std::string, Account> accounts;
    std::string name;
    std::vector<std::pair<uint32_t, TxnCommand>> taken;  // a few of the steps from here
  };
  State Look(TestShard& shard) const;
  std::string NameOf(const State& state) const;
  uint32_t Add(State state);
  void Compare(const State& again, uint32_t known);
  void CheckAccounts(const State& state);
  void CheckClearing(const State& state, const std::vector<ClearingTotals>& clearing);
  void CheckRefusal(const State& before, const Vote& vote);
  void AddLegs(uint32_t body, std::map<std::string, std::pair<Amount, Amount>>* legs) const;
  void Wrong(std::string what);

  ShardId shard_;
  const ExploredBodies& bodies_;
  uint32_t attempts_;
  std::vector<State> states_;
  std::map<std::string, uint32_t> by_name_;
  std::map<std::pair<uint32_t, uint32_t>, Applied> applied_;
  std::map<std::string, Account> funded_;
  std::string wrong_;
  uint64_t steps_ = 0;
  uint64_t compared_ = 0;
};

}  // namespace paxledger::sim
