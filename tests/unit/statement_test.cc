// Statements of accounts against a plain list of what was posted.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/unit/test_shard.h"
#include "txn/command_view.h"
#include "txn/entry_row.h"

namespace paxledger {
namespace {

constexpr uint32_t kShards = 2;
constexpr ShardId kHere{0};

struct ModelLine {
  LineKey key;
  std::string account;
  Side side;
  Amount amount;
  friend bool operator<(const ModelLine& a, const ModelLine& b) { return a.key < b.key; }
};

// One shard and the plain list of its lines. Its transactions are finished late, in any order, and committed at times that lie
// above their Prepare here by any distance.
class Ledger {
 public:
  explicit Ledger(uint64_t seed, uint32_t checkpoint_commands)
      : random(seed), shard(kHere, kShards, checkpoint_commands, 3) {
    for (int i = 0; i < 3; ++i) here.push_back(AccountOn(kHere, kShards, "h" + std::to_string(i) + "-"));
    there = AccountOn(ShardId{1}, kShards, "t-");
    std::vector<TxnCommand> open;
    for (const std::string& id : here) open.push_back(Open(id, Unlimited()));
    shard.Apply(open, 1000);
  }

  // An entry of a few commands: transfers here, Prepares, and Finishes of older ones.
  void Step() {
    std::vector<TxnCommand> commands;
    std::vector<Transaction> prepared;
    std::vector<ModelLine> executed;
    std::vector<size_t> finished;
    for (uint64_t n = random.Below(5); n > 0; --n) {
      Transaction body = Body();
      bool single = Participants(body, kShards).size() == 1;
      if (single) {
        for (uint32_t i = 0; i < body.transfers.size(); ++i) AddLines(body, i, LogTime{}, &executed);
        commands.push_back(Execute(body));
      } else {
        commands.push_back(Prepare(body, kShards));
        prepared.push_back(body);
      }
    }
    for (size_t i = 0; i < in_doubt.size(); ++i) {
      if (!random.Chance(1, late_)) continue;
      DoubtfulTransfer& doubt = in_doubt[i];
      bool commit = random.Chance(5, 6);
      commands.push_back(
          Finish(doubt.body, commit ? DecisionKind::kCommitted : DecisionKind::kAborted, doubt.committed_at));
      if (commit) {
        for (uint32_t t = 0; t < doubt.body.transfers.size(); ++t)
          AddLines(doubt.body, t, doubt.committed_at, &lines);
      }
      finished.push_back(i);
    }
    for (auto i = finished.rbegin(); i != finished.rend(); ++i)
      in_doubt.erase(in_doubt.begin() + static_cast<std::ptrdiff_t>(*i));
    if (random.Chance(1, 10)) late_ = 1 + random.Below(30);
    shard.Apply(commands, shard.machine->clock().value + static_cast<int64_t>(random.Below(3)));
    LogTime at = shard.machine->clock();
    for (ModelLine& line : executed) {
      line.key.committed_at = at;
      lines.push_back(line);
    }
    for (Transaction& body : prepared) {
      int64_t above = random.Chance(1, 2) ? 0 : static_cast<int64_t>(random.Below(40));
      in_doubt.push_back({std::move(body), LogTime{at.value + above}});
    }
  }

  struct DoubtfulTransfer {
    Transaction body;
    LogTime committed_at;
  };

  Random random;
  TestShard shard;
  std::vector<std::string> here;
  std::string there;
  std::vector<ModelLine> lines;
  std::vector<DoubtfulTransfer> in_doubt;

 private:
  // One to three transfers, between accounts here or with one elsewhere.
  Transaction Body() {
    Transaction body{
        "main",
        PlacedTransactionId("x" + std::to_string(random.Below(1000)) + "-" + std::to_string(++ids_), kHere),
        {}};
    uint64_t count = random.Chance(1, 4) ? 3 : 1;
    bool far = random.Chance(1, 2);
    for (uint64_t i = 0; i < count; ++i) {
      Transaction one = Pay("t", here[random.Below(2)], far ? there : here[2], 1 + random.Below(20));
      Transfer transfer = one.transfers.front();
      if (random.Chance(1, 2)) std::swap(transfer.debit_account, transfer.credit_account);
      transfer.id = DerivedTransferId(body.id, i, count);
      body.transfers.push_back(std::move(transfer));
    }
    return body;
  }
  void AddLines(const Transaction& body, uint32_t n, LogTime committed_at, std::vector<ModelLine>* out) {
    const Transfer& transfer = body.transfers[n];
    LineKey key{committed_at, body.id, n};
    if (transfer.debit_account != there)
      out->push_back({key, transfer.debit_account, Side::kDebit, transfer.amount});
    if (transfer.credit_account != there)
      out->push_back({key, transfer.credit_account, Side::kCredit, transfer.amount});
  }
  uint64_t late_ = 5;
  int ids_ = 0;
};

std::vector<LedgerLine> ReadPage(Ledger& ledger, const std::string& account, StatementRange range,
                                 bool* more) {
  std::optional<StatementScan> scan =
      ledger.shard.machine->ScanStatement({"main", account}, std::move(range));
  EXPECT_TRUE(scan.has_value());
  while (true) {
    absl::StatusOr<StatementScan::Progress> progress =
        ledger.shard.machine->StepStatement(*scan, 1 + ledger.random.Below(5));
    EXPECT_TRUE(progress.ok()) << progress.status();
    if (!progress.ok() || *progress == StatementScan::Progress::kDone) break;
  }
  *more = scan->has_more();
  return scan->TakeLines();
}

// What the list says a statement from `from` to `until` is, with totals.
struct Expected {
  std::vector<ModelLine> lines;
  std::vector<std::pair<Amount, Amount>> totals;
};
Expected Of(const Ledger& ledger, const std::string& account, LogTime from, LogTime until) {
  std::vector<ModelLine> all;
  for (const ModelLine& line : ledger.lines) {
    if (line.account == account) all.push_back(line);
  }
  std::sort(all.begin(), all.end());
  Expected expected;
  Amount debits = 0, credits = 0;
  for (const ModelLine& line : all) {
    (line.side == Side::kDebit ? debits : credits) += line.amount;
    if (line.key.committed_at < from || line.key.committed_at > until) continue;
    expected.lines.push_back(line);
    expected.totals.push_back({debits, credits});
  }
  return expected;
}

void CheckBody(const Ledger& ledger, const LedgerLine& line, const std::string& account) {
  absl::StatusOr<Envelope> entry = DecodeEnvelope(ledger.shard.journal[line.body_at.value - 1]);
  ASSERT_TRUE(entry.ok());
  ASSERT_LT(line.command, entry->commands.size());
  CommandView view;
  ASSERT_TRUE(view.Decode(entry->commands[line.command].bytes));
  EXPECT_EQ(view.body.id, line.key.transaction);
  const TransferView& transfer = view.body.transfers[line.key.transfer];
  EXPECT_EQ(line.side == Side::kDebit ? transfer.debit_account : transfer.credit_account, account);
  EXPECT_TRUE(transfer.amount == line.amount);
}

/// Counts the lines that it compared in `compared`.
void CompareWithList(Ledger& ledger, LineOrder order, size_t* compared) {
  const std::string account = ledger.here[ledger.random.Below(ledger.here.size())];
  LogTime closed = ledger.shard.machine->ClosedUntil({"main", account});
  StatementRange range;
  range.order = order;
  bool whole = ledger.random.Chance(1, 3);
  range.from =
      LogTime{whole ? 0 : static_cast<int64_t>(ledger.random.Below(static_cast<uint64_t>(closed.value) + 1))};
  range.until = whole ? closed : LogTime{closed.value - static_cast<int64_t>(ledger.random.Below(60))};
  range.limit = 1 + ledger.random.Below(ledger.random.Chance(1, 3) ? 200 : 12);
  Expected expected = Of(ledger, account, range.from, range.until);
  if (order == LineOrder::kNewestFirst) {
    std::reverse(expected.lines.begin(), expected.lines.end());
    std::reverse(expected.totals.begin(), expected.totals.end());
  }
  size_t at = 0;
  for (bool more = true; more;) {
    std::vector<LedgerLine> page = ReadPage(ledger, account, range, &more);
    ASSERT_LE(page.size(), range.limit);
    ASSERT_TRUE(!more || page.size() == range.limit);
    for (const LedgerLine& line : page) {
      ASSERT_LT(at, expected.lines.size());
      ASSERT_EQ(line.key, expected.lines[at].key);
      EXPECT_EQ(line.side, expected.lines[at].side);
      EXPECT_TRUE(line.amount == expected.lines[at].amount);
      EXPECT_TRUE(line.debits_after == expected.totals[at].first);
      EXPECT_TRUE(line.credits_after == expected.totals[at].second);
      CheckBody(ledger, line, account);
      ++at;
      ++*compared;
    }
    if (page.empty()) break;
    range.after = page.back().key;
    if (ledger.random.Chance(1, 4)) ledger.Step();  // what comes now is later than what was read
  }
  EXPECT_EQ(at, expected.lines.size());
}

TEST(Statement, IsTheListOfWhatWasPostedInTheOrderOfCommitTimes) {
  size_t compared = 0;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    Ledger ledger(seed, seed % 3 == 0 ? 1'000'000 : 60);
    for (int i = 0; i < 300; ++i) {
      ledger.Step();
      if (ledger.random.Chance(1, 2)) ledger.shard.engine.Pump();
      if (ledger.random.Chance(1, 60)) {
        ledger.shard.Crash();
        ledger.shard.Replay();
      }
      if (!ledger.random.Chance(1, 6)) continue;
      CompareWithList(ledger, ledger.random.Chance(1, 2) ? LineOrder::kOldestFirst : LineOrder::kNewestFirst,
                      &compared);
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(compared, 10'000u) << "a list of nothing is no test";
}

// A read in the middle of a long chain looks at rows near it.
TEST(Statement, ReadInTheMiddleStartsThere) {
  TestShard shard;
  shard.Apply({Open("a", Unlimited()), Open("w", Unlimited())});
  for (int i = 0; i < 3000; ++i) shard.Apply({Execute(Pay("t" + std::to_string(i), "w", "a", 1))}, 1000 + i);
  shard.CheckpointNow();
  shard.Crash();
  shard.engine.gets = 0;
  std::optional<StatementScan> scan = shard.machine->ScanStatement(
      {"main", "a"}, {LogTime{2000}, LogTime{4000}, LineOrder::kOldestFirst, std::nullopt, 10});
  ASSERT_TRUE(scan.has_value());
  ASSERT_EQ(*shard.machine->StepStatement(*scan, 1'000'000), StatementScan::Progress::kDone);
  ASSERT_EQ(scan->lines().size(), 10u);
  EXPECT_EQ(scan->lines().front().key.committed_at, LogTime{2000});
  EXPECT_TRUE(scan->lines().front().credits_after == 1001);
  EXPECT_TRUE(scan->has_more());
  EXPECT_LT(shard.engine.gets, 2 * StatementTable::kLinesPerCell);
}

TEST(Statement, RowsOfALostCheckpointChangeNothing) {
  TestShard shard;
  shard.Apply({Open("a", Unlimited()), Open("w", Unlimited())}, 1000);
  for (int i = 0; i < 200; ++i) shard.Apply({Execute(Pay("t" + std::to_string(i), "w", "a", 1))});
  shard.machine->Checkpoint([] { FAIL() << "it never completes"; });
  ASSERT_TRUE(shard.engine.Pump());
  EXPECT_GT(shard.engine.rows(Table::kTables).size(), 400u);
  shard.Crash();
  EXPECT_EQ(shard.machine->ScanStatement({"main", "a"}, {}), std::nullopt);
  shard.Replay();
  std::optional<StatementScan> scan = shard.machine->ScanStatement(
      {"main", "a"}, {LogTime{0}, shard.machine->clock(), LineOrder::kOldestFirst, std::nullopt, 1000});
  ASSERT_EQ(*shard.machine->StepStatement(*scan, 1'000'000), StatementScan::Progress::kDone);
  ASSERT_EQ(scan->lines().size(), 200u);
  EXPECT_TRUE(scan->lines().back().credits_after == 200);
}

TEST(Statement, BrokenChainIsDataLoss) {
  TestShard shard;
  shard.Apply({Open("a", Unlimited()), Open("w", Unlimited())}, 1000);
  LogIndex first = shard.Apply({Execute(Pay("t1", "w", "a", 1))});
  shard.Apply({Execute(Pay("t2", "w", "a", 1))});
  shard.CheckpointNow();
  shard.Crash();
  std::erase_if(shard.engine.rows(Table::kTables), [&](const auto& row) {
    return row.first[4] == 2 && ReadBigEndian64(std::string_view(row.first).substr(5)) == first.value;
  });
  std::optional<StatementScan> scan = shard.machine->ScanStatement(
      {"main", "a"}, {LogTime{0}, shard.machine->clock(), LineOrder::kNewestFirst, std::nullopt, 10});
  EXPECT_EQ(shard.machine->StepStatement(*scan, 100).status().code(), absl::StatusCode::kDataLoss);
}

TEST(EntryRow, GoldenBytes) {
  EntryRow row;
  row.transactions = {{"p1", LogTime{100}, LogIndex{9}, 0}, {"p2", LogTime{50}, LogIndex{4}, 3}};
  row.postings = {{0, 0, Side::kDebit, 5, LogTime{}, {}, 5, 0},
                  {0, 0, Side::kCredit, 5, LogTime{99}, {LogIndex{8}, 1}, 0, 300},
                  {1, 2, Side::kCredit, 7, LogTime{100}, {LogIndex{9}, 1}, 0, 307}};
  std::string bytes = EncodeEntryRow(LogIndex{9}, row);
  EXPECT_EQ(ToHex(bytes),
            "0102"
            "027031"
            "64"
            "00"
            "00"
            "02"
            "00"
            "0105"
            "00"
            "0105"
            "00"
            "01"
            "0105"
            "0201"
            "00"
            "022c01"
            "027032"
            "32"
            "05"
            "03"
            "01"
            "0b"
            "32"
            "0107"
            "0101"
            "00"
            "023301");
  absl::StatusOr<EntryRow> decoded = DecodeEntryRow(LogIndex{9}, bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->transactions, row.transactions);
  EXPECT_EQ(decoded->postings, row.postings);
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(DecodeEntryRow(LogIndex{9}, std::string_view(bytes).substr(0, n)).ok());
  }
}

TEST(Outbox, TellsEachCommittedTransactionOnceInTheOrderOfTheLog) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Ledger ledger(seed, 40);
    std::vector<std::string> told;
    QueuePosition from = ledger.shard.machine->outbox().head();
    for (int i = 0; i < 200; ++i) {
      ledger.Step();
      if (ledger.random.Chance(1, 2)) ledger.shard.engine.Pump();
      if (ledger.random.Chance(1, 20)) {
        ledger.shard.Crash();
        ledger.shard.Replay();
      }
      absl::StatusOr<std::vector<OutboxEvent>> events = ledger.shard.machine->outbox().Read(from, 3);
      ASSERT_TRUE(events.ok());
      for (const OutboxEvent& event : *events) {
        absl::StatusOr<Envelope> entry = DecodeEnvelope(ledger.shard.journal[event.body_at.value - 1]);
        CommandView view;
        ASSERT_TRUE(view.Decode(entry->commands[event.command].bytes));
        told.push_back(std::string(view.body.id));
        EXPECT_EQ(event.ledger, "main");
        from = {event.at.batch, event.at.item + 1};
      }
    }
    absl::StatusOr<std::vector<OutboxEvent>> rest = ledger.shard.machine->outbox().Read(from, 10'000);
    std::map<std::string, int> committed;
    for (const ModelLine& line : ledger.lines) committed[line.key.transaction] = 1;
    EXPECT_EQ(told.size() + rest->size(), committed.size());
    for (const std::string& id : told) EXPECT_EQ(committed[id]--, 1) << id;
  }
}

}  // namespace
}  // namespace paxledger
