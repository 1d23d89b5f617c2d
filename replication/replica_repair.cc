// Damage that this replica's own disk shows, and its repair from peers (consensus.md rule 19).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mark.h"
#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kRepairTimeUs = 60'000'000;
constexpr int64_t kNudgeEveryUs = 2'000'000;

}  // namespace

void Replica::State::NoteDamage(Shard& shard, LogIndex through) {
  shard.catch_up.damaged = through;
  if (through == LogIndex{}) return;
  Mark("repair.damaged_at_start");
  if (ports.metrics != nullptr) ports.metrics->counter("paxledger_log_rows_damaged_total").Add();
  Log(LogLevel::kWarn, "repair", "the log is damaged: silent until peers say what is chosen")
      .With("shard", shard.id.value)
      .With("through", through.value);
}

void Replica::State::LoseState(Shard& shard, const absl::Status& why) {
  if (shard.catch_up.state_lost) return;
  Mark("repair.state_lost");
  if (ports.metrics != nullptr) ports.metrics->counter("paxledger_states_damaged_total").Add();
  Log(LogLevel::kWarn, "repair", "the state of a shard is damaged: a peer's takes its place")
      .With("shard", shard.id.value)
      .With("why", ToStd(why.message()));
  shard.catch_up.state_lost = true;
  catch_up_at_us_ = 0;
}

// Only of an entry that is applied and durable: its row is not written any more but here.
void Replica::State::RepairEntry(Shard& shard, LogIndex index, const absl::Status& why) {
  bool waits = shard.catch_up.gap.has_value() && shard.catch_up.gap->Contains(index);
  bool applied = !shard.catch_up.suspended && index <= shard.durable && index > LogIndex{};
  if (shard.log == nullptr || !applied || waits) return;
  if (!shard.catch_up.repairing.insert(index).second) return;
  Mark("repair.entry");
  if (ports.metrics != nullptr) ports.metrics->counter("paxledger_log_rows_damaged_total").Add();
  Log(LogLevel::kWarn, "repair", "an entry of the journal cannot be read here: it is fetched from a peer")
      .With("shard", shard.id.value)
      .With("index", index.value)
      .With("why", ToStd(why.message()));
  auto repaired = [this, id = shard.id, life = shard.life, index](absl::StatusOr<SharedBytes> value) {
    Shard& at = At(id);
    if (at.life != life || at.log == nullptr) return;
    at.catch_up.repairing.erase(index);
    if (!value.ok()) return;
    // Rule 7: what a peer says is chosen is chosen. The scrub holds it against the hash chain.
    LogStore::AddChosenRow(id, index, **value, batch_);
    // The row may have been this replica's vote: with it the disk says that the index is chosen.
    LogStore::AddChosenThrough(id, at.log->chosen(), batch_);
    if (ports.metrics != nullptr) ports.metrics->counter("paxledger_log_rows_repaired_total").Add();
    FlushSoon();
  };
  entries_wanted_.Ask(shard.id, index, ports.clock->MonotonicMicros() + kRepairTimeUs, std::move(repaired));
  catch_up_at_us_ = 0;
  FlushSoon();
}

// In a quiet shard nobody would decide the index at which this replica's record is damaged; a command that does nothing has them
// do so.
void Replica::State::NudgeDamaged(Shard& shard, int64_t now_us) {
  CatchUp& catch_up = shard.catch_up;
  if (catch_up.damaged <= shard.log->chosen() || now_us - catch_up.nudged_at_us < kNudgeEveryUs) return;
  bool first = std::exchange(catch_up.nudged_at_us, now_us) == 0;
  if (first) return;  // peers may know already, and say so
  Mark("repair.nudge");
  PendingCommand nothing;
  nothing.bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kNoop, {}));
  nothing.urgency = Urgency::kNow;
  // Proposed where it comes to: sent on to the owner it would come back here, where this replica was that.
  nothing.hops = kHopsMax - 1;
  RouteElsewhere(shard.id, std::move(nothing), static_cast<uint32_t>(now_us / kNudgeEveryUs));
}

Scrub::Host Replica::State::ScrubHost() {
  Scrub::Host host;
  host.target = [this](ShardId id) -> std::optional<Scrub::Target> {
    const Shard& shard = At(id);
    if (shard.log == nullptr || shard.catch_up.suspended || shard.applied == LogIndex{}) return std::nullopt;
    return Scrub::Target{shard.applied, shard.machine->journal(), shard.catch_up.gap, shard.durable};
  };
  host.repair = [this](ShardId id, LogIndex index, const absl::Status& why) {
    RepairEntry(At(id), index, why);
  };
  host.state_damaged = [this](ShardId id, const absl::Status& why) {
    if (At(id).log != nullptr) LoseState(At(id), why);
  };
  return host;
}

}  // namespace paxledger
