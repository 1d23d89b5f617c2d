#include "txn/remote_shards.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/mark.h"
#include "txn/node_context.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

constexpr int64_t kHearMinUs = 10'000;
constexpr int64_t kHearMaxUs = 250'000;
constexpr int64_t kHedgeMinUs = 100'000;
constexpr int64_t kHedgeMaxUs = 2'000'000;
constexpr uint32_t kHedgeDoublingsMax = 3;
constexpr int64_t kAlonePatienceUs = 2'000'000;
constexpr int64_t kDoubtUs = 1'000'000;

void Average(int64_t sample_us, int64_t* average_us) {
  *average_us += (std::min<int64_t>(sample_us, kHedgeMaxUs) - *average_us) / 8;
}

/// The failure says something of the host that was asked, and not of the question.
bool IsOfHost(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status);
}

}  // namespace

/// One question on its way, to one host after the other.
struct RemoteShards::Inquiry {
  Inquiry(RemoteShards& owner, WakeQueue& wakes, QuestionBody question, Deadline until)
      : shards(owner), wakeup(wakes), body(std::move(question)), deadline(until) {}
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;
  ~Inquiry() {
    for (const Sent& sent : open) shards.calls_.erase(sent.call);
  }

  struct Sent {
    uint64_t call;
    ReplicaId host;
    int64_t at_us;
  };
  RemoteShards& shards;
  Wakeup wakeup;
  QuestionBody body;
  Deadline deadline;
  std::vector<Sent> open;
  std::optional<absl::StatusOr<AnswerBody>> answer;
  absl::Status failure = absl::UnavailableError("no node that hosts the shard is up");
  bool refused = false;  // `failure` is what a host said
};

/// Questions that run beside each other.
struct RemoteShards::Joined {
  explicit Joined(Executor& executor) : done(executor) {}
  std::vector<Tally*> tallies;  // parallel to `tries`
  std::vector<Try> tries;
  Freshness freshness = Freshness::kBarrier;
  LogTime raise_to;
  Deadline deadline;
  size_t running = 0;
  absl::Status status;
  Completion<bool> done;

  void End(const absl::Status& ended) {
    if (!ended.ok()) status = ended;
    if (--running == 0) done.Set(true);
  }
};

RemoteShards::RemoteShards(NodeContext& node)
    : node_(node),
      next_id_(node.ports().random->Next()),
      questions_(node.counter("paxledger_remote_questions_total")),
      asked_again_(node.counter("paxledger_remote_questions_asked_again_total")) {}

bool RemoteShards::Hosts(ShardId shard) const { return node_.Hosts(shard); }

std::vector<ReplicaId> RemoteShards::HostsOf(ShardId shard) const {
  std::vector<ReplicaId> hosts = node_.replica().HostsOf(shard);
  std::erase_if(hosts, [this](ReplicaId host) { return !node_.ports().transport->IsUp(host); });
  if (doubted_until_us_.empty()) return hosts;
  int64_t now_us = node_.now_us();
  auto doubted = [&](ReplicaId host) {
    auto it = doubted_until_us_.find(host);
    return it != doubted_until_us_.end() && it->second > now_us;
  };
  std::vector<ReplicaId> last = hosts;
  std::erase_if(hosts, doubted);
  std::erase_if(last, [&](ReplicaId host) { return !doubted(host); });
  hosts.insert(hosts.end(), last.begin(), last.end());
  return hosts;
}

std::map<ReplicaId, std::vector<ShardId>> RemoteShards::ByHost(const std::vector<ShardId>& shards,
                                                               uint32_t round) const {
  std::map<ReplicaId, std::vector<ShardId>> by_host;
  for (ShardId shard : shards) {
    std::vector<ReplicaId> hosts = HostsOf(shard);
    if (!hosts.empty()) by_host[hosts[round % hosts.size()]].push_back(shard);
  }
  return by_host;
}

void RemoteShards::Doubt(ReplicaId host) { doubted_until_us_[host] = node_.now_us() + kDoubtUs; }

// --- watches --------------------------------------------------------------------------------------------------------

uint64_t RemoteShards::Watch(VoteBoard::TallyWatch& watch, ShardId shard, uint32_t round) {
  uint64_t id = next_id_++;
  Watched& watched = watches_[id];
  watched.watch = &watch;
  watched.shard = shard;
  watched.turn = round;
  watched.asked_at_us = node_.now_us();
  SendWatch(id, watched);
  return id;
}

void RemoteShards::SendWatch(uint64_t id, Watched& watched) {
  std::vector<ReplicaId> hosts = HostsOf(watched.shard);
  if (hosts.empty()) return;
  watched.host = hosts[watched.turn % hosts.size()];
  node_.mail().Send(watched.host, WatchTry{id, watched.shard, watched.watch->tally().of()});
}

void RemoteShards::EndWatch(uint64_t id) {
  auto it = watches_.find(id);
  if (it == watches_.end()) return;
  if (it->second.host != ReplicaId{}) node_.mail().Send(it->second.host, paxledger::EndWatch{id});
  watches_.erase(it);
}

void RemoteShards::DoubtUnheard(uint64_t id) {
  auto it = watches_.find(id);
  if (it == watches_.end() || it->second.next != VoteBoard::TallyWatch::Hearing::kFirst) return;
  Mark("txn.host_kept_waiting");
  Doubt(it->second.host);
}

void RemoteShards::OnTold(ReplicaId from, const ToldVote& told) {
  auto it = watches_.find(told.watch);
  if (it == watches_.end() || it->second.host != from) return;
  Watched& watched = it->second;
  if (told.why == ToldVote::Why::kRefused) {
    // The others are asked once each; after them whoever waits asks again in a while.
    if (++watched.refusals >= limits::kReplicasMax) return;
    ++watched.turn;
    return SendWatch(told.watch, watched);
  }
  VoteBoard::TallyWatch::Hearing hearing =
      std::exchange(watched.next, VoteBoard::TallyWatch::Hearing::kLater);
  if (hearing == VoteBoard::TallyWatch::Hearing::kFirst)
    Average(node_.now_us() - watched.asked_at_us, &heard_us_);
  watched.watch->Hear(watched.shard, told.vote, told.clock_before, hearing);
}

int64_t RemoteShards::PatienceMicros() const { return std::clamp(4 * heard_us_, kHearMinUs, kHearMaxUs); }

// --- questions ------------------------------------------------------------------------------------------------------

int64_t RemoteShards::HedgeMicros() const { return std::clamp(4 * answered_us_, kHedgeMinUs, kHedgeMaxUs); }

void RemoteShards::SendQuestion(Inquiry& inquiry, ReplicaId host) {
  int64_t now_us = node_.now_us();
  uint64_t call = next_id_++;
  calls_.emplace(call, &inquiry);
  inquiry.open.push_back({call, host, now_us});
  questions_.Add();
  int64_t within_us =
      std::clamp<int64_t>(inquiry.deadline.monotonic_us - now_us, 0, limits::kRequestTimeoutMaxUs);
  node_.mail().Send(host, Question{call, within_us, inquiry.body});
}

void RemoteShards::CloseLost(Inquiry& inquiry) {
  std::erase_if(inquiry.open, [&](const Inquiry::Sent& sent) {
    if (node_.ports().transport->IsUp(sent.host)) return false;
    calls_.erase(sent.call);
    inquiry.failure = absl::UnavailableError("the node that was asked was lost");
    return true;
  });
}

void RemoteShards::OnAnswer(ReplicaId from, Answer answer) {
  auto it = calls_.find(answer.call);
  if (it == calls_.end()) return;
  Inquiry& inquiry = *it->second;
  auto sent = std::find_if(inquiry.open.begin(), inquiry.open.end(),
                           [&](const Inquiry::Sent& s) { return s.call == answer.call; });
  if (sent == inquiry.open.end() || sent->host != from) return;
  Average(node_.now_us() - sent->at_us, &answered_us_);
  inquiry.open.erase(sent);
  calls_.erase(it);
  bool fits = !answer.body.ok() || answer.body->index() == inquiry.body.index();
  if (!fits) answer.body = absl::AbortedError("the answer is of another kind than the question");
  if (!answer.body.ok() && IsOfHost(answer.body.status())) {
    inquiry.failure = answer.body.status();
    inquiry.refused = true;
  } else if (!inquiry.answer.has_value()) {
    inquiry.answer = std::move(answer.body);
  }
  inquiry.wakeup.Set();
}

Task<void> RemoteShards::AwaitAnswer(Inquiry& inquiry, int64_t patience_us) {
  int64_t until_us = std::min(inquiry.deadline.monotonic_us, node_.now_us() + patience_us);
  uint64_t losses = node_.peer_losses();
  size_t open = inquiry.open.size();
  while (!inquiry.answer.has_value() && inquiry.open.size() == open && node_.peer_losses() == losses &&
         node_.now_us() < until_us) {
    bool answered = co_await inquiry.wakeup.Wait(until_us);
    (void)answered;
  }
  CloseLost(inquiry);
}

Task<absl::StatusOr<AnswerBody>> RemoteShards::Ask(ShardId shard, QuestionBody question, Deadline deadline) {
  Inquiry inquiry(*this, node_.wakes(), std::move(question), deadline);
  std::vector<ReplicaId> asked;
  uint32_t rounds = 0;
  while (!deadline.Passed(node_.now_us())) {
    std::vector<ReplicaId> hosts = HostsOf(shard);
    auto next = std::find_if(hosts.begin(), hosts.end(), [&](ReplicaId host) {
      return std::find(asked.begin(), asked.end(), host) == asked.end();
    });
    if (next != hosts.end()) {
      if (!asked.empty()) asked_again_.Add();
      asked.push_back(*next);
      SendQuestion(inquiry, *next);
    } else if (inquiry.open.empty()) {
      co_return inquiry.failure;
    } else {
      // All were asked: what was said may have been lost.
      asked.clear();
      rounds = std::min(rounds + 1, kHedgeDoublingsMax);
    }
    co_await AwaitAnswer(inquiry, HedgeMicros() << rounds);
    if (inquiry.answer.has_value()) co_return *std::move(inquiry.answer);
  }
  co_return absl::DeadlineExceededError("no node that hosts the shard answered in time");
}

Task<absl::StatusOr<AnswerBody>> RemoteShards::AskAt(ReplicaId host, QuestionBody question,
                                                     Deadline deadline) {
  Inquiry inquiry(*this, node_.wakes(), std::move(question), deadline);
  SendQuestion(inquiry, host);
  int64_t give_up_us = node_.now_us() + std::max(kAlonePatienceUs, HedgeMicros());
  while (!inquiry.open.empty() && node_.now_us() < std::min(give_up_us, deadline.monotonic_us)) {
    co_await AwaitAnswer(inquiry, give_up_us - node_.now_us());
  }
  if (inquiry.answer.has_value()) co_return *std::move(inquiry.answer);
  if (inquiry.refused) co_return inquiry.failure;
  co_return absl::DeadlineExceededError("the node that hosts the shard was lost, or did not answer in time");
}

// --- votes and assets -----------------------------------------------------------------------------------------------

Task<void> RemoteShards::AskVotesOf(ShardId shard, std::shared_ptr<Joined> asked, std::vector<size_t> which) {
  VotesQuestion question{shard, {}, asked->freshness, asked->raise_to};
  for (size_t i : which) question.tries.push_back(asked->tries[i]);
  absl::StatusOr<AnswerBody> answer = co_await Ask(shard, std::move(question), asked->deadline);
  if (!answer.ok()) {
    asked->End(answer.status());
    co_return;
  }
  const std::vector<std::optional<Vote>>& votes = std::get<VotesAnswer>(*answer).votes;
  for (size_t i = 0; i < std::min(which.size(), votes.size()); ++i) {
    if (votes[i].has_value()) asked->tallies[which[i]]->See(shard, *votes[i]);
  }
  bool whole = votes.size() == which.size();
  asked->End(whole ? absl::OkStatus() : absl::UnavailableError("a host left votes out"));
}

Task<absl::Status> RemoteShards::LearnVotes(std::vector<Tally*> tallies, std::vector<ShardId> shards,
                                            Freshness freshness, LogTime raise_to, Deadline deadline) {
  if (shards.empty()) co_return absl::OkStatus();
  auto asked = std::make_shared<Joined>(*node_.ports().executor);
  asked->freshness = freshness;
  asked->raise_to = raise_to;
  asked->deadline = deadline;
  asked->running = 1;
  for (const Tally* tally : tallies) asked->tries.push_back(tally->of());
  asked->tallies = std::move(tallies);
  for (ShardId shard : shards) {
    std::vector<size_t> which;
    for (size_t i = 0; i < asked->tallies.size(); ++i) {
      if (!asked->tallies[i]->IsMissing(shard)) continue;
      which.push_back(i);
      if (which.size() < limits::kTriesAskedMax) continue;
      ++asked->running;
      node_.tasks().Spawn(AskVotesOf(shard, asked, std::exchange(which, {})));
    }
    if (which.empty()) continue;
    ++asked->running;
    node_.tasks().Spawn(AskVotesOf(shard, asked, std::move(which)));
  }
  asked->End(absl::OkStatus());
  bool done = co_await asked->done;
  (void)done;
  co_return asked->status;
}

const std::string* RemoteShards::FindAsset(const LedgerKey& account) const {
  auto it = assets_.find(account);
  return it == assets_.end() ? nullptr : &it->second;
}

Task<void> RemoteShards::AskAssetsOf(AssetsQuestion question, Deadline deadline,
                                     std::shared_ptr<Joined> asked) {
  std::vector<LedgerKey> accounts = question.accounts;
  ShardId shard = question.shard;
  absl::StatusOr<AnswerBody> answer = co_await Ask(shard, std::move(question), deadline);
  if (answer.ok()) {
    std::vector<std::string>& assets = std::get<AssetsAnswer>(*answer).assets;
    for (size_t i = 0; i < std::min(accounts.size(), assets.size()); ++i) {
      if (assets[i].empty()) continue;
      if (assets_.size() >= limits::kAssetsKnownMax) assets_.clear();
      assets_[std::move(accounts[i])] = std::move(assets[i]);
    }
  }
  asked->End(answer.status());
}

Task<void> RemoteShards::LearnAssets(std::vector<LedgerKey> accounts, Freshness freshness,
                                     Deadline deadline) {
  std::map<ShardId, std::vector<LedgerKey>> by_shard;
  for (LedgerKey& account : accounts)
    by_shard[ShardOfAccount(account.ledger, account.id, node_.shards())].push_back(std::move(account));
  auto asked = std::make_shared<Joined>(*node_.ports().executor);
  asked->running = 1 + by_shard.size();
  for (auto& [shard, keys] : by_shard)
    node_.tasks().Spawn(AskAssetsOf({shard, std::move(keys), freshness}, deadline, asked));
  asked->End(absl::OkStatus());
  bool done = co_await asked->done;
  (void)done;
}

}  // namespace paxledger
