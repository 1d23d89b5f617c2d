#include "tests/sim/barrier_probe.h"

#include "absl/strings/str_cat.h"

namespace paxledger::sim {

void BarrierProbe::Start(int64_t interval_us) {
  interval_us_ = interval_us;
  if (interval_us > 0) Next();
}

void BarrierProbe::Next() {
  cluster_.scheduler().After(random_.Between(1, 2 * interval_us_), EventKind::kClient, nullptr, [this] {
    if (stopped_) return;
    Ask();
    Next();
  });
}

void BarrierProbe::Ask() {
  uint32_t machine = 1 + static_cast<uint32_t>(random_.Below(cluster_.size()));
  ShardId shard{static_cast<uint32_t>(random_.Below(cluster_.shards()))};
  absl::Duration patience = absl::Microseconds(random_.Between(100'000, 3'000'000));
  if (!cluster_.serving(machine) || !cluster_.hosts(machine, shard)) return;
  // The request may wait in a paused process; what counts is when it was sent.
  LogIndex before = checker_.highest(shard);
  cluster_.AskBarrier(machine, shard, patience, [=, this](absl::StatusOr<LogIndex> index) {
    if (!index.ok()) return;
    ++answered_;
    LogIndex applied = cluster_.node(machine)->machine(shard).applied();
    if (*index < before || applied < *index) {
      fail_(absl::StrCat("a read barrier of shard ", shard.value, " at dc", machine, " returned index ",
                         index->value, " with ", applied.value, " applied, but ", before.value,
                         " was applied elsewhere before it was asked for"));
    }
  });
}

}  // namespace paxledger::sim
