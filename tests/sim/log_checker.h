#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "tests/sim/journal_fold.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// Watches every entry that any replica applies, in every life it has, and holds it against what was seen first:
///   - one value per (shard, index), for ever: equal journal digests at equal indexes
///   - replicas agree: equal state digests at equal indexes, whether applied, replayed or recovered from a checkpoint
///   - applied entries are not forgotten: a replica that recovers holds what a majority could rely on (through the above)
///   - the books of a shard balance after each entry, and say the same as the checker's own (tests/sim/journal_fold)
class LogChecker {
 public:
  using Fail = std::function<void(std::string what)>;
  LogChecker(SimCluster& cluster, Fail fail);

  void OnRecovered(uint32_t machine);
  void OnWork(uint32_t machine);
  uint64_t entries() const { return entries_; }
  uint64_t commands() const { return commands_; }
  /// Entries of the shard that some replica has applied.
  LogIndex highest(ShardId shard) const { return LogIndex{truth_[shard.value].size()}; }
  const JournalFold& fold() const { return fold_; }

 private:
  struct Truth {
    Digest journal;
    Digest state;
  };
  void Compare(uint32_t machine, ShardId shard, LogIndex index);
  void Fold(Node& node, ShardId shard, LogIndex index);
  void CheckBooks(ShardId shard, ShardMachine& books);
  void CheckAccount(ShardId shard, ShardMachine& books, const std::string& account);

  SimCluster& cluster_;
  Fail fail_;
  std::vector<std::vector<Truth>> truth_;       // by shard, then index - 1
  std::vector<std::vector<LogIndex>> applied_;  // by machine, then shard
  JournalFold fold_;
  std::vector<std::string> touched_;  // by the entry at hand
  uint64_t entries_ = 0;
  uint64_t commands_ = 0;
};

}  // namespace paxledger::sim
