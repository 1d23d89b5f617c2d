#include "txn/coordinator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"
#include "txn/placement.h"
#include "txn/recovery_token.h"

namespace paxledger {

namespace {

constexpr int64_t kSubmitAgainUs = 10'000;  // after a full queue or a lost majority
constexpr int64_t kSubmitAgainMaxUs = 80'000;
constexpr int64_t kAssetBarrierUs = 2'000'000;
constexpr uint32_t kFinishRoundsMax = 4;        // after them recovery does it
constexpr int64_t kFinishPatienceUs = 500'000;  // a lazy Finish may wait for company
constexpr uint32_t kBackoffDoublingsMax = 6;
constexpr int64_t kBackoffMinUs = 2'000;

std::string_view StateName(TransactionState state) {
  switch (state) {
    case TransactionState::kCommitted:
      return "committed";
    case TransactionState::kRefused:
      return "refused";
    case TransactionState::kConflict:
      return "conflict";
    case TransactionState::kInDoubt:
      return "in_doubt";
    case TransactionState::kContended:
      return "contended";
    case TransactionState::kUnavailable:
      return "unavailable";
    case TransactionState::kOverloaded:
      return "overloaded";
  }
  return "";
}

TransactionResult NothingHappened(TransactionState state) {
  TransactionResult result;
  result.state = state;
  return result;
}

TransactionState StateOf(const absl::Status& not_submitted) {
  return not_submitted.code() == absl::StatusCode::kResourceExhausted ? TransactionState::kOverloaded
                                                                      : TransactionState::kUnavailable;
}

}  // namespace

/// One call of Execute.
struct Coordinator::Batch {
  std::vector<TransactionResult> results;
  std::vector<uint8_t> answered;
  size_t open = 0;
  absl::AnyInvocable<void(std::vector<TransactionResult>)> done;

  /// The first answer to an item counts.
  void Answer(size_t item, TransactionResult result) {
    if (answered[item] != 0) return;
    answered[item] = 1;
    results[item] = std::move(result);
    if (--open == 0) done(std::move(results));
  }
};

struct Coordinator::Caller {
  std::shared_ptr<Batch> batch;
  size_t item;
};

/// One transaction on its way.
struct Coordinator::Run {
  Run(NodeContext& node, Try of, std::vector<ShardId> participants)
      : watch(node.board(), node.wakes(), std::move(of), std::move(participants)) {}
  Tally& tally() { return watch.tally(); }
  bool open() { return tally().standing() == Tally::Standing::kOpen; }
  bool alone() { return tally().participants().size() == 1; }
  TransactionResult InDoubt() {
    TransactionResult unknown;
    unknown.state = TransactionState::kInDoubt;
    unknown.shards = tally().participants();
    unknown.recovery_token = EncodeRecoveryToken({tally().of(), tally().participants(), wall_deadline_us});
    return unknown;
  }

  VoteBoard::TallyWatch watch;
  Transaction body;
  std::vector<std::string> assets;
  LogTime after;
  int64_t deadline_us = 0;  // monotonic
  int64_t wall_deadline_us = 0;
  int64_t began_us = 0;
  Caller first;
  std::vector<Caller> joined;
  bool answered = false;
  TransactionResult result;  // once answered
  // Something was handed to an acceptor whose outcome is not known: "nothing happened" may not be said (rule
  // 17).
  bool may_have_proposed = false;
  absl::Status not_submitted;   // of the last Submit that failed
  std::vector<ShardId> unsent;  // participants whose last Submit failed
  bool known_before = false;    // the outcome was applied here when the call came
  uint32_t aborts = 0;
};

Coordinator::Coordinator(NodeContext& node, Settler& settler)
    : node_(node),
      settler_(settler),
      attempts_(node.counter("paxledger_transaction_attempts_total")),
      resubmissions_(node.counter("paxledger_transaction_resubmissions_total")),
      blocked_(node.counter("paxledger_transaction_blocked_total")),
      latency_(node.ports().metrics->latency("paxledger_transaction_latency")) {
  for (uint8_t i = 0; i < 7; ++i) {
    std::string_view name = StateName(static_cast<TransactionState>(i));
    outcomes_[i] =
        &node.counter(absl::StrCat("paxledger_transactions_total{outcome=\"", ToAbsl(name), "\"}"));
  }
}

void Coordinator::Execute(std::vector<Transaction> transactions, LogTime after, Deadline deadline,
                          absl::AnyInvocable<void(std::vector<TransactionResult>)> done) {
  if (transactions.empty()) return done({});
  auto batch = std::make_shared<Batch>();
  batch->results.resize(transactions.size());
  batch->answered.resize(transactions.size());
  batch->open = transactions.size();
  batch->done = std::move(done);
  for (size_t item = 0; item < transactions.size(); ++item) {
    Start(batch, item, std::move(transactions[item]), after, deadline);
  }
}

void Coordinator::Start(const std::shared_ptr<Batch>& batch, size_t item, Transaction body, LogTime after,
                        Deadline deadline) {
  Digest digest = TransactionDigest(body);
  auto it = running_.find(digest);
  if (it != running_.end()) return Join(*it->second, batch, item, deadline);
  int64_t now_us = node_.now_us();
  if (in_flight_ >= limits::kTransactionsInFlightMax) {
    return batch->Answer(item, NothingHappened(TransactionState::kOverloaded));
  }
  if (deadline.Passed(now_us)) return batch->Answer(item, NothingHappened(TransactionState::kUnavailable));

  Try of{LedgerKey{body.ledger, body.id}, digest, 1};
  auto run = std::make_unique<Run>(node_, std::move(of), Participants(body, node_.shards()));
  run->body = std::move(body);
  run->after = after;
  run->began_us = now_us;
  run->deadline_us = std::min(deadline.monotonic_us, now_us + limits::kRequestTimeoutMaxUs);
  run->wall_deadline_us = node_.WallOf(run->deadline_us);
  run->first = Caller{batch, item};
  running_.emplace(digest, run.get());
  ++in_flight_;
  node_.tasks().Spawn(Drive(std::move(run)));
}

void Coordinator::Join(Run& run, const std::shared_ptr<Batch>& batch, size_t item, Deadline deadline) {
  if (run.answered) {
    TransactionResult result = run.result;
    result.replayed = true;
    return batch->Answer(item, std::move(result));
  }
  run.joined.push_back(Caller{batch, item});
  if (deadline.monotonic_us >= run.deadline_us) return;
  node_.timers().Set(deadline.monotonic_us, [batch, item, in_doubt = run.InDoubt()]() mutable {
    batch->Answer(item, std::move(in_doubt));
  });
}

Task<void> Coordinator::Drive(std::unique_ptr<Run> owned) {
  Run& run = *owned;
  AskHere(run, Whom::kSame);
  if (run.watch.asks_hosts()) {
    co_await HearHosts(run);
  }
  run.known_before = run.tally().was_told() && run.tally().decision().kind != DecisionKind::kAborted;
  if (run.may_have_proposed && BoundElsewhere(run)) {
    // Rule 1: for ever, so nothing is proposed, and no shard keeps a record of yet another body. What another
    // gateway proposed of this one cannot commit, and is finished by it or by recovery.
    TransactionResult conflict = NothingHappened(TransactionState::kConflict);
    conflict.shards = run.tally().participants();
    Answer(run, std::move(conflict));
    Leave(run);
    --in_flight_;
    co_return;
  }
  if (run.open() && !run.alone()) {
    co_await FillAssets(run);
  }
  for (;;) {
    Collected collected = co_await Collect(run);
    if (collected == Collected::kNothingProposed) {
      TransactionResult nothing = NothingHappened(StateOf(run.not_submitted));
      nothing.reason = ToStd(run.not_submitted.message());
      Answer(run, std::move(nothing));
      Leave(run);
      --in_flight_;
      co_return;
    }
    if (collected == Collected::kTimedOut) {
      AnswerInDoubt(run);
      Leave(run);
      co_await Linger(run);
      --in_flight_;
      co_return;
    }
    Tally& tally = run.tally();
    if (tally.standing() == Tally::Standing::kSuperseded) {
      // Rule 3: a later attempt runs; the same Prepare joins it.
      Mark("txn.joined_later_attempt");
      tally.Restart(tally.superseded_by());
      AskHere(run, Whom::kSame);
      continue;
    }
    if (tally.decision().kind != DecisionKind::kAborted) break;
    run.may_have_proposed = false;  // all votes of this attempt are known, and it is aborted
    bool again = co_await GiveWay(run);
    if (!again) {
      if (run.alone()) SendFinish(run, Urgency::kLazy, 0);
      Answer(run, NothingHappened(TransactionState::kContended));
      Leave(run);
      --in_flight_;
      co_return;
    }
    // Only after all votes of an attempt were known may the next begin (rule 2).
    tally.Restart(tally.decided_try().attempt + 1);
    AskHere(run, Whom::kSame);
  }
  if (run.watch.asks_hosts()) {
    co_await LearnAssets(run, Freshness::kApplied);
  }
  AnswerDecided(run);
  co_await FinishEverywhere(run);
  Leave(run);
  --in_flight_;
}

void Coordinator::AskHere(Run& run, Whom whom) {
  // What is recorded, as applied here, needs no entry to be told again.
  AskMachines(node_, run.tally());
  run.watch.AskHosts(whom);
  NoteOthers(run);
}

void Coordinator::NoteOthers(Run& run) {
  Tally& tally = run.tally();
  // Rule 17: somebody proposed this attempt, and it may commit whether or not it is proposed from here.
  if (!run.open() || tally.Missing().size() < tally.participants().size()) run.may_have_proposed = true;
}

Task<void> Coordinator::HearHosts(Run& run) {
  // So that a replay is answered as one, and a taken id as that, without an entry. It is a hop within the data centre;
  // where it takes longer, the votes will say the same.
  int64_t until_us = std::min(run.deadline_us, node_.now_us() + node_.remote().PatienceMicros());
  while (run.watch.unheard() > 0 && node_.now_us() < until_us) {
    bool heard = co_await run.watch.wakeup().Wait(until_us);
    (void)heard;
  }
  run.watch.DoubtUnheard();
  NoteOthers(run);
}

bool Coordinator::BoundElsewhere(Run& run) {
  ShardId home = ShardOfTransaction(run.body.ledger, run.body.id, node_.shards());
  return run.tally().IsConflictAt(home);
}

Task<Coordinator::Collected> Coordinator::Collect(Run& run) {
  attempts_.Add();
  uint32_t tries =
      0;  // that were given their time: a lost peer is no reason for more patience with the others
  for (uint32_t round = 0; run.open(); ++round) {
    int64_t now_us = node_.now_us();
    if (now_us >= run.deadline_us) {
      bool unknown = run.may_have_proposed && !Bug("txn.unknown_called_nothing");
      co_return unknown ? Collected::kTimedOut : Collected::kNothingProposed;
    }
    uint64_t losses = node_.peer_losses();
    if (round > 0) {
      resubmissions_.Add();
      AskHere(run, Whom::kOthers);
    }
    if (round > 0 && Bug("txn.next_attempt_on_timeout")) run.tally().Restart(run.tally().of().attempt + 1);
    Send(run, run.tally().Missing(), tries);
    if (!run.may_have_proposed) co_return Collected::kNothingProposed;
    int64_t patience_us = node_.PatienceMicros() << std::min(tries, 3u);
    patience_us += static_cast<int64_t>(node_.ports().random->Below(static_cast<uint64_t>(patience_us) / 4));
    int64_t until_us = std::min(run.deadline_us, now_us + patience_us);
    int64_t again_us = kSubmitAgainUs;
    int64_t again_at_us = now_us + again_us;
    while (run.open() && node_.now_us() < until_us && node_.peer_losses() == losses) {
      int64_t wake_us = run.unsent.empty() ? until_us : std::min(until_us, again_at_us);
      bool changed = co_await run.watch.wakeup().Wait(wake_us);
      (void)changed;
      if (run.unsent.empty() || !run.open() || node_.now_us() < again_at_us) continue;
      // Only where nothing was handed over: the others have all the patience that they need.
      Send(run, std::exchange(run.unsent, {}), tries);
      again_us = std::min(2 * again_us, kSubmitAgainMaxUs);
      again_at_us = node_.now_us() + again_us;
    }
    if (node_.peer_losses() == losses) ++tries;
  }
  co_return Collected::kSettled;
}

void Coordinator::Send(Run& run, const std::vector<ShardId>& shards, uint32_t tries) {
  Tally& tally = run.tally();
  std::string encoded;
  if (run.alone()) {
    TxnCommand command = ExecuteCommand{tally.of(), std::move(run.body), run.after};
    encoded = EncodeTxnCommand(command);
    run.body = std::move(std::get<ExecuteCommand>(command).body);
  } else {
    TxnCommand command = PrepareCommand{tally.of(),          tally.participants(),  run.wall_deadline_us,
                                        std::move(run.body), std::move(run.assets), run.after};
    encoded = EncodeTxnCommand(command);
    run.body = std::move(std::get<PrepareCommand>(command).body);
    run.assets = std::move(std::get<PrepareCommand>(command).assets);
  }
  run.unsent.clear();
  for (ShardId shard : shards) {
    absl::Status submitted = node_.Submit(shard, encoded, Urgency::kNow, tries);
    if (submitted.ok()) {
      run.may_have_proposed = true;
    } else {
      run.not_submitted = submitted;
      run.unsent.push_back(shard);
      // Where nothing was handed over yet, nothing is: the client may be told so.
      if (!run.may_have_proposed) return;
    }
  }
}

std::vector<ShardId> Coordinator::ReadAssets(Run& run) {
  std::vector<ShardId> unknown;
  const std::vector<Transfer>& transfers = run.body.transfers;
  for (size_t i = 0; i < transfers.size(); ++i) {
    if (!transfers[i].asset.empty()) continue;
    run.assets.resize(transfers.size());
    if (!run.assets[i].empty()) continue;
    LedgerKey key{run.body.ledger, transfers[i].debit_account};
    ShardId shard = ShardOfAccount(key.ledger, key.id, node_.shards());
    const std::string* asset = AssetOf(node_, key);
    if (asset != nullptr) {
      run.assets[i] = *asset;
    } else if (std::find(unknown.begin(), unknown.end(), shard) == unknown.end()) {
      unknown.push_back(shard);
    }
  }
  return unknown;
}

Task<void> Coordinator::FillAssets(Run& run) {
  std::vector<ShardId> unknown = ReadAssets(run);
  if (unknown.empty()) co_return;
  if (run.watch.asks_hosts()) {
    co_await LearnAssets(run, Freshness::kBarrier);
    unknown = ReadAssets(run);
    std::erase_if(unknown, [this](ShardId shard) { return !node_.Hosts(shard); });
  }
  // The account may have been opened in another data centre a moment ago. If it exists nowhere, its shard
  // refuses.
  Deadline soon{std::min(run.deadline_us, node_.now_us() + kAssetBarrierUs)};
  absl::Status read = co_await node_.BarrierAll(unknown, soon);
  if (read.ok()) ReadAssets(run);
}

Task<void> Coordinator::LearnAssets(Run& run, Freshness freshness) {
  std::vector<LedgerKey> unknown = UnknownAssets(node_, run.body);
  if (unknown.empty()) co_return;
  Deadline soon{std::min(run.deadline_us, node_.now_us() + kAssetBarrierUs)};
  co_await node_.remote().LearnAssets(std::move(unknown), freshness, soon);
}

Task<bool> Coordinator::GiveWay(Run& run) {
  // Rule 7: nobody waits while holding.
  blocked_.Add();
  if (!run.alone()) SendFinish(run, Urgency::kNow, 0);  // an Execute that was blocked holds nothing
  co_await settler_.SettleAll(run.tally().Blockers(), run.deadline_us);
  int64_t bound_us = std::max(absl::ToInt64Microseconds(node_.replica().TypicalCommit()), kBackoffMinUs)
                     << std::min(run.aborts, kBackoffDoublingsMax);
  ++run.aborts;
  int64_t backoff_us = 1 + static_cast<int64_t>(node_.ports().random->Below(static_cast<uint64_t>(bound_us)));
  if (node_.now_us() + backoff_us >= run.deadline_us) co_return false;
  co_await SleepFor(*node_.ports().executor, absl::Microseconds(backoff_us));
  // An account whose asset was not known may have been opened meanwhile.
  if (!run.alone()) {
    co_await FillAssets(run);
  }
  co_return true;
}

void Coordinator::SendFinish(Run& run, Urgency urgency, uint32_t round) {
  Tally& tally = run.tally();
  std::vector<ShardId> unfinished = tally.Unfinished();
  if (unfinished.empty()) return;
  std::string encoded = EncodeTxnCommand(FinishCommand{tally.decided_try(), tally.decision()});
  for (ShardId shard : unfinished) {
    absl::Status submitted = node_.Submit(shard, encoded, urgency, round);
    (void)submitted;  // sent again below, or by recovery
  }
}

Task<void> Coordinator::FinishEverywhere(Run& run) {
  Tally& tally = run.tally();
  if (tally.was_told()) AskMachines(node_, tally);  // of a replay all are finished, as a rule
  SendFinish(run, Urgency::kLazy, 0);
  for (uint32_t round = 0; !tally.finished_everywhere() && round < kFinishRoundsMax; ++round) {
    uint64_t losses = node_.peer_losses();
    if (round > 0) {
      AskHere(run, Whom::kOthers);
      SendFinish(run, Urgency::kNow, round);
    }
    int64_t until_us = node_.now_us() + ((kFinishPatienceUs + node_.PatienceMicros()) << round);
    while (!tally.finished_everywhere() && node_.now_us() < until_us && node_.peer_losses() == losses) {
      bool changed = co_await run.watch.wakeup().Wait(until_us);
      (void)changed;
    }
  }
}

Task<void> Coordinator::Linger(Run& run) {
  // The caller was told that the outcome is unknown; should it become known before recovery begins, finish it
  // here.
  int64_t until_us = run.deadline_us + limits::kRecoveryGraceUs;
  uint64_t losses = node_.peer_losses();
  while (run.open() && node_.now_us() < until_us) {
    bool changed = co_await run.watch.wakeup().Wait(until_us);
    (void)changed;
    if (std::exchange(losses, node_.peer_losses()) != node_.peer_losses()) AskHere(run, Whom::kOthers);
  }
  if (!run.open()) {
    co_await FinishEverywhere(run);
  }
}

void Coordinator::Answer(Run& run, TransactionResult result) {
  run.answered = true;
  outcomes_[static_cast<size_t>(result.state)]->Add();
  latency_.Record(node_.now_us() - run.began_us);
  run.result = result;
  Caller first = std::exchange(run.first, Caller{});
  first.batch->Answer(first.item, std::move(result));
  for (Caller& caller : std::exchange(run.joined, {})) {
    TransactionResult again = run.result;
    again.replayed = true;
    caller.batch->Answer(caller.item, std::move(again));
  }
}

void Coordinator::AnswerDecided(Run& run) {
  const Decision& decision = run.tally().decision();
  TransactionResult result;
  switch (decision.kind) {
    case DecisionKind::kCommitted:
      result.state = TransactionState::kCommitted;
      break;
    case DecisionKind::kRefused:
      result.state = TransactionState::kRefused;
      break;
    case DecisionKind::kConflict:
      result.state = TransactionState::kConflict;
      break;
    case DecisionKind::kAborted:
      result.state = TransactionState::kContended;
      break;
  }
  result.refusal = decision.refusal;
  result.transfer = decision.transfer;
  result.committed_at = decision.committed_at;
  result.shards = run.tally().participants();
  result.assets = UnnamedAssets(node_, run.body);
  result.replayed = run.known_before || run.watch.replayed();
  Answer(run, std::move(result));
}

void Coordinator::AnswerInDoubt(Run& run) { Answer(run, run.InDoubt()); }

void Coordinator::Leave(Run& run) { running_.erase(run.tally().of().digest); }

}  // namespace paxledger
