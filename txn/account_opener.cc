#include "txn/account_opener.h"

#include <algorithm>
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

void AccountOpener::Open(std::vector<OpenAccountRequest> requests, Deadline deadline,
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
    const Account* account = node_.machine(shard).FindAccount(request.key);
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
