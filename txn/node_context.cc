#include "txn/node_context.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "base/mark.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

// A lost peer ends all waits at once, so this is only for commands that were lost on the way: rare, and doing work twice on a
// busy cluster makes it busier.
constexpr int64_t kPatienceMinUs = 1'000'000;

/// Joins barriers that run beside each other.
struct Joined {
  explicit Joined(Executor& executor) : done(executor) {}
  size_t running = 0;
  absl::Status status;
  Completion<bool> done;
};

Task<void> BarrierOne(Replica& replica, ShardId shard, Deadline deadline, std::shared_ptr<Joined> joined) {
  absl::StatusOr<LogIndex> index = co_await replica.ReadBarrier(shard, deadline);
  if (!index.ok()) joined->status = index.status();
  if (--joined->running == 0) joined->done.Set(true);
}

std::optional<RecordedBody> BodyOf(TxnCommand command, const Try& of, int64_t stamp_us) {
  if (auto* execute = std::get_if<ExecuteCommand>(&command)) {
    if (execute->of.digest != of.digest) return std::nullopt;
    return RecordedBody{std::move(execute->body), stamp_us + limits::kRequestTimeoutMaxUs};
  }
  if (auto* prepare = std::get_if<PrepareCommand>(&command)) {
    if (prepare->of.digest != of.digest) return std::nullopt;
    return RecordedBody{std::move(prepare->body), prepare->deadline_us};
  }
  return std::nullopt;
}

}  // namespace

NodeContext::NodeContext(NodeOptions options, ReplicaPorts ports)
    : options_(std::move(options)),
      ports_(ports),
      timers_(*ports.executor, *ports.clock),
      wakes_(*ports.executor, timers_),
      remote_(*this),
      board_(options_.shards, remote_),
      machines_(options_.shards),
      serving_(options_.shards),
      replica_(ReplicaOptions{.self = options_.self,
                              .members = options_.members,
                              .shards = options_.shards,
                              .placement = options_.placement,
                              .routing = options_.routing,
                              .genesis = options_.genesis,
                              .catch_up = options_.catch_up},
               ports),
      mail_(replica_, *ports.executor, *ports.metrics) {
  replica_.set_peer_lost_handler([this] {
    ++peer_losses_;
    wakes_.WakeAll();
  });
}

NodeContext::~NodeContext() { tasks_.Abandon(); }

std::unique_ptr<ShardMachine> NodeContext::MakeMachine(ShardId shard) {
  ShardMachineOptions machine;
  machine.shard = shard;
  machine.shards = options_.shards;
  machine.cluster_id = options_.cluster_id;
  machine.checkpoint_commands = options_.checkpoint_commands;
  machine.cached_accounts_max = options_.cached_accounts_max;
  return std::make_unique<ShardMachine>(std::move(machine), *ports_.engine, board_);
}

absl::Status NodeContext::Recover(Compose compose, absl::AnyInvocable<void()> ready) {
  // Which shards are hosted, the replica finds on its disk, and has their machines read their rows.
  for (uint32_t shard = 0; shard < options_.shards; ++shard) {
    machines_[shard] = MakeMachine(ShardId{shard});
  }
  absl::Status recovered =
      replica_.Recover([this, compose = std::move(compose)](
                           ShardId shard) -> StateMachine& { return compose(shard, MachineFor(shard)); },
                       std::move(ready));
  if (!recovered.ok()) return recovered;
  for (uint32_t shard = 0; shard < options_.shards; ++shard) {
    serving_[shard] = replica_.Hosts(ShardId{shard}) ? 1 : 0;
    if (serving_[shard] == 0) machines_[shard].reset();
  }
  recovered_ = true;
  return absl::OkStatus();
}

ShardMachine& NodeContext::MachineFor(ShardId shard) {
  std::unique_ptr<ShardMachine>& machine = machines_[shard.value];
  if (!recovered_) return *machine;
  // Put here while the node runs: from nothing, for a replica that left has taken its rows along. What a task holds
  // of an earlier one stays good.
  serving_[shard.value] = 0;
  if (machine == nullptr) machine = MakeMachine(shard);
  ports_.executor->Post([this, shard] {
    if (hosted_handler_) hosted_handler_(shard);
  });
  return *machine;
}

std::vector<ShardId> NodeContext::HostedShards() const {
  std::vector<ShardId> hosted;
  for (uint32_t shard = 0; shard < options_.shards; ++shard) {
    if (Hosts(ShardId{shard})) hosted.push_back(ShardId{shard});
  }
  return hosted;
}

int64_t NodeContext::MonotonicOf(int64_t wall) {
  // Far enough for any deadline, and no sum with a clock overflows.
  constexpr int64_t kFarUs = int64_t{1} << 60;
  return now_us() + (std::clamp(wall, -kFarUs, kFarUs) - wall_us());
}

int64_t NodeContext::WallOf(int64_t monotonic_us) {
  return wall_us() + std::min(monotonic_us - now_us(), limits::kRequestTimeoutMaxUs);
}

int64_t NodeContext::PatienceMicros() {
  return std::max(5 * absl::ToInt64Microseconds(replica_.TypicalCommit()), kPatienceMinUs);
}

Task<absl::Status> NodeContext::BarrierAll(std::vector<ShardId> shards, Deadline deadline) {
  if (shards.empty()) co_return absl::OkStatus();
  auto joined = std::make_shared<Joined>(*ports_.executor);
  joined->running = shards.size();
  for (ShardId shard : shards) tasks_.Spawn(BarrierOne(replica_, shard, deadline, joined));
  bool done = co_await joined->done;
  (void)done;
  co_return joined->status;
}

Task<absl::Status> NodeContext::LearnVotes(std::vector<Tally*> tallies, std::vector<ShardId> shards,
                                           Freshness freshness, LogTime raise_to, Deadline deadline) {
  std::vector<ShardId> elsewhere = shards;
  std::erase_if(elsewhere, [this](ShardId shard) { return Hosts(shard); });
  std::erase_if(shards, [&](ShardId shard) { return freshness == Freshness::kApplied || !Hosts(shard); });
  auto barriers = std::make_shared<Joined>(*ports_.executor);
  barriers->running = 1 + shards.size();
  for (ShardId shard : shards) tasks_.Spawn(BarrierOne(replica_, shard, deadline, barriers));
  absl::Status there =
      co_await remote_.LearnVotes(tallies, std::move(elsewhere), freshness, raise_to, deadline);
  if (!there.ok()) barriers->status = there;
  if (--barriers->running == 0) barriers->done.Set(true);
  bool done = co_await barriers->done;
  (void)done;
  for (Tally* tally : tallies) AskMachines(*this, *tally);
  co_return barriers->status;
}

Task<absl::Status> NodeContext::RaiseClock(ShardId shard, LogTime at, Deadline deadline) {
  Wakeup wakeup(wakes_);
  VoteBoard::ClockWatch watch(board_, shard, at, wakeup);
  std::string close = EncodeTxnCommand(CloseCommand{at});
  for (uint32_t attempt = 0; machine(shard).clock() < at; ++attempt) {
    if (deadline.Passed(now_us()))
      co_return absl::DeadlineExceededError("the shard's clock was not raised in time");
    absl::Status submitted = Submit(shard, close, Urgency::kNow, attempt);
    if (!submitted.ok() && attempt == 0) co_return submitted;
    bool raised = co_await wakeup.Wait(std::min(deadline.monotonic_us, now_us() + PatienceMicros()));
    (void)raised;
  }
  co_return absl::OkStatus();
}

absl::StatusOr<RecordedBody> ReadBody(NodeContext& node, ShardId shard, const TransactionRecord& record) {
  if (record.body_at.value == 0)
    return absl::NotFoundError("the shard never saw the body of the transaction");
  absl::StatusOr<SharedBytes> value = node.replica().ReadEntry(shard, record.body_at);
  if (!value.ok()) return value.status();
  absl::StatusOr<Envelope> entry = DecodeEnvelope(**value);
  if (!entry.ok()) return absl::DataLossError("a journal entry cannot be decoded");
  for (const Command& command : entry->commands) {
    if (command.machine != MachineId::kTxn) continue;
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(command.bytes);
    if (!decoded.ok()) continue;
    int64_t stamp_us = std::min(entry->stamp_us, node.wall_us());
    std::optional<RecordedBody> body = BodyOf(*std::move(decoded), record.of, stamp_us);
    if (body.has_value()) return *std::move(body);
  }
  return absl::DataLossError("the journal entry does not hold the transaction that the index names");
}

Task<absl::Status> FetchBodies(NodeContext& node, ShardId shard, LedgerKey key, Deadline deadline) {
  if (!node.Hosts(shard)) co_return absl::UnavailableError("the shard moved to another node meanwhile");
  std::vector<TransactionRecord> records = node.machine(shard).FindTransaction(key);
  for (const TransactionRecord& record : records) {
    if (record.body_at == LogIndex{} || node.replica().ReadEntry(shard, record.body_at).ok()) continue;
    Mark("txn.body_fetched");
    absl::StatusOr<SharedBytes> fetched = co_await node.replica().FetchEntry(shard, record.body_at, deadline);
    if (!fetched.ok()) co_return fetched.status();
  }
  co_return absl::OkStatus();
}

const std::string* AssetOf(NodeContext& node, const LedgerKey& account) {
  ShardId shard = ShardOfAccount(account.ledger, account.id, node.shards());
  if (!node.Hosts(shard)) return node.remote().FindAsset(account);
  const Account* found = node.machine(shard).FindAccount(account);
  return found == nullptr ? nullptr : &found->spec.asset;
}

std::vector<std::string> UnnamedAssets(NodeContext& node, const Transaction& body) {
  bool all_named = std::all_of(body.transfers.begin(), body.transfers.end(),
                               [](const Transfer& transfer) { return !transfer.asset.empty(); });
  if (all_named) return {};
  std::vector<std::string> assets;
  for (const Transfer& transfer : body.transfers) {
    const std::string* asset = AssetOf(node, {body.ledger, transfer.debit_account});
    assets.push_back(asset == nullptr ? transfer.asset : *asset);
  }
  return assets;
}

std::vector<LedgerKey> UnknownAssets(NodeContext& node, const Transaction& body) {
  std::vector<LedgerKey> unknown;
  for (const Transfer& transfer : body.transfers) {
    if (!transfer.asset.empty()) continue;
    ShardId shard = ShardOfAccount(body.ledger, transfer.debit_account, node.shards());
    if (node.Hosts(shard)) continue;
    LedgerKey key{body.ledger, transfer.debit_account};
    if (node.remote().FindAsset(key) == nullptr) unknown.push_back(std::move(key));
  }
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  return unknown;
}

void AskMachines(NodeContext& node, Tally& tally) {
  const Try of = tally.of();
  for (ShardId shard : tally.participants()) {
    if (!node.Hosts(shard)) continue;
    std::optional<Vote> vote = node.machine(shard).FindVote(of);
    if (vote.has_value()) tally.See(shard, *vote);
  }
}

}  // namespace paxledger
