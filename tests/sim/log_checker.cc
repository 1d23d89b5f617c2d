#include "tests/sim/log_checker.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "txn/command.h"
#include "txn/placement.h"

namespace paxledger::sim {

LogChecker::LogChecker(SimCluster& cluster, Fail fail)
    : cluster_(cluster),
      fail_(std::move(fail)),
      truth_(cluster.shards()),
      applied_(cluster.size() + 1, std::vector<LogIndex>(cluster.shards())) {}

void LogChecker::OnRecovered(uint32_t machine) {
  for (uint32_t s = 0; s < cluster_.shards(); ++s) {
    LogIndex at = cluster_.node(machine)->machine(ShardId{s}).applied();
    applied_[machine][s] = at;
    if (at.value > 0) Compare(machine, ShardId{s}, at);
  }
}

void LogChecker::OnWork(uint32_t machine) {
  Node* node = cluster_.node(machine);
  if (node == nullptr) return;
  for (uint32_t s = 0; s < cluster_.shards(); ++s) {
    LogIndex& last = applied_[machine][s];
    LogIndex now = node->machine(ShardId{s}).applied();
    while (last < now) {
      last = Next(last);
      Compare(machine, ShardId{s}, last);
    }
  }
}

void LogChecker::Compare(uint32_t machine, ShardId shard, LogIndex index) {
  Node& node = *cluster_.node(machine);
  ShardMachine& books = node.machine(shard);
  std::optional<DigestsAtIndex> seen = books.DigestsAt(index);
  if (!seen.has_value()) {
    if (index == books.applied())
      fail_(absl::StrCat("shard ", shard.value, " knows no digest of its own index"));
    return;
  }
  std::vector<Truth>& truth = truth_[shard.value];
  if (index.value <= truth.size()) {
    const Truth& known = truth[index.value - 1];
    if (known.journal != seen->journal) {
      fail_(absl::StrCat("dc", machine, " applied another value at shard ", shard.value, ", index ",
                         index.value, " than was applied before"));
    } else if (known.state != seen->state) {
      fail_(absl::StrCat("dc", machine, " has another state after shard ", shard.value, ", index ",
                         index.value, " than was seen before"));
    }
    return;
  }
  if (index.value != truth.size() + 1) {
    fail_(absl::StrCat("dc", machine, " applied shard ", shard.value, ", index ", index.value,
                       " before anybody applied the one before"));
    return;
  }
  truth.push_back({seen->journal, seen->state});
  ++entries_;
  uint64_t head;
  std::memcpy(&head, seen->state.bytes.data(), sizeof(head));
  cluster_.scheduler().Note(EventKind::kNote, machine, 0, "applied first: shard, index, state", shard.value,
                            index.value, head);
  if (index == books.applied()) CheckBooks(shard, books);
  CheckCommands(node, shard, index);
}

void LogChecker::CheckBooks(ShardId shard, ShardMachine& books) {
  for (const AssetTotals& row : books.TotalsByAsset()) {
    if (row.totals.debits_posted != row.totals.credits_posted ||
        row.totals.debits_pending != row.totals.credits_pending) {
      fail_(absl::StrCat("the books of shard ", shard.value, " do not balance at index ",
                         books.applied().value));
    }
  }
}

void LogChecker::CheckCommands(Node& node, ShardId shard, LogIndex index) {
  absl::StatusOr<SharedBytes> value = node.replica().ReadEntry(shard, index);
  if (!value.ok()) {
    fail_(absl::StrCat("an applied entry cannot be read: ", value.status().ToString()));
    return;
  }
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(**value);
  if (!envelope.ok()) return fail_("an applied entry cannot be decoded");
  for (const Command& command : envelope->commands) {
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(command.bytes);
    if (!decoded.ok()) return fail_("an applied command cannot be decoded");
    ++commands_;
    const Transaction* body = nullptr;
    if (const auto* execute = std::get_if<ExecuteCommand>(&*decoded)) body = &execute->body;
    if (const auto* prepare = std::get_if<PrepareCommand>(&*decoded)) body = &prepare->body;
    if (body == nullptr) continue;
    for (const Transfer& transfer : body->transfers) {
      CheckLimit(shard, node.machine(shard), {body->ledger, transfer.debit_account});
      CheckLimit(shard, node.machine(shard), {body->ledger, transfer.credit_account});
    }
  }
}

void LogChecker::CheckLimit(ShardId shard, ShardMachine& books, const LedgerKey& key) {
  if (ShardOfAccount(key.ledger, key.id, cluster_.shards()) != shard) return;
  const Account* account = books.FindAccount(key);
  if (account == nullptr) return;
  const Totals& t = account->totals;
  // Reservations are left out: one may rely on another of the same transaction, and both happen or neither.
  Amount debits = t.debits_posted + t.debits_pending;
  Amount credits = t.credits_posted + t.credits_pending;
  bool crossed = false;
  switch (account->spec.limit) {
    case LimitRule::kNone:
      break;
    case LimitRule::kDebitsMustNotExceedCredits:
      crossed = debits > t.credits_posted + account->spec.overdraft;
      break;
    case LimitRule::kCreditsMustNotExceedDebits:
      crossed = credits > t.debits_posted + account->spec.overdraft;
      break;
  }
  if (crossed)
    fail_(absl::StrCat("account ", key.id, " crossed its limit at shard ", shard.value, ", index ",
                       books.applied().value));
}

}  // namespace paxledger::sim
