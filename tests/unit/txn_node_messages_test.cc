#include <string>
#include <variant>

#include "base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "txn/node.pb.h"
#include "txn/node_messages.h"

namespace paxledger {
namespace {

const Try kTry{{"main", "pay-1"}, Sha256("body"), 7};

Vote VoteOf(VoteKind kind) {
  Vote vote;
  vote.kind = kind;
  vote.of = kTry;
  return vote;
}

template <class Message>
Message Again(Message message) {
  std::string frame;
  AppendNodeMessage(std::move(message), &frame);
  absl::StatusOr<std::vector<NodeMessage>> messages = DecodeNodeMessages(frame);
  EXPECT_TRUE(messages.ok()) << messages.status();
  EXPECT_EQ(messages->size(), 1u);
  return std::get<Message>(std::move(messages->front()));
}

template <class Body>
Body Asked(Body body) {
  Question question = Again(Question{5, 1'000'000, std::move(body)});
  EXPECT_EQ(question.call, 5u);
  EXPECT_EQ(question.within_us, 1'000'000);
  return std::get<Body>(std::move(question.body));
}

template <class Body>
Body Answered(Body body) {
  Answer answer = Again(Answer{6, AnswerBody(std::move(body))});
  EXPECT_EQ(answer.call, 6u);
  EXPECT_TRUE(answer.body.ok()) << answer.body.status();
  return std::get<Body>(*std::move(answer.body));
}

Account SomeAccount() {
  Account account;
  account.spec.asset = "USD/2";
  account.spec.limit = LimitRule::kDebitsMustNotExceedCredits;
  account.spec.metadata = "{\"tier\":\"gold\"}";
  account.totals.credits_posted = (Amount{1} << 100) + 3;
  account.debits_in_doubt = 4;
  account.opened_at = LogTime{99};
  return account;
}

Transaction SomeTransaction() {
  Transfer transfer;
  transfer.id = "pay-1";
  transfer.debit_account = "alice";
  transfer.credit_account = "bob";
  transfer.amount = 5;
  return Transaction{"main", "pay-1", {transfer}};
}

TEST(NodeMessages, GiveBackWatches) {
  WatchTry watch = Again(WatchTry{UINT64_MAX, ShardId{9}, kTry});
  EXPECT_EQ(watch.watch, UINT64_MAX);
  EXPECT_EQ(watch.shard, ShardId{9});
  EXPECT_EQ(watch.of, kTry);
  EXPECT_EQ(Again(EndWatch{17}).watch, 17u);
}

TEST(NodeMessages, GiveBackVotesOfEveryKind) {
  ToldVote nothing = Again(ToldVote{3, ToldVote::Why::kAsked, std::nullopt, LogTime{}});
  EXPECT_FALSE(nothing.vote.has_value());
  Vote blocked = VoteOf(VoteKind::kBlocked);
  blocked.blockers.push_back(
      {Try{{"main", "other"}, Sha256("other"), 2}, {ShardId{1}, ShardId{1023}}, 12345});
  ToldVote told = Again(ToldVote{3, ToldVote::Why::kApplied, blocked, LogTime{77}});
  EXPECT_EQ(told.why, ToldVote::Why::kApplied);
  EXPECT_EQ(told.clock_before, LogTime{77});
  EXPECT_EQ(told.vote->kind, VoteKind::kBlocked);
  EXPECT_EQ(told.vote->of.attempt, 7u);
  ASSERT_EQ(told.vote->blockers.size(), 1u);
  EXPECT_EQ(told.vote->blockers[0].of, blocked.blockers[0].of);
  EXPECT_EQ(told.vote->blockers[0].participants, blocked.blockers[0].participants);
  EXPECT_EQ(told.vote->blockers[0].deadline_us, 12345);

  Vote refused = VoteOf(VoteKind::kRefused);
  refused.refusal = Outcome::kAmountOverflow;
  refused.transfer = 999;
  ToldVote refusal = Again(ToldVote{3, ToldVote::Why::kApplied, refused, LogTime{}});
  EXPECT_EQ(refusal.vote->refusal, Outcome::kAmountOverflow);
  EXPECT_EQ(refusal.vote->transfer, 999u);

  Vote finished = VoteOf(VoteKind::kFinished);
  finished.finished = {DecisionKind::kCommitted, Outcome::kCommitted, 0, LogTime{1'700'000'000'000'000}};
  EXPECT_EQ(Again(ToldVote{3, ToldVote::Why::kAsked, finished, LogTime{}}).vote->finished, finished.finished);
  Vote prepared = VoteOf(VoteKind::kPrepared);
  prepared.at = LogTime{55};
  EXPECT_EQ(Again(ToldVote{3, ToldVote::Why::kApplied, prepared, LogTime{}}).vote->at, LogTime{55});
}

TEST(NodeMessages, GiveBackQuestions) {
  VotesQuestion votes = Asked(VotesQuestion{ShardId{2}, {kTry, kTry}, Freshness::kApplied, LogTime{8}});
  EXPECT_EQ(votes.tries, std::vector<Try>({kTry, kTry}));
  EXPECT_EQ(votes.freshness, Freshness::kApplied);
  EXPECT_EQ(votes.raise_to, LogTime{8});
  AssetsQuestion assets = Asked(AssetsQuestion{ShardId{2}, {{"main", "alice"}}, Freshness::kBarrier});
  EXPECT_EQ(assets.accounts, std::vector<LedgerKey>({{"main", "alice"}}));
  OpenQuestion open = Asked(OpenQuestion{{{LedgerKey{"main", "alice"}, SomeAccount().spec}}});
  ASSERT_EQ(open.requests.size(), 1u);
  EXPECT_EQ(open.requests[0].spec, SomeAccount().spec);
  AccountQuestion account = Asked(AccountQuestion{{"main", "alice"}, ReadMode::kLocal, LogTime{4}});
  EXPECT_EQ(account.mode, ReadMode::kLocal);
  EXPECT_EQ(account.after, LogTime{4});
  EXPECT_EQ(Asked(TransactionQuestion{{"main", "pay-1"}, "token"}).recovery_token, "token");
  ListQuestion list = Asked(ListQuestion{{ShardId{0}, ShardId{5}}, "main", "a", "", 1000, ReadMode::kStrong});
  EXPECT_EQ(list.shards, std::vector<ShardId>({ShardId{0}, ShardId{5}}));
  EXPECT_EQ(list.prefix, "a");
  EXPECT_EQ(list.limit, 1000u);
}

TEST(NodeMessages, GiveBackAnswers) {
  Vote prepared = VoteOf(VoteKind::kPrepared);
  prepared.at = LogTime{55};
  VotesAnswer votes = Answered(VotesAnswer{{std::nullopt, prepared}});
  ASSERT_EQ(votes.votes.size(), 2u);
  EXPECT_FALSE(votes.votes[0].has_value());
  EXPECT_EQ(votes.votes[1]->at, LogTime{55});
  EXPECT_EQ(Answered(AssetsAnswer{{"", "USD/2"}}).assets, std::vector<std::string>({"", "USD/2"}));

  std::vector<OpenAccountResult> results(2);
  results[0].status = OpenStatus::kExists;
  results[0].account = SomeAccount();
  results[1].failure = absl::ResourceExhaustedError("full");
  results = Answered(results);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].status, OpenStatus::kExists);
  EXPECT_EQ(results[0].account.totals, SomeAccount().totals);
  EXPECT_EQ(results[1].failure, absl::ResourceExhaustedError("full"));

  AccountRead none = Answered(AccountRead{std::nullopt, LogTime{3}, 0});
  EXPECT_FALSE(none.account.has_value());
  AccountRead read = Answered(AccountRead{SomeAccount(), LogTime{3}, 17});
  EXPECT_EQ(read.account->spec, SomeAccount().spec);
  EXPECT_EQ(read.account->debits_in_doubt, Amount{4});
  EXPECT_EQ(read.staleness_us, 17);

  TransferRead transfer{SomeTransaction(), {}};
  transfer.result.state = TransactionState::kCommitted;
  transfer.result.committed_at = LogTime{88};
  transfer.result.shards = {ShardId{3}};
  transfer.result.replayed = true;
  transfer.result.assets = {"USD/2"};
  TransferRead again = Answered(transfer);
  EXPECT_EQ(again.transaction, transfer.transaction);
  EXPECT_EQ(again.result.state, TransactionState::kCommitted);
  EXPECT_EQ(again.result.shards, transfer.result.shards);
  EXPECT_EQ(again.result.assets, transfer.result.assets);

  AccountPage page{{AccountRow{{"main", "alice"}, SomeAccount()}}, true, 9};
  page = Answered(page);
  ASSERT_EQ(page.accounts.size(), 1u);
  EXPECT_EQ(page.accounts[0].key.id, "alice");
  EXPECT_TRUE(page.has_more);
}

TEST(NodeMessages, GiveBackFailures) {
  Answer answer = Again(Answer{6, absl::NotFoundError("no such transaction")});
  EXPECT_EQ(answer.body.status(), absl::NotFoundError("no such transaction"));
}

TEST(NodeMessages, SeveralStandInOneFrameInOrder) {
  std::string frame;
  for (uint64_t i = 0; i < 5; ++i) AppendNodeMessage(EndWatch{i}, &frame);
  absl::StatusOr<std::vector<NodeMessage>> messages = DecodeNodeMessages(frame);
  ASSERT_TRUE(messages.ok());
  ASSERT_EQ(messages->size(), 5u);
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(std::get<EndWatch>((*messages)[i]).watch, i);
}

TEST(NodeMessages, GiveBackStatementsAndOutboxes) {
  StatementQuestion whole =
      Asked(StatementQuestion{{{"main", "alice"}, {}, {}, {}, {}, 7}, ReadMode::kLocal, LogTime{3}});
  EXPECT_EQ(whole.request.account, (LedgerKey{"main", "alice"}));
  EXPECT_FALSE(whole.request.after.has_value());
  EXPECT_EQ(whole.request.limit, 7u);
  EXPECT_EQ(whole.mode, ReadMode::kLocal);
  EXPECT_EQ(whole.after, LogTime{3});
  LineKey key{LogTime{5}, "pay-1", 999};
  StatementRequest request{{"main", "alice"},       LogTime{1}, LogTime{INT64_MAX},
                           LineOrder::kNewestFirst, key,        1000};
  StatementQuestion rest = Asked(StatementQuestion{request, ReadMode::kStrong, LogTime{}});
  EXPECT_EQ(rest.request.from, LogTime{1});
  EXPECT_GT(rest.request.until, LogTime{1'800'000'000'000'000});
  EXPECT_EQ(rest.request.order, LineOrder::kNewestFirst);
  EXPECT_EQ(rest.request.after, key);

  StatementLine line{
      {key, Side::kCredit, 5, 6, (Amount{1} << 100), {}, 0}, "pay-1~999", "bob", 77, "code", ""};
  StatementPage page = Answered(StatementPage{SomeAccount().spec, {line}, true, LogTime{9}, 4});
  EXPECT_EQ(page.spec, SomeAccount().spec);
  ASSERT_EQ(page.lines.size(), 1u);
  EXPECT_EQ(page.lines[0].line.key, key);
  EXPECT_EQ(page.lines[0].line.side, Side::kCredit);
  EXPECT_TRUE(page.lines[0].line.amount == 5 && page.lines[0].line.debits_after == 6);
  EXPECT_TRUE(page.lines[0].line.credits_after == Amount{1} << 100);
  EXPECT_EQ(page.lines[0].transfer_id, "pay-1~999");
  EXPECT_EQ(page.lines[0].counterpart, "bob");
  EXPECT_EQ(page.lines[0].effective_at_us, 77);
  EXPECT_EQ(page.lines[0].code, "code");
  EXPECT_TRUE(page.has_more);
  EXPECT_EQ(page.closed_until, LogTime{9});

  OutboxQuestion outbox =
      Asked(OutboxQuestion{ShardId{3}, "main", EventsRequest::Start::kNewest, {LogIndex{8}, 2}, 64});
  EXPECT_EQ(outbox.shard, ShardId{3});
  EXPECT_EQ(outbox.start, EventsRequest::Start::kNewest);
  EXPECT_EQ(outbox.from, (QueuePosition{LogIndex{8}, 2}));
  EXPECT_EQ(outbox.limit, 64u);
  CommittedEvent event{{}, {LogIndex{8}, 3}, LogTime{55}, SomeTransaction(), {}};
  OutboxPage told = Answered(OutboxPage{{event}, {LogIndex{8}, 2}, {LogIndex{8}, 4}, true});
  ASSERT_EQ(told.events.size(), 1u);
  EXPECT_EQ(told.events[0].at, event.at);
  EXPECT_EQ(told.events[0].committed_at, LogTime{55});
  EXPECT_EQ(told.events[0].transaction, SomeTransaction());
  EXPECT_EQ(told.from, (QueuePosition{LogIndex{8}, 2}));
  EXPECT_EQ(told.next, (QueuePosition{LogIndex{8}, 4}));
  EXPECT_TRUE(told.has_more);
  std::string frame;
  AppendNodeMessage(Answer{6, AnswerBody(OutboxPage{{}, {LogIndex{8}, 2}, {LogIndex{8}, 2}, true})}, &frame);
  EXPECT_FALSE(DecodeNodeMessages(frame).ok()) << "who asks again would ask for ever";
}

TEST(NodeMessages, WhatBreaksABoundIsRefused) {
  auto refused = [](auto change) {
    std::string frame;
    AppendNodeMessage(WatchTry{1, ShardId{9}, kTry}, &frame);
    Vote vote = VoteOf(VoteKind::kPrepared);
    AppendNodeMessage(ToldVote{1, ToldVote::Why::kAsked, vote, LogTime{}}, &frame);
    AppendNodeMessage(Question{1, 5, AccountQuestion{{"main", "alice"}, ReadMode::kStrong, LogTime{}}},
                      &frame);
    txn_wire::NodeMessage message;
    EXPECT_TRUE(message.ParseFromString(frame));
    EXPECT_TRUE(DecodeNodeMessages(frame).ok());
    change(message);
    return DecodeNodeMessages(message.SerializeAsString()).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  using Message = txn_wire::NodeMessage;
  EXPECT_TRUE(refused([](Message& m) { m.set_version(2); }));
  EXPECT_TRUE(refused([](Message& m) { m.add_items(); })) << "an item of no kind";
  EXPECT_TRUE(refused([](Message& m) { m.mutable_items(0)->mutable_end_watch(); })) << "of two kinds";
  EXPECT_TRUE(
      refused([](Message& m) { m.mutable_items(0)->mutable_watch()->set_shard(limits::kShardsMax); }));
  EXPECT_TRUE(refused([](Message& m) { m.mutable_items(0)->mutable_watch()->mutable_of()->push_back('x'); }));
  auto vote = [](Message& m) { return m.mutable_items(1)->mutable_told()->mutable_vote(); };
  EXPECT_TRUE(refused([&](Message& m) { vote(m)->set_kind(8); }));
  EXPECT_TRUE(refused([&](Message& m) { vote(m)->set_attempt(0); }));
  EXPECT_TRUE(refused([&](Message& m) { vote(m)->set_at(-1); }));
  EXPECT_TRUE(refused([&](Message& m) { vote(m)->set_refusal(200); }));
  EXPECT_TRUE(refused([&](Message& m) { vote(m)->set_finished("x"); }));
  EXPECT_TRUE(refused([](Message& m) { m.mutable_items(1)->mutable_told()->set_why(3); }));
  auto question = [](Message& m) { return m.mutable_items(2)->mutable_question(); };
  EXPECT_TRUE(refused([&](Message& m) { question(m)->set_within_us(limits::kRequestTimeoutMaxUs + 1); }));
  EXPECT_TRUE(refused([&](Message& m) { question(m)->clear_account(); }));
  EXPECT_TRUE(refused([&](Message& m) { question(m)->mutable_account()->set_mode(2); }));
  EXPECT_TRUE(refused([&](Message& m) { question(m)->mutable_account()->set_key("alice"); }));
}

}  // namespace
}  // namespace paxledger
