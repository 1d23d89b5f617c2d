// Random transactions against small models: sequential execution in one shard, and gateways that crash,
// repeat and race over three shards.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/unit/test_shard.h"

namespace paxledger {
namespace {

// What a single thread without any protocol would answer.
struct SequentialModel {
  struct Row {
    AccountSpec spec;
    Amount debits = 0;
    Amount credits = 0;
  };
  std::map<std::string, Row> accounts;

  std::pair<Outcome, uint32_t> Run(const Transaction& body) {
    std::map<std::string, Row> after = accounts;
    for (uint32_t i = 0; i < body.transfers.size(); ++i) {
      Outcome outcome = Move(body.transfers[i], &after);
      if (outcome != Outcome::kCommitted) return {outcome, i};
    }
    accounts = after;
    return {Outcome::kCommitted, 0};
  }

  static Outcome Move(const Transfer& t, std::map<std::string, Row>* accounts) {
    if (t.debit_account == t.credit_account) return Outcome::kSameAccount;
    if (!accounts->contains(t.debit_account)) return Outcome::kDebitAccountNotFound;
    if (!accounts->contains(t.credit_account)) return Outcome::kCreditAccountNotFound;
    Row& debit = (*accounts)[t.debit_account];
    Row& credit = (*accounts)[t.credit_account];
    if (debit.spec.asset != credit.spec.asset) return Outcome::kAssetMismatch;
    if (!t.asset.empty() && t.asset != debit.spec.asset) return Outcome::kAssetMismatch;
    debit.debits += t.amount;
    credit.credits += t.amount;
    if (debit.spec.limit == LimitRule::kDebitsMustNotExceedCredits &&
        debit.debits > debit.credits + debit.spec.overdraft) {
      return Outcome::kInsufficientFunds;
    }
    if (credit.spec.limit == LimitRule::kCreditsMustNotExceedDebits &&
        credit.credits > credit.debits + credit.spec.overdraft) {
      return Outcome::kCreditLimitExceeded;
    }
    return Outcome::kCommitted;
  }
};

TEST(RandomExecute, AnswersAsSequentialExecutionDoes) {
  Random random(11);
  TestShard shard(ShardId{0}, 1, 200, 5);
  SequentialModel model;
  std::map<Outcome, int> seen;
  for (int i = 0; i < 12; ++i) {
    AccountSpec spec;
    spec.asset = random.Chance(1, 5) ? "EUR/2" : "USD/2";
    spec.limit = static_cast<LimitRule>(random.Below(3));
    spec.overdraft = random.Below(2) * 10;
    std::string id = "a" + std::to_string(i);
    shard.Apply({Open(id, spec)});
    model.accounts[id] = {spec, 0, 0};
  }
  auto account = [&] { return "a" + std::to_string(random.Below(100) == 0 ? 99 : random.Below(12)); };
  for (int i = 0; i < 20'000; ++i) {
    Transaction body = Pay("t" + std::to_string(i), account(), account(), 1 + random.Below(30));
    while (random.Chance(1, 3))
      body.transfers.push_back(Pay("", account(), account(), 1 + random.Below(30)).transfers[0]);
    if (random.Chance(1, 20)) body.transfers[0].asset = "EUR/2";
    auto [outcome, transfer] = model.Run(body);
    ++seen[outcome];
    Vote vote = shard.Say(Execute(body));
    ASSERT_EQ(vote.kind, VoteKind::kFinished);
    ASSERT_EQ(vote.finished.refusal, outcome) << i;
    ASSERT_EQ(vote.finished.transfer, transfer);
    if (random.Chance(1, 50)) shard.engine.Pump();
  }
  for (const auto& [id, row] : model.accounts) {
    const Account* found = shard.machine->FindAccount({"main", id});
    EXPECT_EQ(found->totals, (Totals{row.debits, row.credits, 0, 0})) << id;
  }
  EXPECT_EQ(seen.size(), 7u) << "every rule was met";
}

constexpr uint32_t kShards = 3;

// Gateways over three shards that send what a gateway may send, in any order, often twice, and stop in the
// middle.
class ThreeShards {
 public:
  explicit ThreeShards(uint64_t seed) : random_(seed) {
    for (uint32_t s = 0; s < kShards; ++s) {
      shards_.push_back(std::make_unique<TestShard>(ShardId{s}, kShards, 40, 3));
      for (int i = 0; i < 3; ++i) {
        AddAccount(AccountOn(ShardId{s}, kShards, "p" + std::to_string(i) + "-"), ShardId{s}, Limited());
      }
      AddAccount(AccountOn(ShardId{s}, kShards, "w"), ShardId{s}, Unlimited());
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) Step();
    for (size_t b = 0; b < bodies_.size() && !testing::Test::HasFailure(); ++b) Settle(bodies_[b]);
  }

  void CheckEnd() {
    std::map<std::string, Totals> expected;
    std::set<std::string> committed;
    for (const Transaction& body : bodies_) {
      std::set<DecisionKind> decisions;
      for (ShardId s : Participants(body, kShards)) {
        for (const TransactionRecord& record : Of(s).machine->FindTransaction({"main", body.id})) {
          if (record.of.digest == TransactionDigest(body) && record.decision)
            decisions.insert(record.decision->kind);
        }
      }
      ASSERT_EQ(decisions.size(), 1u) << "all participants finished " << body.id << " alike";
      if (!decisions.contains(DecisionKind::kCommitted)) continue;
      ++commits;
      EXPECT_TRUE(committed.insert(body.id).second) << "one body of an id commits: " << body.id;
      for (const Transfer& t : body.transfers) {
        expected[t.debit_account].debits_posted += t.amount;
        expected[t.credit_account].credits_posted += t.amount;
      }
    }
    for (const auto& [id, shard] : accounts_) {
      const Account* account = Of(shard).machine->FindAccount({"main", id});
      EXPECT_EQ(account->totals, expected[id]) << id;
      EXPECT_TRUE(account->debits_in_doubt == 0 && account->credits_in_doubt == 0) << id;
    }
    std::map<std::pair<uint32_t, uint32_t>, Totals> clearing;
    for (const auto& shard : shards_) {
      EXPECT_EQ(shard->machine->in_doubt(), 0u);
      for (const ClearingTotals& c : shard->machine->Clearing()) {
        clearing[{ShardOf(*shard).value, c.counterpart.value}] = c.totals;
      }
    }
    for (auto& [pair, totals] : clearing) {
      Totals other = clearing[{pair.second, pair.first}];
      EXPECT_TRUE(totals.debits_posted == other.credits_posted &&
                  totals.credits_posted == other.debits_posted);
    }
  }

  int commits = 0;
  int blocked = 0;

 private:
  void AddAccount(const std::string& id, ShardId shard, AccountSpec spec) {
    accounts_.emplace_back(id, shard);
    Of(shard).Apply({Open(id, spec)});
  }
  TestShard& Of(ShardId shard) { return *shards_[shard.value]; }
  ShardId ShardOf(const TestShard& shard) {
    for (uint32_t s = 0; s < kShards; ++s) {
      if (shards_[s].get() == &shard) return ShardId{s};
    }
    return {};
  }

  Transaction NewBody() {
    auto account = [&] { return accounts_[random_.Below(accounts_.size())].first; };
    // Sometimes an id that another body has already.
    uint64_t id = random_.Chance(1, 10) ? random_.Below(bodies_.size() + 1) : bodies_.size();
    Transaction body = Pay("t" + std::to_string(id), account(), account(), 1 + random_.Below(40));
    while (random_.Chance(1, 4))
      body.transfers.push_back(Pay("", account(), account(), 1 + random_.Below(40)).transfers[0]);
    return body;
  }

  // What is known of the newest attempt; moves `*attempt` up to it.
  std::vector<ShardVote> Votes(const Transaction& body, uint32_t* attempt,
                               std::optional<Decision>* finished) {
    std::vector<ShardVote> votes;
    for (ShardId s : Participants(body, kShards)) {
      std::optional<Vote> vote = Of(s).machine->FindVote(TryOf(body, *attempt));
      if (!vote) continue;
      if (vote->kind == VoteKind::kSuperseded) {
        *attempt = vote->of.attempt;
        return Votes(body, attempt, finished);
      }
      if (vote->kind == VoteKind::kFinished) {
        *attempt = vote->of.attempt;
        *finished = vote->finished;
        continue;
      }
      // FindVote may say Conflict without a record; only what is recorded counts as a vote.
      votes.push_back({s, *vote});
    }
    return votes;
  }

  void Send(ShardId s, const TxnCommand& command) {
    std::vector<TxnCommand> entry{command};
    if (random_.Chance(1, 5)) entry.push_back(command);
    Of(s).Apply(entry, static_cast<int64_t>(random_.Below(100'000)));
    for (const Vote& vote : Of(s).votes) blocked += vote.kind == VoteKind::kBlocked ? 1 : 0;
    for (const auto& [id, shard] : accounts_) {
      if (shard != s) continue;
      const Account* account = Of(s).machine->FindAccount({"main", id});
      if (account->spec.limit == LimitRule::kNone) continue;
      EXPECT_LE(account->totals.debits_posted, account->totals.credits_posted) << "a limit is never crossed";
    }
  }
  TxnCommand Begin(const Transaction& body, uint32_t attempt) {
    if (Participants(body, kShards).size() == 1) return Execute(body, attempt);
    return Prepare(body, kShards, attempt);
  }

  void Step() {
    if (bodies_.size() < 10 || random_.Chance(1, 6)) bodies_.push_back(NewBody());
    const Transaction body =
        bodies_[random_.Chance(1, 2) ? bodies_.size() - 1 - random_.Below(std::min<size_t>(8, bodies_.size()))
                                     : random_.Below(bodies_.size())];
    std::vector<ShardId> participants = Participants(body, kShards);
    ShardId s = participants[random_.Below(participants.size())];
    uint32_t attempt = 1;
    std::optional<Decision> finished;
    std::vector<ShardVote> votes = Votes(body, &attempt, &finished);
    bool all = votes.size() == participants.size();
    if (finished || all) {
      Decision decision = finished ? *finished : Decide(votes);
      Send(s, FinishCommand{TryOf(body, attempt), decision});
      // Only an attempt that is known to be aborted has a next one (rule 2).
      if (decision.kind == DecisionKind::kAborted && random_.Chance(1, 2)) Send(s, Begin(body, attempt + 1));
    } else if (random_.Chance(1, 8)) {
      Send(s, Resolve(body, kShards, attempt));
    } else {
      Send(s, Begin(body, attempt));
    }
    if (random_.Chance(1, 10)) Send(s, Begin(body, 1));  // an old message that comes late
    if (random_.Chance(1, 3)) Of(s).engine.Pump();
    if (random_.Chance(1, 30)) {
      Of(s).Crash();
      Of(s).Replay();
    }
  }

  // Recovery by anybody (rule 18).
  void Settle(const Transaction& body) {
    std::vector<ShardId> participants = Participants(body, kShards);
    uint32_t attempt = 1;
    std::optional<Decision> finished;
    std::vector<ShardVote> votes = Votes(body, &attempt, &finished);
    if (!finished) {
      for (ShardId s : participants) Send(s, Resolve(body, kShards, attempt));
      votes = Votes(body, &attempt, &finished);
      ASSERT_TRUE(finished || votes.size() == participants.size()) << "after Resolve all votes are known";
    }
    Decision decision = finished ? *finished : Decide(votes);
    for (ShardId s : participants) {
      // A participant that aborted an attempt that elsewhere was begun anew, has no vote of it yet.
      if (!Of(s).machine->FindVote(TryOf(body, attempt))) Send(s, Resolve(body, kShards, attempt));
      Send(s, FinishCommand{TryOf(body, attempt), decision});
    }
  }

  Random random_;
  std::vector<std::unique_ptr<TestShard>> shards_;
  std::vector<std::pair<std::string, ShardId>> accounts_;
  std::vector<Transaction> bodies_;
};

TEST(RandomTransactions, AreAtomicOverThreeShards) {
  int commits = 0;
  int blocked = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    ThreeShards world(seed);
    world.Run(1000);
    if (testing::Test::HasFailure()) return;
    world.CheckEnd();
    if (testing::Test::HasFailure()) return;
    commits += world.commits;
    blocked += world.blocked;
  }
  EXPECT_GT(commits, 1000);
  EXPECT_GT(blocked, 500);
}

}  // namespace
}  // namespace paxledger
