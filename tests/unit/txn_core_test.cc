// One shard at a time: votes, attempts, conflicts, finishing (transactions.md rules 1-6, 8, 9, 16, 18).

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/mark.h"
#include "base/random.h"
#include "tests/unit/test_shard.h"
#include "txn/command.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr uint32_t kShards = 3;
constexpr ShardId kHere{0};
constexpr ShardId kThere{1};
constexpr ShardId kThird{2};

// A shard of three, with a rich and a poor limited account here.
class ShardOfThree : public testing::Test {
 protected:
  ShardOfThree() : shard(kHere, kShards) {
    rich = AccountOn(kHere, kShards, "rich");
    poor = AccountOn(kHere, kShards, "poor");
    world = AccountOn(kHere, kShards, "world");
    far = AccountOn(kThere, kShards, "far");
    shard.Apply({Open(rich, Limited()), Open(poor, Limited()), Open(world, Unlimited())}, 1000);
    shard.Say(Execute(Homed("fund", kHere, world, rich, 100)));
    EXPECT_EQ(shard.votes.back().finished.kind, DecisionKind::kCommitted);
  }
  static Transaction Homed(const std::string& stem, ShardId home, std::string debit, std::string credit,
                           Amount amount) {
    return Pay(PlacedTransactionId(stem, home), std::move(debit), std::move(credit), amount);
  }
  const Account& AccountOf(const std::string& id) { return *shard.machine->FindAccount({"main", id}); }

  TestShard shard;
  std::string rich, poor, world, far;
};

// Computed by another implementation of XXH64. A change here loses every account that exists.
TEST(Placement, GoldenShards) {
  EXPECT_EQ(ShardOfAccount("main", "alice", 12).value, 7u);
  EXPECT_EQ(ShardOfAccount("main", "bob", 12).value, 7u);
  EXPECT_EQ(ShardOfAccount("main", "acct:1", 1024).value, 163u);
  EXPECT_EQ(ShardOfAccount("main", "ext:YZ:87144583-and-a-longer-name", 12).value, 1u);
  EXPECT_EQ(ShardOfTransaction("main", "alice", 12).value, 2u);
  EXPECT_EQ(ShardOfTransaction("main", "pay-1", 1024).value, 978u);
  EXPECT_EQ(ShardOfTransaction("main", "x@zzzz", 1024).value, 387u);
}

TEST(Placement, SuffixCarriesTheHome) {
  EXPECT_EQ(PlacedTransactionId("t", ShardId{0}), "t@0000");
  EXPECT_EQ(PlacedTransactionId("t", ShardId{1023}), "t@00sf");
  for (uint32_t home : {0u, 7u, 35u, 36u, 1023u}) {
    EXPECT_EQ(ShardOfTransaction("main", PlacedTransactionId("t", ShardId{home}), 1024).value, home);
    EXPECT_EQ(ShardOfTransaction("main", PlacedTransactionId("t", ShardId{home}), 12).value, home % 12);
  }
}

TEST(Placement, ParticipantsAreSortedAndEachOnce) {
  Transaction body = Pay(PlacedTransactionId("t", kThird), AccountOn(kThere, kShards, "a"),
                         AccountOn(kHere, kShards, "b"), 1);
  body.transfers.push_back(body.transfers[0]);
  EXPECT_EQ(Participants(body, kShards), (std::vector<ShardId>{kHere, kThere, kThird}));
}

TEST(Command, GoldenBytes) {
  Transaction body = Pay("t", "a", "b", 5);
  Try of{{"main", "t"}, Digest::FromRaw(std::string(32, '\x11')), 2};
  std::string digest = std::string(64, '1');
  std::string encoded_body =
      "01046d61696e017401000161016201"
      "05";
  EXPECT_EQ(ToHex(EncodeTxnCommand(ExecuteCommand{of, body, LogTime{3}})),
            "0101" + digest + "0203" + encoded_body);
  EXPECT_EQ(ToHex(EncodeTxnCommand(PrepareCommand{of, {ShardId{1}, ShardId{4}}, 300, body, {"X"}, {}})),
            "0102" + digest + "0200" + "ac02" + "020102" + "010158" + encoded_body);
  EXPECT_EQ(ToHex(EncodeTxnCommand(ResolveCommand{of, {ShardId{0}}})),
            "0103046d61696e0174" + digest + "020100");
  Decision refused{DecisionKind::kRefused, Outcome::kInsufficientFunds, 3, {}};
  EXPECT_EQ(ToHex(EncodeTxnCommand(FinishCommand{of, refused})), "0104046d61696e0174" + digest + "02020b03");
  EXPECT_EQ(ToHex(EncodeTxnCommand(CloseCommand{LogTime{1}})), "010501");
  EXPECT_EQ(ToHex(EncodeTxnCommand(OpenAccountCommand{{"main", "a"}, Limited()})),
            "0106046d61696e016103055553442f320000");
}

TEST(Command, DecodesWhatWasEncoded) {
  Transaction body = Pay("t", "a", "b", 5);
  body.transfers.push_back(body.transfers[0]);
  body.transfers[0].id = "t~0";
  body.transfers[1].id = "t~1";
  std::vector<TxnCommand> commands = {ExecuteCommand{TryOf(body, 7), body, LogTime{9}},
                                      Prepare(body, kShards),
                                      Resolve(body, kShards),
                                      Finish(body, DecisionKind::kCommitted, LogTime{5}),
                                      Finish(body, DecisionKind::kAborted),
                                      CloseCommand{LogTime{77}},
                                      Open("a", Limited())};
  for (const TxnCommand& command : commands) {
    std::string bytes = EncodeTxnCommand(command);
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->index(), command.index());
    EXPECT_EQ(EncodeTxnCommand(*decoded), bytes);
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeTxnCommand(bytes.substr(0, n)).ok());
    EXPECT_FALSE(DecodeTxnCommand(bytes + "x").ok());
  }
  EXPECT_EQ(std::get<ExecuteCommand>(*DecodeTxnCommand(EncodeTxnCommand(commands[0]))).body, body);
}

TEST(Command, GarbageIsRefusedAndChangesNothing) {
  Random random(7);
  std::string sound = EncodeTxnCommand(Prepare(Pay("t", "a", "b", 5), 1));
  TestShard shard;
  std::vector<std::string> commands;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = sound;
    for (uint64_t n = random.Below(4) + 1; n > 0; --n) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    if (random.Chance(1, 4)) bytes.resize(random.Below(bytes.size()));
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(bytes);
    if (decoded.ok()) EXPECT_EQ(EncodeTxnCommand(*decoded), bytes);
    if (!decoded.ok()) commands.push_back(EncodeCommand(MachineId::kTxn, bytes));
  }
  Digest before = shard.machine->digests().state;
  shard.ApplyEncoded(commands);
  EXPECT_EQ(shard.machine->digests().state, before);
  EXPECT_TRUE(shard.votes.empty());
}

TEST(Decide, NeedsAllPreparedAndTakesTheLatestTime) {
  auto vote = [](VoteKind kind, int64_t at, uint32_t transfer = 0, Outcome refusal = Outcome::kCommitted) {
    Vote v;
    v.kind = kind;
    v.at = LogTime{at};
    v.transfer = transfer;
    v.refusal = refusal;
    return ShardVote{ShardId{0}, v};
  };
  ShardVote prepared = vote(VoteKind::kPrepared, 5);
  EXPECT_EQ(Decide({prepared, vote(VoteKind::kPrepared, 9)}).committed_at, LogTime{9});
  EXPECT_EQ(Decide({prepared, vote(VoteKind::kBlocked, 0)}).kind, DecisionKind::kAborted);
  EXPECT_EQ(Decide({prepared, vote(VoteKind::kResolved, 0)}).kind, DecisionKind::kAborted);
  ShardVote late = vote(VoteKind::kRefused, 0, 2, Outcome::kSameAccount);
  ShardVote low = vote(VoteKind::kRefused, 0, 1, Outcome::kInsufficientFunds);
  ShardVote lower = vote(VoteKind::kRefused, 0, 1, Outcome::kCreditAccountNotFound);
  Decision refused = Decide({late, low, vote(VoteKind::kBlocked, 0), lower});
  EXPECT_EQ(refused.kind, DecisionKind::kRefused);
  EXPECT_EQ(refused.transfer, 1u);
  EXPECT_EQ(refused.refusal, Outcome::kCreditAccountNotFound);
  EXPECT_EQ(Decide({late, vote(VoteKind::kConflict, 0)}).kind, DecisionKind::kConflict);
}

TEST_F(ShardOfThree, OpeningIsIdempotentByIdAndBody) {
  AccountSpec other = Limited();
  other.overdraft = 1;
  std::string id = AccountOn(kHere, kShards, "new");
  shard.Apply({Open(id, Limited()), Open(id, Limited()), Open(id, other), Open(far, Limited())});
  EXPECT_EQ(shard.opened, (std::vector<OpenStatus>{OpenStatus::kOpened, OpenStatus::kExists,
                                                   OpenStatus::kExistsWithOtherFields}));
  EXPECT_EQ(shard.machine->FindAccount({"main", far}), nullptr);
}

TEST_F(ShardOfThree, ExecuteCommitsRefusesAndRemembers) {
  Transaction body = Homed("a", kHere, rich, poor, 40);
  Vote vote = shard.Say(Execute(body), 5000);
  EXPECT_EQ(vote.kind, VoteKind::kFinished);
  EXPECT_EQ(vote.finished.kind, DecisionKind::kCommitted);
  EXPECT_EQ(vote.finished.committed_at, LogTime{5000});
  Vote again = shard.Say(Execute(body), 9000);
  EXPECT_EQ(again.finished, vote.finished);
  EXPECT_TRUE(AccountOf(rich).totals.debits_posted == 40);
  Vote refused = shard.Say(Execute(Homed("b", kHere, rich, poor, 61)));
  EXPECT_EQ(refused.finished.kind, DecisionKind::kRefused);
  EXPECT_EQ(refused.finished.refusal, Outcome::kInsufficientFunds);
  shard.Say(Execute(Homed("c", kHere, world, rich, 1000)));
  EXPECT_EQ(shard.Say(Execute(Homed("b", kHere, rich, poor, 61))).finished, refused.finished);
  // The same id with another body never has an effect.
  Vote conflict = shard.Say(Execute(Homed("a", kHere, rich, poor, 41)));
  EXPECT_EQ(conflict.kind, VoteKind::kConflict);
  EXPECT_TRUE(AccountOf(rich).totals.debits_posted == 40);
  EXPECT_EQ(shard.machine->TotalsByAsset()[0].totals.debits_posted, Amount{1140});
  EXPECT_TRUE(shard.machine->Clearing().empty());
}

TEST_F(ShardOfThree, ExecuteOfAnotherShardsAccountCountsAsNothing) {
  Digest before = shard.machine->digests().state;
  shard.Apply({Execute(Homed("a", kHere, rich, far, 1)), Execute(Homed("b", kThere, rich, poor, 1))});
  EXPECT_TRUE(shard.votes.empty());
  EXPECT_EQ(shard.machine->digests().state, before);
}

TEST_F(ShardOfThree, TransfersOfATransactionAreJudgedInTheirOrder) {
  Transaction body = Homed("a", kHere, rich, poor, 100);
  body.transfers.push_back(Pay("", poor, rich, 60).transfers[0]);
  body.transfers.push_back(Pay("", rich, world, 60).transfers[0]);
  body.transfers[1].id = body.transfers[2].id = "";
  EXPECT_EQ(shard.Say(Execute(body)).finished.kind, DecisionKind::kCommitted);
  // Each shard counts its earlier legs, so spending before earning fails, at the transfer that broke the
  // rule.
  Transaction reversed = Homed("b", kHere, world, poor, 1);
  reversed.transfers.push_back(Pay("x", rich, poor, 1).transfers[0]);
  reversed.transfers.push_back(Pay("y", world, rich, 1).transfers[0]);
  Vote vote = shard.Say(Execute(reversed));
  EXPECT_EQ(vote.finished.refusal, Outcome::kInsufficientFunds);
  EXPECT_EQ(vote.finished.transfer, 1u);
  EXPECT_TRUE(AccountOf(poor).totals.credits_posted == 100);
}

TEST_F(ShardOfThree, PrepareReservesAndFinishPostsWithClearing) {
  Transaction out = Homed("out", kHere, rich, far, 30);
  Transaction in = Homed("in", kThere, far, poor, 7);
  Vote vote = shard.Say(Prepare(out, kShards), 7000);
  EXPECT_EQ(vote.kind, VoteKind::kPrepared);
  EXPECT_EQ(vote.at, LogTime{7000});
  shard.Say(Prepare(in, kShards));
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 30 && AccountOf(rich).totals.debits_posted == 0);
  EXPECT_EQ(shard.machine->InDoubtOn({"main", rich}).size(), 1u);
  EXPECT_EQ(shard.machine->in_doubt(), 2u);
  Vote finished = shard.Say(Finish(out, DecisionKind::kCommitted, LogTime{9000}));
  EXPECT_EQ(finished.kind, VoteKind::kFinished);
  EXPECT_GE(shard.machine->clock(), LogTime{9000});
  shard.Say(Finish(in, DecisionKind::kCommitted, LogTime{9000}));
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 0 && AccountOf(rich).totals.debits_posted == 30);
  EXPECT_TRUE(AccountOf(poor).totals.credits_posted == 7);
  // Never netted: both directions stand (rule 16).
  std::vector<ClearingTotals> clearing = shard.machine->Clearing();
  ASSERT_EQ(clearing.size(), 1u);
  EXPECT_EQ(clearing[0].counterpart, kThere);
  EXPECT_EQ(clearing[0].totals, (Totals{7, 30, 0, 0}));
  EXPECT_EQ(shard.machine->in_doubt(), 0u);
}

// "a participant forgets after Finish": finished twice.
TEST_F(ShardOfThree, AfterFinishNothingOfTheIdHappensAgain) {
  Transaction body = Homed("a", kThere, rich, far, 30);
  shard.Say(Prepare(body, kShards));
  shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{9000}));
  shard.CheckpointNow();
  for (uint32_t attempt : {1u, 2u, 9u}) {
    Vote late = shard.Say(Prepare(body, kShards, attempt));
    EXPECT_EQ(late.kind, VoteKind::kFinished);
    EXPECT_EQ(late.of.attempt, 1u);
    EXPECT_EQ(late.finished.committed_at, LogTime{9000});
    EXPECT_EQ(shard.Say(Resolve(body, kShards, attempt)).kind, VoteKind::kFinished);
    EXPECT_EQ(shard.Say(Finish(body, DecisionKind::kAborted, {}, attempt)).finished.kind,
              DecisionKind::kCommitted);
  }
  EXPECT_TRUE(AccountOf(rich).totals.debits_posted == 30 && AccountOf(rich).debits_in_doubt == 0);
}

// Design §4: a debit in doubt may be released, so a second one that needs its money is Blocked, not Refused.
TEST_F(ShardOfThree, DebitInDoubtBlocksInsteadOfRefusing) {
  Transaction first = Homed("a", kThere, rich, far, 80);
  Transaction second = Homed("b", kThere, rich, far, 30);
  shard.Say(Prepare(first, kShards));
  Vote blocked = shard.Say(Prepare(second, kShards));
  EXPECT_EQ(blocked.kind, VoteKind::kBlocked);
  ASSERT_EQ(blocked.blockers.size(), 1u);
  EXPECT_EQ(blocked.blockers[0].of, TryOf(first));
  EXPECT_EQ(blocked.blockers[0].participants, Participants(first, kShards));
  EXPECT_EQ(blocked.blockers[0].deadline_us, 1'000'000);
  EXPECT_EQ(shard.machine->InDoubtOn({"main", rich}).size(), 1u) << "a blocked try reserves nothing";
  shard.Say(Finish(first, DecisionKind::kAborted));
  EXPECT_EQ(shard.Say(Prepare(second, kShards)).kind, VoteKind::kBlocked) << "a recorded vote never changes";
  EXPECT_EQ(shard.Say(Prepare(second, kShards, 2)).kind, VoteKind::kPrepared);
  EXPECT_EQ(shard.Say(Prepare(Homed("c", kThere, rich, far, 101), kShards)).kind, VoteKind::kRefused)
      << "more than there is in the best case";
}

// Design §4: a credit in doubt may have been acknowledged to the payee already.
TEST_F(ShardOfThree, CreditInDoubtBlocksInsteadOfRefusing) {
  Transaction paid = Homed("a", kThere, far, poor, 50);
  shard.Say(Prepare(paid, kShards));
  Transaction spend = Homed("b", kHere, poor, world, 50);
  Vote blocked = shard.Say(Execute(spend));
  EXPECT_EQ(blocked.kind, VoteKind::kBlocked);
  EXPECT_EQ(blocked.of.attempt, 1u);
  shard.Say(Finish(paid, DecisionKind::kCommitted, LogTime{1}));
  shard.Say(Finish(spend, DecisionKind::kAborted));
  EXPECT_EQ(shard.Say(Execute(spend, 2)).finished.kind, DecisionKind::kCommitted);
  EXPECT_EQ(shard.machine->FindTransaction({"main", spend.id})[0].of.attempt, 2u);
}

TEST_F(ShardOfThree, BlockedNamesTheOldestSixteen) {
  for (int i = 0; i < 20; ++i) {
    shard.Say(Prepare(Homed("r" + std::to_string(i), kThere, rich, far, 5), kShards));
  }
  Vote blocked = shard.Say(Prepare(Homed("b", kThere, rich, far, 5), kShards));
  ASSERT_EQ(blocked.kind, VoteKind::kBlocked);
  ASSERT_EQ(blocked.blockers.size(), 16u);
  EXPECT_EQ(blocked.blockers[0].of.key.id, PlacedTransactionId("r0", kThere));
  EXPECT_EQ(blocked.blockers[15].of.key.id, PlacedTransactionId("r15", kThere));
}

TEST_F(ShardOfThree, AssetNotKnownBlocksWithoutBlockersAndAWrongOneRefuses) {
  Transaction body = Homed("a", kThere, rich, far, 5);
  PrepareCommand unknown = Prepare(body, kShards);
  unknown.assets.clear();
  Vote vote = shard.Say(unknown);
  EXPECT_EQ(vote.kind, VoteKind::kBlocked);
  EXPECT_TRUE(vote.blockers.empty());
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 2, "EUR/2")).refusal, Outcome::kAssetMismatch);
  Transaction missing = Homed("b", kThere, AccountOn(kHere, kShards, "nobody"), far, 5);
  unknown = Prepare(missing, kShards);
  unknown.assets.clear();
  EXPECT_EQ(shard.Say(unknown).refusal, Outcome::kDebitAccountNotFound);
  Transaction given = Homed("c", kThere, rich, far, 5);
  given.transfers[0].asset = "EUR/2";
  EXPECT_EQ(shard.Say(Prepare(given, kShards)).refusal, Outcome::kAssetMismatch);
}

TEST_F(ShardOfThree, SameAccountIsSeenByTheDebitShard) {
  EXPECT_EQ(shard.Say(Execute(Homed("a", kHere, rich, rich, 5))).finished.refusal, Outcome::kSameAccount);
  EXPECT_EQ(shard.Say(Prepare(Homed("b", kThere, rich, rich, 5), kShards)).refusal, Outcome::kSameAccount);
}

// "home not a participant": one id, two effects.
TEST_F(ShardOfThree, HomeWithoutAccountsVotesAndBindsTheId) {
  Transaction body = Homed("a", kHere, far, AccountOn(kThird, kShards, "c"), 5);
  EXPECT_EQ(shard.Say(Prepare(body, kShards)).kind, VoteKind::kPrepared);
  EXPECT_EQ(shard.Say(Prepare(Homed("a", kHere, far, AccountOn(kThird, kShards, "c"), 6), kShards)).kind,
            VoteKind::kConflict);
  shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{5}));
  EXPECT_TRUE(shard.machine->Clearing().empty()) << "a home without an account books nothing";
}

// "votes keyed by id without digest": two bodies share votes.
TEST_F(ShardOfThree, HomeAnswersAnotherBodyWithConflictForEver) {
  Marks marks(1);
  Marks::Install(&marks);
  Transaction first = Homed("a", kHere, rich, far, 5);
  Transaction second = Homed("a", kHere, rich, far, 6);
  shard.Say(Prepare(first, kShards));
  EXPECT_EQ(shard.machine->FindVote(TryOf(second))->kind, VoteKind::kConflict) << "without recording";
  EXPECT_EQ(shard.machine->in_doubt(), 1u);
  EXPECT_EQ(shard.Say(Prepare(second, kShards)).kind, VoteKind::kConflict);
  EXPECT_EQ(marks.hits().count("txn.conflict"), 1u);
  Marks::Install(nullptr);
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 5) << "the first is not touched";
  shard.Say(Finish(first, DecisionKind::kAborted));
  shard.CheckpointNow();
  EXPECT_EQ(shard.Say(Prepare(second, kShards)).kind, VoteKind::kConflict) << "an aborted body binds, too";
  EXPECT_EQ(shard.Say(Finish(second, DecisionKind::kConflict)).finished.kind, DecisionKind::kConflict);
  EXPECT_EQ(shard.Say(Prepare(second, kShards, 2)).finished.kind, DecisionKind::kConflict);
  EXPECT_EQ(shard.Say(Prepare(first, kShards, 2)).kind, VoteKind::kPrepared);
  std::vector<TransactionRecord> records = shard.machine->FindTransaction({"main", first.id});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].of, TryOf(first, 2)) << "the body that the id is bound to comes first";
  EXPECT_FALSE(records[0].decision.has_value());
  EXPECT_EQ(records[1].decision->kind, DecisionKind::kConflict);
}

TEST_F(ShardOfThree, ElsewhereTwoBodiesOfOneIdAreHeldApart) {
  Transaction first = Homed("a", kThere, rich, far, 5);
  Transaction second = Homed("a", kThere, rich, far, 6);
  EXPECT_EQ(shard.Say(Prepare(first, kShards)).kind, VoteKind::kPrepared);
  EXPECT_EQ(shard.Say(Prepare(second, kShards)).kind, VoteKind::kPrepared);
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 11);
  shard.Say(Finish(second, DecisionKind::kConflict));
  shard.Say(Finish(first, DecisionKind::kCommitted, LogTime{5}));
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 0 && AccountOf(rich).totals.debits_posted == 5);
  EXPECT_EQ(shard.machine->FindTransaction({"main", first.id}).size(), 2u);
}

// "Resolve records nothing": an abort meets a commit.
TEST_F(ShardOfThree, ResolveRecordsAVoteThatALatePrepareMeets) {
  Marks marks(1);
  Marks::Install(&marks);
  Transaction body = Homed("a", kHere, rich, far, 5);
  EXPECT_EQ(shard.machine->FindVote(TryOf(body)), std::nullopt);
  EXPECT_EQ(shard.Say(Resolve(body, kShards)).kind, VoteKind::kResolved);
  EXPECT_EQ(marks.hits().count("txn.resolved_without_vote"), 1u);
  Marks::Install(nullptr);
  EXPECT_EQ(shard.Say(Prepare(body, kShards)).kind, VoteKind::kResolved);
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 0);
  EXPECT_EQ(shard.machine->FindTransaction({"main", body.id})[0].body_at, LogIndex{0});
  // It binds the id at home.
  EXPECT_EQ(shard.Say(Prepare(Homed("a", kHere, rich, far, 6), kShards)).kind, VoteKind::kConflict);
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 2)).kind, VoteKind::kPrepared)
      << "an abort does not burn the id";
}

TEST_F(ShardOfThree, ResolveDoesNotChangeAVote) {
  Transaction body = Homed("a", kHere, rich, far, 5);
  shard.Say(Prepare(body, kShards));
  EXPECT_EQ(shard.Say(Resolve(body, kShards)).kind, VoteKind::kPrepared);
}

// "a late Prepare(n) voted on after n+1 was seen": reservations that never end.
TEST_F(ShardOfThree, LaterAttemptReleasesTheEarlierAndSupersedesIt) {
  Marks marks(1);
  Marks::Install(&marks);
  Transaction body = Homed("a", kThere, rich, far, 80);
  shard.Say(Prepare(body, kShards));
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 2)).kind, VoteKind::kPrepared)
      << "its own reservation is not in the way";
  EXPECT_EQ(marks.hits().count("txn.attempt_released_by_the_next"), 1u);
  EXPECT_EQ(marks.hits().count("txn.blocked"), 0u);
  Marks::Install(nullptr);
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 80);
  for (const TxnCommand& late : std::vector<TxnCommand>{Prepare(body, kShards), Resolve(body, kShards),
                                                        Finish(body, DecisionKind::kAborted)}) {
    Vote vote = shard.Say(late);
    EXPECT_EQ(vote.kind, VoteKind::kSuperseded);
    EXPECT_EQ(vote.of.attempt, 2u);
  }
  EXPECT_EQ(shard.Say(Resolve(body, kShards, 3)).kind, VoteKind::kResolved) << "Resolve is proof, too";
  EXPECT_TRUE(AccountOf(rich).debits_in_doubt == 0);
  EXPECT_EQ(shard.machine->FindVote(TryOf(body, 2))->kind, VoteKind::kSuperseded);
  shard.Say(Finish(body, DecisionKind::kAborted, {}, 3));
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 2)).kind, VoteKind::kSuperseded);
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 3)).finished.kind, DecisionKind::kAborted);
  EXPECT_EQ(shard.machine->FindVote(TryOf(body, 4)), std::nullopt);
  EXPECT_EQ(shard.Say(Prepare(body, kShards, 4)).kind, VoteKind::kPrepared);
}

TEST_F(ShardOfThree, FinishThatTheVoteContradictsDoesNothing) {
  Transaction body = Homed("a", kHere, rich, far, 101);
  EXPECT_EQ(shard.Say(Prepare(body, kShards)).kind, VoteKind::kRefused);
  EXPECT_EQ(shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{5})).kind, VoteKind::kRefused);
  EXPECT_EQ(shard.Say(Finish(body, DecisionKind::kRefused)).finished.kind, DecisionKind::kRefused);
  shard.Apply({Finish(Homed("never", kHere, rich, far, 1), DecisionKind::kCommitted, LogTime{5})});
  EXPECT_TRUE(shard.votes.empty());
  EXPECT_TRUE(AccountOf(rich).totals.debits_posted == 0);
}

TEST_F(ShardOfThree, TimeOfAnEntryRespectsStampTokenCloseAndCommit) {
  LogTime before = shard.machine->clock();
  shard.Apply({}, 0);
  EXPECT_EQ(shard.machine->clock().value, before.value + 1) << "no stamp turns it back";
  shard.Apply({}, 50'000);
  EXPECT_EQ(shard.machine->clock().value, 50'000);
  Transaction body = Homed("a", kThere, rich, far, 5);
  PrepareCommand after = Prepare(body, kShards);
  after.after = LogTime{60'000};
  EXPECT_EQ(shard.Say(after).at, LogTime{60'001});
  shard.Apply({CloseCommand{LogTime{70'000}}});
  shard.Apply({});
  EXPECT_EQ(shard.machine->clock(), LogTime{70'001}) << "later timestamps are above a close";
  shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{80'000}));
  EXPECT_EQ(shard.machine->clock(), LogTime{80'000});
  shard.Apply({}, INT64_MAX);
  shard.Apply({}, INT64_MAX);
  EXPECT_LT(shard.machine->clock().value, INT64_MAX / 8) << "no stamp makes the clock run over";
}

TEST_F(ShardOfThree, OverdueListsWhatIsPastDeadlineAndGrace) {
  shard.Say(Prepare(Homed("a", kThere, rich, far, 5), kShards));
  EXPECT_TRUE(shard.machine->Overdue(3'000'000).empty());
  ASSERT_EQ(shard.machine->Overdue(3'000'001).size(), 1u);
  EXPECT_EQ(shard.machine->Overdue(3'000'001)[0].vote.kind, VoteKind::kPrepared);
}

TEST_F(ShardOfThree, HugeAmountsAreRefusedNotWrapped) {
  std::string sink = AccountOn(kHere, kShards, "sink");
  shard.Apply({Open(sink, Unlimited())});
  EXPECT_EQ(shard.Say(Execute(Homed("a", kHere, world, sink, kTransferAmountMax))).finished.kind,
            DecisionKind::kCommitted);
  EXPECT_EQ(shard.Say(Execute(Homed("b", kHere, world, sink, kTransferAmountMax - 200))).finished.kind,
            DecisionKind::kCommitted);
  EXPECT_EQ(shard.Say(Execute(Homed("c", kHere, world, sink, kTransferAmountMax))).finished.refusal,
            Outcome::kAmountOverflow);
  // Clearing accounts and sums count modulo 2^128: nothing limits them.
  for (int i = 0; i < 3; ++i) {
    std::string source = AccountOn(kHere, kShards, "source" + std::to_string(i) + "-");
    shard.Apply({Open(source, Unlimited())});
    Transaction body = Homed("d" + std::to_string(i), kHere, source, far, kTransferAmountMax);
    ASSERT_EQ(shard.Say(Prepare(body, kShards)).kind, VoteKind::kPrepared);
    shard.Say(Finish(body, DecisionKind::kCommitted, LogTime{1}));
  }
}

TEST_F(ShardOfThree, CommandsOfOtherMachinesAreNotRead) {
  Digest before = shard.machine->digests().state;
  shard.ApplyEncoded({EncodeCommand(MachineId::kNoop, ""),
                      EncodeCommand(MachineId::kCluster, EncodeTxnCommand(Open("x", Limited())))});
  EXPECT_EQ(shard.machine->digests().state, before);
  EXPECT_TRUE(shard.opened.empty());
}

TEST_F(ShardOfThree, ListingMergesRowsAndMemoryInOrder) {
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    std::string id = "list-" + std::to_string(i);
    if (ShardOfAccount("main", id, kShards) != kHere) continue;
    shard.Apply({Open(id, Limited())});
    expected.push_back(id);
    if (expected.size() == 6) shard.CheckpointNow();
  }
  std::sort(expected.begin(), expected.end());
  shard.Say(Execute(Homed("a", kHere, rich, expected[3], 5)));
  std::vector<AccountRow> rows = shard.machine->ListAccounts("main", "list-", "", 1000);
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].key.id, expected[i]);
  EXPECT_TRUE(rows[3].account.totals.credits_posted == 5);
  rows = shard.machine->ListAccounts("main", "list-", expected[1], 2);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].key.id, expected[2]);
  EXPECT_TRUE(shard.machine->ListAccounts("other", "", "", 10).empty());
}

}  // namespace
}  // namespace paxledger
