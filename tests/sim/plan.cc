#include "tests/sim/plan.h"

#include "absl/strings/str_cat.h"

namespace paxledger::sim {
namespace {

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

void DrawNetwork(Plan& plan, Random& random) {
  NetworkProfile& network = plan.network;
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
  network.loss_per_million = DrawRate(random, 40, 20'000);
  network.reset_per_million = DrawRate(random, 30, 1'000);
}

void DrawDisk(Plan& plan, Random& random) {
  DiskProfile& disk = plan.disk;
  if (random.Chance(1, 3)) {
    disk.sync_us_min = 2'000;
    disk.sync_us_max = 15'000;
  }
  disk.slow_per_thousand = DrawRate(random, 50, 30);
  disk.slow_us_max = random.Between(10'000, 400'000);
}

}  // namespace

Plan DrawPlan(const SimOptions& options, Random& random) {
  Plan plan;
  bool five = random.Chance(1, 5);
  plan.data_centres = options.data_centres != 0 ? options.data_centres : (five ? 5 : 3);
  plan.shards = 1 + static_cast<uint32_t>(random.Below(6));
  plan.checkpoint_commands = 16U << random.Below(6);
  DrawNetwork(plan, random);
  DrawDisk(plan, random);

  plan.crash_every_us = DrawInterval(random, 65, 2, 20);
  plan.down_us_max = random.Between(100'000, 6'000'000);
  plan.pause_every_us = DrawInterval(random, 30, 3, 20);
  plan.pause_us_max = random.Between(50'000, 4'000'000);
  plan.cut_every_us = DrawInterval(random, 40, 2, 15);
  plan.partition_every_us = DrawInterval(random, 35, 4, 25);
  plan.cut_us_max = random.Between(200'000, 5'000'000);
  plan.reset_every_us = DrawInterval(random, 30, 1, 10);
  plan.clock_jump_every_us = DrawInterval(random, 25, 3, 20);
  plan.clock_jump_us_max = random.Between(10'000, 3'000'000);
  plan.clock_skew_us_max = random.Chance(1, 2) ? random.Between(100, 700'000) : 0;
  plan.kill_at_us = random.Chance(20, 100) ? random.Between(1'000'000, options.seconds * 1'000'000) : 0;
  plan.rare_choices_per_thousand = DrawRate(random, 50, 100);

  plan.clients = 2 + static_cast<uint32_t>(random.Below(12));
  plan.accounts = 4 + static_cast<uint32_t>(random.Below(40));
  plan.hot_accounts = 1 + static_cast<uint32_t>(random.Below(3));
  plan.client_timeout_us = random.Between(300'000, 5'000'000);
  plan.answers_lost_per_thousand = DrawRate(random, 40, 100);
  plan.reads_per_thousand = DrawRate(random, 80, 500);
  plan.dense_readers = random.Chance(1, 6) ? 2 + static_cast<uint32_t>(random.Below(3)) : 0;
  plan.dense_read_every_us = random.Between(5'000, 60'000);
  plan.tagged_amounts = plan.dense_readers > 0 || random.Chance(1, 3);
  plan.barrier_every_us = DrawInterval(random, 50, 0, 1);
  plan.duplicates_per_thousand = DrawRate(random, 60, 200);
  plan.other_bodies_per_thousand = DrawRate(random, 40, 100);
  plan.clients_die_per_thousand = DrawRate(random, 40, 50);
  plan.gateway_dies_per_thousand = DrawRate(random, 40, 20);
  return plan;
}

std::string Plan::Describe() const {
  std::string text =
      absl::StrCat(data_centres, " data centres, ", shards, " shards, ", clients, " clients, ", accounts,
                   " accounts, delay ", network.delay_us_min, "..", network.delay_us_max, " us");
  auto every = [&text](int64_t interval_us, absl::string_view what) {
    if (interval_us > 0) absl::StrAppend(&text, ", ", what, " every ", interval_us / 1'000, " ms");
  };
  every(crash_every_us, "crash");
  every(pause_every_us, "pause");
  every(cut_every_us, "cut");
  every(partition_every_us, "partition");
  every(reset_every_us, "reset");
  every(clock_jump_every_us, "clock jump");
  if (gateway_dies_per_thousand > 0)
    absl::StrAppend(&text, ", gateway dies in ", gateway_dies_per_thousand, " of 1000");
  if (clock_skew_us_max > 0) absl::StrAppend(&text, ", skew ", clock_skew_us_max, " us");
  if (kill_at_us > 0) absl::StrAppend(&text, ", one dies at ", kill_at_us / 1'000, " ms");
  if (network.loss_per_million > 0) absl::StrAppend(&text, ", loss ", network.loss_per_million, " ppm");
  if (network.reset_per_million > 0)
    absl::StrAppend(&text, ", frame resets ", network.reset_per_million, " ppm");
  return text;
}

}  // namespace paxledger::sim
