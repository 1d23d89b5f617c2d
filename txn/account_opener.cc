#include "txn/account_opener.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "txn/placement.h"

namespace paxledger {

namespace {
constexpr int64_t kSubmitAgainUs = 10'000;
}  // namespace

/// One call of Open.
struct AccountOpener::Batch {
  explicit Batch(WakeQueue& wakes) : answered(wakes) {}
  struct Item {
    bool known = false;  // answered from what is applied here
    std::unique_ptr<VoteBoard::OpenWatch> watch;
    bool may_have_proposed = false;
  };
  std::vector<OpenAccountRequest> requests;
  std::vector<OpenAccountResult> results;
  int64_t deadline_us = 0;
  absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done;
  size_t open = 0;
  Wakeup answered;
  std::vector<Item> items;  // after what the watches refer to
};

AccountOpener::AccountOpener(NodeContext& node)
    : node_(node), opened_(node.counter("paxledger_accounts_opened_total")) {}

/// A call whose accounts live in part on other nodes.
struct AccountOpener::Split {
  std::vector<OpenAccountRequest> requests;
  std::vector<OpenAccountResult> results;
  std::vector<uint8_t> unknown;  // a host that did not answer may have opened it
  size_t open = 2;               // the part here, and the part elsewhere
  absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done;

  void End() {
    if (--open == 0) done(std::move(results));
  }
};

void AccountOpener::Open(std::vector<OpenAccountRequest> requests, Deadline deadline,
                         absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) {
  std::vector<size_t> here;
  std::vector<size_t> elsewhere;
  for (size_t i = 0; i < requests.size(); ++i) {
    const LedgerKey& key = requests[i].key;
    bool hosted = node_.Hosts(ShardOfAccount(key.ledger, key.id, node_.shards()));
    (hosted ? here : elsewhere).push_back(i);
  }
  if (elsewhere.empty()) return OpenHere(std::move(requests), deadline, std::move(done));
  auto split = std::make_shared<Split>();
  split->results.resize(requests.size());
  split->unknown.resize(requests.size());
  split->requests = std::move(requests);
  split->done = std::move(done);
  std::vector<OpenAccountRequest> local;
  for (size_t i : here) local.push_back(split->requests[i]);
  ++in_flight_;
  node_.tasks().Spawn(OpenElsewhere(split, std::move(elsewhere), deadline));
  OpenHere(std::move(local), deadline,
           [split, here = std::move(here)](std::vector<OpenAccountResult> results) {
             for (size_t i = 0; i < here.size(); ++i) split->results[here[i]] = std::move(results[i]);
             split->End();
           });
}

Task<void> AccountOpener::OpenElsewhere(std::shared_ptr<Split> split, std::vector<size_t> items,
                                        Deadline deadline) {
  for (uint32_t round = 0; !items.empty() && round < limits::kReplicasMax; ++round) {
    std::map<ReplicaId, std::vector<size_t>> by_host = ByHost(*split, items, round);
    auto done = std::make_shared<Completion<bool>>(*node_.ports().executor);
    auto running = std::make_shared<size_t>(1);
    for (auto& [host, some] : by_host) {
      for (size_t begin = 0; begin < some.size(); begin += limits::kAccountsAskedMax) {
        size_t end = std::min(some.size(), begin + limits::kAccountsAskedMax);
        std::vector<size_t> part(some.begin() + static_cast<std::ptrdiff_t>(begin),
                                 some.begin() + static_cast<std::ptrdiff_t>(end));
        ++*running;
        node_.tasks().Spawn(OpenAt(host, split, std::move(part), deadline, done, running));
      }
    }
    if (--*running == 0) done->Set(true);
    bool ended = co_await *done;
    (void)ended;
    // What failed at one host may go well at the next.
    std::erase_if(items, [&](size_t i) { return split->results[i].failure.ok(); });
    if (by_host.empty() || deadline.Passed(node_.now_us())) break;
  }
  for (size_t i : items) {
    if (split->unknown[i] != 0)
      split->results[i].failure = absl::DeadlineExceededError("whether it was opened is not known");
  }
  --in_flight_;
  split->End();
}

std::map<ReplicaId, std::vector<size_t>> AccountOpener::ByHost(Split& split, const std::vector<size_t>& items,
                                                               uint32_t round) {
  std::map<ShardId, std::vector<size_t>> by_shard;
  for (size_t i : items) {
    const LedgerKey& key = split.requests[i].key;
    by_shard[ShardOfAccount(key.ledger, key.id, node_.shards())].push_back(i);
    split.results[i].failure = absl::UnavailableError("no node that hosts the shard of the account is up");
  }
  std::vector<ShardId> shards;
  for (const auto& [shard, some] : by_shard) shards.push_back(shard);
  std::map<ReplicaId, std::vector<size_t>> by_host;
  for (const auto& [host, some] : node_.remote().ByHost(shards, round)) {
    for (ShardId shard : some) {
      by_host[host].insert(by_host[host].end(), by_shard[shard].begin(), by_shard[shard].end());
    }
  }
  return by_host;
}

Task<void> AccountOpener::OpenAt(ReplicaId host, std::shared_ptr<Split> split, std::vector<size_t> items,
                                 Deadline deadline, std::shared_ptr<Completion<bool>> done,
                                 std::shared_ptr<size_t> running) {
  OpenQuestion question;
  for (size_t i : items) question.requests.push_back(split->requests[i]);
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().AskAt(host, std::move(question), deadline);
  std::vector<OpenAccountResult> results;
  if (answer.ok()) results = std::get<std::vector<OpenAccountResult>>(*std::move(answer));
  absl::Status unanswered =
      answer.ok() ? absl::DeadlineExceededError("the host left some out") : answer.status();
  for (size_t k = 0; k < items.size(); ++k) {
    OpenAccountResult& result = split->results[items[k]];
    if (k < results.size()) {
      result = std::move(results[k]);
    } else {
      result.failure = unanswered;
    }
    if (absl::IsDeadlineExceeded(result.failure)) split->unknown[items[k]] = 1;
  }
  if (--*running == 0) done->Set(true);
}

void AccountOpener::OpenHere(std::vector<OpenAccountRequest> requests, Deadline deadline,
                             absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done) {
  auto batch = std::make_unique<Batch>(node_.wakes());
  batch->requests = std::move(requests);
  batch->results.resize(batch->requests.size());
  batch->items.resize(batch->requests.size());
  batch->deadline_us = std::min(deadline.monotonic_us, node_.now_us() + limits::kRequestTimeoutMaxUs);
  batch->done = std::move(done);
  ++in_flight_;
  node_.tasks().Spawn(Drive(std::move(batch)));
}

Task<void> AccountOpener::Drive(std::unique_ptr<Batch> owned) {
  Batch& batch = *owned;
  // An account that another data centre opened a moment ago is not opened here again: so a call made after
  // that one was answered says that it exists.
  std::vector<ShardId> unknown = AnswerKnown(batch);
  absl::Status barrier = co_await node_.BarrierAll(std::move(unknown), Deadline{batch.deadline_us});
  if (!barrier.ok()) {
    FailUnanswered(batch, absl::UnavailableError("the shards of the accounts could not be read"));
    co_return;
  }
  AnswerKnown(batch);
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    if (batch.items[i].known) continue;
    const OpenAccountRequest& request = batch.requests[i];
    batch.items[i].watch = std::make_unique<VoteBoard::OpenWatch>(node_.board(), request.key, request.spec,
                                                                  batch.open, batch.answered);
  }
  for (uint32_t round = 0; batch.open > 0; ++round) {
    int64_t now_us = node_.now_us();
    if (now_us >= batch.deadline_us) break;
    uint64_t losses = node_.peer_losses();
    bool all_sent = SendOpen(batch, round);
    bool any_sent = std::any_of(batch.items.begin(), batch.items.end(),
                                [](const Batch::Item& item) { return item.may_have_proposed; });
    if (!any_sent) break;
    int64_t patience_us = all_sent ? node_.PatienceMicros() : kSubmitAgainUs;
    int64_t until_us = std::min(batch.deadline_us, now_us + (patience_us << std::min(round, 3u)));
    while (batch.open > 0 && node_.now_us() < until_us && node_.peer_losses() == losses) {
      bool answered = co_await batch.answered.Wait(until_us);
      (void)answered;
    }
  }
  Answer(batch);
}

void AccountOpener::FailUnanswered(Batch& batch, const absl::Status& failure) {
  for (size_t i = 0; i < batch.items.size(); ++i) {
    if (!batch.items[i].known) batch.results[i].failure = failure;
  }
  --in_flight_;
  batch.done(std::move(batch.results));
}

void AccountOpener::Answer(Batch& batch) {
  for (size_t i = 0; i < batch.items.size(); ++i) {
    const Batch::Item& item = batch.items[i];
    OpenAccountResult& result = batch.results[i];
    if (item.watch == nullptr) continue;
    if (!item.watch->status().has_value()) {
      if (item.may_have_proposed)
        result.failure = absl::DeadlineExceededError("whether it was opened is not known");
      if (result.failure.ok()) result.failure = absl::UnavailableError("nothing was proposed in time");
      continue;
    }
    result.failure = absl::OkStatus();
    result.status = *item.watch->status();
    if (result.status == OpenStatus::kOpened) opened_.Add();
    const OpenAccountRequest& request = batch.requests[i];
    ShardId shard = ShardOfAccount(request.key.ledger, request.key.id, node_.shards());
    const Account* account = node_.Hosts(shard) ? node_.machine(shard).FindAccount(request.key) : nullptr;
    if (account != nullptr) result.account = *account;
  }
  --in_flight_;
  batch.done(std::move(batch.results));
}

std::vector<ShardId> AccountOpener::AnswerKnown(Batch& batch) {
  std::vector<ShardId> unknown;
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    if (batch.items[i].known) continue;
    batch.items[i].known = AnswerHere(batch.requests[i], &batch.results[i]);
    if (batch.items[i].known) continue;
    const LedgerKey& key = batch.requests[i].key;
    unknown.push_back(ShardOfAccount(key.ledger, key.id, node_.shards()));
  }
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  return unknown;
}

bool AccountOpener::AnswerHere(const OpenAccountRequest& request, OpenAccountResult* result) {
  // An account exists for ever: no entry is needed to say so.
  ShardId shard = ShardOfAccount(request.key.ledger, request.key.id, node_.shards());
  if (!node_.Hosts(shard)) return false;
  const Account* account = node_.machine(shard).FindAccount(request.key);
  if (account == nullptr) return false;
  result->status = account->spec == request.spec ? OpenStatus::kExists : OpenStatus::kExistsWithOtherFields;
  result->account = *account;
  return true;
}

bool AccountOpener::SendOpen(Batch& batch, uint32_t round) {
  bool all_sent = true;
  for (size_t i = 0; i < batch.items.size(); ++i) {
    Batch::Item& item = batch.items[i];
    if (item.watch == nullptr || item.watch->status().has_value()) continue;
    const OpenAccountRequest& request = batch.requests[i];
    ShardId shard = ShardOfAccount(request.key.ledger, request.key.id, node_.shards());
    std::string encoded = EncodeTxnCommand(OpenAccountCommand{request.key, request.spec});
    absl::Status submitted = node_.Submit(shard, encoded, Urgency::kNow, round);
    if (submitted.ok()) {
      item.may_have_proposed = true;
    } else {
      all_sent = false;
      batch.results[i].failure = submitted;
    }
  }
  return all_sent;
}

}  // namespace paxledger
