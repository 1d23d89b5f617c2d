#include "tests/sim/workload.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "txn/placement.h"

namespace paxledger::sim {
namespace {
constexpr char kLedger[] = "main";
constexpr char kWorld[] = "world";
constexpr char kAsset[] = "USD/2";
constexpr uint64_t kFunds = 1'000;
}  // namespace

Workload::Workload(SimCluster& cluster, const Plan& plan, History& history, ClientCalls::Fail fail,
                   uint64_t seed)
    : cluster_(cluster),
      plan_(plan),
      history_(history),
      random_(seed),
      strand_(cluster.scheduler(), 0),
      calls_(cluster, strand_, plan, std::move(fail), random_.Next()) {
  BuildAccounts();
}

Workload::~Workload() {
  strand_.Kill();
  tasks_.Abandon();
}

void Workload::BuildAccounts() {
  auto add = [this](std::string id, LimitRule limit, Amount overdraft) {
    AccountSpec spec;
    spec.asset = kAsset;
    spec.limit = limit;
    spec.overdraft = overdraft;
    spec.normal_side = limit == LimitRule::kCreditsMustNotExceedDebits ? Side::kDebit : Side::kCredit;
    accounts_.push_back({{kLedger, std::move(id)}, std::move(spec)});
  };
  add(kWorld, LimitRule::kNone, 0);
  for (uint32_t i = 0; i < plan_.accounts; ++i) {
    uint64_t kind = random_.Below(10);
    if (kind == 0 && i >= plan_.hot_accounts) {
      add(absl::StrCat("loan-", i), LimitRule::kCreditsMustNotExceedDebits, 0);
    } else if (kind == 1) {
      add(absl::StrCat("free-", i), LimitRule::kNone, 0);
    } else {
      add(absl::StrCat("acct-", i), LimitRule::kDebitsMustNotExceedCredits,
          random_.Chance(1, 5) ? Units(100) : 0);
    }
  }
}

// --- what clients do ------------------------------------------------------------------------------------------------

void Workload::StartSetup() { tasks_.Spawn(Setup()); }

Task<void> Workload::OpenAll() {
  size_t opened = 0;
  while (opened < accounts_.size()) {
    uint32_t machine = OtherMachine(0);
    absl::StatusOr<std::vector<OpenAccountResult>> results = co_await calls_.OpenAccounts(machine, accounts_);
    opened = 0;
    if (results.ok()) {
      for (const OpenAccountResult& result : *results) opened += result.failure.ok() ? 1 : 0;
    }
    if (opened < accounts_.size()) co_await SleepFor(strand_, absl::Milliseconds(50));
  }
}

Task<void> Workload::Setup() {
  co_await OpenAll();
  for (const OpenAccountRequest& account : accounts_) history_.OpenedAccount(account.key.id, account.spec);
  for (const OpenAccountRequest& account : accounts_) {
    if (account.spec.limit != LimitRule::kDebitsMustNotExceedCredits) continue;
    Transaction fund;
    fund.ledger = kLedger;
    fund.id = absl::StrCat("fund-", account.key.id);
    Transfer& transfer = fund.transfers.emplace_back();
    transfer.id = fund.id;
    transfer.debit_account = kWorld;
    transfer.credit_account = account.key.id;
    transfer.amount = Units(kFunds);
    co_await Drive(1, history_.Begin(std::move(fund)));
  }
  ready_ = true;
}

void Workload::StartClients(uint64_t transfers, int64_t duration_us) {
  int64_t think_us = duration_us * plan_.clients / static_cast<int64_t>(transfers);
  for (uint32_t c = 0; c < plan_.clients; ++c) tasks_.Spawn(Client(1 + c % cluster_.size(), think_us));
  for (uint32_t r = 0; r < plan_.dense_readers; ++r) tasks_.Spawn(DenseReader());
}

void Workload::Finish() {
  finishing_ = true;
  calls_.Calm();
}

void Workload::Look(uint32_t machine) { tasks_.Spawn(LookAt(machine)); }

Task<void> Workload::LookAt(uint32_t machine) {
  for (;;) {
    absl::StatusOr<absl::StatusOr<AccountPage>> page = co_await calls_.ListAccounts(machine, kLedger);
    bool seen = page.ok() && page->ok();
    if (seen) break;
    co_await SleepFor(strand_, absl::Milliseconds(100));
  }
  ++looked_;
}

Task<void> Workload::Client(uint32_t home, int64_t think_us) {
  // On a schedule: one that had to wait catches up.
  int64_t next_us = cluster_.scheduler().now_us();
  while (!finishing_) {
    next_us += random_.Between(0, 2 * think_us);
    while (!finishing_ && cluster_.scheduler().now_us() < next_us) {
      int64_t wait_us = std::min<int64_t>(1'000'000, next_us - cluster_.scheduler().now_us());
      co_await SleepFor(strand_, absl::Microseconds(wait_us));
    }
    if (!finishing_) co_await OneOperation(home);
  }
}

Task<void> Workload::DenseReader() {
  while (!finishing_) {
    co_await SleepFor(strand_, absl::Microseconds(random_.Between(0, 2 * plan_.dense_read_every_us)));
    co_await ReadAnAccount(OtherMachine(0), HotAccount());
  }
}

Task<void> Workload::OneOperation(uint32_t home) {
  uint64_t roll = random_.Below(1000);
  bool reads = roll < plan_.reads_per_thousand;
  if (reads) {
    co_await ReadAnAccount(home, AnyAccount());
    if (random_.Chance(1, 4)) co_await ReadSomeTransaction(home);
  }
  if (random_.Chance(plan_.duplicates_per_thousand, 1000)) {
    co_await Drive(home, AnyKnownBody());
  } else if (random_.Chance(plan_.other_bodies_per_thousand, 1000)) {
    Transaction other = NewTransaction();
    other.id = history_.BodyOf(AnyKnownBody()).id;
    if (other.transfers.size() == 1) other.transfers[0].id = other.id;
    transfers_ += other.transfers.size();
    co_await Drive(home, history_.Begin(std::move(other)));
  } else {
    Transaction fresh = NewTransaction();
    transfers_ += fresh.transfers.size();
    co_await Drive(home, history_.Begin(std::move(fresh)));
  }
}

// Sends the body, here or elsewhere, until an outcome is told.
Task<void> Workload::Drive(uint32_t home, History::BodyId body) {
  std::string token;
  uint32_t machine = home;
  for (uint32_t tries = 0;; ++tries) {
    if (!finishing_ && ready_ && random_.Chance(plan_.clients_die_per_thousand, 1000)) break;
    Fate fate = co_await OneTry(machine, body, &token);
    if (fate != Fate::kUndecided) break;
    machine = OtherMachine(machine);
    int64_t wait_us = random_.Between(1'000, 20'000 << (tries < 6 ? tries : 6));
    // Past the deadline of the try, the token of a 202 alone may bring it to its end (transactions.md rule 18).
    bool patient = !token.empty() && !finishing_ && random_.Chance(1, 4);
    if (patient) wait_us += plan_.client_timeout_us + limits::kRecoveryGraceUs;
    co_await SleepFor(strand_, absl::Microseconds(wait_us));
  }
}

Task<Workload::Fate> Workload::OneTry(uint32_t machine, History::BodyId body, std::string* token) {
  ++requests_;
  cluster_.scheduler().Note(EventKind::kClient, machine, 0, "asks for: id, body", body.id, body.body);
  if (!token->empty() && random_.Chance(1, 2)) {
    absl::StatusOr<absl::StatusOr<TransferRead>> read =
        co_await calls_.ReadTransaction(machine, history_.BodyOf(body), *token);
    token->clear();
    bool told = read.ok() && read->ok() && (*read)->transaction == history_.BodyOf(body);
    if (!told) co_return Fate::kUndecided;
    co_return NoteResult(body, (*read)->result, token);
  }
  bool dies = on_request(machine);
  absl::StatusOr<TransactionResult> result = co_await calls_.Execute(machine, history_.BodyOf(body));
  if (dies) co_return Fate::kClientDied;
  if (!result.ok()) co_return Fate::kUndecided;
  co_return NoteResult(body, *result, token);
}

Workload::Fate Workload::NoteResult(History::BodyId body, const TransactionResult& result,
                                    std::string* token) {
  cluster_.scheduler().Note(EventKind::kClient, 0, 0, "is told: id, body, state, time", body.id, body.body,
                            static_cast<uint64_t>(result.state),
                            static_cast<uint64_t>(result.committed_at.value));
  switch (result.state) {
    case TransactionState::kCommitted:
    case TransactionState::kRefused:
    case TransactionState::kConflict:
      history_.Acknowledged(body, result);
      return Fate::kEnded;
    case TransactionState::kInDoubt:
      *token = result.recovery_token;
      return Fate::kUndecided;
    case TransactionState::kContended:
    case TransactionState::kUnavailable:
    case TransactionState::kOverloaded:
      return Fate::kUndecided;
  }
  return Fate::kUndecided;
}

Task<void> Workload::ReadAnAccount(uint32_t machine, std::string account) {
  LedgerKey key{kLedger, std::move(account)};
  int64_t began_us = cluster_.scheduler().now_us();
  absl::StatusOr<absl::StatusOr<AccountRead>> read = co_await calls_.ReadAccount(machine, key);
  bool told = read.ok() && read->ok();
  if (told) history_.Read(key.id, began_us, cluster_.scheduler().now_us(), **read);
}

Task<void> Workload::ReadSomeTransaction(uint32_t home) {
  History::BodyId body = AnyKnownBody();
  bool acknowledged = history_.IsAcknowledged(body);
  absl::StatusOr<absl::StatusOr<TransferRead>> read =
      co_await calls_.ReadTransaction(home, history_.BodyOf(body), "");
  bool told = read.ok() && acknowledged;
  if (told) history_.ReadTransaction(body, *read);
}

// --- choices --------------------------------------------------------------------------------------------------------

const std::string& Workload::AnyAccount() {
  if (random_.Chance(1, 3)) return HotAccount();
  return accounts_[random_.Below(accounts_.size())].key.id;
}

Amount Workload::NewAmount() {
  uint64_t most = random_.Chance(1, 10) ? 3 * kFunds : 100;
  uint64_t units = 1 + random_.Below(most);
  return plan_.tagged_amounts ? Units(units - 1) + (random_.Next() >> 16) + 1 : Amount{units};
}

Transfer Workload::NewTransfer() {
  Transfer transfer;
  transfer.debit_account = AnyAccount();
  transfer.credit_account = AnyAccount();
  transfer.amount = NewAmount();
  if (random_.Chance(1, 2)) transfer.asset = kAsset;
  return transfer;
}

Transaction Workload::NewTransaction() {
  Transaction transaction;
  transaction.ledger = kLedger;
  uint64_t count = random_.Chance(1, 6) ? 2 + random_.Below(4) : 1;
  for (uint64_t i = 0; i < count; ++i) transaction.transfers.push_back(NewTransfer());
  transaction.id = absl::StrCat("t", ++names_);
  if (random_.Chance(1, 2)) {
    ShardId home = ShardOfAccount(kLedger, transaction.transfers[0].debit_account, cluster_.shards());
    transaction.id = PlacedTransactionId(transaction.id, home);
  }
  for (size_t i = 0; i < transaction.transfers.size(); ++i) {
    transaction.transfers[i].id = count == 1 ? transaction.id : absl::StrCat(transaction.id, "~", i);
  }
  return transaction;
}

History::BodyId Workload::AnyKnownBody() {
  // Often a recent one: it may still be under way.
  size_t known = history_.ids();
  size_t back = random_.Chance(2, 3) ? random_.Below(std::min<size_t>(known, 5)) : random_.Below(known);
  return {known - 1 - back, 0};
}

uint32_t Workload::OtherMachine(uint32_t home) {
  uint32_t machine = 1 + static_cast<uint32_t>(random_.Below(cluster_.size()));
  return machine == home ? 1 + machine % cluster_.size() : machine;
}

}  // namespace paxledger::sim
