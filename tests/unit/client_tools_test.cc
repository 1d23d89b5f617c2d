#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "api/client_budget.h"
#include "api/client_door.h"
#include "api/client_requests.h"
#include "base/random.h"
#include "ops/bench/histogram.h"
#include "ops/ledgerctl/arguments.h"
#include "ops/ledgerctl/audit_quick.h"
#include "ops/ledgerctl/column_template.h"
#include "ops/ledgerctl/csv.h"
#include "ops/ledgerctl/decimal.h"
#include "ops/ledgerctl/import_plan.h"
#include "ops/ledgerctl/row_order.h"
#include "ops/ledgerctl/table.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

using Record = std::vector<std::string>;

std::vector<Record> ReadAll(std::string_view text, char delimiter, absl::Status* status) {
  CsvReader reader(text, delimiter);
  std::vector<Record> records;
  Record record;
  while (reader.Next(&record)) records.push_back(record);
  *status = reader.status();
  return records;
}

struct CsvCase {
  const char* name;
  std::string text;
  char delimiter;
  std::vector<Record> records;
};
class CsvReads : public testing::TestWithParam<CsvCase> {};
TEST_P(CsvReads, Records) {
  absl::Status status;
  EXPECT_EQ(ReadAll(GetParam().text, GetParam().delimiter, &status), GetParam().records);
  EXPECT_TRUE(status.ok()) << status;
}
INSTANTIATE_TEST_SUITE_P(
    Rfc4180, CsvReads,
    testing::Values(CsvCase{"PlainLines", "a,b\n1,2\n", ',', {{"a", "b"}, {"1", "2"}}},
                    CsvCase{"CrLfAndNoEndOfLine", "a,b\r\n1,2", ',', {{"a", "b"}, {"1", "2"}}},
                    CsvCase{"ByteOrderMark", "\xEF\xBB\xBFid;x\n", ';', {{"id", "x"}}},
                    CsvCase{"QuotedDelimiter", "\"a;b\";\"c\"\n", ';', {{"a;b", "c"}}},
                    CsvCase{"DoubledQuotes", "\"say \"\"hi\"\"\",x\n", ',', {{"say \"hi\"", "x"}}},
                    CsvCase{"LineEndInQuotes", "\"a\r\nb\",c\nd,e\n", ',', {{"a\r\nb", "c"}, {"d", "e"}}},
                    CsvCase{"EmptyFields", ",\n,,\n\"\",x\n", ',', {{"", ""}, {"", "", ""}, {"", "x"}}},
                    CsvCase{"EmptyLinesSkipped", "\na\n\r\n\nb\n\n", ',', {{"a"}, {"b"}}},
                    CsvCase{"TrailingDelimiter", "a,", ',', {{"a", ""}}}, CsvCase{"Nothing", "", ',', {}}),
    [](const auto& info) { return info.param.name; });

TEST(CsvReader, NamesTheLineOfBrokenQuotes) {
  absl::Status status;
  EXPECT_THAT(ReadAll("a,b\n\"x\ny\",1\n\"open,2\n", ',', &status), SizeIs(2));
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 4"));
  EXPECT_THAT(ReadAll("\"a\"b,c\n", ',', &status), SizeIs(0));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(CsvField, IsQuotedWhereItMustBe) {
  std::string out;
  AppendCsvField(&out, "plain");
  AppendCsvField(&out, "a\"b,c");
  EXPECT_EQ(out, "plain\"a\"\"b,c\"");
}

TEST(ColumnTemplate, RendersColumnsRowAndBraces) {
  const auto parsed = ColumnTemplate::Parse("{{x}}:{b}:{row}:{a}", {"a", "b"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  std::string out = "old";
  parsed->Render({"1", "two"}, 7, &out);
  EXPECT_EQ(out, "{x}:two:7:1");
}

TEST(ColumnTemplate, RefusesUnknownColumnsAndOpenBraces) {
  EXPECT_THAT(std::string(ColumnTemplate::Parse("{nope}", {"a", "b"}).status().message()), HasSubstr("a, b"));
  EXPECT_FALSE(ColumnTemplate::Parse("x{a", {"a"}).ok());
}

struct DecimalCase {
  const char* text;
  uint32_t scale;
  int64_t units;  // -1: refused
};
class DecimalParse : public testing::TestWithParam<DecimalCase> {};
TEST_P(DecimalParse, IsExact) {
  const auto amount = ParseDecimal(GetParam().text, GetParam().scale);
  if (GetParam().units < 0) {
    EXPECT_FALSE(amount.ok());
  } else {
    ASSERT_TRUE(amount.ok()) << amount.status();
    EXPECT_TRUE(*amount == static_cast<Amount>(GetParam().units));
  }
}
INSTANTIATE_TEST_SUITE_P(Amounts, DecimalParse,
                         testing::Values(DecimalCase{"163.3", 2, 16330}, DecimalCase{"2452.00", 2, 245200},
                                         DecimalCase{"0.07", 2, 7}, DecimalCase{"5", 2, 500},
                                         DecimalCase{" 5. ", 2, 500}, DecimalCase{".5", 2, 50},
                                         DecimalCase{"1.2300", 2, 123}, DecimalCase{"100", 0, 100},
                                         DecimalCase{"0", 2, 0}, DecimalCase{"1.005", 2, -1},
                                         DecimalCase{"", 2, -1}, DecimalCase{".", 2, -1},
                                         DecimalCase{"-1", 2, -1}, DecimalCase{"+1", 2, -1},
                                         DecimalCase{"1e3", 2, -1}, DecimalCase{"1,000", 2, -1},
                                         DecimalCase{"1.2.3", 2, -1}, DecimalCase{"0x10", 2, -1}));

TEST(Decimal, EndsAtTheLargestTransfer) {
  const std::string largest = "170141183460469231731687303715884105727";  // 2^127 - 1
  ASSERT_TRUE(ParseDecimal(largest, 0).ok());
  EXPECT_TRUE(*ParseDecimal(largest, 0) == kTransferAmountMax);
  EXPECT_FALSE(ParseDecimal("170141183460469231731687303715884105728", 0).ok());
  EXPECT_FALSE(ParseDecimal(largest, 2).ok());
  EXPECT_FALSE(ParseDecimal(std::string(200, '9'), 0).ok());
}

TEST(Decimal, FormatsWithItsScale) {
  EXPECT_EQ(FormatDecimal(16330, 2), "163.30");
  EXPECT_EQ(FormatDecimal(7, 2), "0.07");
  EXPECT_EQ(FormatDecimal(7, 0), "7");
  EXPECT_EQ(FormatDecimal(0, 3), "0.000");
}

TEST(AssetScale, IsTheNumberBehindTheSlash) {
  EXPECT_EQ(*AssetScale("CZK/2"), 2U);
  EXPECT_EQ(*AssetScale("JPY/0"), 0U);
  for (const char* bad : {"USD", "/2", "USD/", "USD/x", "USD/-1", "USD/99"})
    EXPECT_FALSE(AssetScale(bad).ok()) << bad;
}

TEST(RowOrder, FreeRowsComeInOrderOfTheList) {
  RowOrder order = RowOrder::Free(5);
  std::vector<uint32_t> rows;
  order.Take(3, &rows);
  EXPECT_THAT(rows, ElementsAre(0, 1, 2));
  EXPECT_FALSE(order.NoneReady());
  order.Take(3, &rows);
  EXPECT_THAT(rows, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_TRUE(order.NoneReady());
}

TEST(RowOrder, RowsThatShareAnAccountWait) {
  // 0: a->b, 1: b->c, 2: d->e, 3: c->a
  RowOrder order = RowOrder::PerAccount({{0, 1}, {1, 2}, {3, 4}, {2, 0}}, 5);
  std::vector<uint32_t> rows;
  order.Take(10, &rows);
  EXPECT_THAT(rows, ElementsAre(0, 2)) << "the longer chain first";
  rows.clear();
  order.Done(0);
  order.Take(10, &rows);
  EXPECT_THAT(rows, ElementsAre(1));
  rows.clear();
  order.Done(2);
  order.Take(10, &rows);
  EXPECT_THAT(rows, ElementsAre()) << "row 3 waits for row 1, though row 0 is done";
  order.Done(1);
  order.Take(10, &rows);
  EXPECT_THAT(rows, ElementsAre(3));
}

TEST(RowOrder, TransfersToOneselfAndRepeatedPairsAreWaitedForOnce) {
  RowOrder order = RowOrder::PerAccount({{0, 0}, {0, 1}, {1, 0}, {0, 1}}, 2);
  for (uint32_t expected = 0; expected < 4; ++expected) {
    std::vector<uint32_t> rows;
    order.Take(10, &rows);
    EXPECT_THAT(rows, ElementsAre(expected));
    order.Done(expected);
  }
  EXPECT_TRUE(order.NoneReady());
}

/// Runs the rows in whatever order RowOrder allows and compares each outcome with that of a run line by line.
TEST(RowOrder, AnyRunEndsAsTheListLineByLine) {
  Random random(11);
  for (int round = 0; round < 20; ++round) {
    std::vector<RowOrder::Pair> pairs;
    for (int i = 0; i < 400; ++i) {
      pairs.push_back({static_cast<uint32_t>(random.Below(12)), static_cast<uint32_t>(random.Below(12))});
    }
    const auto run = [&](std::vector<int>* balance, uint32_t row) {
      const int amount = 1 + static_cast<int>(row % 5);
      if (pairs[row].debit == pairs[row].credit || (*balance)[pairs[row].debit] < amount) return false;
      (*balance)[pairs[row].debit] -= amount;
      (*balance)[pairs[row].credit] += amount;
      return true;
    };
    std::vector<int> expected_balance(12, 6);
    std::vector<bool> expected;
    for (uint32_t row = 0; row < pairs.size(); ++row) expected.push_back(run(&expected_balance, row));

    RowOrder order = RowOrder::PerAccount(pairs, 12);
    std::vector<int> balance(12, 6);
    std::vector<bool> outcome(pairs.size());
    std::vector<uint32_t> under_way;
    size_t done = 0;
    while (done < pairs.size()) {
      order.Take(1 + random.Below(4), &under_way);
      ASSERT_FALSE(under_way.empty()) << "it stands still";
      const size_t pick = random.Below(under_way.size());
      const uint32_t row = under_way[pick];
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(pick));
      outcome[row] = run(&balance, row);
      order.Done(row);
      ++done;
    }
    EXPECT_EQ(outcome, expected);
    EXPECT_EQ(balance, expected_balance);
  }
}

ImportOptions Orders() {
  ImportOptions options;
  options.delimiter = ';';
  options.id = "ord-{order_id}";
  options.debit = "acct:{account_id}";
  options.credit = "ext:{bank}:{to}";
  options.amount = "{amount}";
  options.asset = "CZK/2";
  options.scale = 2;
  options.funding_account = "world";
  return options;
}

constexpr std::string_view kOrders =
    "\"order_id\";\"account_id\";\"bank\";\"to\";\"amount\"\n"
    "1;7;\"YZ\";\"12\";10.50\n2;8;\"YZ\";\"12\";1\n3;7;\"QR\";\"5\";0.25\n";

TEST(PlanImport, FundsEachSourceWithTheSumOfItsRows) {
  ImportOptions options = Orders();
  options.fund = "exact";
  const auto plan = PlanImport(options, kOrders, std::nullopt);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->accounts, ElementsAre("acct:7", "ext:YZ:12", "acct:8", "ext:QR:5"));
  ASSERT_THAT(plan->rows, SizeIs(3));
  EXPECT_EQ(plan->rows[2].id, "ord-3");
  EXPECT_EQ(plan->rows[2].number, 3U);
  ASSERT_THAT(plan->fundings, SizeIs(2));
  EXPECT_EQ(plan->fundings[0].id, "fund-acct:7");
  EXPECT_TRUE(plan->fundings[0].amount == 1075);
  EXPECT_TRUE(plan->fundings[1].amount == 100);
}

TEST(PlanImport, FundsAccountsOfASecondFile) {
  ImportOptions options = Orders();
  options.accounts_delimiter = ',';
  options.account_id = "acct:{nr}";
  options.account_fund = "{start}";
  const auto plan = PlanImport(options, kOrders, "nr,start\r\n7,5000.00\r\n9,0\r\n10,1.5\r\n");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->accounts, SizeIs(6));
  ASSERT_THAT(plan->fundings, SizeIs(2));
  EXPECT_EQ(plan->fundings[1].id, "fund-acct:10");
  EXPECT_TRUE(plan->fundings[1].amount == 150);
}

TEST(PlanImport, SetsRowsAsideThatCannotBeSent) {
  const auto plan = PlanImport(
      Orders(),
      "order_id;account_id;bank;to;amount\n1;7;A;1;1.005\n2;7;A B;1;1\n3;7;A;1\n4;7;A;1;0\n5;7;A;1;1\n",
      std::nullopt);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_THAT(plan->rows, SizeIs(1));
  EXPECT_EQ(plan->rows[0].number, 5U);
  std::vector<std::string> codes;
  for (const auto& bad : plan->bad_rows) codes.push_back(bad.code);
  EXPECT_THAT(codes, ElementsAre("invalid_amount", "invalid_id", "malformed_row", "invalid_amount"));
}

TEST(PlanImport, KeepsFundingIdsWithinTheLimit) {
  ImportOptions options = Orders();
  options.debit = std::string(60, 'a') + "{account_id}";
  options.fund = "1";
  const auto plan = PlanImport(options, kOrders, std::nullopt);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_THAT(plan->fundings, SizeIs(2));
  EXPECT_EQ(plan->fundings[0].id.size(), 37U);
  EXPECT_NE(plan->fundings[0].id, plan->fundings[1].id);
}

TEST(Arguments, ReadValuesSwitchesAndDefaults) {
  const std::vector<Flag> flags = {{"rate", "R", "5", ""}, {"json", "", "", ""}, {"id", "ID", "", ""}};
  const auto parsed = Arguments::Parse(flags, {"post", "--rate=7", "--json", "--id", "--x", "--", "--y"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->Get("rate"), "7");
  EXPECT_TRUE(parsed->Given("json"));
  EXPECT_EQ(parsed->Get("id"), "--x");
  EXPECT_THAT(parsed->positional(), ElementsAre("post", "--y"));
  EXPECT_EQ(Arguments::Parse(flags, {})->Get("rate"), "5");
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{"--nope"}, {"--json=1"}, {"--id"}, {"--rate", "1", "--rate", "2"}}) {
    EXPECT_FALSE(Arguments::Parse(flags, bad).ok());
  }
}

TEST(Histogram, KeepsQuantilesWithinOnePercent) {
  Histogram histogram;
  for (uint64_t v = 1; v <= 1'000'000; ++v) histogram.Record(v);
  EXPECT_EQ(histogram.count(), 1'000'000U);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = share * 1e6;
    EXPECT_NEAR(static_cast<double>(histogram.Quantile(share)), exact, exact * 0.01) << share;
  }
  EXPECT_EQ(histogram.Quantile(1), 1'000'000U);
  EXPECT_EQ(histogram.max(), 1'000'000U);
}

TEST(Histogram, IsExactForSmallValuesAndBoundedForLargeOnes) {
  Histogram small;
  for (uint64_t v = 0; v < 256; ++v) small.Record(v);
  EXPECT_EQ(small.Quantile(0.5), 127U);
  EXPECT_EQ(small.Quantile(1), 255U);
  Histogram large;
  large.Record(UINT64_MAX);
  EXPECT_EQ(large.Quantile(0.5), (uint64_t{1} << 40) - 1);
  EXPECT_EQ(Histogram().Quantile(0.5), 0U);
}

TEST(Histogram, NeverSaysLessThanWhatWasRecorded) {
  for (int bit = 0; bit < 40; ++bit) {
    for (const uint64_t near : {0U, 1U, 2U}) {
      const uint64_t value = (uint64_t{1} << bit) + near - 1;
      Histogram histogram;
      histogram.Record(value);
      histogram.Record(value * 2 + 100);
      EXPECT_GE(histogram.Quantile(0.5), std::min(value, (uint64_t{1} << 40) - 1));
      EXPECT_LE(static_cast<double>(histogram.Quantile(0.5)), static_cast<double>(value) * 1.008 + 1);
    }
  }
}

TEST(RetryBudget, DelaysRetriesBeyondTheBurst) {
  RetryBudget budget(2, 10, 0.5);
  EXPECT_EQ(budget.Take(1'000'000), 0);
  EXPECT_EQ(budget.Take(1'000'000), 0);
  EXPECT_EQ(budget.Take(1'000'000), 100'000) << "ten a second come back";
  budget.OnAnswer();
  budget.OnAnswer();
  budget.OnAnswer();
  budget.OnAnswer();
  EXPECT_EQ(budget.Take(1'000'000), 0) << "two answers pay for a retry";
  EXPECT_EQ(budget.Take(100'000'000), 0) << "time fills it, to the burst";
  EXPECT_EQ(budget.Take(100'000'000), 0);
  EXPECT_GT(budget.Take(100'000'000), 0);
}

// --- the watch over a door ---

constexpr int64_t kMs = 1'000;

/// Answers of `took_us` each, one after the other.
int64_t AnswerRegularly(DoorWatch& door, int64_t now_us, int64_t took_us, int times) {
  for (int i = 0; i < times; ++i) {
    door.Sent(now_us);
    door.Answered(now_us, now_us + took_us);
    now_us += took_us;
  }
  return now_us;
}

TEST(DoorWatch, ProbesASilentDoorOnlyWhileItOwesAnAnswer) {
  DoorWatch door;
  int64_t now_us = AnswerRegularly(door, 1'000'000, 20 * kMs, 200);
  EXPECT_FALSE(door.WantsProbe(now_us + 60'000 * kMs)) << "nothing was asked of it";
  now_us += 60'000 * kMs;
  door.Sent(now_us);
  EXPECT_FALSE(door.WantsProbe(now_us + 50 * kMs));
  EXPECT_TRUE(door.WantsProbe(now_us + 80 * kMs)) << "answers used to come in 20 ms";
  EXPECT_TRUE(door.up()) << "a slow answer alone proves nothing";
}

TEST(DoorWatch, WaitsLongerForADoorWhoseAnswersTakeLong) {
  DoorWatch door;
  int64_t now_us = AnswerRegularly(door, 1'000'000, 300 * kMs, 200);
  door.Sent(now_us);
  EXPECT_FALSE(door.WantsProbe(now_us + 500 * kMs));
  EXPECT_TRUE(door.WantsProbe(now_us + DoorWatch::kPatienceMaxUs + 1));
}

TEST(DoorWatch, IsHeardWhenAnyRequestIsAnswered) {
  DoorWatch door;
  int64_t now_us = AnswerRegularly(door, 1'000'000, 20 * kMs, 200);
  door.Sent(now_us);  // never answered
  for (int i = 0; i < 20; ++i) {
    now_us = AnswerRegularly(door, now_us, 20 * kMs, 1);
    EXPECT_FALSE(door.WantsProbe(now_us + 50 * kMs));
  }
}

TEST(DoorWatch, LeavesADeadDoorAloneForLongerAndLonger) {
  DoorWatch door;
  int64_t now_us = 1'000'000;
  for (int64_t pause_us : {100 * kMs, 200 * kMs, 400 * kMs, 800 * kMs, 1600 * kMs, 2000 * kMs, 2000 * kMs}) {
    door.Failed(now_us);
    door.Failed(now_us);  // a second connection that was refused at the same time
    EXPECT_FALSE(door.up());
    EXPECT_FALSE(door.WantsProbe(now_us + pause_us - 1));
    EXPECT_FALSE(door.Rested(now_us + pause_us - 1));
    now_us += pause_us;
    EXPECT_TRUE(door.WantsProbe(now_us));
    door.ProbeSent();
    EXPECT_FALSE(door.WantsProbe(now_us)) << "one at a time";
  }
}

TEST(DoorWatch, GivesADoorThatIsBackItsRequestsSlowly) {
  DoorWatch door;
  EXPECT_EQ(door.SharePerThousand(1), 1000) << "at the start nobody is back from anything";
  door.Failed(1'000'000);
  door.ProbeSent();
  door.ProbeAnswered(2'000'000);
  EXPECT_TRUE(door.up());
  EXPECT_EQ(door.SharePerThousand(2'000'000), 0);
  EXPECT_EQ(door.SharePerThousand(2'000'000 + DoorWatch::kReturnUs / 2), 500);
  EXPECT_EQ(door.SharePerThousand(2'000'000 + DoorWatch::kReturnUs), 1000);
}

TEST(DoorWatch, PutsADoorThatDoesNotServeOutOfUseButKeepsItForWantOfABetter) {
  DoorWatch door;
  door.Doubt();
  EXPECT_TRUE(door.WantsProbe(1'000'000));
  door.ProbeSent();
  door.Refused(1'000'000);
  EXPECT_FALSE(door.up());
  EXPECT_TRUE(door.Rested(1'000'000));
  EXPECT_FALSE(door.WantsProbe(1'000'000 + DoorWatch::kDownUsMin - 1));
}

TEST(TransferIds, AreUniqueInOrderAndAtHomeWithTheDebitAccount) {
  TransferIds ids("main", 8, 42);
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    const std::string account = "acct:" + std::to_string(i);
    const std::string id = ids.Make(account, 1'700'000'000'000 + i / 100);
    EXPECT_EQ(ShardOfTransaction("main", id, 8), ShardOfAccount("main", account, 8));
    EXPECT_LE(id.size(), 31U);
    EXPECT_GT(id.substr(0, 26), last);
    last = id.substr(0, 26);
  }
}

TEST(Requests, WriteJsonAsTheContractHasIt) {
  std::string out;
  AppendTransferJson(
      &out, {.id = "t\"1", .debit_account = "a", .credit_account = "b", .amount = 1050, .asset = "USD/2"});
  EXPECT_EQ(out, R"({"id":"t\"1","debit_account":"a","credit_account":"b","amount":"1050","asset":"USD/2"})");
  out.clear();
  AppendAccountJson(&out, {.id = "a", .asset = "USD/2"});
  EXPECT_EQ(out, R"({"id":"a","asset":"USD/2","normal_side":"credit","limit":"none"})");
}

TEST(Requests, ReadBatchAnswers) {
  const auto items = ParseBatchAnswer(
      R"({"data":[{"id":"1","status":"posted","replayed":true},{"id":"2","status":"refused","code":"insufficient_funds"},)"
      R"({"id":null,"status":"invalid","errors":[]},{"id":"4","status":"in_doubt"},{"id":"5","status":"aborted"}]})",
      5);
  ASSERT_TRUE(items.ok()) << items.status();
  EXPECT_TRUE((*items)[0].replayed);
  EXPECT_EQ((*items)[1].code, "insufficient_funds");
  EXPECT_EQ((*items)[2].code, "invalid_field");
  EXPECT_EQ((*items)[3].status, ItemStatus::kInDoubt);
  EXPECT_EQ((*items)[4].status, ItemStatus::kAborted);
  EXPECT_FALSE(ParseBatchAnswer(R"({"data":[]})", 1).ok());
  EXPECT_FALSE(ParseBatchAnswer(R"({"data":[{"status":"odd"}]})", 1).ok());
  EXPECT_FALSE(ParseBatchAnswer("<html>", 1).ok());
}

TEST(Requests, ReadSingleAnswers) {
  const auto status = [](int http, const char* body) { return ParseSingleAnswer(http, body)->status; };
  EXPECT_EQ(status(201, R"({"id":"1","status":"posted"})"), ItemStatus::kPosted);
  EXPECT_EQ(status(201, R"({"id":"a","status":"open"})"), ItemStatus::kOpened);
  EXPECT_EQ(status(200, R"({"id":"a","status":"open"})"), ItemStatus::kExists);
  EXPECT_EQ(status(202, "{}"), ItemStatus::kInDoubt);
  EXPECT_EQ(status(422, R"({"code":"same_account"})"), ItemStatus::kRefused);
  EXPECT_EQ(status(409, R"({"code":"idempotency_conflict"})"), ItemStatus::kRefused);
  EXPECT_EQ(status(400, R"({"code":"invalid_field"})"), ItemStatus::kInvalid);
  EXPECT_EQ(status(503, R"({"code":"contended"})"), ItemStatus::kAborted);
  EXPECT_EQ(ParseSingleAnswer(401, "{}").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ParseSingleAnswer(500, "oh").status().code(), absl::StatusCode::kInternal);
}

TEST(Table, AlignsNumbersToTheRight) {
  Table table({"what", "count"});
  table.Add({"a", "7"});
  table.Add({"long one", "1,234"});
  EXPECT_EQ(table.Render(), "what      count\na             7\nlong one  1,234\n");
  EXPECT_EQ(Grouped(1234567), "1,234,567");
  EXPECT_EQ(Grouped(12), "12");
}

/// Two shards: `moved` went from shard 0 to shard 1.
NodeStatus Balanced(std::string data_centre, uint64_t applied, Amount moved) {
  NodeStatus node;
  node.endpoint = "https://" + data_centre;
  node.cluster_id = "c";
  node.data_centre = std::move(data_centre);
  node.has_quorum = true;
  for (uint32_t s = 0; s < 2; ++s) {
    NodeStatus::Shard shard;
    shard.shard = s;
    shard.applied = shard.highest_seen = applied;
    shard.digests = {applied, "j" + std::to_string(applied), "s" + std::to_string(applied)};
    const Totals both{.debits_posted = moved, .credits_posted = moved};
    shard.totals.push_back({"USD/2", both});
    Totals clearing;
    (s == 0 ? clearing.credits_posted : clearing.debits_posted) = moved;
    shard.clearing.push_back({1 - s, "USD/2", clearing});
    node.shards.push_back(shard);
  }
  return node;
}

TEST(AuditQuick, PassesBalancedReplicasAtDifferentIndexes) {
  NodeStatus ahead = Balanced("dc1", 9, 5);
  ahead.shards[0].digests_at = ahead.shards[1].digests_at = NodeStatus::Digests{7, "j7", "s7"};
  const std::vector<NodeStatus> nodes = {ahead, Balanced("dc2", 7, 4)};
  EXPECT_THAT(LowestApplied(nodes), ElementsAre(7, 7));
  const AuditFindings findings = JudgeStatuses(nodes, {});
  EXPECT_THAT(findings.differences, SizeIs(0));
  EXPECT_THAT(findings.open, SizeIs(0));
  EXPECT_EQ(findings.digests_compared, 2U);
}

TEST(AuditQuick, NamesDivergedReplicas) {
  std::vector<NodeStatus> nodes = {Balanced("dc1", 7, 5), Balanced("dc2", 7, 5), Balanced("dc3", 7, 5)};
  nodes[2].shards[1].digests.state_digest = "other";
  const AuditFindings findings = JudgeStatuses(nodes, {});
  ASSERT_THAT(findings.differences, SizeIs(1));
  EXPECT_THAT(findings.differences[0], HasSubstr("dc3 shard 1 at index 7: the state differs"));
  EXPECT_TRUE(findings.books_balanced);
}

TEST(AuditQuick, NamesBooksThatDoNotBalance) {
  std::vector<NodeStatus> nodes = {Balanced("dc1", 7, 5)};
  nodes[0].shards[0].totals[0].totals.debits_posted = 6;
  const AuditFindings findings = JudgeStatuses(nodes, {});
  EXPECT_FALSE(findings.books_balanced);
  EXPECT_THAT(findings.differences, SizeIs(1));
}

TEST(AuditQuick, CallsUnpairedClearingADifferenceOnlyAtRest) {
  std::vector<NodeStatus> nodes = {Balanced("dc1", 7, 5)};
  nodes[0].shards[1].clearing[0].totals.debits_posted = 4;
  EXPECT_THAT(JudgeStatuses(nodes, {}).differences, SizeIs(0));
  EXPECT_THAT(JudgeStatuses(nodes, {}).open, SizeIs(1));
  EXPECT_THAT(JudgeStatuses(nodes, nodes).differences, SizeIs(1)) << "nothing moved";
  std::vector<NodeStatus> busy = nodes;
  busy[0].shards[1].in_doubt = 1;
  EXPECT_THAT(JudgeStatuses(busy, busy).differences, SizeIs(0)) << "it may be the one in doubt";
  nodes.push_back(Balanced("dc2", 8, 5));
  EXPECT_THAT(JudgeStatuses(nodes, nodes).open, testing::Not(testing::IsEmpty())) << "dc1 lies behind";
}

TEST(AuditQuick, JudgesTheOthersWhenADataCentreIsDown) {
  std::vector<NodeStatus> nodes = {Balanced("dc1", 7, 5), NodeStatus{}, Balanced("dc3", 7, 5)};
  nodes[1].endpoint = "https://dc2";
  nodes[1].failure = absl::UnavailableError("refused");
  const AuditFindings findings = JudgeStatuses(nodes, {});
  EXPECT_THAT(findings.unreachable, ElementsAre("https://dc2: refused"));
  EXPECT_EQ(findings.data_centres, 2U);
  EXPECT_THAT(findings.open, SizeIs(0));
  EXPECT_EQ(findings.digests_compared, 2U);
}

TEST(AuditQuick, JudgesTheNodesOfADataCentreAsOne) {
  std::vector<NodeStatus> nodes;
  for (uint32_t hosted : {0U, 1U}) {
    NodeStatus node = Balanced("dc1", 7, 5);
    node.endpoint += std::to_string(hosted);
    node.shards[1 - hosted] = NodeStatus::Shard{};
    node.shards[1 - hosted].shard = 1 - hosted;
    node.shards[1 - hosted].hosted = false;
    nodes.push_back(node);
  }
  nodes.push_back(Balanced("dc2", 7, 5));
  EXPECT_THAT(LowestApplied(nodes), ElementsAre(7, 7));
  AuditFindings findings = JudgeStatuses(nodes, nodes);
  EXPECT_THAT(findings.differences, SizeIs(0));
  EXPECT_THAT(findings.open, SizeIs(0));
  EXPECT_EQ(findings.data_centres, 2U);
  EXPECT_EQ(findings.digests_compared, 2U);
  nodes[1].shards[1].clearing[0].totals.debits_posted = 4;
  EXPECT_THAT(JudgeStatuses(nodes, nodes).differences, SizeIs(1)) << "pairs across the nodes";
  nodes.erase(nodes.begin() + 1);
  findings = JudgeStatuses(nodes, nodes);
  EXPECT_THAT(findings.differences, SizeIs(0));
  EXPECT_THAT(findings.open, ElementsAre("dc1 shard 1: no node that hosts it was asked"));
}

TEST(NodeStatus, ReadsTheAuditDocument) {
  const auto node = ParseNodeStatus(
      R"({"cluster_id":"c","data_centre":"dc1","has_quorum":true,"clock_offset_us":-12,"peers_up":[2,3],"shards":[)"
      R"({"shard":0,"applied":5,"highest_seen":6,"owner":1,"voting":true,"clock":null,"journal_hash":"ab",)"
      R"("state_digest":"cd","digests_at":{"index":4,"journal_hash":"ef","state_digest":"01"},)"
      R"("totals":[{"asset":"USD/2","debits_posted":"170141183460469231731687303715884105727","credits_posted":"7",)"
      R"("debits_pending":"0","credits_pending":"0"}],"clearing":[{"counterpart":3,"asset":"USD/2",)"
      R"("debits_posted":"1","credits_posted":"2","debits_pending":"0","credits_pending":"0"}],"in_doubt":2}]})");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->clock_offset_us, -12);
  EXPECT_EQ(node->peers_up, 2U);
  ASSERT_THAT(node->shards, SizeIs(1));
  EXPECT_EQ(node->shards[0].digests_at->index, 4U);
  EXPECT_TRUE(node->shards[0].totals[0].totals.debits_posted == kTransferAmountMax);
  EXPECT_EQ(node->shards[0].clearing[0].counterpart, 3U);
  EXPECT_EQ(node->in_doubt_total(), 2U);
  EXPECT_FALSE(ParseNodeStatus("[]").ok());
}

}  // namespace
}  // namespace paxledger
