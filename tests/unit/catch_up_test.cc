// A node that is far behind, or whose disk is damaged: snapshots, the tail, the journal, repair; on whole nodes in virtual time.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "replication/core/envelope.h"
#include "replication/log_row.h"
#include "tests/unit/txn_shell_cluster.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr ShardId kShard{0};

/// Three nodes, the third of which misses much of what happens.
class CatchUpTest : public testing::Test {
 protected:
  CatchUpTest() {
    cluster_.catch_up.snapshot_behind_entries = 20;
    cluster_.catch_up.snapshot_empty_entries = 10;
    cluster_.catch_up.part_bytes = 300;
    cluster_.catch_up.ingest_bytes = 2000;
    for (int i = 0; i < 4; ++i) cluster_.Open(Account(i), LimitRule::kNone);
    Restart(1);
    Restart(2);
    Restart(3);
  }

  static std::string Account(int i) { return AccountOn(kShard, i); }
  LogIndex Applied(uint32_t id) { return cluster_.node(id).machine(kShard).applied(); }
  void Restart(uint32_t id) {
    if (cluster_.Alive(id)) cluster_.Kill(id);
    cluster_.StartNode(id);
    ExpectAllAgree();
  }
  /// All are ready and have the same state.
  void ExpectAllAgree() {
    ASSERT_TRUE(
        cluster_.RunUntil([&] { return IsReady(1) && IsReady(2) && IsReady(3) && cluster_.Settled(); }));
  }
  bool IsReady(uint32_t id) {
    std::optional<bool> ready;
    cluster_.node(id).Ready([&ready](const absl::Status& status) { ready = status.ok(); });
    return cluster_.RunUntil([&ready] { return ready.has_value(); }) && *ready;
  }
  void Pay(int count) {
    for (int i = 0; i < count; ++i) {
      TransactionResult paid =
          cluster_.Pay(1, absl::StrCat("pay-", ++paid_), Account(i % 4), Account((i + 1) % 4), 7);
      ASSERT_EQ(paid.state, TransactionState::kCommitted);
    }
  }
  /// The first payment from the `n`th on whose id is at home in the shard.
  static std::string PaymentAtHome(int n) {
    for (;; ++n) {
      std::string id = absl::StrCat("pay-", n);
      if (ShardOfTransaction("main", id, ShellCluster::kShards) == kShard) return id;
    }
  }
  /// The third node is dead while `count` payments are made.
  void PayWithoutThird(int count) {
    cluster_.Kill(3);
    Pay(count);
  }
  bool JournalIsWhole(uint32_t id) {
    for (LogIndex i{1}; i <= Applied(id); i = Next(i)) {
      absl::StatusOr<SharedBytes> here = cluster_.node(id).replica().ReadEntry(kShard, i);
      absl::StatusOr<SharedBytes> there = cluster_.node(1).replica().ReadEntry(kShard, i);
      if (!here.ok() || !there.ok() || **here != **there) return false;
    }
    return true;
  }
  uint64_t BytesSent(uint32_t id) { return cluster_.Metric(id, "paxledger_rows_sent_bytes_total"); }
  /// A part of a state is here, and cannot be served yet.
  bool IsInstalling(uint32_t id) {
    bool begun = cluster_.Metric(id, "paxledger_snapshot_bytes_total") > 0;
    return begun && !cluster_.node(id).replica().Serves(kShard);
  }
  void ExpectThirdComesBack() {
    ExpectAllAgree();
    ASSERT_TRUE(cluster_.RunUntil([&] { return JournalIsWhole(3); }));
    EXPECT_EQ(cluster_.Balance(3, Account(0)), cluster_.Balance(1, Account(0)));
  }

  ShellCluster cluster_;
  int paid_ = 0;
};

TEST_F(CatchUpTest, ANodeFarBehindTakesASnapshotThenTheTailThenTheJournal) {
  Pay(5);
  PayWithoutThird(60);
  cluster_.StartNode(3);
  ExpectThirdComesBack();
  EXPECT_GE(cluster_.Hits("snapshot.received"), 1u);
  EXPECT_GE(cluster_.Hits("backfill.closed"), 1u);
  Pay(5);
  cluster_.Kill(2);  // the third votes again
  Pay(5);
}

TEST_F(CatchUpTest, ANodeALittleBehindFetchesEntries) {
  PayWithoutThird(10);
  cluster_.StartNode(3);
  ExpectThirdComesBack();
  EXPECT_EQ(cluster_.Hits("snapshot.received"), 0u);
}

TEST_F(CatchUpTest, ACrashAtAnyStepOfAnInstallationResumesOrBeginsItAnew) {
  PayWithoutThird(60);
  uint64_t anew = 0;
  for (int step = 1; step <= 60; ++step) {
    cluster_.StartNode(3);
    cluster_.RunFor(absl::Microseconds(700 * step));
    cluster_.Kill(3);
    if (step % 6 == 0) Pay(30);  // the snapshot before is worth little now
  }
  cluster_.StartNode(3);
  ExpectThirdComesBack();
  anew = cluster_.Hits("snapshot.begun_anew");
  EXPECT_GE(anew, 1u) << "no crash hit the middle of an installation";
  Pay(5);
  ExpectThirdComesBack();
}

TEST_F(CatchUpTest, ASourceThatDiesIsExchangedForAnother) {
  for (int round = 0; round < 8; ++round) {
    PayWithoutThird(40);
    uint64_t lost = cluster_.Hits("snapshot.source_lost");
    uint64_t sent_before = BytesSent(1);
    cluster_.StartNode(3);
    // In the middle of it: the old state is gone, and part of the new one is here.
    ASSERT_TRUE(cluster_.RunUntil([&] { return IsInstalling(3); }));
    cluster_.RunFor(absl::Microseconds(300 * round));
    ASSERT_TRUE(IsInstalling(3)) << "round " << round;
    uint32_t source = BytesSent(1) > sent_before ? 1 : 2;
    cluster_.Kill(source);
    cluster_.RunFor(absl::Milliseconds(50));
    ASSERT_TRUE(IsInstalling(3)) << "it was not this one that was asked";
    // In every other round it comes back and knows nothing of what it was asked for; else the other one has the state, too.
    if (round % 2 == 1) {
      ASSERT_TRUE(cluster_.RunUntil([&] { return Applied(3) > LogIndex{} && !IsInstalling(3); }));
    }
    cluster_.StartNode(source);
    ExpectThirdComesBack();
    EXPECT_GT(cluster_.Hits("snapshot.source_lost"), lost) << "round " << round;
  }
  EXPECT_GE(cluster_.Hits("rows.asked_again"), 1u);
}

TEST_F(CatchUpTest, AnEntryWhoseRowIsNotHereYetComesFromAPeer) {
  PayWithoutThird(60);
  cluster_.catch_up.backfill_bytes_per_second = 1;  // never done
  cluster_.StartNode(3);
  ExpectAllAgree();
  LogIndex missing{Applied(3).value - 30};
  Replica& replica = cluster_.node(3).replica();
  ASSERT_EQ(replica.ReadEntry(kShard, missing).status().code(), absl::StatusCode::kUnavailable);
  std::optional<absl::StatusOr<SharedBytes>> fetched;
  TaskGroup tasks;
  auto fetch = [](Replica& from, LogIndex index, Deadline deadline,
                  std::optional<absl::StatusOr<SharedBytes>>* out) -> Task<void> {
    absl::StatusOr<SharedBytes> value = co_await from.FetchEntry(kShard, index, deadline);
    *out = value;
  };
  tasks.Spawn(fetch(replica, missing, cluster_.In(3, absl::Seconds(5)), &fetched));
  ASSERT_TRUE(cluster_.RunUntil([&] { return fetched.has_value(); }));
  ASSERT_TRUE(fetched->ok()) << fetched->status();
  EXPECT_EQ(***fetched, **cluster_.node(1).replica().ReadEntry(kShard, missing));
}

TEST_F(CatchUpTest, ATransferWhoseEntryIsNotHereYetIsReadAllTheSame) {
  PayWithoutThird(60);
  cluster_.catch_up.backfill_bytes_per_second = 1;  // never done
  cluster_.StartNode(3);
  ExpectAllAgree();
  absl::StatusOr<TransferRead> read = cluster_.ReadTransaction(3, PaymentAtHome(20));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kCommitted);
  EXPECT_EQ(read->transaction.transfers.size(), 1u);
  EXPECT_GE(cluster_.Hits("txn.body_fetched"), 1u);
}

TEST_F(CatchUpTest, StatementsAndEventsWhoseEntriesAreNotHereYetAreReadAllTheSame) {
  PayWithoutThird(60);
  cluster_.catch_up.backfill_bytes_per_second = 1;  // never done
  cluster_.StartNode(3);
  ExpectAllAgree();
  StatementRequest statement;
  statement.account = {"main", Account(0)};
  EventsRequest events;
  statement.limit = events.limit = 1000;
  absl::StatusOr<StatementPage> lines = cluster_.ReadStatement(1, statement);
  absl::StatusOr<StatementPage> lines_there = cluster_.ReadStatement(3, statement);
  ASSERT_TRUE(lines.ok() && lines_there.ok()) << lines.status() << lines_there.status();
  EXPECT_GE(lines->lines.size(), 30u);
  ASSERT_EQ(lines_there->lines.size(), lines->lines.size());
  for (size_t i = 0; i < lines->lines.size(); ++i) {
    EXPECT_EQ(lines_there->lines[i].transfer_id, lines->lines[i].transfer_id);
    EXPECT_EQ(lines_there->lines[i].counterpart, lines->lines[i].counterpart);
  }
  absl::StatusOr<EventsPage> told = cluster_.ReadEvents(1, events);
  absl::StatusOr<EventsPage> told_there = cluster_.ReadEvents(3, events);
  ASSERT_TRUE(told.ok() && told_there.ok()) << told.status() << told_there.status();
  EXPECT_EQ(told->events.size(), 60u);
  EXPECT_EQ(told_there->events.size(), told->events.size());
  EXPECT_GE(cluster_.Hits("feeds.body_fetched"), 1u);
}

TEST_F(CatchUpTest, ANodeThatIsFillingItsJournalInIsNoReasonForOthersToWait) {
  PayWithoutThird(60);
  cluster_.catch_up.backfill_bytes_per_second = 1;
  cluster_.StartNode(3);
  ExpectAllAgree();
  cluster_.Kill(1);  // what the third votes for now, and who else has the journal
  TransactionResult paid = cluster_.Pay(2, "with-the-third", Account(0), Account(1), 7);
  EXPECT_EQ(paid.state, TransactionState::kCommitted);
  LogIndex missing{Applied(3).value - 30};
  EXPECT_EQ(cluster_.node(3).replica().ReadEntry(kShard, missing).status().code(),
            absl::StatusCode::kUnavailable);
  cluster_.Kill(3);
  cluster_.catch_up.backfill_bytes_per_second = limits::kBackfillBytesPerSecond;
  cluster_.StartNode(3);  // goes on where it stood, from the only one that has it
  cluster_.StartNode(1);
  ExpectThirdComesBack();
}

// Rule 18. Its process has a lower incarnation than the one before had, whatever it might learn from a snapshot.
TEST_F(CatchUpTest, AnEmptiedDiskIsNoVoterUnderItsOldNumber) {
  Pay(60);
  ExpectAllAgree();
  std::set<uint32_t> refused;
  cluster_.network().on_rejected = [&](uint32_t node) { refused.insert(node); };
  cluster_.Kill(3);
  sim::Rows nothing[kTableCount];
  cluster_.disk(3).Replace(nothing);
  cluster_.StartNode(3);
  cluster_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(refused.contains(3));
  EXPECT_EQ(cluster_.Hits("snapshot.received"), 0u);
  EXPECT_EQ(Applied(3), LogIndex{});
  cluster_.Kill(2);
  TransactionResult paid = cluster_.Pay(1, "alone", Account(0), Account(1), 7, absl::Seconds(2));
  EXPECT_NE(paid.state, TransactionState::kCommitted);
  cluster_.StartNode(2);
  ASSERT_TRUE(cluster_.RunUntil([&] { return IsReady(2) && IsReady(1); }));
  Pay(3);
}

// --- damage ---------------------------------------------------------------------------------------------------------

class RepairTest : public CatchUpTest {
 protected:
  using Rows = sim::Rows;
  /// What `change` does to a table on the disk of a dead node.
  template <class Change>
  void OnDisk(uint32_t id, Table table, Change change) {
    Rows rows[kTableCount];
    cluster_.disk(id).CopyRowsTo(rows);
    change(rows[static_cast<size_t>(table)]);
    cluster_.disk(id).Replace(rows);
  }
  /// What is applied now is not replayed by the next process.
  void CheckpointAndKill(uint32_t id) {
    bool done = false;
    cluster_.node(id).machine(kShard).Checkpoint([&done] { done = true; });
    ASSERT_TRUE(cluster_.RunUntil([&done] { return done; }));
    cluster_.Kill(id);
  }
  void Damage(uint32_t id, LogIndex index) {
    OnDisk(id, Table::kLog, [&](Rows& rows) {
      std::string& row = rows.at(LogKey(kShard, index));
      row[row.size() / 2] = static_cast<char>(row[row.size() / 2] ^ 1);
    });
  }
  bool RowIsGood(uint32_t id, LogIndex index) {
    std::string key = LogKey(kShard, index);
    const Rows& rows = cluster_.disk(id).rows(Table::kLog);
    auto row = rows.find(key);
    if (row == rows.end()) return false;
    absl::StatusOr<LogRow> decoded = DecodeLogRow(key, row->second);
    return decoded.ok() && !decoded->value.empty();
  }
  /// A row that is sound, and says something else.
  void Forge(uint32_t id, LogIndex index) {
    OnDisk(id, Table::kLog, [&](Rows& rows) {
      std::string key = LogKey(kShard, index);
      rows.at(key) = EncodeLogRow(key, LogRow{Record{}, true, "another value"});
    });
  }
  void Lose(uint32_t id, LogIndex index) {
    OnDisk(id, Table::kLog, [&](Rows& rows) { rows.erase(LogKey(kShard, index)); });
  }
};

TEST_F(RepairTest, DamagedAndMissingEntriesOfTheJournalAreRepairedWhenTheyAreAskedFor) {
  Pay(30);
  ExpectAllAgree();
  CheckpointAndKill(3);
  Damage(3, LogIndex{3});
  Lose(3, LogIndex{5});
  cluster_.StartNode(3);
  ExpectAllAgree();
  EXPECT_FALSE(JournalIsWhole(3));
  // The scrub finds them.
  ExpectThirdComesBack();
  EXPECT_GE(cluster_.Metric(3, "paxledger_scrub_damaged_total"), 2u);
  EXPECT_EQ(cluster_.Metric(3, "paxledger_log_rows_repaired_total"), 2u);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Hits("scrub.pass") >= 3; }));
  EXPECT_EQ(cluster_.Hits("scrub.damaged"), 2u);
  EXPECT_EQ(cluster_.Hits("scrub.chain_broken"), 0u);
}

TEST_F(RepairTest, ARottenEntryIsNeverServedAndIsRepairedWhenItIsRead) {
  Pay(30);
  ExpectAllAgree();
  std::vector<TransactionRecord> records =
      cluster_.node(3).machine(kShard).FindTransaction(LedgerKey{"main", PaymentAtHome(5)});
  ASSERT_EQ(records.size(), 1u);
  LogIndex at = records.front().body_at;
  CheckpointAndKill(3);
  Damage(3, at);
  cluster_.catch_up.scrub_bytes_per_second = 0;  // reads alone
  cluster_.StartNode(3);
  ExpectAllAgree();
  EXPECT_EQ(cluster_.node(3).replica().ReadEntry(kShard, at).status().code(), absl::StatusCode::kDataLoss);
  absl::StatusOr<TransferRead> read = cluster_.ReadTransaction(3, PaymentAtHome(5));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->result.state, TransactionState::kCommitted);
  EXPECT_EQ(read->transaction.transfers.front().amount, 7u);
  EXPECT_TRUE(
      cluster_.RunUntil([&] { return cluster_.Metric(3, "paxledger_log_rows_repaired_total") == 1; }));
  EXPECT_EQ(cluster_.Hits("repair.entry"), 1u);
  cluster_.RunFor(absl::Seconds(1));
  cluster_.Kill(3);
  EXPECT_TRUE(RowIsGood(3, at)) << "on the disk, too";
}

TEST_F(RepairTest, ARowThatIsSoundAndSaysSomethingElseIsFoundByTheHashChain) {
  Pay(10);
  ExpectAllAgree();
  CheckpointAndKill(3);
  Forge(3, LogIndex{4});
  cluster_.StartNode(3);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Hits("scrub.chain_broken") >= 1; }));
  EXPECT_GE(cluster_.Metric(3, "paxledger_scrub_broken_chains_total"), 1u);
}

TEST_F(RepairTest, AJournalThatIsNotTheOneThatWasAppliedIsNotTakenFromPeers) {
  PayWithoutThird(60);
  cluster_.catch_up.scrub_bytes_per_second = 0;
  std::string key = LogKey(kShard, LogIndex{30});
  std::string right;
  for (uint32_t id : {1u, 2u}) {
    CheckpointAndKill(id);
    right = cluster_.disk(id).rows(Table::kLog).at(key);
    Forge(id, LogIndex{30});
    cluster_.StartNode(id);
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Settled(); }));
  }
  cluster_.StartNode(3);
  ExpectAllAgree();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Hits("backfill.chain_broken") >= 2; }));
  EXPECT_EQ(cluster_.node(3).replica().ReadEntry(kShard, LogIndex{30}).status().code(),
            absl::StatusCode::kUnavailable);
  cluster_.Kill(1);
  OnDisk(1, Table::kLog, [&](Rows& rows) { rows.at(key) = right; });
  cluster_.StartNode(1);
  EXPECT_TRUE(cluster_.RunUntil([&] { return JournalIsWhole(3); })) << "from the one that has it";
}

TEST_F(RepairTest, AStretchOfTheJournalIsNotTakenFromADamagedOne) {
  PayWithoutThird(60);
  cluster_.catch_up.scrub_bytes_per_second = 0;
  // Each has what the other has lost, whichever is asked first.
  const std::vector<uint64_t> lost[] = {{25, 35, 50}, {30, 40}};
  for (uint32_t id : {1u, 2u}) {
    CheckpointAndKill(id);
    for (uint64_t index : lost[id - 1]) Damage(id, LogIndex{index});
    cluster_.StartNode(id);
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Settled(); }));
  }
  cluster_.StartNode(3);
  ExpectAllAgree();
  ASSERT_TRUE(cluster_.RunUntil([&] {
    std::optional<HeldThrough> held = cluster_.node(3).replica().HeldAt(kShard, ReplicaId{3});
    return held.has_value() && held->durable == Applied(3) && held->whole == held->durable;
  }));
  EXPECT_GE(cluster_.Hits("backfill.source_damaged"), 4u);
  EXPECT_EQ(cluster_.Hits("backfill.chain_broken"), 0u);
  cluster_.RunFor(absl::Seconds(1));
  LogIndex last = Applied(2);
  cluster_.Kill(3);
  for (LogIndex i{1}; i < last; i = Next(i)) EXPECT_TRUE(RowIsGood(3, i)) << i.value;
}

TEST_F(RepairTest, AChosenEntryThatCannotBeReplayedIsLearnedAgainAndItsReplicaIsSilentUntilThen) {
  Pay(30);
  ExpectAllAgree();
  for (uint64_t back : {uint64_t{0}, uint64_t{1}, uint64_t{7}}) {
    LogIndex last = Applied(3);
    cluster_.Kill(3);
    Damage(3, LogIndex{last.value - back});
    cluster_.StartNode(3);
    ExpectThirdComesBack();
    Pay(3);
    EXPECT_GE(cluster_.Hits("repair.damaged_at_start"), 1u);
  }
  cluster_.Kill(2);
  Pay(3);  // the third votes again
}

TEST_F(RepairTest, ARecordThatIsNotKnownChosenAndCannotBeReadCountsAsALostVote) {
  Pay(10);
  ExpectAllAgree();
  LogIndex last = Applied(3);
  cluster_.Kill(3);
  // A record above the chosen ones, of which nobody else knows.
  std::string key = LogKey(kShard, Next(last));
  OnDisk(3, Table::kLog, [&](Rows& rows) { rows[key] = std::string(70, 'x'); });
  cluster_.StartNode(3);
  ASSERT_TRUE(cluster_.RunUntil([&] { return Applied(3) == last; }));
  cluster_.Kill(2);  // with one lost vote and one dead nothing is decided
  EXPECT_NE(cluster_.Pay(1, "stuck", Account(0), Account(1), 1, absl::Seconds(2)).state,
            TransactionState::kCommitted);
  EXPECT_EQ(Applied(1), last);
  EXPECT_EQ(Applied(3), last);
  cluster_.StartNode(2);
  ExpectAllAgree();  // the others decide the index, and the third learns it
  ExpectThirdComesBack();
  EXPECT_GE(Applied(3), Next(last));
  cluster_.Kill(2);
  Pay(3);
}

TEST_F(RepairTest, InAQuietShardOthersAreAskedToDecideWhereARecordIsDamaged) {
  Pay(10);
  cluster_.RunFor(absl::Seconds(20));  // no shard is handed over any more
  ExpectAllAgree();
  LogIndex damaged = Next(Applied(3));
  cluster_.Kill(3);
  OnDisk(3, Table::kLog, [&](Rows& rows) { rows[LogKey(kShard, damaged)] = std::string(70, 'x'); });
  cluster_.StartNode(3);
  EXPECT_TRUE(cluster_.RunUntil([&] { return Applied(3) >= damaged; }));
  EXPECT_GE(cluster_.Hits("repair.nudge"), 1u);
  absl::StatusOr<SharedBytes> value = cluster_.node(3).replica().ReadEntry(kShard, damaged);
  ASSERT_TRUE(value.ok()) << value.status();
  absl::StatusOr<Envelope> entry = DecodeEnvelope(**value);
  ASSERT_TRUE(entry.ok()) << entry.status();
  ASSERT_EQ(entry->commands.size(), 1u) << "it was for this that others were asked";
  EXPECT_EQ(entry->commands.front().machine, MachineId::kNoop);
  cluster_.Kill(2);
  Pay(3);
}

TEST_F(RepairTest, AShardWhoseStateCannotBeReadAtTheStartTakesAPeersInstead) {
  Pay(30);
  cluster_.Kill(3);
  // The head of the machine's rows.
  std::string head = LogKey(kShard, LogIndex{}).substr(0, 4) + '\1';
  OnDisk(3, Table::kState, [&](Rows& rows) { rows[head] = "damaged"; });
  cluster_.StartNode(3);
  ExpectThirdComesBack();
  EXPECT_EQ(cluster_.Metric(3, "paxledger_states_damaged_total"), 1u);
  EXPECT_EQ(cluster_.Hits("repair.state_lost"), 1u);
  Pay(3);
  ExpectThirdComesBack();
}

// The source of the others' snapshots may have died before they had them.
TEST_F(RepairTest, WhereNobodyHasAStateItIsMadeFromTheJournal) {
  Pay(20);
  ExpectAllAgree();
  int64_t before = cluster_.Balance(1, Account(0));
  for (uint32_t id : {1u, 2u, 3u}) cluster_.Kill(id);
  std::string head = LogKey(kShard, LogIndex{}).substr(0, 4) + '\1';
  for (uint32_t id : {2u, 3u}) OnDisk(id, Table::kState, [&](Rows& rows) { rows[head] = "damaged"; });
  for (uint32_t id : {2u, 3u}) {
    // Emptying the shard takes longer than until somebody looks again.
    cluster_.disk(id).trouble() = {.slow_until_us = cluster_.now_us() + 60'000'000, .slow_us_max = 400'000};
    cluster_.StartNode(id);
  }
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Hits("snapshot.replayed_instead") == 2; }));
  ASSERT_TRUE(cluster_.RunUntil([&] { return IsReady(2) && IsReady(3); }));
  EXPECT_EQ(cluster_.Balance(2, Account(0)), before);
  EXPECT_EQ(cluster_.Balance(3, Account(0)), before);
  EXPECT_EQ(cluster_.Pay(2, "after", Account(0), Account(1), 7).state, TransactionState::kCommitted);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Settled(); }));
  EXPECT_EQ(cluster_.Hits("snapshot.replayed_instead"), 2u) << "once on each";
}

}  // namespace
}  // namespace paxledger
