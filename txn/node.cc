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
      cluster_(node_),
      settler_(node_),
      coordinator_(node_, settler_),
      opener_(node_),
      reader_(node_, settler_),
      transaction_reader_(node_, settler_),
      statement_reader_(node_, reader_),
      event_reader_(node_),
      host_(node_, opener_, reader_, transaction_reader_, statement_reader_, event_reader_) {
  node_.board().set_relay(&host_);
  node_.replica().set_app_handler(
      [this](ReplicaId from, AppMessage message) { OnMessage(from, std::move(message)); });
  node_.set_hosted_handler([this](ShardId shard) { StartCatchUp(shard); });
  node_.replica().set_out_of_touch_handler([this] {
    if (phase_ == Phase::kServing) CatchUpAll();
  });
}

// The tasks refer to the parts, which are destroyed before the context that holds the tasks.
Node::~Node() {
  node_.tasks().Abandon();
  node_.board().set_relay(nullptr);
}

absl::Status Node::Recover(absl::AnyInvocable<void()> ready) {
  if (absl::Status read = cluster_.Recover(); !read.ok()) return read;
  return node_.Recover(
      [this](ShardId shard, StateMachine& ledger) -> StateMachine& {
        return cluster_.MachineOf(shard, ledger);
      },
      std::move(ready));
}

void Node::Start() {
  phase_ = Phase::kServing;
  CatchUpAll();
  cluster_.Start();
  node_.tasks().Spawn(settler_.Sweep());
}

void Node::OnMessage(ReplicaId from, AppMessage message) {
  if (message.machine == static_cast<uint32_t>(MachineId::kCluster)) return cluster_.Handle(from, message);
  if (message.machine != static_cast<uint32_t>(MachineId::kTxn)) return;
  for (NodeMessage& one : node_.mail().Open(message)) {
    if (auto* watch = std::get_if<WatchTry>(&one)) {
      host_.OnWatch(from, std::move(*watch));
    } else if (auto* end = std::get_if<EndWatch>(&one)) {
      host_.OnEndWatch(from, *end);
    } else if (auto* told = std::get_if<ToldVote>(&one)) {
      node_.remote().OnTold(from, *told);
    } else if (auto* question = std::get_if<Question>(&one)) {
      host_.OnQuestion(from, std::move(*question));
    } else if (auto* answer = std::get_if<Answer>(&one)) {
      node_.remote().OnAnswer(from, std::move(*answer));
    }
  }
}

void Node::CatchUpAll() {
  ++catch_up_round_;
  behind_ = 0;
  // Those too that do not serve yet: their tasks of the round before end.
  for (ShardId shard : node_.replica().Hosted()) StartCatchUp(shard);
}

void Node::StartCatchUp(ShardId shard) {
  ++behind_;
  node_.tasks().Spawn(CatchUp(shard, catch_up_round_));
}

Task<void> Node::CatchUp(ShardId shard, uint64_t round) {
  while (phase_ == Phase::kServing && round == catch_up_round_) {
    absl::StatusOr<LogIndex> reached =
        co_await node_.replica().ReadBarrier(shard, Deadline{node_.now_us() + kBarrierTimeUs});
    if (reached.ok() || !node_.replica().Hosts(shard)) break;
    co_await SleepFor(*node_.ports().executor, absl::Milliseconds(50));
  }
  if (round != catch_up_round_) co_return;
  --behind_;
  node_.Serve(shard);
}

void Node::Drain(absl::AnyInvocable<void()> done) {
  node_.ports().executor->Post([this, done = std::move(done)]() mutable {
    phase_ = Phase::kDraining;
    host_.Stop();
    node_.tasks().Spawn(DrainTask(std::move(done)));
  });
}

Task<void> Node::DrainTask(absl::AnyInvocable<void()> done) {
  int64_t give_up_us = node_.now_us() + kDrainTimeUs;
  while (in_flight() > 0 && node_.now_us() < give_up_us) {
    co_await SleepFor(*node_.ports().executor, kDrainLook);
  }
  settler_.Stop();
  cluster_.Stop();
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
  std::vector<ShardId> hosted = node_.HostedShards();
  auto left = std::make_shared<size_t>(hosted.size());
  if (hosted.empty()) all.Set(true);
  for (ShardId shard : hosted) {
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

void Node::ReadStatement(StatementRequest request, ReadMode mode, LogTime after, Deadline deadline,
                         absl::AnyInvocable<void(absl::StatusOr<StatementPage>)> done) {
  node_.ports().executor->Post(
      [this, request = std::move(request), mode, after, deadline, done = std::move(done)]() mutable {
        node_.tasks().Spawn(
            Deliver(statement_reader_.Read(std::move(request), mode, after, deadline), std::move(done)));
      });
}

void Node::ReadEvents(EventsRequest request, absl::AnyInvocable<void(absl::StatusOr<EventsPage>)> done) {
  node_.ports().executor->Post([this, request = std::move(request), done = std::move(done)]() mutable {
    node_.tasks().Spawn(Deliver(event_reader_.Read(std::move(request)), std::move(done)));
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
  report.disk = node_.ports().engine->disk_use();
  report.clock_offset_us = node_.replica().ClockOffsetMicros();
  for (ReplicaId node : cluster_.registrar().Up()) {
    if (node != report.self) report.peers_up.push_back(node);
  }
  for (uint32_t shard = 0; shard < node_.shards(); ++shard)
    report.shards.push_back(ReportShard(ShardId{shard}, indexes));
  return report;
}

ShardReport Node::ReportShard(ShardId shard, const std::vector<LogIndex>& indexes) {
  ShardStatus status = node_.replica().Status(shard);
  ShardReport report;
  report.shard = shard;
  report.hosted = node_.Hosts(shard);
  report.owner = status.owner.replica;
  report.members = status.members.members;
  if (!report.hosted) return report;
  ShardMachine& machine = node_.machine(shard);
  report.applied = machine.applied();
  report.highest_seen = status.highest_seen;
  report.voting = status.voting;
  report.clock = machine.clock();
  report.digests = machine.digests();
  if (shard.value < indexes.size()) report.digests_at = machine.DigestsAt(indexes[shard.value]);
  report.totals = machine.TotalsByAsset();
  report.clearing = machine.Clearing();
  report.in_doubt = machine.in_doubt();
  return report;
}

void Node::ReadCluster(absl::AnyInvocable<void(ClusterReport)> done) {
  node_.ports().executor->Post([this, done = std::move(done)]() mutable { done(cluster_.Report()); });
}

void Node::ChangeCluster(DirectoryCommand command, Deadline deadline,
                         absl::AnyInvocable<void(absl::StatusOr<DirectoryResult>)> done) {
  node_.ports().executor->Post([this, command = std::move(command), deadline,
                                done = std::move(done)]() mutable {
    node_.tasks().Spawn(Deliver(cluster_.registrar().Propose(std::move(command), deadline), std::move(done)));
  });
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
  if (absl::Status may = node_.replica().MayBegin(); !may.ok()) return may;
  if (behind_ > 0) return absl::UnavailableError("shards are catching up");
  for (uint32_t shard = 0; shard < node_.shards(); ++shard) {
    if (!node_.Hosts(ShardId{shard}) && node_.remote().HostsOf(ShardId{shard}).empty())
      return absl::UnavailableError("no node that hosts a shard is up");
  }
  return absl::OkStatus();
}

}  // namespace paxledger
