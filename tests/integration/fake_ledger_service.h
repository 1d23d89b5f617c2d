#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "txn/ledger_service.h"

namespace paxledger {

inline Transfer TransferOf(std::string id, std::string debit_account) {
  Transfer transfer;
  transfer.id = std::move(id);
  transfer.debit_account = std::move(debit_account);
  transfer.credit_account = "c";
  transfer.amount = 5;
  return transfer;
}

/// Answers from a thread of its own, as a node's strand does. Holds answers back while told to.
class FakeService : public LedgerService {
 public:
  FakeService() : thread_([this] { Run(); }) {}
  ~FakeService() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      held_ = false;
    }
    changed_.notify_all();
    thread_.join();
  }

  void Hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void Release() {
    {
      std::lock_guard lock(mutex_);
      held_ = false;
    }
    changed_.notify_all();
  }
  void AwaitCalls(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_ >= n; });
  }
  size_t executed() {
    std::lock_guard lock(mutex_);
    return executed_.size();
  }
  std::vector<Transaction> executed_transactions() {
    std::lock_guard lock(mutex_);
    return executed_;
  }
  void set_state(TransactionState state) { state_ = state; }
  void set_ready(absl::Status ready) { ready_ = std::move(ready); }

  void OpenAccounts(std::vector<OpenAccountRequest> requests, Deadline,
                    absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) override {
    Post([requests = std::move(requests), done = std::move(done)]() mutable {
      std::vector<OpenAccountResult> results(requests.size());
      for (size_t i = 0; i < requests.size(); ++i) {
        results[i].account.spec = requests[i].spec;
        results[i].account.opened_at = LogTime{1'767'225'600'000'000};
        if (requests[i].key.id == "exists") results[i].status = OpenStatus::kExists;
        if (requests[i].key.id == "other") results[i].status = OpenStatus::kExistsWithOtherFields;
      }
      done(std::move(results));
    });
  }
  void Execute(std::vector<Transaction> transactions, LogTime, Deadline,
               absl::AnyInvocable<void(std::vector<TransactionResult>)> done) override {
    Post([this, transactions = std::move(transactions), done = std::move(done)]() mutable {
      std::vector<TransactionResult> results(transactions.size());
      for (size_t i = 0; i < transactions.size(); ++i) {
        results[i].state = state_;
        results[i].refusal = Outcome::kInsufficientFunds;
        results[i].committed_at = LogTime{1'767'225'600'000'000};
        results[i].shards = {ShardId{1}};
        if (state_ == TransactionState::kInDoubt) results[i].recovery_token = "tok-1";
      }
      {
        std::lock_guard lock(mutex_);
        executed_.insert(executed_.end(), transactions.begin(), transactions.end());
      }
      done(std::move(results));
    });
  }
  void ReadAccount(LedgerKey key, ReadMode, LogTime, Deadline,
                   absl::AnyInvocable<void(absl::StatusOr<AccountRead>)> done) override {
    Post([key, done = std::move(done)]() mutable {
      AccountRead read;
      read.at = LogTime{1'767'225'600'000'000};
      read.staleness_us = 1500;
      if (key.id == "alice") {
        read.account.emplace();
        read.account->spec.asset = "USD/2";
        read.account->totals.credits_posted = 1050;
        read.account->version = 7;
      }
      done(std::move(read));
    });
  }
  void ReadTransaction(LedgerKey key, std::string token, Deadline,
                       absl::AnyInvocable<void(absl::StatusOr<TransferRead>)> done) override {
    Post([key, token, done = std::move(done)]() mutable {
      if (token == "bad") return done(absl::InvalidArgumentError("token"));
      if (key.id != "pay-1" && token.empty()) return done(absl::NotFoundError("none"));
      TransferRead read;
      read.result.state = token == "taken" ? TransactionState::kConflict : TransactionState::kContended;
      if (key.id == "pay-1") {
        read.transaction = {key.ledger, key.id, {TransferOf("pay-1~0", "a"), TransferOf("pay-1~1", "b")}};
        read.result.state = TransactionState::kCommitted;
        read.result.committed_at = LogTime{1'767'225'600'000'000};
      }
      done(std::move(read));
    });
  }
  void ListAccounts(std::string ledger, std::string prefix, std::string after, size_t limit, ReadMode,
                    Deadline, absl::AnyInvocable<void(absl::StatusOr<AccountPage>)> done) override {
    Post([=, done = std::move(done)]() mutable {
      AccountPage page;
      for (int i = 0; i < 10; ++i) {
        std::string id = absl::StrCat("acct:", i);
        if (!id.starts_with(prefix) || id <= after) continue;
        if (page.accounts.size() == limit) {
          page.has_more = true;
          break;
        }
        page.accounts.push_back({LedgerKey{ledger, id}, Account{}});
      }
      done(std::move(page));
    });
  }
  /// Account "alice" has 10 lines, committed at 1000, 2000, …
  void ReadStatement(StatementRequest request, ReadMode, LogTime, Deadline,
                     absl::AnyInvocable<void(absl::StatusOr<StatementPage>)> done) override {
    Post([request, done = std::move(done)]() mutable {
      if (request.account.id != "alice") return done(absl::NotFoundError("none"));
      StatementPage page;
      page.spec.asset = "USD/2";
      page.closed_until = LogTime{1'767'225'600'000'000};
      for (int i = 1; i <= 10; ++i) {
        int n = request.order == LineOrder::kOldestFirst ? i : 11 - i;
        StatementLine line;
        line.line.key = {LogTime{n * 1000}, absl::StrCat("t", n), 0};
        line.line.amount = 5;
        line.line.side = Side::kCredit;
        line.line.credits_after = static_cast<Amount>(5 * n);
        line.transfer_id = line.line.key.transaction;
        line.counterpart = "bob";
        const LineKey& key = line.line.key;
        if (key.committed_at < request.from || key.committed_at > request.until) continue;
        bool newest_first = request.order == LineOrder::kNewestFirst;
        if (request.after.has_value() && (newest_first ? key >= *request.after : key <= *request.after))
          continue;
        if (page.lines.size() == request.limit) {
          page.has_more = true;
          break;
        }
        page.lines.push_back(std::move(line));
      }
      done(std::move(page));
    });
  }
  /// Shard 1 commits "e1", "e2", … as `Commit` is called; what lies before batch 1 is gone.
  void Commit(size_t n) {
    std::lock_guard lock(mutex_);
    committed_ += n;
  }
  void ReadEvents(EventsRequest request, absl::AnyInvocable<void(absl::StatusOr<EventsPage>)> done) override {
    Post([this, request, done = std::move(done)]() mutable {
      std::unique_lock lock(mutex_);
      EventsPage page;
      page.from = {{LogIndex{1}, 0}, {LogIndex{1}, 0}};
      if (request.start == EventsRequest::Start::kNewest)
        page.from[1].item = static_cast<uint32_t>(committed_);
      if (request.start == EventsRequest::Start::kPositions) page.from = request.from;
      if (page.from[1].batch.value == 0) {
        lock.unlock();
        return done(absl::OutOfRangeError("trimmed"));
      }
      page.next = page.from;
      while (page.next[1].item < committed_ && page.events.size() < request.limit) {
        CommittedEvent event;
        event.shard = ShardId{1};
        event.at = page.next[1];
        std::string id = absl::StrCat("e", ++page.next[1].item);
        event.transaction = {request.ledger, id, {TransferOf(id, "a")}};
        event.committed_at = LogTime{1'767'225'600'000'000};
        page.events.push_back(std::move(event));
      }
      page.has_more = page.next[1].item < committed_;
      lock.unlock();
      done(std::move(page));
    });
  }
  void Report(std::vector<LogIndex> indexes, absl::AnyInvocable<void(NodeReport)> done) override {
    Post([indexes, done = std::move(done)]() mutable {
      NodeReport report;
      report.cluster_id = "c-1";
      report.data_centre = "dc1";
      report.shards.resize(2);
      if (!indexes.empty()) report.shards[0].digests_at = DigestsAtIndex{indexes[0], {}, {}};
      done(std::move(report));
    });
  }
  void ReadCluster(absl::AnyInvocable<void(ClusterReport)> done) override {
    Post([done = std::move(done)]() mutable {
      ClusterReport report;
      report.cluster_id = "c-1";
      report.data_centre = report.node = "dc1";
      report.self = ReplicaId{1};
      report.directory.nodes.push_back(
          NodeEntry{.number = ReplicaId{1}, .name = "dc1", .data_centre = "dc1"});
      report.shards.resize(2);
      done(std::move(report));
    });
  }
  void ChangeCluster(DirectoryCommand command, Deadline,
                     absl::AnyInvocable<void(absl::StatusOr<DirectoryResult>)> done) override {
    Post([command = std::move(command), done = std::move(done)]() mutable {
      Directory directory;
      directory.nodes.push_back(NodeEntry{.number = ReplicaId{1}, .name = "dc1", .data_centre = "dc1"});
      directory.next_number = 2;
      done(ApplyDirectoryCommand(command, 2, directory));
    });
  }
  void Ready(absl::AnyInvocable<void(absl::Status)> done) override {
    Post([this, done = std::move(done)]() mutable { done(ready_); });
  }
  uint32_t shards() const override { return 2; }

 private:
  void Post(absl::AnyInvocable<void()> work) {
    {
      std::lock_guard lock(mutex_);
      ++calls_;
      work_.push_back(std::move(work));
    }
    changed_.notify_all();
  }
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stop_ || (!held_ && !work_.empty()); });
      if (work_.empty() || held_) {
        if (stop_) return;
        continue;
      }
      absl::AnyInvocable<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<absl::AnyInvocable<void()>> work_;
  std::vector<Transaction> executed_;
  size_t calls_ = 0;
  size_t committed_ = 0;
  bool held_ = false;
  bool stop_ = false;
  std::atomic<TransactionState> state_{TransactionState::kCommitted};
  absl::Status ready_;
  std::thread thread_;
};

}  // namespace paxledger
