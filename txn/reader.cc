#include "txn/reader.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"
#include "txn/placement.h"

namespace paxledger {

namespace {

/// Adds to `account` what the transfers of a committed transaction move on it, and takes it out of doubt.
void CountPostings(const Transaction& body, const std::string& id, Account& account) {
  for (const Transfer& transfer : body.transfers) {
    if (transfer.debit_account == id) {
      account.totals.debits_posted += transfer.amount;
      account.debits_in_doubt -= std::min(account.debits_in_doubt, transfer.amount);
    }
    if (transfer.credit_account == id) {
      account.totals.credits_posted += transfer.amount;
      account.credits_in_doubt -= std::min(account.credits_in_doubt, transfer.amount);
    }
  }
}

}  // namespace

Reader::Reader(NodeContext& node, Settler& settler)
    : node_(node),
      settler_(settler),
      strong_reads_(node.counter("paxledger_reads_total{mode=\"strong\"}")),
      local_reads_(node.counter("paxledger_reads_total{mode=\"local\"}")),
      doubtful_reads_(node.counter("paxledger_reads_doubtful_total")) {}

AccountRead Reader::ReadHere(const LedgerKey& key, ShardId shard) {
  AccountRead read;
  const Account* account = node_.machine(shard).FindAccount(key);
  if (account != nullptr) read.account = *account;
  read.at = node_.machine(shard).clock();
  return read;
}

std::vector<Reader::Doubt> Reader::DoubtsOn(const LedgerKey& key, ShardId shard) {
  std::vector<Doubt> doubts;
  for (InDoubt& in_doubt : node_.machine(shard).InDoubtOn(key)) {
    Tally tally(in_doubt.vote.of, in_doubt.participants);
    doubts.push_back(Doubt{std::move(in_doubt), std::move(tally), shard});
  }
  return doubts;
}

Task<absl::StatusOr<AccountRead>> Reader::ReadAccount(LedgerKey key, ReadMode mode, LogTime after,
                                                      Deadline deadline) {
  ShardId shard = ShardOfAccount(key.ledger, key.id, node_.shards());
  ShardMachine& machine = node_.machine(shard);
  if (mode == ReadMode::kLocal && machine.clock() >= after) {
    local_reads_.Add();
    AccountRead read = ReadHere(key, shard);
    read.staleness_us = std::max<int64_t>(node_.wall_us() - read.at.value, 0);
    co_return read;
  }
  if (after.value > node_.wall_us() + limits::kClockSkewMaxUs) {
    co_return absl::InvalidArgumentError("the consistency token lies in the future");
  }
  strong_reads_.Add();
  absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(shard, deadline);
  if (!barrier.ok()) co_return barrier.status();
  if (machine.clock() < after) {
    absl::Status raised = co_await node_.RaiseClock(shard, after, deadline);
    if (!raised.ok()) co_return raised;
  }
  const Account* account = machine.FindAccount(key);
  if (account != nullptr && (account->debits_in_doubt != 0 || account->credits_in_doubt != 0)) {
    absl::StatusOr<AccountRead> doubtful = co_await ReadDoubtful(std::move(key), shard, deadline);
    co_return doubtful;
  }
  co_return ReadHere(key, shard);
}

Task<absl::StatusOr<AccountRead>> Reader::ReadDoubtful(LedgerKey key, ShardId shard, Deadline deadline) {
  Mark("txn.doubtful_read");
  doubtful_reads_.Add();
  // First round. What was acknowledged before the read began has all its votes by now, so asking finds it
  // committed.
  AccountRead read = ReadHere(key, shard);
  std::vector<Doubt> doubts = DoubtsOn(key, shard);
  absl::Status asked = co_await Ask(&doubts, read.at, Asking::kEverywhere, deadline);
  if (!asked.ok()) co_return asked;
  if (std::none_of(doubts.begin(), doubts.end(), [](const Doubt& d) { return d.decided(); })) co_return read;

  // Those are finished here, which lifts the shard's clock to their commit timestamps at least (rule 9). To
  // include the committed without asking again would let two readers see two transactions in opposite orders.
  if (Bug("txn.read_includes_committed")) {
    read.at = LogTime{INT64_MAX};  // whatever is committed is counted, at no time in particular
    absl::Status included = Count(doubts, key, shard, &read);
    if (!included.ok()) co_return included;
    read.at = node_.machine(shard).clock();
    co_return read;
  }
  absl::Status finished = co_await FinishDecided(&doubts, deadline);
  if (!finished.ok()) co_return finished;
  read = ReadHere(key, shard);
  doubts = DoubtsOn(key, shard);
  absl::Status asked_again = co_await Ask(&doubts, read.at, Asking::kClocksOnly, deadline);
  if (!asked_again.ok()) co_return asked_again;
  absl::Status counted = Count(doubts, key, shard, &read);
  if (!counted.ok()) co_return counted;
  co_return read;
}

Task<absl::Status> Reader::Ask(std::vector<Doubt>* doubts, LogTime at, Asking asking, Deadline deadline) {
  std::vector<ShardId> silent;
  auto ask_here = [&] {
    silent.clear();
    for (Doubt& doubt : *doubts) {
      AskMachines(node_, doubt.tally);
      if (doubt.decided()) continue;
      for (ShardId shard : doubt.tally.Missing()) silent.push_back(shard);
    }
    std::sort(silent.begin(), silent.end());
    silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  };
  ask_here();
  if (asking == Asking::kEverywhere && !silent.empty()) {
    absl::Status read = co_await node_.BarrierAll(silent, deadline);
    if (!read.ok()) co_return read;
    ask_here();
  }
  // A participant whose clock stands at `at` or above will vote, if at all, with a later timestamp: such a
  // transaction commits after `at`. An entry is written only where the clock is behind and the vote is
  // missing.
  for (ShardId shard : silent) {
    absl::Status raised = co_await node_.RaiseClock(shard, at, deadline);
    if (!raised.ok()) co_return raised;
  }
  ask_here();
  co_return absl::OkStatus();
}

Task<absl::Status> Reader::FinishDecided(std::vector<Doubt>* doubts, Deadline deadline) {
  std::vector<Blocker> decided;
  for (Doubt& doubt : *doubts) {
    if (!doubt.decided()) continue;
    decided.push_back(
        Blocker{doubt.in_doubt.vote.of, doubt.in_doubt.participants, doubt.in_doubt.deadline_us});
  }
  co_await settler_.SettleAll(std::move(decided), deadline.monotonic_us);
  if (deadline.Passed(node_.now_us()))
    co_return absl::DeadlineExceededError("reservations were not finished in time");
  // The driving may have ended before the Finish was applied here, which would have lifted the clock: what
  // was acknowledged before the read must not lie after the time that it answers at (rule 10).
  for (const Doubt& doubt : *doubts) {
    if (!doubt.committed()) continue;
    LogTime committed_at = doubt.tally.decision().committed_at;
    if (node_.machine(doubt.shard).clock() >= committed_at) continue;
    absl::Status raised = co_await node_.RaiseClock(doubt.shard, committed_at, deadline);
    if (!raised.ok()) co_return raised;
  }
  co_return absl::OkStatus();
}

bool Reader::StillHeld(const Doubt& doubt) {
  std::optional<Vote> vote = node_.machine(doubt.shard).FindVote(doubt.in_doubt.vote.of);
  return vote.has_value() && vote->kind == VoteKind::kPrepared;
}

absl::Status Reader::Count(const std::vector<Doubt>& doubts, const LedgerKey& key, ShardId shard,
                           AccountRead* read) {
  for (const Doubt& doubt : doubts) {
    if (!doubt.committed() || doubt.tally.decision().committed_at > read->at) continue;
    Check(read->account.has_value(), "a reservation is on an account");
    const Try& of = doubt.in_doubt.vote.of;
    for (const TransactionRecord& record : node_.machine(shard).FindTransaction(of.key)) {
      if (record.of.digest != of.digest) continue;
      absl::StatusOr<RecordedBody> body = ReadBody(node_, shard, record);
      if (!body.ok()) return body.status();
      CountPostings(body->transaction, key.id, *read->account);
    }
  }
  return absl::OkStatus();
}

Task<absl::StatusOr<AccountPage>> Reader::ListAccounts(std::string ledger, std::string prefix,
                                                       std::string after, size_t limit, ReadMode mode,
                                                       Deadline deadline) {
  if (mode == ReadMode::kLocal) co_return MergeShards(ledger, prefix, after, limit);
  strong_reads_.Add();
  absl::Status barrier = co_await node_.BarrierAll(node_.AllShards(), deadline);
  if (!barrier.ok()) co_return barrier;
  AccountPage page = MergeShards(ledger, prefix, after, limit);
  // After a barrier of every shard the votes of all that was acknowledged are known here: what they decide is
  // finished, and the page is made again.
  std::vector<Doubt> doubts;
  for (const AccountRow& row : page.accounts) {
    if (row.account.debits_in_doubt == 0 && row.account.credits_in_doubt == 0) continue;
    ShardId shard = ShardOfAccount(row.key.ledger, row.key.id, node_.shards());
    for (Doubt& doubt : DoubtsOn(row.key, shard)) {
      AskMachines(node_, doubt.tally);
      if (doubt.decided()) doubts.push_back(std::move(doubt));
    }
  }
  if (doubts.empty()) co_return page;
  absl::Status finished = co_await FinishDecided(&doubts, deadline);
  if (!finished.ok()) co_return finished;
  // A list counts nothing itself, so what is decided must be posted.
  if (std::any_of(doubts.begin(), doubts.end(), [this](const Doubt& d) { return StillHeld(d); }))
    co_return absl::UnavailableError("reservations that are decided were not finished");
  co_return MergeShards(ledger, prefix, after, limit);
}

AccountPage Reader::MergeShards(const std::string& ledger, const std::string& prefix,
                                const std::string& after, size_t limit) {
  AccountPage page;
  for (ShardId shard : node_.AllShards()) {
    std::vector<AccountRow> rows = node_.machine(shard).ListAccounts(ledger, prefix, after, limit + 1);
    int64_t age_us = node_.wall_us() - node_.machine(shard).clock().value;
    page.staleness_us = std::max(page.staleness_us, age_us);
    page.accounts.insert(page.accounts.end(), std::make_move_iterator(rows.begin()),
                         std::make_move_iterator(rows.end()));
  }
  std::sort(page.accounts.begin(), page.accounts.end(),
            [](const AccountRow& a, const AccountRow& b) { return a.key.id < b.key.id; });
  page.has_more = page.accounts.size() > limit;
  if (page.has_more) page.accounts.resize(limit);
  return page;
}

}  // namespace paxledger
