#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/unit/txn_shell_cluster.h"
#include "txn/placement.h"
#include "txn/recovery_token.h"

namespace paxledger {
namespace {

const std::string kAlice = AccountOn(ShardId{0});
const std::string kBob = AccountOn(ShardId{1});
const std::string kCarol = AccountOn(ShardId{2});
const std::string kDave = AccountOn(ShardId{0}, 1);
const std::string kMissing = AccountOn(ShardId{3}, 5);

std::string TokenOf(const Transaction& body, uint32_t attempt, int64_t deadline_us) {
  return EncodeRecoveryToken({TryOf(body, attempt), Participants(body, ShellCluster::kShards), deadline_us});
}

std::optional<Vote> VoteAt(ShellCluster& cluster, ShardId shard, const Try& of) {
  return cluster.MachineOf(shard).FindVote(of);
}

/// With several nodes in each data centre a node hosts some shards, and is a gateway to all.
class TxnShell : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(NodesPerDataCentre, TxnShell, testing::Values(1u, 2u));

TEST_P(TxnShell, CommitsAcrossShardsAndIsReadFromEveryDataCentre) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  TransactionResult result = cluster.Pay(1, "pay-1", kAlice, kBob, 300);
  EXPECT_EQ(result.state, TransactionState::kCommitted);
  EXPECT_FALSE(result.replayed);
  EXPECT_GE(result.shards.size(), 2u);
  for (uint32_t via = 1; via <= 3; ++via) {
    EXPECT_EQ(cluster.Balance(via, kAlice), 700) << via;
    EXPECT_EQ(cluster.Balance(via, kBob), 300) << via;
  }
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

TEST_P(TxnShell, CommitsOnOneShardWithOneEntry) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kDave, 0);
  TransactionResult result = cluster.Pay(2, IdAt(ShardId{0}, "pay"), kAlice, kDave, 300);
  EXPECT_EQ(result.state, TransactionState::kCommitted);
  EXPECT_FALSE(result.replayed);
  EXPECT_EQ(result.shards, std::vector<ShardId>{ShardId{0}});
  EXPECT_EQ(cluster.Balance(3, kDave), 300);
}

TEST_P(TxnShell, RefusesWithTheRuleThatIsBroken) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Fund(kDave, 0);
  TransactionResult across = cluster.Pay(1, "pay-1", kAlice, kBob, 101);
  EXPECT_EQ(across.state, TransactionState::kRefused);
  EXPECT_EQ(across.refusal, Outcome::kInsufficientFunds);
  TransactionResult within = cluster.Pay(1, IdAt(ShardId{0}, "pay-2"), kAlice, kDave, 101);
  EXPECT_EQ(within.state, TransactionState::kRefused);
  EXPECT_EQ(within.refusal, Outcome::kInsufficientFunds);
  EXPECT_FALSE(within.replayed);
  EXPECT_EQ(cluster.Pay(1, "pay-3", kAlice, kMissing, 1).refusal, Outcome::kCreditAccountNotFound);
  EXPECT_EQ(cluster.Pay(1, "pay-4", kMissing, kAlice, 1).refusal, Outcome::kDebitAccountNotFound);
  cluster.Open("euros", LimitRule::kNone, "EUR/2");
  EXPECT_EQ(cluster.Pay(1, "pay-5", kAlice, "euros", 1).refusal, Outcome::kAssetMismatch);
  EXPECT_EQ(cluster.Balance(2, kAlice), 100);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

TEST_P(TxnShell, ReplaysTheOutcomeFromAnotherDataCentre) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Fund(kDave, 0);
  std::string within = IdAt(ShardId{0}, "within");
  TransactionResult first = cluster.Pay(1, "pay-1", kAlice, kBob, 300);
  TransactionResult single = cluster.Pay(1, within, kAlice, kDave, 50);
  cluster.Pay(1, "too-much", kAlice, kBob, 5000);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  for (uint32_t via = 1; via <= 3; ++via) {
    TransactionResult again = cluster.Pay(via, "pay-1", kAlice, kBob, 300);
    EXPECT_EQ(again.state, TransactionState::kCommitted);
    EXPECT_TRUE(again.replayed) << via;
    EXPECT_EQ(again.committed_at, first.committed_at);
    TransactionResult single_again = cluster.Pay(via, within, kAlice, kDave, 50);
    EXPECT_TRUE(single_again.replayed) << via;
    EXPECT_EQ(single_again.committed_at, single.committed_at);
    TransactionResult refused = cluster.Pay(via, "too-much", kAlice, kBob, 5000);
    EXPECT_EQ(refused.state, TransactionState::kRefused);
    EXPECT_EQ(refused.refusal, Outcome::kInsufficientFunds);
  }
  EXPECT_EQ(cluster.Balance(2, kBob), 300);
}

TEST_P(TxnShell, AnotherBodyUnderTheIdIsAConflict) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  EXPECT_EQ(cluster.Pay(1, "pay-1", kAlice, kBob, 300).state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.Pay(2, "pay-1", kAlice, kBob, 301).state, TransactionState::kConflict);
  EXPECT_EQ(cluster.Pay(3, "pay-1", kAlice, kCarol, 300).state, TransactionState::kConflict);
  EXPECT_EQ(cluster.Pay(3, "pay-1", kAlice, kBob, 300).state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.Balance(1, kAlice), 700);
  EXPECT_EQ(cluster.Balance(1, kCarol), 0);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

TEST_P(TxnShell, TwoBodiesAtOnceUnderOneIdHaveOneEffect) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  std::vector<TransactionResult> results =
      cluster.Execute(1, {Payment("pay-1", kAlice, kBob, 300), Payment("pay-1", kAlice, kCarol, 300)});
  std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.state < b.state; });
  EXPECT_EQ(results[0].state, TransactionState::kCommitted);
  EXPECT_EQ(results[1].state, TransactionState::kConflict);
  EXPECT_EQ(cluster.Balance(2, kAlice), 700);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
}

TEST_P(TxnShell, DuplicatesInOneBatchHaveOneEffect) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  std::vector<TransactionResult> results =
      cluster.Execute(1, {Payment("pay-1", kAlice, kBob, 300), Payment("pay-1", kAlice, kBob, 300),
                          Payment("pay-1", kAlice, kBob, 300)});
  for (const TransactionResult& result : results) EXPECT_EQ(result.state, TransactionState::kCommitted);
  EXPECT_FALSE(results[0].replayed);
  EXPECT_TRUE(results[1].replayed);
  EXPECT_EQ(cluster.Balance(2, kBob), 300);
}

// Design §4: a client that was just paid can pay on at once, though the credit is not finished yet.
TEST_P(TxnShell, WhoWasJustPaidCanPayOn) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(cluster.Pay(1, absl::StrCat("to-bob-", i), kAlice, kBob, 100).state,
              TransactionState::kCommitted);
    ASSERT_EQ(cluster.Pay(2, absl::StrCat("to-carol-", i), kBob, kCarol, 100).state,
              TransactionState::kCommitted);
    ASSERT_EQ(cluster.Pay(3, absl::StrCat("to-alice-", i), kCarol, kAlice, 100).state,
              TransactionState::kCommitted);
  }
  EXPECT_EQ(cluster.Balance(1, kAlice), 100);
}

// Design §4: a client whose transfer was just refused has its money back at once.
TEST_P(TxnShell, WhoWasJustRefusedHasTheMoneyBack) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  ASSERT_EQ(cluster.Pay(1, "lost", kAlice, kMissing, 100).state, TransactionState::kRefused);
  EXPECT_EQ(cluster.Pay(2, "found", kAlice, kBob, 100).state, TransactionState::kCommitted);
}

TEST_P(TxnShell, ADebitBlockedByOneThatIsRefusedCommits) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  std::vector<TransactionResult> results =
      cluster.Execute(1, {Payment("lost", kAlice, kMissing, 100), Payment("found", kAlice, kBob, 100)});
  EXPECT_EQ(results[0].state, TransactionState::kRefused);
  EXPECT_EQ(results[0].refusal, Outcome::kCreditAccountNotFound);
  EXPECT_EQ(results[1].state, TransactionState::kCommitted);
  EXPECT_GE(cluster.Metric(1, "paxledger_transaction_blocked_total"), 1u);
}

TEST_P(TxnShell, OfTwoThatWantTheSameMoneyOneIsTrulyRefused) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  std::vector<TransactionResult> results =
      cluster.Execute(2, {Payment("one", kAlice, kBob, 100), Payment("two", kAlice, kCarol, 100)});
  std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.state < b.state; });
  EXPECT_EQ(results[0].state, TransactionState::kCommitted);
  EXPECT_EQ(results[1].state, TransactionState::kRefused);
  EXPECT_EQ(results[1].refusal, Outcome::kInsufficientFunds);
  EXPECT_EQ(cluster.Balance(1, kAlice), 0);
}

TEST_P(TxnShell, AHotAccountNearItsLimitPaysExactlyWhatItHas) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 50);
  cluster.Fund(kBob, 0);
  std::vector<Transaction> payments;
  for (int i = 0; i < 120; ++i) payments.push_back(Payment(absl::StrCat("hot-", i), kAlice, kBob, 1));
  std::vector<TransactionResult> results = cluster.Execute(1, payments, absl::Seconds(20));
  auto count = [&](TransactionState state) {
    return std::count_if(results.begin(), results.end(), [&](const auto& r) { return r.state == state; });
  };
  EXPECT_EQ(count(TransactionState::kCommitted), 50);
  EXPECT_EQ(count(TransactionState::kRefused), 70);
  EXPECT_EQ(cluster.Balance(2, kAlice), 0);
  EXPECT_EQ(cluster.Balance(3, kBob), 50);
}

TEST_P(TxnShell, TwoGatewaysWithTheSameTransfersHaveOneEffect) {
  uint64_t joined = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    ShellCluster cluster(seed, GetParam());
    cluster.Fund(kAlice, 30);
    cluster.Fund(kBob, 0);
    std::vector<Transaction> payments;
    for (int i = 0; i < 60; ++i) payments.push_back(Payment(absl::StrCat("both-", i), kAlice, kBob, 1));
    std::map<uint32_t, std::vector<TransactionResult>> results;
    for (uint32_t via = 1; via <= 3; ++via) {
      cluster.node(via).Execute(
          payments, LogTime{}, cluster.In(via, absl::Seconds(20)),
          [&results, via](std::vector<TransactionResult> r) { results[via] = std::move(r); });
      // So that some come to an attempt that is under way.
      cluster.RunFor(absl::Milliseconds(3 * (seed - 1)));
    }
    ASSERT_TRUE(cluster.RunUntil([&] { return results.size() == 3; }));
    int committed = 0;
    for (size_t i = 0; i < payments.size(); ++i) {
      EXPECT_EQ(results[1][i].state, results[2][i].state) << i;
      EXPECT_EQ(results[1][i].state, results[3][i].state) << i;
      EXPECT_EQ(results[1][i].committed_at, results[2][i].committed_at) << i;
      committed += results[1][i].state == TransactionState::kCommitted ? 1 : 0;
    }
    EXPECT_EQ(committed, 30);
    EXPECT_EQ(cluster.Balance(1, kBob), 30);
    EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
    joined += cluster.Hits("txn.joined_later_attempt");
  }
  EXPECT_GT(joined, 0u);
}

TEST_P(TxnShell, ManyTransfersConserveMoney) {
  ShellCluster cluster(1, GetParam());
  constexpr int kAccounts = 20;
  constexpr int64_t kEach = 200;
  std::vector<std::string> accounts;
  for (int i = 0; i < kAccounts; ++i) accounts.push_back(absl::StrCat("many-", i));
  for (const std::string& account : accounts) cluster.Fund(account, kEach);
  Random random(7);
  std::vector<Transaction> payments;
  for (int i = 0; i < 1000; ++i) {
    size_t from = random.Below(kAccounts);
    size_t to = (from + 1 + random.Below(kAccounts - 1)) % kAccounts;
    payments.push_back(Payment(absl::StrCat("m-", i), accounts[from], accounts[to], 1 + random.Below(60)));
  }
  std::vector<TransactionResult> results = cluster.Execute(3, payments, absl::Seconds(30));
  std::map<std::string, int64_t> expected;
  for (const std::string& account : accounts) expected[account] = kEach;
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].state == TransactionState::kCommitted ||
                results[i].state == TransactionState::kRefused)
        << i;
    if (results[i].state != TransactionState::kCommitted) continue;
    const Transfer& transfer = payments[i].transfers.front();
    expected[transfer.debit_account] -= static_cast<int64_t>(transfer.amount);
    expected[transfer.credit_account] += static_cast<int64_t>(transfer.amount);
  }
  for (const std::string& account : accounts)
    EXPECT_EQ(cluster.Balance(1, account), expected[account]) << account;
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
}

TEST_P(TxnShell, SeveralTransfersCommitAsAWhole) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Fund(kCarol, 0);
  Transaction whole = Payment("whole", kAlice, kBob, 100);
  whole.transfers.push_back(Payment("whole~1", kBob, kCarol, 60).transfers.front());
  EXPECT_EQ(cluster.Execute(1, {whole}).front().state, TransactionState::kCommitted);
  Transaction half = Payment("half", kBob, kAlice, 40);
  half.transfers.push_back(Payment("half~1", kBob, kCarol, 1).transfers.front());
  TransactionResult refused = cluster.Execute(2, {half}).front();
  EXPECT_EQ(refused.state, TransactionState::kRefused);
  EXPECT_EQ(refused.transfer, 1u);
  EXPECT_EQ(cluster.Balance(3, kBob), 40);
  EXPECT_EQ(cluster.Balance(3, kCarol), 60);
}

TEST_P(TxnShell, WhenAGatewayDiesAnotherDataCentreSettles) {
  uint64_t begun = 0;
  uint64_t resolved = 0;
  for (int64_t after_us = 500; after_us <= 8000; after_us += 500) {
    ShellCluster cluster(static_cast<uint64_t>(after_us), GetParam());
    cluster.Fund(kAlice, 100);
    cluster.Fund(kBob, 0);
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
    cluster.node(1).Execute({Payment("orphan", kAlice, kBob, 100)}, LogTime{},
                            cluster.In(1, absl::Seconds(1)), [](std::vector<TransactionResult>) {});
    cluster.RunFor(absl::Microseconds(after_us));
    cluster.Kill(1);
    cluster.RunFor(absl::Seconds(8));
    EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10))) << after_us;
    int64_t alice = cluster.Balance(2, kAlice);
    int64_t bob = cluster.Balance(3, kBob);
    EXPECT_EQ(alice + bob, 100) << after_us;
    TransactionResult again = cluster.Pay(3, "orphan", kAlice, kBob, 100);
    EXPECT_EQ(again.state, TransactionState::kCommitted) << after_us;
    EXPECT_EQ(again.replayed, bob == 100) << after_us;
    EXPECT_EQ(cluster.Balance(2, kBob), 100) << after_us;
    begun += cluster.Hits("txn.recovery_begun");
    resolved += cluster.Hits("txn.resolve_written");
  }
  EXPECT_GT(begun, 0u);
  EXPECT_GT(resolved, 0u);
}

TEST_P(TxnShell, ARestartedNodeCatchesUpAndServes) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Kill(2);
  EXPECT_EQ(cluster.Pay(1, "while-away", kAlice, kBob, 40).state, TransactionState::kCommitted);
  cluster.StartNode(2);
  cluster.RunFor(absl::Seconds(2));
  EXPECT_EQ(cluster.Balance(2, kBob), 40);
  EXPECT_TRUE(cluster.Pay(2, "while-away", kAlice, kBob, 40).replayed);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
}

TEST_P(TxnShell, ARecoveryTokenLeadsToAnOutcomeThoughNoShardSawTheTransfer) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  cluster.Isolate(1);
  Transaction body = Payment("lost", kAlice, kBob, 100);
  body.transfers.front().asset = "USD/2";
  TransactionResult unknown = cluster.Execute(1, {body}, absl::Milliseconds(300)).front();
  ASSERT_EQ(unknown.state, TransactionState::kInDoubt);
  ASSERT_FALSE(unknown.recovery_token.empty());
  cluster.Kill(1);

  absl::StatusOr<TransferRead> early = cluster.ReadTransaction(2, "lost", unknown.recovery_token);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_EQ(early->result.state, TransactionState::kInDoubt);
  EXPECT_EQ(early->result.recovery_token, unknown.recovery_token);
  EXPECT_EQ(cluster.ReadTransaction(2, "lost").status().code(), absl::StatusCode::kNotFound);
  cluster.RunFor(absl::Seconds(3));
  absl::StatusOr<TransferRead> late = cluster.ReadTransaction(2, "lost", unknown.recovery_token);
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ(late->result.state, TransactionState::kContended) << "aborted: nothing happened";
  EXPECT_EQ(cluster.Hits("txn.resolve_by_token"), 1u);
  // An abort for want of infrastructure does not burn the id.
  EXPECT_EQ(cluster.Execute(3, {body}).front().state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.ReadTransaction(2, "lost", unknown.recovery_token)->result.state,
            TransactionState::kCommitted);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
}

TEST_P(TxnShell, ARecoveryTokenOfAnotherTransactionIsRefused) {
  ShellCluster cluster(1, GetParam());
  EXPECT_EQ(cluster.ReadTransaction(1, "x", "nonsense").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(TxnShell, AForgedRecoveryTokenIsRefused) {
  ShellCluster cluster(1, GetParam());
  Transaction body = Payment(IdAt(ShardId{0}, "forged"), kAlice, kBob, 100);
  auto read = [&](RecoveryToken token) {
    return cluster.ReadTransaction(1, body.id, EncodeRecoveryToken(token)).status().code();
  };
  EXPECT_EQ(read({TryOf(body, 1), {ShardId{1}, ShardId{0}}, 0}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(read({TryOf(body, 1), {ShardId{1}, ShardId{2}}, 0}), absl::StatusCode::kInvalidArgument)
      << "the home always takes part";
  EXPECT_EQ(read({TryOf(body, 1), {ShardId{0}, ShardId{9}}, 0}), absl::StatusCode::kInvalidArgument);
}

// Rule 3: whoever begins attempt 2 claims that attempt 1 aborted.
TEST_P(TxnShell, ARecoveryTokenCannotSkipAnAttempt) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Transaction body = Payment(IdAt(ShardId{2}, "skip"), kAlice, kBob, 100);
  EXPECT_EQ(cluster.ReadTransaction(1, body.id, TokenOf(body, 2, 0)).status().code(),
            absl::StatusCode::kInvalidArgument);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 3'000'000;
  HandTo(cluster, {ShardId{0}, ShardId{1}, ShardId{2}}, PrepareOf(body, 1, deadline_us));
  EXPECT_EQ(VoteAt(cluster, ShardId{0}, TryOf(body, 1))->kind, VoteKind::kPrepared);
  EXPECT_EQ(cluster.ReadTransaction(1, body.id, TokenOf(body, 3, 0)).status().code(),
            absl::StatusCode::kInvalidArgument);
  // Attempt 1 has all votes: it is committed, and nothing of attempt 2 may be written.
  absl::StatusOr<TransferRead> read = cluster.ReadTransaction(1, body.id, TokenOf(body, 2, 0));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.Hits("txn.resolve_by_token"), 0u);
  EXPECT_EQ(cluster.Balance(3, kBob), 100);
}

TEST_P(TxnShell, ARecoveryTokenOfALaterAttemptIsFollowedToItsEnd) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Transaction body = Payment(IdAt(ShardId{2}, "later"), kAlice, kBob, 100);
  std::vector<ShardId> participants = Participants(body, ShellCluster::kShards);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 1'000'000;
  HandTo(cluster, participants, PrepareOf(body, 1, deadline_us));
  HandTo(cluster, participants, FinishCommand{TryOf(body, 1), Decision{}});
  // Attempt 2 was handed out, and no shard has it: it may still commit.
  std::string token = TokenOf(body, 2, deadline_us);
  absl::StatusOr<TransferRead> early = cluster.ReadTransaction(1, body.id, token);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_EQ(early->result.state, TransactionState::kInDoubt);
  EXPECT_EQ(early->result.recovery_token, token);
  cluster.RunFor(absl::Seconds(4));
  absl::StatusOr<TransferRead> late = cluster.ReadTransaction(1, body.id, token);
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ(late->result.state, TransactionState::kContended);
  // What was said stays true, however late the Prepare comes.
  HandTo(cluster, participants, PrepareOf(body, 2, deadline_us));
  EXPECT_EQ(VoteAt(cluster, ShardId{2}, TryOf(body, 2))->finished.kind, DecisionKind::kAborted);
  EXPECT_EQ(cluster.Balance(3, kAlice), 100);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
}

TEST_P(TxnShell, ATokenOfALaterAttemptSettlesTheEarlierOneFirst) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Transaction body = Payment(IdAt(ShardId{2}, "earlier"), kAlice, kBob, 100);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 100'000;
  HandTo(cluster, {ShardId{0}, ShardId{2}}, PrepareOf(body, 1, deadline_us));
  cluster.RunFor(absl::Milliseconds(2'010));
  absl::StatusOr<TransferRead> read = cluster.ReadTransaction(3, body.id, TokenOf(body, 2, deadline_us));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kContended);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(10)));
  EXPECT_EQ(VoteAt(cluster, ShardId{2}, TryOf(body, 1))->kind, VoteKind::kSuperseded);
}

// A request goes on after an attempt of it aborted, until its deadline.
TEST_P(TxnShell, AnAbortedAttemptOfALiveRequestIsInDoubt) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Transaction body = Payment(IdAt(ShardId{2}, "live"), kAlice, kBob, 100);
  std::vector<ShardId> participants = Participants(body, ShellCluster::kShards);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 1'000'000;
  HandTo(cluster, participants, PrepareOf(body, 1, deadline_us));
  HandTo(cluster, participants, FinishCommand{TryOf(body, 1), Decision{}});
  absl::StatusOr<TransferRead> early = cluster.ReadTransaction(1, body.id);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_EQ(early->result.state, TransactionState::kInDoubt);
  EXPECT_EQ(early->transaction, body);
  cluster.RunFor(absl::Seconds(3));
  for (const std::string& token : {std::string(), early->result.recovery_token}) {
    absl::StatusOr<TransferRead> late = cluster.ReadTransaction(1, body.id, token);
    ASSERT_TRUE(late.ok()) << late.status();
    EXPECT_EQ(late->result.state, TransactionState::kContended);
  }
}

TEST_P(TxnShell, NoResolveBeforeTheDeadlineOfTheRunningAttempt) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  Transaction body = Payment(IdAt(ShardId{2}, "running"), kAlice, kBob, 100);
  int64_t deadline_us = cluster.clock(2).WallMicros() + 20'000'000;
  HandTo(cluster, {ShardId{0}, ShardId{2}}, PrepareOf(body, 1, deadline_us));
  absl::StatusOr<TransferRead> read = cluster.ReadTransaction(1, body.id, TokenOf(body, 1, 0));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kInDoubt);
  EXPECT_EQ(cluster.Hits("txn.resolve_written"), 0u);
  EXPECT_EQ(VoteAt(cluster, ShardId{1}, TryOf(body, 1)), std::nullopt);
}

// Rule 17: another gateway's attempt is known here, so "nothing happened" would be a guess.
TEST_P(TxnShell, WhatOthersBeganIsInDoubtWhereNothingCanBeProposed) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  for (ShardId seen : {ShardId{0}, ShardId{2}}) {
    Transaction body = Payment(IdAt(ShardId{2}, absl::StrCat("begun-", seen.value)), kAlice, kBob, 10);
    HandTo(cluster, {seen}, PrepareOf(body, 1, cluster.clock(2).WallMicros() + 20'000'000));
    uint32_t gateway = cluster.HostIn(1, seen);
    cluster.Isolate(gateway);
    cluster.RunFor(absl::Seconds(3));
    EXPECT_EQ(cluster.Execute(gateway, {body}, absl::Seconds(1)).front().state, TransactionState::kInDoubt);
    cluster.network().HealAll();
    cluster.RunFor(absl::Seconds(2));
  }
}

// Rule 1: the home bound the id for ever, so no shard needs to hear of yet another body.
TEST_P(TxnShell, BodiesUnderATakenIdLeaveNoTrace) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  std::string id = IdAt(ShardId{0}, "taken");
  ASSERT_EQ(cluster.Pay(1, id, kAlice, kBob, 1).state, TransactionState::kCommitted);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  for (Amount amount = 2; amount < 10; ++amount) {
    EXPECT_EQ(cluster.Pay(1, id, kAlice, kBob, amount).state, TransactionState::kConflict);
  }
  EXPECT_EQ(cluster.MachineOf(ShardId{0}).FindTransaction({"main", id}).size(), 1u);
  EXPECT_EQ(cluster.MachineOf(ShardId{1}).FindTransaction({"main", id}).size(), 1u);
}

// Both left behind, with deadlines apart: who waits for one drives the other as well.
TEST_P(TxnShell, BlockersAreWaitedForTogether) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kDave, 100);
  cluster.Fund(kBob, 0);
  int64_t now_us = cluster.clock(2).WallMicros();
  Transaction first = Payment(IdAt(ShardId{2}, "first"), kAlice, kBob, 100);
  Transaction second = Payment(IdAt(ShardId{2}, "second"), kDave, kBob, 100);
  HandTo(cluster, {ShardId{0}}, PrepareOf(first, 1, now_us + 500'000));
  HandTo(cluster, {ShardId{0}}, PrepareOf(second, 1, now_us + 3'000'000));
  Transaction both = Payment(IdAt(ShardId{0}, "both"), kAlice, kBob, 100);
  both.transfers.push_back(Payment(absl::StrCat(both.id, "~1"), kDave, kBob, 100).transfers.front());
  EXPECT_EQ(cluster.Execute(1, {both}, absl::Seconds(20)).front().state, TransactionState::kCommitted);
  EXPECT_EQ(cluster.Metric(1, "paxledger_transaction_blocked_total"), 1u);
}

TEST_P(TxnShell, WithoutAMajorityNothingHappens) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  cluster.Isolate(1);
  cluster.RunFor(absl::Seconds(3));
  EXPECT_EQ(cluster.Pay(1, "pay", kAlice, kBob, 100).state, TransactionState::kUnavailable);
  EXPECT_EQ(cluster.Read(1, kAlice).status().code(), absl::StatusCode::kUnavailable);
  absl::StatusOr<AccountRead> local = cluster.Read(1, kAlice, ReadMode::kLocal);
  ASSERT_EQ(local.ok(), cluster.node(1).Hosts(ShardId{0}));
  if (local.ok()) EXPECT_GE(local->staleness_us, 1'000'000);
  cluster.network().HealAll();
  cluster.RunFor(absl::Seconds(2));
  EXPECT_EQ(cluster.Pay(1, "pay", kAlice, kBob, 100).state, TransactionState::kCommitted);
}

TEST_P(TxnShell, ADeadDataCentreStopsNobody) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Kill(3);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(cluster.Pay(1, absl::StrCat("after-", i), kAlice, kBob, 10).state,
              TransactionState::kCommitted);
  }
  EXPECT_EQ(cluster.Balance(2, kBob), 100);
}

TEST_P(TxnShell, ReadsATransactionById) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  cluster.Fund(kBob, 0);
  TransactionResult paid = cluster.Pay(1, "pay-1", kAlice, kBob, 60);
  cluster.Pay(1, "pay-2", kAlice, kBob, 60);
  absl::StatusOr<TransferRead> read = cluster.ReadTransaction(2, "pay-1");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kCommitted);
  EXPECT_EQ(read->result.committed_at, paid.committed_at);
  EXPECT_EQ(read->transaction, Payment("pay-1", kAlice, kBob, 60));
  EXPECT_EQ(read->result.shards, paid.shards);
  absl::StatusOr<TransferRead> refused = cluster.ReadTransaction(3, "pay-2");
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->result.state, TransactionState::kRefused);
  EXPECT_EQ(refused->result.refusal, Outcome::kInsufficientFunds);
  EXPECT_EQ(cluster.ReadTransaction(3, "pay-3").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(TxnShell, OpensAnAccountOnceAndSaysSo) {
  ShellCluster cluster(1, GetParam());
  AccountSpec spec;
  spec.asset = "USD/2";
  AccountSpec other = spec;
  other.asset = "EUR/2";
  auto open = [&](uint32_t via, AccountSpec asked) {
    std::optional<OpenAccountResult> result;
    cluster.node(via).OpenAccounts({{LedgerKey{"main", kAlice}, asked}}, cluster.In(via, absl::Seconds(5)),
                                   [&](std::vector<OpenAccountResult> r) { result = r.front(); });
    cluster.RunUntil([&] { return result.has_value(); });
    return *result;
  };
  EXPECT_EQ(open(1, spec).status, OpenStatus::kOpened);
  EXPECT_EQ(open(2, spec).status, OpenStatus::kExists);
  EXPECT_EQ(open(3, other).status, OpenStatus::kExistsWithOtherFields);
  EXPECT_EQ(open(3, other).account.spec, spec);
}

TEST_P(TxnShell, OpensABatchOfAccounts) {
  ShellCluster cluster(1, GetParam());
  std::vector<OpenAccountRequest> requests;
  for (int i = 0; i < 500; ++i) {
    OpenAccountRequest request;
    request.key = LedgerKey{"main", absl::StrCat("batch-", i)};
    request.spec.asset = "USD/2";
    requests.push_back(std::move(request));
  }
  std::optional<std::vector<OpenAccountResult>> results;
  cluster.node(2).OpenAccounts(requests, cluster.In(2, absl::Seconds(5)),
                               [&](std::vector<OpenAccountResult> r) { results = std::move(r); });
  ASSERT_TRUE(cluster.RunUntil([&] { return results.has_value(); }));
  for (const OpenAccountResult& result : *results) {
    EXPECT_TRUE(result.failure.ok());
    EXPECT_EQ(result.status, OpenStatus::kOpened);
    EXPECT_EQ(result.account.spec.asset, "USD/2");
  }
}

TEST_P(TxnShell, ATokenOrdersAReadAfterIt) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 100);
  auto read_after = [&](LogTime after, ReadMode mode) {
    std::optional<absl::StatusOr<AccountRead>> result;
    cluster.node(2).ReadAccount(LedgerKey{"main", kAlice}, mode, after, cluster.In(2, absl::Seconds(5)),
                                [&](absl::StatusOr<AccountRead> r) { result = std::move(r); });
    cluster.RunUntil([&] { return result.has_value(); });
    return *result;
  };
  LogTime ahead{cluster.clock(2).WallMicros() + 100'000};
  EXPECT_GE(read_after(ahead, ReadMode::kStrong)->at, ahead);
  LogTime further{cluster.clock(2).WallMicros() + 200'000};
  EXPECT_GE(read_after(further, ReadMode::kLocal)->at, further);
  LogTime far{cluster.clock(2).WallMicros() + 10'000'000};
  EXPECT_EQ(read_after(far, ReadMode::kStrong).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(TxnShell, ReportsEqualDigestsAndBalancedBooks) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Pay(1, "pay", kAlice, kBob, 10);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Settled(); }, absl::Seconds(5)));
  cluster.RunFor(absl::Seconds(1));
  std::vector<NodeReport> reports;
  for (uint32_t via = 1; via <= 3; ++via) {
    cluster.node(via).Report({}, [&](NodeReport report) { reports.push_back(std::move(report)); });
  }
  ASSERT_TRUE(cluster.RunUntil([&] { return reports.size() == 3; }));
  for (uint32_t shard = 0; shard < ShellCluster::kShards; ++shard) {
    for (const NodeReport& report : reports) {
      const ShardReport& of = report.shards[shard];
      EXPECT_EQ(of.members.size(), 3u);
      EXPECT_EQ(of.hosted, cluster.node(report.self.value).Hosts(ShardId{shard}));
      if (!of.hosted) continue;
      EXPECT_EQ(of.digests.state, cluster.MachineOf(ShardId{shard}).digests().state);
      for (const AssetTotals& totals : report.shards[shard].totals) {
        EXPECT_EQ(totals.totals.debits_posted, totals.totals.credits_posted);
      }
    }
  }
  EXPECT_TRUE(reports[0].has_quorum);
  EXPECT_EQ(reports[0].peers_up.size(), cluster.nodes() - 1);
}

TEST_P(TxnShell, DrainsAndHandsOver) {
  ShellCluster cluster(1, GetParam());
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  bool drained = false;
  cluster.node(1).Drain([&] { drained = true; });
  ASSERT_TRUE(cluster.RunUntil([&] { return drained; }, absl::Seconds(5)));
  EXPECT_EQ(cluster.Pay(1, "too-late", kAlice, kBob, 10).state, TransactionState::kUnavailable);
  cluster.Kill(1);
  EXPECT_EQ(cluster.Pay(2, "go-on", kAlice, kBob, 10).state, TransactionState::kCommitted);
  cluster.StartNode(1);
  cluster.RunFor(absl::Seconds(2));
  EXPECT_EQ(cluster.Balance(1, kBob), 10);
}

}  // namespace
}  // namespace paxledger
