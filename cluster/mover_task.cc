#include "cluster/mover_task.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/log.h"

namespace paxledger {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(200);
constexpr size_t kMovesMax = 4;     // at a time, of the shards that this node moves
constexpr size_t kLearnersMax = 4;  // at a time, of those that this node holds

}  // namespace

MoverTask::MoverTask(ReplicaId self, uint32_t shards, ReplicaPorts ports, Replica& replica,
                     Registrar& registrar)
    : self_(self),
      shards_(shards),
      ports_(ports),
      replica_(replica),
      registrar_(registrar),
      changes_(ports.metrics->counter("paxledger_membership_changes_proposed_total")),
      moving_gauge_(ports.metrics->gauge("paxledger_shards_moving")) {
  registrar_.set_host_handler([this](const HostShard& asked) { HostAsked(asked); });
}

void MoverTask::Start() {
  ports_.executor->After(kLookInterval, [this] {
    if (stopped_) return;
    Look();
    Start();
  });
}

ShardView MoverTask::ViewOf(ShardId shard, Held held) const {
  ShardView view;
  view.shard = shard;
  view.members = replica_.MembersOf(shard);
  view.up = registrar_.Up();
  for (const NodeEntry& node : registrar_.directory().nodes) {
    std::optional<HeldThrough> through = replica_.HeldAt(shard, node.number);
    if (!through.has_value()) continue;
    view.hosts[node.number] = held == Held::kWhole ? through->whole : through->durable;
    view.newest = std::max(view.newest, through->durable);
  }
  return view;
}

void MoverTask::Look() {
  moving_ = 0;
  HostOwn();
  for (ShardId shard : replica_.Hosted()) {
    ShardView view = ViewOf(shard, Held::kDurable);
    if (!view.members.Contains(self_)) {
      // The journal is never lost: who left keeps it until a majority needs nobody to fill gaps in.
      bool may_drop =
          replica_.MayDrop(shard) && MayDrop(registrar_.directory(), ViewOf(shard, Held::kWhole), self_);
      if (may_drop) {
        Log(LogLevel::kInfo, "mover", "a replica is given up: the shard has other members")
            .With("shard", shard.value);
        replica_.Drop(shard, [] {});
      }
      continue;
    }
    if (MoverOf(view, replica_.Status(shard).owner.replica) == self_) TakeStep(view);
  }
  moving_gauge_.Set(static_cast<int64_t>(moving_));
}

/// A member that gave its replica up while it was admitted holds one again, and has no vote before it has fetched all.
void MoverTask::HostOwn() {
  for (uint32_t i = 0; i < shards_; ++i) {
    ShardId shard{i};
    if (!replica_.Hosts(shard) && replica_.MembersOf(shard).Contains(self_)) replica_.Host(shard);
  }
}

void MoverTask::TakeStep(const ShardView& view) {
  MoveStep step = NextStep(registrar_.directory(), view);
  bool in_place = std::holds_alternative<move::InPlace>(step);
  if (!in_place && ++moving_ > kMovesMax) return;
  auto [logged, first] = logged_.try_emplace(view.shard, move::InPlace{});
  bool fetching_on =
      std::holds_alternative<move::Fetching>(step) && std::holds_alternative<move::Fetching>(logged->second);
  if (logged->second != step && !fetching_on) {
    Log(LogLevel::kInfo, "mover", DescribeStep(step, registrar_.directory())).With("shard", view.shard.value);
  }
  logged->second = step;
  HostShard ask{view.shard, registrar_.directory().version};
  if (const auto* host = std::get_if<move::Host>(&step)) {
    registrar_.Send(host->joiner, ask);
  } else if (const auto* fetching = std::get_if<move::Fetching>(&step)) {
    registrar_.Send(fetching->joiner, ask);  // it may have given up what it said that it holds
  } else if (const auto* change = std::get_if<move::Change>(&step)) {
    changes_.Add();
    absl::Status proposed = replica_.ChangeMembers(view.shard, change->change);
    if (!proposed.ok()) {
      Log(LogLevel::kWarn, "mover", "cannot propose a change of members; it is tried again")
          .With("shard", view.shard.value)
          .With("why", ToStd(proposed.message()));
    }
  }
}

size_t MoverTask::Learners() const {
  size_t learners = 0;
  for (ShardId shard : replica_.Hosted()) learners += replica_.MembersOf(shard).Contains(self_) ? 0 : 1;
  return learners;
}

void MoverTask::HostAsked(const HostShard& asked) {
  // With an older directory than the mover's it would be given up again at once.
  if (stopped_ || asked.version > registrar_.directory().version || replica_.Hosts(asked.shard)) return;
  if (Learners() >= kLearnersMax) return;
  Log(LogLevel::kInfo, "mover", "holds a replica from now on").With("shard", asked.shard.value);
  replica_.Host(asked.shard);
}

}  // namespace paxledger
