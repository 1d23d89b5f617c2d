#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/ledgerctl/node_status.h"

namespace paxledger {

/// What a quick audit found in one round of answers. Pure; the command asks again while anything is open.
struct AuditFindings {
  std::vector<std::string> differences;  // proven: money or replicas are wrong
  std::vector<std::string> open;  // not decided by these answers: in flight, catching up, forgotten digests
  std::vector<std::string> unreachable;
  bool books_balanced = true;  // every shard of every data centre that answered
  bool pairs_settled = true;   // clearing accounts pair off in all of them
  size_t data_centres = 0;     // that answered
  size_t shards = 0;
  size_t digests_compared = 0;  // (shard, data centre) beyond the first of each shard
  uint64_t in_doubt = 0;        // the most that any data centre sees
};

/// Per shard, the lowest index that any data centre has applied: all can tell their digests there. 0: nobody hosts it.
std::vector<uint64_t> LowestApplied(const std::vector<NodeStatus>& nodes);

/// Of several nodes of one data centre each tells the shards that it hosts; they are judged as one.
/// Debits equal credits per shard and asset; clearing(s, r) pairs off with clearing(r, s) (transactions.md
/// rule 16); digests at equal indexes are equal. `before` is the round before, empty in the first. Where
/// nothing moved and nothing is in doubt since then, clearing accounts that do not pair off are a difference;
/// else they are open.
AuditFindings JudgeStatuses(const std::vector<NodeStatus>& nodes, const std::vector<NodeStatus>& before);

}  // namespace paxledger
