#include "txn/settler.h"

#include <algorithm>

#include "base/limits.h"
#include "base/mark.h"

namespace paxledger {

namespace {

using Whom = VoteBoard::TallyWatch::Whom;

constexpr int64_t kSweepEveryUs = 250'000;
constexpr int64_t kStaggerUs = 500'000;     // between the members of a shard (rule 18)
constexpr int64_t kAskAgainUs = 1'000'000;  // a host may have forgotten who watches
constexpr size_t kSweepTriesMax = 64;       // begun by one sweep
constexpr size_t kSweepRunningMax = 512;    // while so many are driven, a sweep begins none
constexpr int64_t kBarrierTimeUs = 2'000'000;
constexpr uint32_t kRoundsMax = 6;  // of Resolve, and of Finish; after them the next sweep begins again

}  // namespace

/// One try being driven.
struct Settler::Settlement {
  Settlement(NodeContext& node, const Try& of, std::vector<ShardId> participants, int64_t deadline)
      : watch(node.board(), node.wakes(), of, std::move(participants)), deadline_us(deadline) {}
  Tally& tally() { return watch.tally(); }
  bool open() { return tally().standing() == Tally::Standing::kOpen; }

  VoteBoard::TallyWatch watch;
  int64_t deadline_us;
  bool over = false;
  std::vector<Wakeup*> waiting;
};

Settler::Settler(NodeContext& node)
    : node_(node),
      stop_(node.wakes()),
      settled_(node.counter("paxledger_recovery_settled_total")),
      resolves_(node.counter("paxledger_recovery_resolves_total")),
      overdue_(node.counter("paxledger_recovery_overdue_total")) {}

std::shared_ptr<Settler::Settlement> Settler::Begin(const Try& of, std::vector<ShardId> participants,
                                                    int64_t deadline_us, Wakeup* waiting) {
  auto it = running_.find({of.digest, of.attempt});
  if (it != running_.end()) {
    // Who reads without knowing the deadline must not keep others from recovery.
    it->second->deadline_us = std::min(it->second->deadline_us, deadline_us);
    if (waiting != nullptr) it->second->waiting.push_back(waiting);
    return it->second;
  }
  auto settlement = std::make_shared<Settlement>(node_, of, std::move(participants), deadline_us);
  // Before it is driven: what nobody waits for is given up, perhaps at once.
  if (waiting != nullptr) settlement->waiting.push_back(waiting);
  running_.emplace(TryName{of.digest, of.attempt}, settlement);
  node_.tasks().Spawn(Drive(settlement));
  return settlement;
}

Task<Settler::Learned> Settler::Settle(Try of, std::vector<ShardId> participants, int64_t deadline_us,
                                       int64_t until_us) {
  Wakeup over(node_.wakes());
  std::shared_ptr<Settlement> settlement = Begin(of, std::move(participants), deadline_us, &over);
  while (!settlement->over && node_.now_us() < until_us) {
    bool ended = co_await over.Wait(until_us);
    (void)ended;
  }
  std::erase(settlement->waiting, &over);
  co_return Learned{settlement->tally().standing(), settlement->tally().decision()};
}

Task<void> Settler::SettleAll(std::vector<Blocker> blockers, int64_t until_us) {
  // All are begun before the first is waited for.
  Wakeup over(node_.wakes());
  std::vector<std::shared_ptr<Settlement>> begun;
  for (const Blocker& blocker : blockers) {
    begun.push_back(Begin(blocker.of, blocker.participants, blocker.deadline_us, &over));
  }
  auto all_over = [&begun] {
    return std::all_of(begun.begin(), begun.end(), [](const auto& settlement) { return settlement->over; });
  };
  while (!all_over() && node_.now_us() < until_us) {
    bool ended = co_await over.Wait(until_us);
    (void)ended;
  }
  for (std::shared_ptr<Settlement>& settlement : begun) std::erase(settlement->waiting, &over);
}

Task<void> Settler::Drive(std::shared_ptr<Settlement> settlement) {
  co_await Learn(settlement);
  if (!settlement->open()) {
    co_await Finish(settlement);
  }
  settlement->over = true;
  for (Wakeup* waiting : settlement->waiting) waiting->Set();
  const Try& of = settlement->tally().of();
  running_.erase(TryName{of.digest, of.attempt});
}

Task<void> Settler::Learn(std::shared_ptr<Settlement> settlement) {
  Ask(*settlement, Whom::kSame);
  if (!settlement->open()) co_return;
  // What a shard has chosen and its replica here, or a host's, has not applied yet is learned by a barrier.
  absl::Status read = co_await ReadVotes(*settlement);
  // A vote that is not learned now is waited for.
  uint64_t losses = node_.peer_losses();
  int64_t ask_at_us = node_.now_us() + (read.ok() ? kAskAgainUs : kSweepEveryUs);
  while (settlement->open()) {
    int64_t overdue_us = node_.MonotonicOf(settlement->deadline_us) + limits::kRecoveryGraceUs;
    int64_t now_us = node_.now_us();
    if (now_us >= overdue_us) break;
    // Nobody waits for it any more, and it is not due: the sweep comes back to it.
    if (settlement->waiting.empty()) co_return;
    int64_t look_again_us = std::min(overdue_us, now_us + kSweepEveryUs);
    bool changed = co_await settlement->watch.wakeup().Wait(look_again_us);
    (void)changed;
    if (node_.peer_losses() == losses && node_.now_us() < ask_at_us) continue;
    losses = node_.peer_losses();
    ask_at_us = node_.now_us() + (read.ok() ? kAskAgainUs : kSweepEveryUs);
    Ask(*settlement, Whom::kOthers);
    if (settlement->open() && !read.ok()) read = co_await ReadVotes(*settlement);
  }
  for (uint32_t round = 0; settlement->open() && round < kRoundsMax; ++round) {
    if (round > 0) Ask(*settlement, Whom::kOthers);
    if (!settlement->open()) break;
    Resolve(*settlement, round);
    bool changed = co_await settlement->watch.wakeup().Wait(node_.now_us() + node_.PatienceMicros());
    (void)changed;
  }
}

Task<absl::Status> Settler::ReadVotes(Settlement& settlement) {
  Tally& tally = settlement.tally();
  Deadline soon{node_.now_us() + kBarrierTimeUs};
  absl::Status read =
      co_await node_.LearnVotes({&tally}, tally.Missing(), Freshness::kBarrier, LogTime{}, soon);
  co_return read;
}

void Settler::Ask(Settlement& settlement, VoteBoard::TallyWatch::Whom whom) {
  AskMachines(node_, settlement.tally());
  settlement.watch.AskHosts(whom);
}

void Settler::Resolve(Settlement& settlement, uint32_t round) {
  Mark("txn.resolve_written");
  ResolveCommand resolve{settlement.tally().of(), settlement.tally().participants()};
  std::string encoded = EncodeTxnCommand(resolve);
  for (ShardId shard : settlement.tally().Missing()) {
    resolves_.Add();
    absl::Status submitted = node_.Submit(shard, encoded, Urgency::kNow, round);
    (void)submitted;  // the next round tries again
  }
}

Task<void> Settler::Finish(std::shared_ptr<Settlement> settlement) {
  Tally& tally = settlement->tally();
  std::string encoded = EncodeTxnCommand(FinishCommand{tally.decided_try(), tally.decision()});
  // Once even where nothing is held any more: a home that said conflict records it, and nobody waits for that.
  for (uint32_t round = 0; (round == 0 || !tally.finished_everywhere()) && round < kRoundsMax; ++round) {
    uint64_t losses = node_.peer_losses();
    if (round > 0) Ask(*settlement, Whom::kOthers);
    for (ShardId shard : tally.Unfinished()) {
      absl::Status submitted = node_.Submit(shard, encoded, Urgency::kNow, round);
      (void)submitted;  // the next round tries again
    }
    int64_t until_us = node_.now_us() + node_.PatienceMicros();
    while (!tally.finished_everywhere() && node_.now_us() < until_us && node_.peer_losses() == losses) {
      bool changed = co_await settlement->watch.wakeup().Wait(until_us);
      (void)changed;
    }
  }
  if (tally.finished_everywhere()) settled_.Add();
}

Task<void> Settler::Sweep() {
  for (;;) {
    bool stopped = co_await stop_.Wait(node_.now_us() + kSweepEveryUs);
    if (stopped) co_return;
    size_t budget = running_.size() < kSweepRunningMax ? kSweepTriesMax : 0;
    for (ShardId shard : node_.HostedShards()) SweepShard(shard, budget);
  }
}

void Settler::Stop() { stop_.Set(); }

int64_t Settler::StaggerMicros(ShardId shard) const {
  const std::vector<ReplicaId> members = node_.replica().MembersOf(shard).members;
  return kStaggerUs * (std::find(members.begin(), members.end(), node_.options().self) - members.begin());
}

void Settler::SweepShard(ShardId shard, size_t& budget) {
  ShardMachine& machine = node_.machine(shard);
  if (budget == 0 || machine.in_doubt() == 0) return;
  for (const InDoubt& doubt : machine.Overdue(node_.wall_us() - StaggerMicros(shard))) {
    if (budget == 0) return;
    const Try& of = doubt.vote.of;
    if (!running_.contains(TryName{of.digest, of.attempt})) {
      Mark("txn.recovery_begun");
      overdue_.Add();
      --budget;
    }
    Begin(of, doubt.participants, doubt.deadline_us);
  }
}

}  // namespace paxledger
