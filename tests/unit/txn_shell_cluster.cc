#include "tests/unit/txn_shell_cluster.h"

#include <algorithm>
#include <source_location>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

sim::NetworkProfile Network() {
  sim::NetworkProfile profile;
  profile.delay_us_min = 500;
  profile.delay_us_max = 1'500;
  profile.tail_per_thousand = 0;
  return profile;
}

sim::DiskProfile Disk() {
  sim::DiskProfile profile;
  profile.sync_us_max = 600;
  profile.slow_per_thousand = 0;
  return profile;
}

}  // namespace

ShellCluster::ShellCluster(uint64_t seed, uint32_t nodes_per_dc, Founders founders, uint32_t shards,
                           std::vector<ShardRouting> routing)
    : nodes_per_dc_(nodes_per_dc),
      founders_(founders),
      shards_(shards),
      routing_(std::move(routing)),
      marks_(seed),
      network_(scheduler_, Network(), kDataCentres * nodes_per_dc, seed),
      random_(seed) {
  Marks::Install(&marks_);
  for (uint32_t id = 1; id <= nodes(); ++id)
    machines_[id].clock = std::make_unique<sim::SimClock>(scheduler_);
  for (uint32_t id = 1; id <= this->founders(); ++id) StartNode(id);
  bool ready = RunUntil([this] {
    size_t count = 0;
    for (auto& [id, machine] : machines_) {
      if (machine.node != nullptr)
        machine.node->Ready([&count](absl::Status status) { count += status.ok() ? 1 : 0; });
    }
    RunFor(absl::Milliseconds(1));
    return count == this->founders();
  });
  Check(ready, "fresh nodes become ready");
}

ShellCluster::~ShellCluster() {
  for (auto& [id, machine] : machines_) {
    if (machine.executor != nullptr) machine.executor->Kill();
    machine.node.reset();
  }
  Marks::Install(nullptr);
}

uint64_t ShellCluster::Hits(std::string_view mark) const {
  auto hit = marks_.hits().find(std::string(mark));
  return hit == marks_.hits().end() ? 0 : hit->second;
}

ShardMachine& ShellCluster::MachineOf(ShardId shard) {
  for (uint32_t dc = kDataCentres; dc >= 1; --dc) {
    uint32_t id = HostIn(dc, shard);
    if (Alive(id)) return node(id).machine(shard);
  }
  CheckFailed("a host of the shard lives", std::source_location::current());
}

NodeOptions ShellCluster::OptionsOf(uint32_t id) {
  NodeOptions options;
  options.cluster_id = "test";
  options.data_centre = absl::StrCat("dc", DataCentreOf(id));
  options.self = ReplicaId{static_cast<uint16_t>(id)};
  options.catch_up = catch_up;
  options.shards = shards_;
  options.routing = routing_;
  options.genesis = Sha256("genesis");
  if (founders_ == Founders::kOnePerDataCentre) {
    for (uint16_t member = 1; member <= kDataCentres; ++member) {
      options.members.push_back(ReplicaId{member});
      std::string name = absl::StrCat("dc", member);
      options.creation.nodes.push_back(
          NodeEntry{.number = ReplicaId{member}, .name = name, .data_centre = name});
    }
    options.creation.next_number = kDataCentres + 1;
    options.checkpoint_commands = 4;  // so that a replica that leaves has rows of every kind
    for (auto& [other, machine] : machines_) {
      if (machine.node == nullptr) continue;
      const Directory& known = machine.node->registrar().directory();
      if (known.version > options.heard.version) options.heard = known;
    }
    return options;
  }
  for (uint16_t member = 1; member <= nodes(); ++member) {
    options.members.push_back(ReplicaId{member});
    NodeEntry& entry = options.creation.nodes.emplace_back();
    entry.number = ReplicaId{member};
    entry.name = absl::StrCat("node", member);
    entry.data_centre = absl::StrCat("dc", DataCentreOf(member));
  }
  options.creation.next_number = nodes() + 1;
  for (uint32_t shard = 0; shard < shards_; ++shard) {
    std::vector<ReplicaId>& hosts = options.placement.emplace_back();
    for (uint32_t dc = 1; dc <= kDataCentres; ++dc) {
      uint32_t host = HostIn(dc, ShardId{shard});
      hosts.push_back(ReplicaId{static_cast<uint16_t>(host)});
      options.creation.pins.push_back({ShardId{shard}, absl::StrCat("node", host)});
    }
    std::sort(hosts.begin(), hosts.end());
  }
  std::sort(options.creation.pins.begin(), options.creation.pins.end(),
            [](const Pin& a, const Pin& b) { return std::tie(a.shard, a.node) < std::tie(b.shard, b.node); });
  return options;
}

void ShellCluster::StartNode(uint32_t id) {
  Machine& machine = machines_[id];
  machine.random = std::make_unique<Random>(random_.Next());
  machine.metrics = std::make_unique<Metrics>();
  machine.executor = std::make_unique<sim::SimExecutor>(scheduler_, id);
  machine.engine =
      std::make_unique<sim::SimEngine>(scheduler_, *machine.executor, machine.disk, Disk(), random_.Next());
  machine.transport = std::make_unique<sim::SimTransport>(network_, *machine.executor, *machine.clock);
  ReplicaPorts ports;
  ports.clock = machine.clock.get();
  ports.executor = machine.executor.get();
  ports.random = machine.random.get();
  ports.engine = machine.engine.get();
  ports.transport = machine.transport.get();
  ports.metrics = machine.metrics.get();
  machine.node = std::make_unique<Node>(OptionsOf(id), ports);
  absl::Status recovered = machine.node->Recover([&machine] {
    machine.transport->Listen(machine.node->replica(), machine.node->replica().lineage());
    machine.node->Start();
  });
  Check(recovered.ok(), "a simulated disk is not damaged");
}

void ShellCluster::Kill(uint32_t id) {
  Machine& machine = machines_[id];
  machine.executor->Kill();
  network_.Leave(id, sim::SimNetwork::Death::kReset);
  machine.engine->Crash(random_);
  machine.node.reset();
  dead_strands_.push_back(std::move(machine.executor));
  dead_engines_.push_back(std::move(machine.engine));
  dead_transports_.push_back(std::move(machine.transport));
}

void ShellCluster::Pause(uint32_t id) {
  machines_[id].executor->Pause();
  network_.Pause(id);
}

void ShellCluster::Isolate(uint32_t id) {
  for (uint32_t peer = 1; peer <= nodes(); ++peer) {
    if (peer == id) continue;
    network_.Cut(id, peer);
    network_.Cut(peer, id);
  }
}

void ShellCluster::RunFor(absl::Duration time) {
  scheduler_.RunUntil(scheduler_.now_us() + absl::ToInt64Microseconds(time));
}

void ShellCluster::Open(std::string id, LimitRule limit, std::string asset) {
  AccountSpec spec;
  spec.asset = std::move(asset);
  spec.limit = limit;
  std::optional<std::vector<OpenAccountResult>> results;
  node(1).OpenAccounts({{LedgerKey{"main", id}, spec}}, In(1, absl::Seconds(5)),
                       [&](std::vector<OpenAccountResult> r) { results = std::move(r); });
  Check(RunUntil([&] { return results.has_value(); }), "every call is answered");
  Check(results->front().failure.ok(), "an account is opened");
}

void ShellCluster::Fund(std::string id, Amount amount) {
  Open("world", LimitRule::kNone);
  Open(id);
  if (amount == 0) return;
  TransactionResult funded = Pay(1, absl::StrCat("fund-", id), "world", id, amount);
  Check(funded.state == TransactionState::kCommitted, "world has no limit");
}

std::vector<TransactionResult> ShellCluster::Execute(uint32_t via, std::vector<Transaction> transactions,
                                                     absl::Duration timeout) {
  std::optional<std::vector<TransactionResult>> results;
  node(via).Execute(std::move(transactions), LogTime{}, In(via, timeout),
                    [&](std::vector<TransactionResult> r) { results = std::move(r); });
  Check(RunUntil([&] { return results.has_value(); }, timeout + absl::Seconds(1)),
        "every call is answered in time");
  return *std::move(results);
}

TransactionResult ShellCluster::Pay(uint32_t via, std::string id, std::string from, std::string to,
                                    Amount amount, absl::Duration timeout) {
  return Execute(via, {Payment(std::move(id), std::move(from), std::move(to), amount)}, timeout).front();
}

absl::StatusOr<AccountRead> ShellCluster::Read(uint32_t via, std::string id, ReadMode mode) {
  std::optional<absl::StatusOr<AccountRead>> result;
  node(via).ReadAccount(LedgerKey{"main", std::move(id)}, mode, LogTime{}, In(via, absl::Seconds(5)),
                        [&](absl::StatusOr<AccountRead> r) { result = std::move(r); });
  Check(RunUntil([&] { return result.has_value(); }), "every call is answered");
  return *std::move(result);
}

int64_t ShellCluster::Balance(uint32_t via, std::string id) {
  absl::StatusOr<AccountRead> read = Read(via, std::move(id));
  Check(read.ok() && read->account.has_value(), "an account that exists is read");
  const Totals& totals = read->account->totals;
  return static_cast<int64_t>(totals.credits_posted) - static_cast<int64_t>(totals.debits_posted);
}

absl::StatusOr<TransferRead> ShellCluster::ReadTransaction(uint32_t via, std::string id, std::string token) {
  std::optional<absl::StatusOr<TransferRead>> result;
  node(via).ReadTransaction(LedgerKey{"main", std::move(id)}, std::move(token), In(via, absl::Seconds(5)),
                            [&](absl::StatusOr<TransferRead> r) { result = std::move(r); });
  Check(RunUntil([&] { return result.has_value(); }), "every call is answered");
  return *std::move(result);
}

absl::StatusOr<AccountPage> ShellCluster::List(uint32_t via, std::string prefix, size_t limit) {
  std::optional<absl::StatusOr<AccountPage>> result;
  node(via).ListAccounts("main", std::move(prefix), "", limit, ReadMode::kStrong, In(via, absl::Seconds(5)),
                         [&](absl::StatusOr<AccountPage> r) { result = std::move(r); });
  Check(RunUntil([&] { return result.has_value(); }), "every call is answered");
  return *std::move(result);
}

absl::StatusOr<StatementPage> ShellCluster::ReadStatement(uint32_t via, StatementRequest request,
                                                          ReadMode mode) {
  std::optional<absl::StatusOr<StatementPage>> result;
  node(via).ReadStatement(std::move(request), mode, LogTime{}, In(via, absl::Seconds(5)),
                          [&](absl::StatusOr<StatementPage> r) { result = std::move(r); });
  Check(RunUntil([&] { return result.has_value(); }), "every statement is answered");
  return *std::move(result);
}

absl::StatusOr<EventsPage> ShellCluster::ReadEvents(uint32_t via, EventsRequest request,
                                                    absl::Duration wait) {
  std::optional<absl::StatusOr<EventsPage>> result;
  request.ledger = "main";
  request.wait = In(via, wait);
  node(via).ReadEvents(std::move(request), [&](absl::StatusOr<EventsPage> r) { result = std::move(r); });
  Check(RunUntil([&] { return result.has_value(); }), "every wait for events ends");
  return *std::move(result);
}

size_t ShellCluster::RowsOf(uint32_t id, ShardId shard, Table table) {
  std::string begin, end;
  AppendBigEndian32(&begin, shard.value);
  AppendBigEndian32(&end, shard.value + 1);
  size_t count = 0;
  for (auto rows = machines_[id].engine->Scan(table, begin, end); rows->valid(); rows->Next()) ++count;
  return count;
}

size_t ShellCluster::InDoubt() {
  size_t in_doubt = 0;
  for (auto& [id, machine] : machines_) {
    if (machine.node == nullptr) continue;
    for (uint32_t shard = 0; shard < shards_; ++shard) {
      if (machine.node->Hosts(ShardId{shard})) in_doubt += machine.node->machine(ShardId{shard}).in_doubt();
    }
  }
  return in_doubt;
}

bool ShellCluster::Settled() {
  if (InDoubt() != 0) return false;
  for (uint32_t shard = 0; shard < shards_; ++shard) {
    std::optional<DigestsAtIndex> first;
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr || !machine.node->Hosts(ShardId{shard})) continue;
      DigestsAtIndex digests = machine.node->machine(ShardId{shard}).digests();
      if (!first.has_value()) first = digests;
      if (digests.index != first->index) return false;
      Check(digests.journal == first->journal && digests.state == first->state,
            "replicas agree at equal index");
    }
  }
  return true;
}

Transaction Payment(std::string id, std::string from, std::string to, Amount amount) {
  Transfer transfer;
  transfer.id = id;
  transfer.debit_account = std::move(from);
  transfer.credit_account = std::move(to);
  transfer.amount = amount;
  return Transaction{"main", std::move(id), {std::move(transfer)}};
}

std::string AccountOn(ShardId shard, int n) {
  for (int i = 0;; ++i) {
    std::string id = absl::StrCat("acct-", shard.value, "-", i);
    if (ShardOfAccount("main", id, ShellCluster::kShards) == shard && n-- == 0) return id;
  }
}

std::string IdAt(ShardId shard, std::string stem) { return PlacedTransactionId(stem, shard); }

Try TryOf(const Transaction& body, uint32_t attempt) {
  return Try{LedgerKey{body.ledger, body.id}, TransactionDigest(body), attempt};
}

void HandTo(ShellCluster& cluster, const std::vector<ShardId>& shards, const TxnCommand& command) {
  for (ShardId shard : shards) {
    absl::Status submitted =
        cluster.node(2).replica().Submit(shard, MachineId::kTxn, EncodeTxnCommand(command), Urgency::kNow, 1);
    Check(submitted.ok(), "a command is taken");
  }
  cluster.RunFor(absl::Milliseconds(100));
}

PrepareCommand PrepareOf(const Transaction& body, uint32_t attempt, int64_t deadline_us) {
  std::vector<std::string> assets(body.transfers.size(), "USD/2");
  return PrepareCommand{TryOf(body, attempt), Participants(body, ShellCluster::kShards),
                        deadline_us,          body,
                        std::move(assets),    LogTime{}};
}

}  // namespace paxledger
