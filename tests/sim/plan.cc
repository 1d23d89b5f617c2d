#include "tests/sim/plan.h"

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger::sim {
namespace {

constexpr Profile kProfiles[] = {Profile::kChaos,   Profile::kCalm, Profile::kDisk,
                                 Profile::kNetwork, Profile::kDuel, Profile::kRot};

/// On in `per_hundred` of 100 seeds, then every `low`..`high` seconds.
int64_t DrawInterval(Random& random, uint64_t per_hundred, int64_t low_s, int64_t high_s) {
  bool on = random.Chance(per_hundred, 100);
  int64_t interval = random.Between(low_s * 1'000'000, high_s * 1'000'000);
  return on ? interval : 0;
}

uint32_t DrawRate(Random& random, uint64_t per_hundred, uint64_t max) {
  bool on = random.Chance(per_hundred, 100);
  uint64_t rate = 1 + random.Below(max);
  return on ? static_cast<uint32_t>(rate) : 0;
}

void DrawDelays(NetworkProfile& network, Random& random) {
  switch (random.Below(4)) {
    case 0:  // one metropolitan area
      network.delay_us_min = 150;
      network.delay_us_max = 600;
      break;
    case 1:  // one country
      network.delay_us_min = 2'000;
      network.delay_us_max = 6'000;
      break;
    case 2:  // one continent
      network.delay_us_min = 8'000;
      network.delay_us_max = 25'000;
      break;
    default:  // anything
      network.delay_us_min = 100;
      network.delay_us_max = 30'000;
      break;
  }
  network.tail_per_thousand = DrawRate(random, 60, 50);
  network.tail_us_max = random.Between(5'000, 200'000);
}

void DrawLinkTrouble(Plan& plan, Random& random) {
  plan.network.loss_per_million = DrawRate(random, 40, 20'000);
  plan.network.reset_per_million = DrawRate(random, 30, 1'000);
  plan.cut_every_us = DrawInterval(random, 40, 2, 15);
  plan.partition_every_us = DrawInterval(random, 35, 4, 25);
  plan.cut_us_max = random.Between(200'000, 5'000'000);
  plan.reset_every_us = DrawInterval(random, 30, 1, 10);
}

void DrawDisk(DiskProfile& disk, Random& random) {
  if (random.Chance(1, 3)) {
    disk.sync_us_min = 2'000;
    disk.sync_us_max = 15'000;
  }
  disk.slow_per_thousand = DrawRate(random, 50, 30);
  disk.slow_us_max = random.Between(10'000, 400'000);
}

void DrawDiskTrouble(Plan& plan, Random& random, uint64_t per_hundred) {
  plan.slow_disk_every_us = DrawInterval(random, per_hundred, 4, 25);
  plan.slow_disk_us_max = random.Between(500'000, 8'000'000);
  plan.slow_sync_us_max = random.Between(20'000, 1'000'000);
  plan.full_disk_every_us = DrawInterval(random, per_hundred, 5, 25);
  plan.full_disk_us_max = random.Between(300'000, 5'000'000);
  plan.failing_write_every_us = DrawInterval(random, per_hundred, 4, 25);
}

void DrawProcessTrouble(Plan& plan, Random& random) {
  plan.crash_every_us = DrawInterval(random, 65, 2, 20);
  plan.down_us_max = random.Between(100'000, 6'000'000);
  plan.pause_every_us = DrawInterval(random, 30, 3, 20);
  plan.pause_us_max = random.Between(50'000, 4'000'000);
  plan.rare_choices_per_thousand = DrawRate(random, 50, 100);
  plan.hand_over_every_us = DrawInterval(random, 25, 1, 15);
  plan.planned_restart_every_us = DrawInterval(random, 20, 4, 25);
}

void DrawClocks(Plan& plan, Random& random) {
  plan.clock_jump_every_us = DrawInterval(random, 25, 3, 20);
  plan.clock_jump_us_max = random.Between(10'000, 3'000'000);
  plan.clock_skew_us_max = random.Chance(1, 2) ? random.Between(100, 700'000) : 0;
}

void DrawLoss(Plan& plan, const SimOptions& options, Random& random, uint64_t per_hundred) {
  plan.loss_at_us = random.Between(1'000'000, options.seconds * 1'000'000);
  uint64_t kind = random.Below(4);
  if (!random.Chance(per_hundred, 100)) return;
  plan.loss = kind == 0   ? Plan::Loss::kEmptiedDisk
              : kind == 1 ? Plan::Loss::kRestoredDisk
                          : Plan::Loss::kDeath;
}

void DrawClients(Plan& plan, Random& random) {
  plan.clients = 2 + static_cast<uint32_t>(random.Below(12));
  plan.accounts = 4 + static_cast<uint32_t>(random.Below(40));
  plan.hot_accounts = 1 + static_cast<uint32_t>(random.Below(3));
  plan.client_timeout_us = random.Between(300'000, 5'000'000);
  constexpr uint32_t kHttpShares[] = {1000, 1000, 500, 0};
  plan.http_per_thousand = kHttpShares[random.Below(4)];
  plan.reads_per_thousand = DrawRate(random, 80, 500);
  plan.dense_readers = random.Chance(1, 6) ? 2 + static_cast<uint32_t>(random.Below(3)) : 0;
  plan.dense_read_every_us = random.Between(5'000, 60'000);
  plan.tagged_amounts = plan.dense_readers > 0 || random.Chance(1, 3);
  plan.barrier_every_us = DrawInterval(random, 50, 0, 1);
  plan.duplicates_per_thousand = DrawRate(random, 60, 200);
  plan.other_bodies_per_thousand = DrawRate(random, 40, 100);
}

void DrawClientTrouble(Plan& plan, Random& random) {
  plan.answers_lost_per_thousand = DrawRate(random, 40, 100);
  plan.clients_die_per_thousand = DrawRate(random, 40, 50);
  plan.gateway_dies_per_thousand = DrawRate(random, 40, 20);
}

/// Owners fall silent, are cut off and hand over, while gateways everywhere want the same few shards.
void DrawDuel(Plan& plan, Random& random) {
  plan.shards = 1 + static_cast<uint32_t>(random.Below(2));
  plan.clients = 8 + static_cast<uint32_t>(random.Below(12));
  plan.pause_every_us = random.Between(300'000, 2'000'000);
  plan.pause_us_max = random.Between(50'000, 800'000);
  plan.cut_every_us = random.Between(300'000, 2'000'000);
  plan.cut_us_max = random.Between(100'000, 1'500'000);
  plan.hand_over_every_us = random.Between(200'000, 2'000'000);
  plan.rare_choices_per_thousand = DrawRate(random, 80, 200);
}

// Without a draw, so that what a seed does besides is as it was. In three of four seeds machines are far behind within a minute.
CatchUpOptions CatchUpOf(uint64_t seed) {
  CatchUpOptions catch_up;
  catch_up.part_bytes = 2'000;
  catch_up.ingest_bytes = 10'000;
  if (seed % 4 == 0) return catch_up;
  catch_up.snapshot_behind_entries = uint64_t{8} << (2 * (seed % 4));
  catch_up.snapshot_empty_entries = 4;
  catch_up.backfill_bytes_per_second = uint64_t{20'000} << (2 * (seed % 5));
  return catch_up;
}

}  // namespace

std::string_view ProfileName(Profile profile) {
  switch (profile) {
    case Profile::kChaos:
      return "chaos";
    case Profile::kCalm:
      return "calm";
    case Profile::kDisk:
      return "disk";
    case Profile::kNetwork:
      return "network";
    case Profile::kDuel:
      return "duel";
    case Profile::kRot:
      return "rot";
  }
  return "?";
}

std::optional<Profile> ProfileFromName(std::string_view name) {
  for (Profile profile : kProfiles) {
    if (ProfileName(profile) == name) return profile;
  }
  return std::nullopt;
}

Plan DrawPlan(const SimOptions& options, Random& random) {
  Plan plan;
  plan.catch_up = CatchUpOf(options.seed);
  bool five = random.Chance(1, 5);
  plan.data_centres = options.data_centres != 0 ? options.data_centres : (five ? 5 : 3);
  plan.nodes_per_data_centre = options.nodes_per_data_centre;
  plan.shards = 1 + static_cast<uint32_t>(random.Below(6));
  plan.checkpoint_commands = 16U << random.Below(6);
  DrawDelays(plan.network, random);
  DrawDisk(plan.disk, random);
  DrawClients(plan, random);
  switch (options.profile) {
    case Profile::kChaos:
      DrawLinkTrouble(plan, random);
      DrawProcessTrouble(plan, random);
      DrawDiskTrouble(plan, random, 20);
      DrawClocks(plan, random);
      DrawClientTrouble(plan, random);
      DrawLoss(plan, options, random, 25);
      break;
    case Profile::kCalm:
      plan.disk.slow_per_thousand = 0;
      plan.network.tail_per_thousand = 0;
      break;
    case Profile::kDisk:
      DrawProcessTrouble(plan, random);
      DrawDiskTrouble(plan, random, 70);
      DrawLoss(plan, options, random, 50);
      break;
    case Profile::kNetwork:
      DrawLinkTrouble(plan, random);
      DrawClientTrouble(plan, random);
      break;
    case Profile::kDuel:
      DrawDuel(plan, random);
      DrawClocks(plan, random);
      break;
    case Profile::kRot:
      DrawProcessTrouble(plan, random);
      plan.loss = Plan::Loss::kRot;
      plan.loss_at_us = random.Between(1'000'000, options.seconds * 500'000);
      plan.rot_every_us = random.Between(200'000, 3'000'000);
      plan.disk.misdirected_per_million = DrawRate(random, 50, 2'000);
      break;
  }
  if (plan.nodes_per_data_centre > 1) {
    plan.move_every_us = DrawInterval(random, 60, 1, 10);
    plan.node_state_every_us = DrawInterval(random, 40, 2, 15);
  }
  if (options.shards != 0) plan.shards = options.shards;
  plan.primary_shards = random.Chance(1, 4) ? 1 + static_cast<uint32_t>(random.Below(plan.shards)) : 0;
  return plan;
}

std::string Plan::Describe() const {
  std::string text = absl::StrCat(data_centres, " data centres", nodes_per_data_centre > 1 ? " of " : "",
                                  nodes_per_data_centre > 1 ? absl::StrCat(nodes_per_data_centre) : "", ", ",
                                  shards, " shards, ", clients, " clients, ", accounts, " accounts, delay ",
                                  network.delay_us_min, "..", network.delay_us_max, " us");
  auto every = [&text](int64_t interval_us, absl::string_view what) {
    if (interval_us > 0) absl::StrAppend(&text, ", ", what, " every ", interval_us / 1'000, " ms");
  };
  if (primary_shards > 0) absl::StrAppend(&text, ", ", primary_shards, " shards with a primary");
  if (dense_readers > 0) absl::StrAppend(&text, ", ", dense_readers, " dense readers");
  every(crash_every_us, "crash");
  every(pause_every_us, "pause");
  every(cut_every_us, "cut");
  every(partition_every_us, "partition");
  every(reset_every_us, "reset");
  every(clock_jump_every_us, "clock jump");
  every(slow_disk_every_us, "slow disk");
  every(full_disk_every_us, "full disk");
  every(failing_write_every_us, "failing write");
  every(hand_over_every_us, "hand-over");
  every(move_every_us, "shard moved");
  every(node_state_every_us, "node drained");
  every(planned_restart_every_us, "planned restart");
  every(rot_every_us, "rot");
  if (gateway_dies_per_thousand > 0)
    absl::StrAppend(&text, ", gateway dies in ", gateway_dies_per_thousand, " of 1000");
  if (clock_skew_us_max > 0) absl::StrAppend(&text, ", skew ", clock_skew_us_max, " us");
  static constexpr const char* kLosses[] = {"", "a death", "an emptied disk", "a restored disk", "rot"};
  if (loss != Loss::kNone) {
    absl::StrAppend(&text, ", ", kLosses[static_cast<size_t>(loss)], " at ", loss_at_us / 1'000, " ms");
  }
  if (network.loss_per_million > 0) absl::StrAppend(&text, ", loss ", network.loss_per_million, " ppm");
  if (network.reset_per_million > 0)
    absl::StrAppend(&text, ", frame resets ", network.reset_per_million, " ppm");
  return text;
}

}  // namespace paxledger::sim
