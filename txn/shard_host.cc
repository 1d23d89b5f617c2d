#include "txn/shard_host.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "base/mark.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

absl::Status NotHosted() { return absl::AbortedError("the shard is not hosted here"); }

}  // namespace

ShardHost::ShardHost(NodeContext& node, AccountOpener& opener, Reader& reader,
                     TransactionReader& transaction_reader, StatementReader& statement_reader,
                     EventReader& event_reader)
    : node_(node),
      opener_(opener),
      reader_(reader),
      transaction_reader_(transaction_reader),
      statement_reader_(statement_reader),
      event_reader_(event_reader),
      questions_(node.counter("paxledger_host_questions_total")),
      refused_(node.counter("paxledger_host_refused_total")),
      watches_(node.ports().metrics->gauge("paxledger_host_watches")) {}

// --- watches --------------------------------------------------------------------------------------------------------

void ShardHost::Refuse(ReplicaId from, uint64_t watch) {
  refused_.Add();
  node_.mail().Send(from, ToldVote{watch, ToldVote::Why::kRefused, std::nullopt, LogTime{}});
}

void ShardHost::OnWatch(ReplicaId from, WatchTry watch) {
  bool fits = watch.shard.value < node_.shards() && node_.Hosts(watch.shard);
  WatchName name{from, watch.watch};
  if (!fits || names_.contains(name) || watches_of_[from] >= limits::kVoteWatchesPerPeerMax)
    return Refuse(from, watch.watch);
  ++watches_of_[from];
  names_.emplace(name, watch.of.digest);
  watches_.Set(static_cast<int64_t>(names_.size()));
  TimerId timer = node_.timers().Set(node_.now_us() + limits::kVoteWatchUs, [this, name] { Forget(name); });
  watchers_[watch.of.digest].push_back({from, watch.watch, watch.shard, timer});
  std::optional<Vote> vote = node_.machine(watch.shard).FindVote(watch.of);
  node_.mail().Send(from, ToldVote{watch.watch, ToldVote::Why::kAsked, std::move(vote), LogTime{}});
}

void ShardHost::OnEndWatch(ReplicaId from, EndWatch end) { Forget({from, end.watch}); }

void ShardHost::Forget(WatchName name) {
  auto named = names_.find(name);
  if (named == names_.end()) return;
  auto of = watchers_.find(named->second);
  names_.erase(named);
  watches_.Set(static_cast<int64_t>(names_.size()));
  --watches_of_[name.first];
  std::erase_if(of->second, [&](const Watcher& watcher) {
    if (watcher.gateway != name.first || watcher.watch != name.second) return false;
    node_.timers().Cancel(watcher.timer);
    return true;
  });
  if (of->second.empty()) watchers_.erase(of);
}

void ShardHost::OnVote(ShardId shard, const Vote& vote, LogTime clock_before) {
  if (watchers_.empty()) return;
  auto it = watchers_.find(vote.of.digest);
  if (it == watchers_.end()) return;
  for (const Watcher& watcher : it->second) {
    if (watcher.shard != shard) continue;
    node_.mail().Send(watcher.gateway, ToldVote{watcher.watch, ToldVote::Why::kApplied, vote, clock_before});
  }
}

// --- questions ------------------------------------------------------------------------------------------------------

absl::Status ShardHost::Suits(const QuestionBody& body) const {
  auto account = [this](const LedgerKey& key) {
    return node_.Hosts(ShardOfAccount(key.ledger, key.id, node_.shards()));
  };
  auto shard = [this](ShardId s) { return s.value < node_.shards() && node_.Hosts(s); };
  struct Judge {
    decltype(account)& of_account;
    decltype(shard)& of_shard;
    uint32_t shards;
    const NodeContext& node;
    bool operator()(const VotesQuestion& q) const { return of_shard(q.shard); }
    bool operator()(const AssetsQuestion& q) const {
      return std::all_of(q.accounts.begin(), q.accounts.end(), of_account) && of_shard(q.shard);
    }
    bool operator()(const OpenQuestion& q) const {
      return std::all_of(q.requests.begin(), q.requests.end(),
                         [this](const OpenAccountRequest& request) { return of_account(request.key); });
    }
    bool operator()(const AccountQuestion& q) const { return of_account(q.key); }
    bool operator()(const TransactionQuestion& q) const {
      return node.Hosts(ShardOfTransaction(q.key.ledger, q.key.id, shards));
    }
    bool operator()(const ListQuestion& q) const {
      return std::all_of(q.shards.begin(), q.shards.end(), of_shard);
    }
    bool operator()(const StatementQuestion& q) const { return of_account(q.request.account); }
    bool operator()(const OutboxQuestion& q) const { return of_shard(q.shard); }
  };
  bool suits = std::visit(Judge{account, shard, node_.shards(), node_}, body);
  return suits ? absl::OkStatus() : NotHosted();
}

void ShardHost::OnQuestion(ReplicaId from, Question question) {
  questions_.Add();
  absl::Status taken = Suits(question.body);
  if (stopped_) taken = absl::UnavailableError("the node is stopping");
  if (running_ >= limits::kPeerQuestionsMax)
    taken = absl::ResourceExhaustedError("the node answers too many questions of other nodes already");
  if (!taken.ok()) {
    refused_.Add();
    return node_.mail().Send(from, Answer{question.call, std::move(taken)});
  }
  ++running_;
  node_.tasks().Spawn(Serve(from, std::move(question)));
}

Task<void> ShardHost::Serve(ReplicaId from, Question question) {
  Deadline deadline{node_.now_us() + question.within_us};
  Task<absl::StatusOr<AnswerBody>> reply =
      std::visit([this, deadline](auto& body) { return Reply(std::move(body), deadline); }, question.body);
  absl::StatusOr<AnswerBody> answer = co_await std::move(reply);
  --running_;
  node_.mail().Send(from, Answer{question.call, std::move(answer)});
}

VotesAnswer ShardHost::VotesNow(const VotesQuestion& question) {
  VotesAnswer answer;
  for (const Try& of : question.tries) answer.votes.push_back(node_.machine(question.shard).FindVote(of));
  return answer;
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(VotesQuestion question, Deadline deadline) {
  if (question.freshness == Freshness::kBarrier) {
    absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(question.shard, deadline);
    if (!barrier.ok()) co_return barrier.status();
  }
  if (!node_.Hosts(question.shard)) co_return NotHosted();
  VotesAnswer votes = VotesNow(question);
  bool all_known = std::all_of(votes.votes.begin(), votes.votes.end(),
                               [](const std::optional<Vote>& vote) { return vote.has_value(); });
  // Rule 10: a vote that is missing while the clock stands there will be later than `raise_to`.
  if (all_known || node_.machine(question.shard).clock() >= question.raise_to) co_return votes;
  absl::Status raised = co_await node_.RaiseClock(question.shard, question.raise_to, deadline);
  if (!raised.ok()) co_return raised;
  if (!node_.Hosts(question.shard)) co_return NotHosted();
  co_return VotesNow(question);
}

AssetsAnswer ShardHost::AssetsNow(const AssetsQuestion& question) {
  AssetsAnswer answer;
  for (const LedgerKey& key : question.accounts) {
    const std::string* asset = AssetOf(node_, key);
    answer.assets.push_back(asset == nullptr ? std::string() : *asset);
  }
  return answer;
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(AssetsQuestion question, Deadline deadline) {
  AssetsAnswer assets = AssetsNow(question);
  bool all_known = std::none_of(assets.assets.begin(), assets.assets.end(),
                                [](const std::string& asset) { return asset.empty(); });
  if (all_known || question.freshness == Freshness::kApplied) co_return assets;
  absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(question.shard, deadline);
  if (!barrier.ok()) co_return barrier.status();
  co_return AssetsNow(question);
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(OpenQuestion question, Deadline deadline) {
  Completion<std::vector<OpenAccountResult>> done(*node_.ports().executor);
  opener_.Open(std::move(question.requests), deadline,
               [done](std::vector<OpenAccountResult> results) { done.Set(std::move(results)); });
  std::vector<OpenAccountResult> results = co_await done;
  co_return AnswerBody(std::move(results));
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(AccountQuestion question, Deadline deadline) {
  absl::StatusOr<AccountRead> read =
      co_await reader_.ReadAccount(std::move(question.key), question.mode, question.after, deadline);
  if (!read.ok()) co_return read.status();
  co_return AnswerBody(*std::move(read));
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(TransactionQuestion question, Deadline deadline) {
  absl::StatusOr<TransferRead> read = co_await transaction_reader_.Read(
      std::move(question.key), std::move(question.recovery_token), deadline);
  if (!read.ok()) co_return read.status();
  co_return AnswerBody(*std::move(read));
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(ListQuestion question, Deadline deadline) {
  absl::StatusOr<AccountPage> page = co_await reader_.ListHere(std::move(question), deadline);
  if (!page.ok()) co_return page.status();
  co_return AnswerBody(*std::move(page));
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(StatementQuestion question, Deadline deadline) {
  absl::StatusOr<StatementPage> page =
      co_await statement_reader_.Read(std::move(question.request), question.mode, question.after, deadline);
  if (!page.ok()) co_return page.status();
  co_return AnswerBody(*std::move(page));
}

Task<absl::StatusOr<AnswerBody>> ShardHost::Reply(OutboxQuestion question, Deadline) {
  absl::StatusOr<OutboxPage> page = co_await event_reader_.ReadHere(std::move(question));
  if (!page.ok()) co_return page.status();
  co_return AnswerBody(*std::move(page));
}

}  // namespace paxledger
