#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/strong_id.h"
#include "cluster/directory.h"
#include "cluster/mover.h"

namespace paxledger {

/// Where one shard is and where it is to be.
struct ShardPlace {
  ShardView view;
  ReplicaId owner;
  LogIndex applied;  // here; 0 where it is not held here
  bool voting = true;
  std::vector<ReplicaId> wanted;
  MoveStep step;
  std::string step_text;
};

/// The cluster as one node sees it.
struct ClusterReport {
  std::string cluster_id;
  std::string data_centre;
  std::string node;
  ReplicaId self;
  bool has_quorum = false;
  int64_t clock_offset_us = 0;
  std::vector<ReplicaId> peers_up;
  Directory directory;
  std::vector<ShardPlace> shards;
};

}  // namespace paxledger
