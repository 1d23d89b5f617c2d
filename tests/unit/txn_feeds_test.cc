// Statements and events of whole nodes: what a client reads page by page, from any data centre, while transfers go on.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/unit/txn_shell_cluster.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

const std::string kAlice = AccountOn(ShardId{0});
const std::string kBob = AccountOn(ShardId{1});
const std::string kDave = AccountOn(ShardId{0}, 1);

StatementRequest All(const std::string& account) {
  StatementRequest request;
  request.account = {"main", account};
  request.limit = 1000;
  return request;
}

TEST(Feeds, AStrongStatementHoldsWhatWasAcknowledgedBeforeIt) {
  ShellCluster cluster;
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  int64_t balance = 1000;
  for (int i = 0; i < 12; ++i) {
    std::string id = absl::StrCat("pay-", i);
    ASSERT_EQ(cluster.Pay(1 + static_cast<uint32_t>(i) % 3, id, kAlice, kBob, 10).state,
              TransactionState::kCommitted);
    balance -= 10;
    // At once, from another data centre: the Finish is not there yet.
    uint32_t via = 1 + static_cast<uint32_t>(i + 1) % 3;
    StatementRequest request = All(kAlice);
    request.order = LineOrder::kNewestFirst;
    request.limit = 1;
    absl::StatusOr<StatementPage> page = cluster.ReadStatement(via, request);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->lines.size(), 1u);
    EXPECT_TRUE(page->has_more);
    const StatementLine& line = page->lines.front();
    EXPECT_EQ(line.line.key.transaction, id);
    EXPECT_EQ(line.transfer_id, id);
    EXPECT_EQ(line.counterpart, kBob);
    EXPECT_EQ(line.line.side, Side::kDebit);
    EXPECT_LE(line.line.key.committed_at, page->closed_until);
    EXPECT_EQ(static_cast<int64_t>(line.line.credits_after) - static_cast<int64_t>(line.line.debits_after),
              balance);
  }
  EXPECT_EQ(cluster.ReadStatement(1, All("nobody")).status().code(), absl::StatusCode::kNotFound);
}

TEST(Feeds, ALocalStatementIsStaleButClosed) {
  ShellCluster cluster;
  cluster.Fund(kAlice, 1000);
  cluster.Fund(kBob, 0);
  cluster.Pay(1, "pay-1", kAlice, kBob, 10);
  cluster.RunFor(absl::Seconds(1));
  absl::StatusOr<StatementPage> page = cluster.ReadStatement(3, All(kAlice), ReadMode::kLocal);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->lines.size(), 2u);
  EXPECT_GT(page->staleness_us, 0);
}

// Readers go through statements a few lines at a time, each page in another data centre, while payments go on and nodes die.
class FeedsOf : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(NodesPerDataCentre, FeedsOf, testing::Values(1u, 2u));

TEST_P(FeedsOf, PagesNeitherSkipNorRepeatALine) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    ShellCluster cluster(seed, GetParam());
    auto some_node = [&cluster](Random& r) { return 1 + static_cast<uint32_t>(r.Below(cluster.nodes())); };
    Random random(seed);
    for (const std::string& id : {kAlice, kBob, kDave}) cluster.Fund(id, 100'000);
    std::vector<std::string> accounts = {kAlice, kBob, kDave};
    size_t waiting = 0;
    std::vector<LineKey> read;
    std::vector<std::string> committed;
    StatementRequest request = All(kAlice);
    EventsRequest feed;
    std::vector<std::string> told;
    for (int round = 0; round < 60; ++round) {
      std::vector<Transaction> payments;
      for (uint64_t n = random.Below(6); n > 0; --n) {
        std::string from = accounts[random.Below(3)];
        std::string to = accounts[random.Below(3)];
        if (from == to) continue;
        payments.push_back(Payment(absl::StrCat("p", round, "-", n), from, to, 1));
      }
      uint32_t via = some_node(random);
      if (!payments.empty()) {
        ++waiting;
        cluster.node(via).Execute(payments, LogTime{}, cluster.In(via, absl::Seconds(5)),
                                  [&, payments](std::vector<TransactionResult> results) {
                                    --waiting;
                                    for (size_t i = 0; i < results.size(); ++i) {
                                      ASSERT_EQ(results[i].state, TransactionState::kCommitted);
                                      committed.push_back(payments[i].id);
                                    }
                                  });
      }
      cluster.RunFor(absl::Microseconds(static_cast<int64_t>(random.Below(30'000))));
      request.limit = 1 + random.Below(4);
      absl::StatusOr<StatementPage> page = cluster.ReadStatement(some_node(random), request);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const StatementLine& line : page->lines) read.push_back(line.line.key);
      if (!read.empty()) request.after = read.back();
      feed.limit = 1 + random.Below(5);
      absl::StatusOr<EventsPage> events = cluster.ReadEvents(some_node(random), feed);
      ASSERT_TRUE(events.ok()) << events.status();
      for (const CommittedEvent& event : events->events) told.push_back(event.transaction.id);
      feed.start = EventsRequest::Start::kPositions;
      feed.from = events->next;
      if (random.Chance(1, 15) && waiting == 0) {
        uint32_t victim = some_node(random);
        cluster.RunFor(absl::Milliseconds(200));
        cluster.Kill(victim);
        cluster.StartNode(victim);
        cluster.RunFor(absl::Seconds(2));
      }
    }
    ASSERT_TRUE(cluster.RunUntil([&] { return waiting == 0 && cluster.Settled(); }));
    for (bool more = true; more;) {
      absl::StatusOr<StatementPage> page = cluster.ReadStatement(2, request);
      ASSERT_TRUE(page.ok());
      for (const StatementLine& line : page->lines) read.push_back(line.line.key);
      if (!read.empty()) request.after = read.back();
      more = page->has_more;
    }
    absl::StatusOr<StatementPage> whole = cluster.ReadStatement(3, All(kAlice));
    ASSERT_TRUE(whole.ok());
    std::vector<LineKey> expected;
    Amount debits = 0, credits = 0;
    for (const StatementLine& line : whole->lines) {
      expected.push_back(line.line.key);
      (line.line.side == Side::kDebit ? debits : credits) += line.line.amount;
      EXPECT_TRUE(line.line.debits_after == debits && line.line.credits_after == credits);
    }
    EXPECT_EQ(read, expected);
    EXPECT_EQ(static_cast<int64_t>(credits) - static_cast<int64_t>(debits), cluster.Balance(1, kAlice));
    feed.limit = 1000;
    absl::StatusOr<EventsPage> rest = cluster.ReadEvents(1, feed);
    ASSERT_TRUE(rest.ok());
    EXPECT_FALSE(rest->has_more);
    for (const CommittedEvent& event : rest->events) told.push_back(event.transaction.id);
    std::multiset<std::string> once(told.begin(), told.end());
    for (const std::string& id : committed) EXPECT_EQ(once.count(id), 1u) << id;
    EXPECT_EQ(once.size(), committed.size() + 3) << "and the three that funded the accounts";
  }
}

TEST(Feeds, AWaitForEventsEndsWithTheFirst) {
  ShellCluster cluster;
  cluster.Fund(kAlice, 100);
  cluster.Fund(kDave, 0);
  cluster.RunFor(absl::Seconds(1));
  EventsRequest request;
  request.start = EventsRequest::Start::kNewest;
  request.limit = 10;
  absl::StatusOr<EventsPage> nothing = cluster.ReadEvents(2, request, absl::Seconds(3));
  ASSERT_TRUE(nothing.ok());
  EXPECT_TRUE(nothing->events.empty());
  std::optional<absl::StatusOr<EventsPage>> waited;
  request.ledger = "main";
  request.start = EventsRequest::Start::kPositions;
  request.from = nothing->next;
  request.wait = cluster.In(2, absl::Seconds(20));
  cluster.node(2).ReadEvents(request, [&](absl::StatusOr<EventsPage> r) { waited = std::move(r); });
  cluster.RunFor(absl::Seconds(1));
  EXPECT_FALSE(waited.has_value());
  cluster.Pay(1, "pay-1", kAlice, kDave, 5);
  ASSERT_TRUE(cluster.RunUntil([&] { return waited.has_value(); }, absl::Seconds(1)));
  ASSERT_TRUE(waited->ok());
  ASSERT_EQ((*waited)->events.size(), 1u);
  const CommittedEvent& event = (*waited)->events.front();
  EXPECT_EQ(event.transaction.id, "pay-1");
  EXPECT_EQ(event.transaction.transfers.front().credit_account, kDave);
  EXPECT_EQ(event.transaction.transfers.front().asset, "USD/2");
  EXPECT_EQ(event.participants.size(), 2u) << "the accounts' shard and the home of the id";
  request.from.pop_back();
  EXPECT_EQ(cluster.ReadEvents(1, request).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace paxledger
