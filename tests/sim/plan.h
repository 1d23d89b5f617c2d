#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "replication/replica.h"
#include "tests/sim/sim_engine.h"
#include "tests/sim/sim_network.h"

namespace paxledger::sim {

/// What kinds of trouble a seed draws from.
enum class Profile : uint8_t {
  kChaos,    // the swarm: each seed switches some kinds on
  kCalm,     // none: what the cluster does when nothing goes wrong
  kDisk,     // disks: slow, full, failing, lost, and the crashes that show what was not synced
  kNetwork,  // links: loss, delay, cuts, partitions, resets
  kDuel,     // few shards, many gateways, and owners that keep falling silent
  kRot,      // bits that flip on one machine's disk, and reads that return another row
};
std::string_view ProfileName(Profile profile);
std::optional<Profile> ProfileFromName(std::string_view name);

struct SimOptions {
  uint64_t seed = 1;
  int64_t seconds = 60;       // of virtual time under faults, at least
  uint64_t transfers = 500;   // begun in that time, at least
  uint32_t data_centres = 0;  // 0: drawn
  uint32_t nodes_per_data_centre = 1;
  uint32_t shards = 0;  // 0: drawn
  Profile profile = Profile::kChaos;
};

/// What one seed is made of: a swarm, so that each seed switches some kinds of fault on, with rates of its own. An interval
/// of 0 means never.
struct Plan {
  uint32_t data_centres = 3;
  uint32_t nodes_per_data_centre = 1;
  uint32_t shards = 4;
  uint32_t primary_shards = 0;  // the first so many are in mode primary (consensus.md rule 15)
  uint32_t checkpoint_commands = 64;
  size_t cached_accounts = 50'000;
  CatchUpOptions catch_up;
  NetworkProfile network;
  DiskProfile disk;

  int64_t crash_every_us = 0;
  int64_t down_us_max = 3'000'000;
  int64_t pause_every_us = 0;
  int64_t pause_us_max = 2'000'000;
  int64_t cut_every_us = 0;        // one direction of one link
  int64_t partition_every_us = 0;  // a data centre from all others, or the links clogged one by one (swizzle)
  int64_t cut_us_max = 3'000'000;
  int64_t reset_every_us = 0;
  int64_t clock_jump_every_us = 0;
  int64_t clock_jump_us_max = 0;
  int64_t clock_skew_us_max = 0;           // steady
  uint32_t rare_choices_per_thousand = 0;  // Fault points

  int64_t slow_disk_every_us = 0;  // one machine's disk, for a while
  int64_t slow_disk_us_max = 5'000'000;
  int64_t slow_sync_us_max = 500'000;
  int64_t full_disk_every_us = 0;
  int64_t full_disk_us_max = 3'000'000;
  int64_t failing_write_every_us = 0;
  int64_t hand_over_every_us = 0;        // by an operator
  int64_t move_every_us = 0;             // of a shard between the nodes of a data centre, by an operator
  int64_t node_state_every_us = 0;       // a node is drained, or active again, by an operator
  int64_t planned_restart_every_us = 0;  // drained first

  /// What a machine does not come back from, one in a seed: the data centre dies, its disk is found empty or as it once
  /// was, or rows of it are damaged from then on.
  enum class Loss : uint8_t { kNone, kDeath, kEmptiedDisk, kRestoredDisk, kRot };
  Loss loss = Loss::kNone;
  int64_t loss_at_us = 0;
  int64_t rot_every_us = 0;

  uint32_t clients = 6;
  uint32_t accounts = 24;
  uint32_t hot_accounts = 2;
  int64_t client_timeout_us = 2'000'000;
  uint32_t http_per_thousand = 1000;  // requests that come as HTTP; the others are made of the node itself
  uint32_t answers_lost_per_thousand = 0;
  uint32_t reads_per_thousand = 200;
  /// Clients that do nothing but read the hot accounts, each read this long after the last one, anywhere.
  uint32_t dense_readers = 0;
  int64_t dense_read_every_us = 20'000;
  bool tagged_amounts = false;  // tests/sim/amounts
  int64_t barrier_every_us = 0;
  uint32_t duplicates_per_thousand = 60;
  uint32_t other_bodies_per_thousand = 30;
  uint32_t clients_die_per_thousand = 10;
  /// A gateway dies just after it took a request, and half of the time the client with it: what it began, others end.
  uint32_t gateway_dies_per_thousand = 0;

  /// Machines are numbered from 1, those of the first data centre first.
  uint32_t machines() const { return data_centres * nodes_per_data_centre; }
  uint32_t DataCentreOf(uint32_t machine) const { return 1 + (machine - 1) / nodes_per_data_centre; }
  /// The machine of a data centre that a replica of `shard` is placed on.
  uint32_t HostIn(uint32_t data_centre, uint32_t shard) const {
    return 1 + (data_centre - 1) * nodes_per_data_centre + (shard + data_centre) % nodes_per_data_centre;
  }
  /// The faults that are on, in a line.
  std::string Describe() const;
};

/// The plan of a seed; the seed of everything else that runs in it is drawn after it, from the same `random`.
Plan DrawPlan(const SimOptions& options, Random& random);

}  // namespace paxledger::sim
