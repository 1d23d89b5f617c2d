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

void Append(AccountPage part, AccountPage* page) {
  page->staleness_us = std::max(page->staleness_us, part.staleness_us);
  page->has_more = page->has_more || part.has_more;
  page->accounts.insert(page->accounts.end(), std::make_move_iterator(part.accounts.begin()),
                        std::make_move_iterator(part.accounts.end()));
}

/// Brings what was appended in order, and keeps a page of it.
void Finish(size_t limit, AccountPage* page) {
  std::sort(page->accounts.begin(), page->accounts.end(),
            [](const AccountRow& a, const AccountRow& b) { return a.key.id < b.key.id; });
  page->has_more = page->has_more || page->accounts.size() > limit;
  if (page->accounts.size() > limit) page->accounts.resize(limit);
}

absl::Status MovedAway() { return absl::UnavailableError("the shard moved to another node meanwhile"); }

// A read whose account is so busy that it meets a transaction with a later timestamp each time lifts the clock ahead of what it
// met, by this and then twice as much each time, until those that are under way fall behind it.
constexpr int64_t kAheadUs = 500;
constexpr uint32_t kReadRoundsMax = 10;

// Each drives what is decided to its Finish, for as long as the settler thinks worth while.
constexpr uint32_t kFinishRoundsMax = 3;

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
  if (!node_.Hosts(shard)) {
    absl::StatusOr<AccountRead> read =
        co_await ReadElsewhere(AccountQuestion{std::move(key), mode, after}, shard, deadline);
    co_return read;
  }
  if (mode == ReadMode::kLocal && node_.machine(shard).clock() >= after) {
    local_reads_.Add();
    AccountRead read = ReadHere(key, shard);
    read.staleness_us = std::max<int64_t>(node_.wall_us() - read.at.value, 0);
    co_return read;
  }
  absl::Status arrived = co_await Arrive(shard, after, deadline);
  if (!arrived.ok()) co_return arrived;
  const Account* account = node_.machine(shard).FindAccount(key);
  if (account != nullptr && (account->debits_in_doubt != 0 || account->credits_in_doubt != 0)) {
    absl::StatusOr<AccountRead> doubtful = co_await ReadDoubtful(std::move(key), shard, deadline);
    co_return doubtful;
  }
  co_return ReadHere(key, shard);
}

Task<absl::Status> Reader::Arrive(ShardId shard, LogTime after, Deadline deadline) {
  if (after.value > node_.wall_us() + limits::kClockSkewMaxUs) {
    co_return absl::InvalidArgumentError("the consistency token lies in the future");
  }
  strong_reads_.Add();
  absl::StatusOr<LogIndex> barrier = co_await node_.replica().ReadBarrier(shard, deadline);
  if (!barrier.ok()) co_return barrier.status();
  if (node_.machine(shard).clock() < after) {
    absl::Status raised = co_await node_.RaiseClock(shard, after, deadline);
    if (!raised.ok()) co_return raised;
  }
  co_return node_.Hosts(shard) ? absl::OkStatus() : MovedAway();
}

Task<absl::StatusOr<LogTime>> Reader::CloseAccount(LedgerKey key, LogTime after, Deadline deadline) {
  ShardId shard = ShardOfAccount(key.ledger, key.id, node_.shards());
  absl::Status arrived = co_await Arrive(shard, after, deadline);
  if (!arrived.ok()) co_return arrived;
  LogTime closed = node_.machine(shard).clock();
  std::vector<Doubt> doubts = DoubtsOn(key, shard);
  if (doubts.empty()) co_return closed;
  doubtful_reads_.Add();
  // As ReadDoubtful: the first round finishes what was acknowledged before the call, which lifts the clock above its commit;
  // the second looks for what else was committed up to there.
  absl::Status asked = co_await Ask(&doubts, closed, Asking::kEverywhere, deadline);
  if (!asked.ok()) co_return asked;
  if (std::none_of(doubts.begin(), doubts.end(), [](const Doubt& d) { return d.decided(); }))
    co_return closed;
  absl::Status finished = co_await FinishDecided(&doubts, deadline);
  if (!finished.ok()) co_return finished;
  closed = node_.machine(shard).clock();
  doubts = DoubtsOn(key, shard);
  absl::Status asked_again = co_await Ask(&doubts, closed, Asking::kClocksOnly, deadline);
  if (!asked_again.ok()) co_return asked_again;
  if (!node_.Hosts(shard)) co_return MovedAway();
  std::erase_if(doubts, [closed](const Doubt& d) {
    return !d.committed() || d.tally.decision().committed_at > closed;
  });
  // A statement adds nothing itself: what is committed must be posted.
  for (uint32_t round = 0; !doubts.empty() && round < kFinishRoundsMax; ++round) {
    absl::Status all_finished = co_await FinishDecided(&doubts, deadline);
    if (!all_finished.ok()) co_return all_finished;
    std::erase_if(doubts, [this](const Doubt& d) { return !StillHeld(d); });
  }
  if (!doubts.empty()) co_return absl::UnavailableError("reservations that are decided were not finished");
  co_return closed;
}

Task<absl::StatusOr<AccountRead>> Reader::ReadDoubtful(LedgerKey key, ShardId shard, Deadline deadline) {
  Mark("txn.doubtful_read");
  doubtful_reads_.Add();
  AccountRead read = ReadHere(key, shard);
  std::vector<Doubt> doubts = DoubtsOn(key, shard);
  absl::Status asked = co_await Ask(&doubts, read.at, Asking::kEverywhere, deadline);
  if (!asked.ok()) co_return asked;
  if (std::none_of(doubts.begin(), doubts.end(), [](const Doubt& d) { return d.decided(); })) co_return read;

  // To include the committed without asking again would let two readers see two transactions in opposite orders.
  if (Bug("txn.read_includes_committed")) {
    read.at = LogTime{INT64_MAX};  // whatever is committed is counted, at no time in particular
    absl::Status included = Count(doubts, key, shard, &read);
    if (!included.ok()) co_return included;
    read.at = node_.machine(shard).clock();
    co_return read;
  }
  // Rule 10 as ADR 0011 mends it. What was acknowledged before another transaction began, of which the answer shows
  // the effect, has all its votes when the answer's state was read; so asking afterwards finds it decided. It must lie at
  // or before the time of the answer: else what is decided is finished, and the clock lifted past it, and all is read anew.
  LogTime late;
  for (uint32_t round = 0; round < kReadRoundsMax; ++round) {
    absl::Status finished = co_await FinishDecided(&doubts, deadline);
    if (!finished.ok()) co_return finished;
    if (round > 0) {
      Mark("txn.read_again");
      LogTime ahead{late.value + (kAheadUs << round)};
      absl::Status raised = co_await node_.RaiseClock(shard, ahead, deadline);
      if (!raised.ok()) co_return raised;
    }
    if (!node_.Hosts(shard)) co_return MovedAway();
    read = ReadHere(key, shard);
    doubts = DoubtsOn(key, shard);
    asked = co_await Ask(&doubts, read.at, Asking::kEverywhere, deadline);
    if (!asked.ok()) co_return asked;
    late = LatestCommit(doubts);
    if (late > read.at) continue;
    for (const Doubt& doubt : doubts) {
      absl::Status fetched = co_await FetchBodies(node_, shard, doubt.in_doubt.vote.of.key, deadline);
      if (!fetched.ok()) co_return fetched;
    }
    if (!node_.Hosts(shard)) co_return MovedAway();
    absl::Status counted = Count(doubts, key, shard, &read);
    if (!counted.ok()) co_return counted;
    co_return read;
  }
  co_return absl::UnavailableError("the account was too busy for a strong read: nothing was changed");
}

LogTime Reader::LatestCommit(const std::vector<Doubt>& doubts) {
  LogTime latest;
  for (const Doubt& doubt : doubts) {
    if (doubt.committed()) latest = std::max(latest, doubt.tally.decision().committed_at);
  }
  return latest;
}

Task<absl::StatusOr<AccountRead>> Reader::ReadElsewhere(AccountQuestion question, ShardId shard,
                                                        Deadline deadline) {
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().Ask(shard, std::move(question), deadline);
  if (!answer.ok()) co_return answer.status();
  co_return std::get<AccountRead>(*std::move(answer));
}

std::vector<ShardId> Reader::AskHere(std::vector<Doubt>* doubts, std::vector<Tally*>* undecided) {
  std::vector<ShardId> silent;
  undecided->clear();
  for (Doubt& doubt : *doubts) {
    AskMachines(node_, doubt.tally);
    if (doubt.decided()) continue;
    undecided->push_back(&doubt.tally);
    for (ShardId shard : doubt.tally.Missing()) silent.push_back(shard);
  }
  std::sort(silent.begin(), silent.end());
  silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  return silent;
}

Task<absl::Status> Reader::Ask(std::vector<Doubt>* doubts, LogTime at, Asking asking, Deadline deadline) {
  std::vector<Tally*> undecided;
  std::vector<ShardId> silent = AskHere(doubts, &undecided);
  if (silent.empty()) co_return absl::OkStatus();
  Freshness freshness = asking == Asking::kEverywhere ? Freshness::kBarrier : Freshness::kApplied;
  absl::Status learned = co_await node_.LearnVotes(undecided, std::move(silent), freshness, at, deadline);
  if (!learned.ok()) co_return learned;
  // A participant whose clock stands at `at` or above will vote, if at all, with a later timestamp: such a
  // transaction commits after `at`. An entry is written only where the clock is behind and the vote is
  // missing. Elsewhere the hosts have done so.
  silent = AskHere(doubts, &undecided);
  for (ShardId shard : silent) {
    if (!node_.Hosts(shard)) continue;
    absl::Status raised = co_await node_.RaiseClock(shard, at, deadline);
    if (!raised.ok()) co_return raised;
  }
  AskHere(doubts, &undecided);
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

/// Parts of a list.
struct Reader::Pages {
  explicit Pages(Executor& executor) : done(executor) {}
  std::vector<AccountPage> pages;
  std::vector<ShardId> failed;  // of the round under way
  size_t running = 0;
  absl::Status status;
  Completion<bool> done;
};

Task<absl::StatusOr<AccountPage>> Reader::ListAccounts(std::string ledger, std::string prefix,
                                                       std::string after, size_t limit, ReadMode mode,
                                                       Deadline deadline) {
  if (mode == ReadMode::kStrong) strong_reads_.Add();
  ListQuestion here{node_.HostedShards(),
                    std::move(ledger),
                    std::move(prefix),
                    std::move(after),
                    static_cast<uint32_t>(limit),
                    mode};
  ListQuestion elsewhere = here;
  elsewhere.shards.clear();
  for (uint32_t shard = 0; shard < node_.shards(); ++shard) {
    if (!node_.Hosts(ShardId{shard})) elsewhere.shards.push_back(ShardId{shard});
  }
  if (elsewhere.shards.empty()) {
    absl::StatusOr<AccountPage> page = co_await ListHere(std::move(here), deadline);
    co_return page;
  }
  auto pages = std::make_shared<Pages>(*node_.ports().executor);
  node_.tasks().Spawn(ListElsewhere(std::move(elsewhere), deadline, pages));
  absl::StatusOr<AccountPage> local = co_await ListHere(std::move(here), deadline);
  bool done = co_await pages->done;
  (void)done;
  if (!local.ok()) co_return local;
  if (!pages->status.ok()) co_return pages->status;
  for (AccountPage& page : pages->pages) Append(std::move(page), &*local);
  Finish(limit, &*local);
  co_return local;
}

Task<void> Reader::ListElsewhere(ListQuestion question, Deadline deadline, std::shared_ptr<Pages> pages) {
  std::vector<ShardId> left = question.shards;
  for (uint32_t round = 0; !left.empty() && round < limits::kReplicasMax; ++round) {
    auto parts = std::make_shared<Pages>(*node_.ports().executor);
    parts->running = 1;
    size_t asked = 0;
    for (auto& [host, shards] : node_.remote().ByHost(left, round)) {
      ++parts->running;
      asked += shards.size();
      question.shards = shards;
      node_.tasks().Spawn(ListAt(host, question, deadline, parts));
    }
    if (asked < left.size()) parts->status = absl::UnavailableError("no node that hosts a shard is up");
    if (--parts->running == 0) parts->done.Set(true);
    bool done = co_await parts->done;
    (void)done;
    for (AccountPage& page : parts->pages) pages->pages.push_back(std::move(page));
    left = std::move(parts->failed);
    pages->status = parts->status;
    if (asked == 0 || deadline.Passed(node_.now_us())) break;
  }
  pages->done.Set(true);
}

Task<void> Reader::ListAt(ReplicaId host, ListQuestion question, Deadline deadline,
                          std::shared_ptr<Pages> pages) {
  std::vector<ShardId> shards = question.shards;
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().AskAt(host, std::move(question), deadline);
  if (answer.ok()) {
    pages->pages.push_back(std::get<AccountPage>(*std::move(answer)));
  } else {
    pages->failed.insert(pages->failed.end(), shards.begin(), shards.end());
    pages->status = answer.status();
  }
  if (--pages->running == 0) pages->done.Set(true);
}

Task<absl::StatusOr<AccountPage>> Reader::ListHere(ListQuestion question, Deadline deadline) {
  if (question.mode == ReadMode::kLocal) co_return MergeShards(question);
  absl::Status barrier = co_await node_.BarrierAll(question.shards, deadline);
  if (!barrier.ok()) co_return barrier;
  AccountPage page = MergeShards(question);
  // After a barrier of every participant the votes of all that was acknowledged are known here: what they decide is
  // finished, and the page is made again.
  std::vector<Doubt> doubts;
  for (const AccountRow& row : page.accounts) {
    if (row.account.debits_in_doubt == 0 && row.account.credits_in_doubt == 0) continue;
    ShardId shard = ShardOfAccount(row.key.ledger, row.key.id, node_.shards());
    for (Doubt& doubt : DoubtsOn(row.key, shard)) doubts.push_back(std::move(doubt));
  }
  std::vector<Tally*> undecided;
  std::vector<ShardId> silent = AskHere(&doubts, &undecided);
  std::erase_if(silent, [&](ShardId shard) {
    return std::find(question.shards.begin(), question.shards.end(), shard) != question.shards.end();
  });
  if (!silent.empty()) {
    absl::Status learned = co_await node_.LearnVotes(std::move(undecided), std::move(silent),
                                                     Freshness::kBarrier, LogTime{}, deadline);
    if (!learned.ok()) co_return learned;
  }
  std::erase_if(doubts, [](const Doubt& doubt) { return !doubt.decided(); });
  if (!doubts.empty()) {
    absl::Status finished = co_await FinishDecided(&doubts, deadline);
    if (!finished.ok()) co_return finished;
    // A list counts nothing itself, so what is decided must be posted.
    if (std::any_of(doubts.begin(), doubts.end(), [this](const Doubt& d) { return StillHeld(d); }))
      co_return absl::UnavailableError("reservations that are decided were not finished");
    page = MergeShards(question);
  }
  bool moved = std::any_of(question.shards.begin(), question.shards.end(),
                           [this](ShardId shard) { return !node_.Hosts(shard); });
  if (moved) co_return MovedAway();
  co_return page;
}

AccountPage Reader::MergeShards(const ListQuestion& question) {
  AccountPage page;
  for (ShardId shard : question.shards) {
    if (!node_.Hosts(shard)) continue;
    ShardMachine& machine = node_.machine(shard);
    AccountPage part;
    part.accounts =
        machine.ListAccounts(question.ledger, question.prefix, question.after, question.limit + 1);
    part.staleness_us = node_.wall_us() - machine.clock().value;
    Append(std::move(part), &page);
  }
  Finish(question.limit, &page);
  return page;
}

}  // namespace paxledger
