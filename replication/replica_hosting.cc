// Which shards have a replica here, and what nodes tell each other of that (ADR 0008).
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"
#include "replication/replica_state.h"

namespace paxledger {
namespace {

constexpr int64_t kLearnEveryUs = 20'000;     // where nothing followed
constexpr int64_t kLearnAgainUs = 1'000'000;  // where nothing was answered

}  // namespace

std::string Replica::State::HostName(ShardId shard) { return absl::StrCat("host/", shard.value); }
std::string Replica::State::LeftName(ShardId shard) { return absl::StrCat("left/", shard.value); }

std::vector<ShardId> Replica::State::Hosted() const {
  std::vector<ShardId> hosted;
  for (const Shard& shard : shards_) {
    if (shard.log != nullptr) hosted.push_back(shard.id);
  }
  return hosted;
}

Configuration Replica::State::MembersOf(ShardId id) const { return KnownMembers(At(id)); }

const Configuration& Replica::State::KnownMembers(const Shard& shard) const {
  const Configuration& heard = shard.heard.members;
  // A learner, or one that left and does not know it yet, knows less than the members say.
  if (shard.log == nullptr || shard.log->configuration().since < heard.since) return heard;
  return shard.log->configuration();
}

std::vector<ReplicaId> Replica::State::HostsOf(ShardId id) const {
  Configuration members = MembersOf(id);
  Owner owner = At(id).heard.owner;
  std::erase(members.members, options.self);
  auto rank = [&](ReplicaId replica) {
    bool up = ports.transport->IsUp(replica);
    bool suspected = router_.HealthOf(replica) == Health::kSuspected;
    bool near = std::binary_search(near_.begin(), near_.end(), replica);
    return std::make_tuple(!up, suspected, !near, replica != owner.replica, replica);
  };
  std::sort(members.members.begin(), members.members.end(),
            [&](ReplicaId a, ReplicaId b) { return rank(a) < rank(b); });
  auto silent = std::find_if(members.members.begin(), members.members.end(),
                             [this](ReplicaId host) { return router_.HealthOf(host) != Health::kUp; });
  if (silent != members.members.begin()) members.members.erase(silent, members.members.end());
  return std::move(members.members);
}

HeldThrough Replica::State::HeldHere(const Shard& shard) const {
  if (shard.catch_up.suspended) return {};  // entries, but no state
  const CatchUp& catch_up = shard.catch_up;
  if (catch_up.gap.has_value()) return {shard.durable, std::min(catch_up.gap->through, shard.durable)};
  // Who leaves may forget the journal once this says that it is here: not before a crash would find it closed.
  bool closed = catch_up.closed.batch <= batches_done_;
  return {shard.durable, closed ? shard.durable : std::min(catch_up.closed.whole_before, shard.durable)};
}

std::optional<HeldThrough> Replica::State::HeldAt(ShardId id, ReplicaId replica) const {
  const Shard& shard = At(id);
  if (replica == options.self) {
    if (shard.log == nullptr) return std::nullopt;
    return HeldHere(shard);
  }
  auto it = shard.heard.durable.find(replica);
  // Who holds a replica says so again and again; who gave it up does not.
  int64_t since_us = ports.clock->MonotonicMicros() - kHeldWithinUs;
  if (it == shard.heard.durable.end() || it->second.at_us < since_us) return std::nullopt;
  return it->second.held;
}

void Replica::State::Host(ShardId id) {
  Shard& shard = At(id);
  if (shard.log != nullptr || shard.dropping || !ready_) return;
  LogStore::AddNumber(HostName(id), kHosted, batch_);
  absl::Status recovered = RecoverShard(shard);
  Check(recovered.ok(), "a shard that was not hosted has no rows that could be damaged");
  TellOfChange(shard);
  FlushSoon();
}

bool Replica::State::MayDrop(ShardId id) const {
  const Shard& shard = At(id);
  return shard.log != nullptr && !shard.dropping && !shard.log->member();
}

void Replica::State::Drop(ShardId id, absl::AnyInvocable<void()> done) {
  Shard& shard = At(id);
  if (shard.log == nullptr || shard.dropping) {
    ports.executor->Post(std::move(done));
    return;
  }
  Check(MayDrop(id), "a member of a shard is never dropped (consensus.md rule 16)");
  // Rules 16 and 18: what it voted below is forgotten with its rows, so it never votes there again. The members above, which
  // it is none of, are chosen in the log that it would have to read first. Where it was here before, and forgot votes then, it
  // may have read less of the log by now than that time.
  LogIndex left_at = std::max(shard.log->configuration().since, shard.log->silent_below());
  shard.dropping = true;
  shard.log.reset();
  shard.barrier.reset();
  FailReadsOf(id);
  shard.proposals.clear();
  shard.to_apply.clear();
  shard.recent.clear();
  shard.recent_bytes = 0;
  shard.applied_not_durable.clear();
  shard.applied = shard.durable = LogIndex{};
  shard.wake_at_us = shard.learn_at_us = INT64_MAX;
  auto after = std::make_shared<absl::AnyInvocable<void()>>(std::move(done));
  DropCatchUp(shard, [this, id, left_at, after] {
    At(id).machine->Release([this, id, left_at, after] { RemoveRows(id, left_at, std::move(*after)); });
  });
}

void Replica::State::RemoveRows(ShardId id, LogIndex left_at, absl::AnyInvocable<void()> done) {
  EngineBatch batch;
  LogStore::AddRemoval(id, batch);
  LogStore::AddNumber(InstallingName(id), 0, batch);
  LogStore::AddNumber(HostName(id), kDropped, batch);
  LogStore::AddNumber(LeftName(id), left_at.value, batch);
  ports.engine->Write(std::move(batch), Durability::kSync, [this, id, done = std::move(done)]() mutable {
    absl::Status reloaded = At(id).machine->Reload();
    Check(reloaded.ok(), "a shard without rows has none that could be damaged");
    At(id).machine = nullptr;
    At(id).dropping = false;
    done();
  });
}

absl::Status Replica::State::ChangeMembers(ShardId id, const MembershipChange& change) {
  Shard& shard = At(id);
  if (shard.log == nullptr || !shard.log->may_vote()) {
    return absl::FailedPreconditionError("this replica does not vote in the shard");
  }
  const Configuration& now = shard.log->configuration();
  std::optional<Configuration> after = Changed(now, change, Next(now.since));
  if (!after.has_value()) {
    return absl::FailedPreconditionError("the change is not for the configuration in force");
  }
  std::vector<Owner> heirs = HeirsOf(*after);
  Step(shard, event::ChangeMembers{change, heirs.empty() ? Owner{} : heirs.front()});
  return absl::OkStatus();
}

void Replica::State::SetNodes(std::vector<ReplicaId> nodes, std::vector<ReplicaId> near) {
  near_ = std::move(near);
  std::erase(near_, options.self);
  std::sort(near_.begin(), near_.end());
  for (ReplicaId node : nodes) {
    if (node == options.self || peers_.contains(node)) continue;
    peers_[node];
    absl::StatusOr<uint64_t> seen = store_.ReadNumber(absl::StrCat("peer/", node.value));
    // A damaged row refuses the node, which is safe; the scrub and the next start name it.
    if (seen.ok()) admitted_[node] = *seen;
  }
  auto gone = [&](ReplicaId node) { return std::find(nodes.begin(), nodes.end(), node) == nodes.end(); };
  for (const auto& [node, unused] : peers_) {
    if (gone(node)) router_.SetHealth(node, Health::kDown, ports.clock->MonotonicMicros());
  }
  std::erase_if(peers_, [&](const auto& peer) { return gone(peer.first); });
  std::erase_if(admitted_, [&](const auto& peer) { return gone(peer.first); });
  std::erase(nodes, options.self);
  disk_.set_peers(std::move(nodes));
  UpdateHealth();
}

// --- notices --------------------------------------------------------------------------------------------------------

ShardNotice Replica::State::NoticeOf(const Shard& shard) const {
  HeldThrough held = HeldHere(shard);
  return {shard.id, shard.log->configuration(), held.durable, held.whole, shard.log->owner()};
}

void Replica::State::SendNotices(ReplicaId to) {
  Notices notices;
  for (const Shard& shard : shards_) {
    if (shard.log != nullptr) notices.shards.push_back(NoticeOf(shard));
  }
  if (!notices.shards.empty()) ports.transport->Send(to, std::move(notices));
  FlushSoon();
}

void Replica::State::SendNoticesToAll() {
  notices_at_us_ = ports.clock->MonotonicMicros() + kNoticesEveryUs;
  for (const auto& [peer, unused] : peers_) {
    if (ports.transport->IsUp(peer)) SendNotices(peer);
  }
}

void Replica::State::TellOfChange(Shard& shard) {
  shard.members_since = shard.log->configuration().since;
  router_.SetMembers(shard.id, shard.log->configuration().members);
  LearnOrNot(shard);
  for (const auto& [peer, unused] : peers_) ports.transport->Send(peer, Notices{{NoticeOf(shard)}});
  ArmTimer();
}

void Replica::State::Handle(ReplicaId from, Notices& notices) {
  if (!ready_) return;
  for (ShardNotice& notice : notices.shards) {
    if (notice.shard.value >= shards_.size()) continue;
    Shard& shard = At(notice.shard);
    shard.heard.durable[from] = {{notice.durable, notice.whole}, ports.clock->MonotonicMicros()};
    router_.NoteChosenAt(shard.id, from, notice.durable);
    if (notice.members.since >= shard.heard.members.since) {
      shard.heard.members = std::move(notice.members);
      shard.heard.owner = notice.owner;
    }
    if (shard.log == nullptr) {
      router_.SetMembers(shard.id, shard.heard.members.members);
      router_.SetOwner(shard.id, shard.heard.owner.replica, notice.durable);
    }
    if (shard.log != nullptr && notice.durable > shard.log->chosen()) {
      Step(shard, event::ToldChosen{from, notice.durable});
    }
  }
}

// --- learners -------------------------------------------------------------------------------------------------------

void Replica::State::LearnOrNot(Shard& shard) {
  shard.learn_at_us = shard.log->may_vote() ? INT64_MAX : ports.clock->MonotonicMicros();
}

// Who may not vote is told nothing by itself, so it asks one member after the other for what follows, one piece at a time.
void Replica::State::Learn(Shard& shard, int64_t now_us) {
  shard.learn_at_us = shard.log->may_vote() ? INT64_MAX : now_us + kLearnAgainUs;
  if (shard.log->may_vote()) return;
  std::vector<ReplicaId> hosts = HostsOf(shard.id);
  std::erase_if(hosts, [this](ReplicaId host) { return !ports.transport->IsUp(host); });
  if (hosts.empty()) return;
  LogIndex first = Next(shard.log->chosen());
  LogIndex last{first.value + limits::kFetchEntriesMax - 1};
  FetchFrom(shard, FetchWanted{hosts[shard.learn_turn++ % hosts.size()], first, last});
  FlushSoon();
}

void Replica::State::LearnOn(Shard& shard, size_t entries) {
  if (shard.learn_at_us == INT64_MAX) return;
  int64_t now_us = ports.clock->MonotonicMicros();
  if (entries > 0) {
    Learn(shard, now_us);
  } else {
    shard.learn_at_us = now_us + kLearnEveryUs;
  }
}

}  // namespace paxledger
