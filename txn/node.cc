#include "txn/node.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace paxledger {

namespace {

constexpr int64_t kBarrierTimeUs = 2'000'000;
constexpr int64_t kDrainTimeUs = 2'500'000;
constexpr int64_t kHandOverTimeUs = 500'000;
constexpr absl::Duration kDrainLook = absl::Milliseconds(10);

/// Awaits `task` and hands its result over.
template <class T>
Task<void> Deliver(Task<T> task, absl::AnyInvocable<void(T)> done) {
  T result = co_await std::move(task);
  done(std::move(result));
}

}  // namespace

Node::Node(NodeOptions options, ReplicaPorts ports)
    : node_(std::move(options), ports),
      settler_(node_),
      coordinator_(node_, settler_),
      opener_(node_),
      reader_(node_, settler_),
      transaction_reader_(node_, settler_) {}

// The tasks refer to the parts, which are destroyed before the context that holds the tasks.
Node::~Node() { node_.tasks().Abandon(); }

absl::Status Node::Recover(absl::AnyInvocable<void()> ready) {
  for (ShardId shard : node_.AllShards()) {
    absl::Status recovered = node_.machine(shard).Recover();
    if (!recovered.ok()) return recovered;
  }
  return node_.replica().Recover([this](ShardId shard) -> StateMachine& { return node_.machine(shard); },
                                 std::move(ready));
}

void Node::Start() {
  phase_ = Phase::kServing;
  behind_ = node_.shards();
  for (ShardId shard : node_.AllShards()) node_.tasks().Spawn(CatchUp(shard));
  node_.tasks().Spawn(settler_.Sweep());
}

Task<void> Node::CatchUp(ShardId shard) {
  while (phase_ == Phase::kServing) {
    absl::StatusOr<LogIndex> reached =
        co_await node_.replica().ReadBarrier(shard, Deadline{node_.now_us() + kBarrierTimeUs});
    if (reached.ok()) break;
    co_await SleepFor(*node_.ports().executor, absl::Milliseconds(50));
  }
  --behind_;
}

void Node::Drain(absl::AnyInvocable<void()> done) {
  node_.ports().executor->Post([this, done = std::move(done)]() mutable {
    phase_ = Phase::kDraining;
    node_.tasks().Spawn(DrainTask(std::move(done)));
  });
}

Task<void> Node::DrainTask(absl::AnyInvocable<void()> done) {
  int64_t give_up_us = node_.now_us() + kDrainTimeUs;
  while (in_flight() > 0 && node_.now_us() < give_up_us) {
    co_await SleepFor(*node_.ports().executor, kDrainLook);
  }
  settler_.Stop();
  node_.replica().HandOver();
  give_up_us = node_.now_us() + kHandOverTimeUs;
  while (!node_.replica().Idle() && node_.now_us() < give_up_us) {
    co_await SleepFor(*node_.ports().executor, kDrainLook);
  }
  absl::Status checkpointed = co_await CheckpointAll();
  (void)checkpointed;
  done();
}

Task<absl::Status> Node::CheckpointAll() {
  Completion<bool> all(*node_.ports().executor);
  auto left = std::make_shared<size_t>(node_.shards());
  for (ShardId shard : node_.AllShards()) {
    node_.machine(shard).Checkpoint([left, all] {
      if (--*left == 0) all.Set(true);
    });
  }
  bool done = co_await all;
  (void)done;
  co_return absl::OkStatus();
}

void Node::OpenAccounts(std::vector<OpenAccountRequest> requests, Deadline deadline,
                        absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) {
  node_.ports().executor->Post(
      [this, requests = std::move(requests), deadline, done = std::move(done)]() mutable {
        if (phase_ != Phase::kServing) {
          std::vector<OpenAccountResult> refused(requests.size());
          for (OpenAccountResult& result : refused)
            result.failure = absl::UnavailableError("the node is stopping");
          return done(std::move(refused));
        }
        opener_.Open(std::move(requests), deadline, std::move(done));
      });
}

void Node::Execute(std::vector<Transaction> transactions, LogTime after, Deadline deadline,
                   absl::AnyInvocable<void(std::vector<TransactionResult>)> done) {
  node_.ports().executor->Post(
      [this, transactions = std::move(transactions), after, deadline, done = std::move(done)]() mutable {
        if (phase_ != Phase::kServing) {
          std::vector<TransactionResult> refused(transactions.size());
          for (TransactionResult& result : refused) result.state = TransactionState::kUnavailable;
          return done(std::move(refused));
        }
        coordinator_.Execute(std::move(transactions), after, deadline, std::move(done));
      });
}

void Node::ReadAccount(LedgerKey key, ReadMode mode, LogTime after, Deadline deadline,
                       absl::AnyInvocable<void(absl::StatusOr<AccountRead>)> done) {
  node_.ports().executor->Post([this, key = std::move(key), mode, after, deadline,
                                done = std::move(done)]() mutable {
    node_.tasks().Spawn(Deliver(reader_.ReadAccount(std::move(key), mode, after, deadline), std::move(done)));
  });
}

void Node::ReadTransaction(LedgerKey key, std::string recovery_token, Deadline deadline,
                           absl::AnyInvocable<void(absl::StatusOr<TransferRead>)> done) {
  node_.ports().executor->Post([this, key = std::move(key), token = std::move(recovery_token), deadline,
                                done = std::move(done)]() mutable {
    node_.tasks().Spawn(
        Deliver(transaction_reader_.Read(std::move(key), std::move(token), deadline), std::move(done)));
  });
}

void Node::ListAccounts(std::string ledger, std::string prefix, std::string after, size_t limit,
                        ReadMode mode, Deadline deadline,
                        absl::AnyInvocable<void(absl::StatusOr<AccountPage>)> done) {
  node_.ports().executor->Post([this, ledger = std::move(ledger), prefix = std::move(prefix),
                                after = std::move(after), limit, mode, deadline,
                                done = std::move(done)]() mutable {
    node_.tasks().Spawn(Deliver(
        reader_.ListAccounts(std::move(ledger), std::move(prefix), std::move(after), limit, mode, deadline),
        std::move(done)));
  });
}

void Node::Report(std::vector<LogIndex> indexes, absl::AnyInvocable<void(NodeReport)> done) {
  node_.ports().executor->Post(
      [this, indexes = std::move(indexes), done = std::move(done)]() mutable { done(ReportNow(indexes)); });
}

NodeReport Node::ReportNow(const std::vector<LogIndex>& indexes) {
  NodeReport report;
  report.cluster_id = node_.options().cluster_id;
  report.data_centre = node_.options().data_centre;
  report.self = node_.options().self;
  report.has_quorum = node_.replica().HasQuorum();
  report.clock_offset_us = node_.replica().ClockOffsetMicros();
  for (ReplicaId peer : node_.options().members) {
    if (peer != report.self && node_.ports().transport->IsUp(peer)) report.peers_up.push_back(peer);
  }
  for (ShardId shard : node_.AllShards()) report.shards.push_back(ReportShard(shard, indexes));
  return report;
}

ShardReport Node::ReportShard(ShardId shard, const std::vector<LogIndex>& indexes) {
  ShardMachine& machine = node_.machine(shard);
  ShardStatus status = node_.replica().Status(shard);
  ShardReport report;
  report.shard = shard;
  report.applied = machine.applied();
  report.highest_seen = status.highest_seen;
  report.owner = status.owner.replica;
  report.voting = status.voting;
  report.clock = machine.clock();
  report.digests = machine.digests();
  if (shard.value < indexes.size()) report.digests_at = machine.DigestsAt(indexes[shard.value]);
  report.totals = machine.TotalsByAsset();
  report.clearing = machine.Clearing();
  report.in_doubt = machine.in_doubt();
  return report;
}

void Node::Ready(absl::AnyInvocable<void(absl::Status)> done) {
  node_.ports().executor->Post([this, done = std::move(done)]() mutable { done(ReadyNow()); });
}

absl::Status Node::ReadyNow() const {
  switch (phase_) {
    case Phase::kStarting:
      return absl::UnavailableError("the node is starting");
    case Phase::kDraining:
      return absl::UnavailableError("the node is stopping");
    case Phase::kServing:
      break;
  }
  if (!node_.replica().HasQuorum()) return absl::UnavailableError("no majority of data centres answers");
  if (behind_ > 0) return absl::UnavailableError("shards are catching up");
  return absl::OkStatus();
}

}  // namespace paxledger
