#include "txn/event_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "txn/body_reader.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr size_t kReadAheadMin = 4;
constexpr size_t kReadAheadMax = 64;
constexpr size_t kEventsPerTurn = 16;
// How often outboxes on other nodes are looked at while somebody waits.
constexpr int64_t kRemoteLookUs = 200'000;

size_t RoughBytes(const Transaction& transaction) {
  size_t bytes = 256;
  for (const Transfer& transfer : transaction.transfers) bytes += 512 + transfer.metadata.size();
  return bytes;
}

QueuePosition Behind(QueuePosition at) { return {at.batch, at.item + 1}; }

}  // namespace

bool EventReader::AnythingHereAfter(const std::vector<QueuePosition>& positions) {
  for (ShardId shard : node_.HostedShards()) {
    if (positions[shard.value] < node_.machine(shard).outbox().tail()) return true;
  }
  return false;
}

Task<absl::StatusOr<EventsPage>> EventReader::Read(EventsRequest request) {
  bool positions = request.start == EventsRequest::Start::kPositions;
  if (positions && request.from.size() != node_.shards())
    co_return absl::InvalidArgumentError("there must be a position for each shard");
  Wakeup wakeup(node_.wakes());
  VoteBoard::EntryWatch watch(node_.board(), wakeup);
  while (true) {
    absl::StatusOr<EventsPage> page = co_await Merge(request);
    if (!page.ok() || !page->events.empty() || request.wait.Passed(node_.now_us())) co_return page;
    // What was there is of other ledgers.
    request.start = EventsRequest::Start::kPositions;
    request.from = page->next;
    bool all_here = node_.HostedShards().size() == node_.shards();
    int64_t until_us = request.wait.monotonic_us;
    if (!all_here) until_us = std::min(until_us, node_.now_us() + kRemoteLookUs);
    while (!AnythingHereAfter(request.from) && node_.now_us() < until_us) {
      bool applied = co_await wakeup.Wait(until_us);
      (void)applied;
    }
  }
}

Task<absl::StatusOr<OutboxPage>> EventReader::ReadHere(OutboxQuestion question) {
  const ShardId shard = question.shard;
  if (!node_.Hosts(shard)) co_return absl::UnavailableError("the shard moved to another node meanwhile");
  const Outbox& outbox = node_.machine(shard).outbox();
  OutboxPage page;
  page.from = question.from;
  if (question.start == EventsRequest::Start::kOldest) page.from = outbox.head();
  if (question.start == EventsRequest::Start::kNewest) page.from = outbox.tail();
  page.next = page.from;
  // Another data centre may have been ahead of this one.
  if (page.from >= outbox.tail()) co_return page;
  absl::StatusOr<std::vector<OutboxEvent>> events = outbox.Read(page.from, question.limit);
  if (!events.ok()) co_return events.status();
  page.has_more = events->size() == question.limit;
  BodyReader bodies(node_, shard);
  const Deadline deadline{node_.now_us() + limits::kRequestTimeoutDefaultUs};
  size_t bytes = 0;
  for (const OutboxEvent& event : *events) {
    if (bytes >= limits::kEventsPageBytesMax) {
      page.has_more = true;
      break;
    }
    page.next = Behind(event.at);
    if (event.ledger != question.ledger) continue;
    absl::StatusOr<const TransactionView*> body = bodies.Read(event.body_at, event.command);
    if (absl::IsUnavailable(body.status()) || absl::IsDataLoss(body.status())) {
      absl::Status fetched = co_await bodies.Fetch(event.body_at, deadline);
      if (!fetched.ok()) co_return fetched;
      body = bodies.Read(event.body_at, event.command);
    }
    if (!body.ok()) co_return body.status();
    CommittedEvent& told = page.events.emplace_back();
    told.shard = shard;
    told.at = event.at;
    told.transaction = (*body)->Own();
    told.committed_at = event.committed_at;
    bytes += RoughBytes(told.transaction);
    if (page.events.size() % kEventsPerTurn == 0) co_await LetOthersRun(*node_.ports().executor);
  }
  co_return page;
}

Task<absl::StatusOr<OutboxPage>> EventReader::ReadShard(OutboxQuestion question) {
  if (node_.Hosts(question.shard)) {
    absl::StatusOr<OutboxPage> page = co_await ReadHere(std::move(question));
    co_return page;
  }
  Deadline deadline{node_.now_us() + limits::kRequestTimeoutDefaultUs};
  ShardId shard = question.shard;
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().Ask(shard, std::move(question), deadline);
  if (!answer.ok()) co_return answer.status();
  OutboxPage page = std::get<OutboxPage>(*std::move(answer));
  for (CommittedEvent& event : page.events) event.shard = shard;
  co_return page;
}

Task<absl::Status> EventReader::Refill(const EventsRequest* request, Ahead* ahead, EventsPage* page) {
  bool first = ahead->next.batch == LogIndex{0};
  while (ahead->empty() && !ahead->over) {
    size_t even_part = 2 * request->limit / node_.shards();
    OutboxQuestion question;
    question.shard = ahead->shard;
    question.ledger = request->ledger;
    question.start = first ? request->start : EventsRequest::Start::kPositions;
    bool given = first && request->start == EventsRequest::Start::kPositions;
    question.from = given ? request->from[ahead->shard.value] : ahead->next;
    question.limit = static_cast<uint32_t>(std::clamp(even_part, kReadAheadMin, kReadAheadMax));
    absl::StatusOr<OutboxPage> read = co_await ReadShard(std::move(question));
    if (!read.ok()) co_return read.status();
    if (first) {
      page->from[ahead->shard.value] = read->from;
      page->next[ahead->shard.value] = read->from;
    }
    first = false;
    ahead->events = std::move(read->events);
    ahead->taken = 0;
    ahead->next = read->next;
    ahead->over = !read->has_more;
    // What was of other ledgers is behind us.
    if (ahead->empty()) page->next[ahead->shard.value] = ahead->next;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<EventsPage>> EventReader::Merge(EventsRequest request) {
  EventsPage page;
  page.from.resize(node_.shards());
  page.next.resize(node_.shards());
  std::vector<Ahead> shards(node_.shards());
  for (uint32_t shard = 0; shard < node_.shards(); ++shard) shards[shard].shard = ShardId{shard};
  size_t bytes = 0;
  while (true) {
    Ahead* earliest = nullptr;
    for (Ahead& ahead : shards) {
      absl::Status refilled = co_await Refill(&request, &ahead, &page);
      if (!refilled.ok()) co_return refilled;
      if (ahead.empty()) continue;
      bool first = earliest == nullptr ||
                   ahead.events[ahead.taken].committed_at < earliest->events[earliest->taken].committed_at;
      if (first) earliest = &ahead;
    }
    if (earliest == nullptr) break;
    page.has_more = page.events.size() == request.limit || bytes >= limits::kEventsPageBytesMax;
    if (page.has_more) break;
    CommittedEvent& event = earliest->events[earliest->taken++];
    page.next[earliest->shard.value] = Behind(event.at);
    bytes += RoughBytes(event.transaction);
    page.events.push_back(std::move(event));
  }
  co_await Complete(&page.events);
  co_return page;
}

Task<void> EventReader::Complete(std::vector<CommittedEvent>* events) {
  std::vector<LedgerKey> unknown;
  for (const CommittedEvent& event : *events) {
    for (LedgerKey& key : UnknownAssets(node_, event.transaction)) unknown.push_back(std::move(key));
  }
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  Deadline deadline{node_.now_us() + limits::kRequestTimeoutDefaultUs};
  while (!unknown.empty()) {
    // As many as one question may name.
    size_t left = unknown.size() - std::min(unknown.size(), limits::kTransfersPerTransactionMax);
    auto some = unknown.begin() + static_cast<std::ptrdiff_t>(left);
    std::vector<LedgerKey> asked(std::make_move_iterator(some), std::make_move_iterator(unknown.end()));
    unknown.erase(some, unknown.end());
    co_await node_.remote().LearnAssets(std::move(asked), Freshness::kApplied, deadline);
  }
  for (CommittedEvent& event : *events) {
    event.participants = Participants(event.transaction, node_.shards());
    std::vector<std::string> assets = UnnamedAssets(node_, event.transaction);
    for (size_t i = 0; i < assets.size(); ++i) {
      if (event.transaction.transfers[i].asset.empty()) event.transaction.transfers[i].asset = assets[i];
    }
  }
}

}  // namespace paxledger
