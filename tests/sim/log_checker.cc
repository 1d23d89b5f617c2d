#include "tests/sim/log_checker.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/amounts.h"
#include "txn/command.h"
#include "txn/placement.h"

namespace paxledger::sim {

LogChecker::LogChecker(SimCluster& cluster, Fail fail)
    : cluster_(cluster),
      fail_(std::move(fail)),
      truth_(cluster.shards()),
      applied_(cluster.size() + 1, std::vector<LogIndex>(cluster.shards())),
      fold_(cluster.shards(), [this](std::string what) { fail_(std::move(what)); }) {}

void LogChecker::OnRecovered(uint32_t machine) {
  for (uint32_t s = 0; s < cluster_.shards(); ++s) {
    if (!cluster_.hosts(machine, ShardId{s})) continue;
    ShardMachine& books = cluster_.node(machine)->machine(ShardId{s});
    LogIndex at = books.applied();
    applied_[machine][s] = at;
    // What it replayed above its checkpoint, and the entries that it knew chosen and applies first of all.
    LogIndex from = at;
    while (from.value > 1 && books.DigestsAt(LogIndex{from.value - 1}).has_value()) --from.value;
    for (; from.value > 0 && from <= at; from = Next(from)) Compare(machine, ShardId{s}, from);
  }
}

void LogChecker::OnWork(uint32_t machine) {
  Node* node = cluster_.node(machine);
  if (node == nullptr) return;
  for (uint32_t s = 0; s < cluster_.shards(); ++s) {
    if (!cluster_.hosts(machine, ShardId{s})) continue;
    LogIndex& last = applied_[machine][s];
    LogIndex now = node->machine(ShardId{s}).applied();
    if (now < last) last = LogIndex{};  // given up meanwhile, and begun anew
    // In the event that applied an entry its replica may have begun to take a snapshot: what it applied first of all is read
    // where the next one applies it, since here no entry can be read any more.
    LogIndex known{node->replica().Serves(ShardId{s}) ? now.value : truth_[s].size()};
    while (last < std::min(now, known)) {
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
  // A disk that rots may not even hold what it has applied; others will apply it as well.
  if (cluster_.lost(machine)) return;
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
  Fold(node, shard, index);
  if (index == books.applied()) CheckBooks(shard, books);
}

void LogChecker::Fold(Node& node, ShardId shard, LogIndex index) {
  absl::StatusOr<SharedBytes> value = node.replica().ReadEntry(shard, index);
  if (!value.ok()) {
    fail_(absl::StrCat("an applied entry cannot be read: ", value.status().ToString()));
    return;
  }
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(**value);
  if (!envelope.ok()) return fail_("an applied entry cannot be decoded");
  JournalFold::Claim claim = [&](const Try& of, LogIndex at) -> std::optional<Decision> {
    for (const TransactionRecord& record : node.machine(shard).FindTransaction(of.key)) {
      if (record.of == of && record.body_at == at) return record.decision;
    }
    return std::nullopt;
  };
  for (const Command& command : envelope->commands) {
    if (command.machine != MachineId::kTxn) continue;
    absl::StatusOr<TxnCommand> decoded = DecodeTxnCommand(command.bytes);
    if (!decoded.ok()) return fail_("an applied command cannot be decoded");
    ++commands_;
    fold_.Add(shard, index, *decoded, claim);
    if (index != node.machine(shard).applied()) continue;
    const Transaction* body = nullptr;
    if (const auto* execute = std::get_if<ExecuteCommand>(&*decoded)) body = &execute->body;
    if (const auto* finish = std::get_if<FinishCommand>(&*decoded)) body = fold_.BodyOf(finish->of);
    if (body == nullptr) continue;
    for (const Transfer& transfer : body->transfers) {
      touched_.push_back(transfer.debit_account);
      touched_.push_back(transfer.credit_account);
    }
  }
  for (const std::string& account : touched_) CheckAccount(shard, node.machine(shard), account);
  touched_.clear();
}

void LogChecker::CheckBooks(ShardId shard, ShardMachine& books) {
  auto complain = [&](const char* what) {
    fail_(absl::StrCat("the books of shard ", shard.value, " ", what, " at index ", books.applied().value));
  };
  JournalFold::Sums all = fold_.PostedIn(shard);
  for (const auto& [counterpart, sums] : fold_.ClearingOf(shard)) all.Add(sums);
  for (const AssetTotals& row : books.TotalsByAsset()) {  // one asset is in use
    if (row.totals.debits_posted != row.totals.credits_posted ||
        row.totals.debits_pending != row.totals.credits_pending) {
      complain("do not balance");
    }
    if (row.totals.debits_posted != all.debits || row.totals.credits_posted != all.credits) {
      complain("do not say what the entries add up to");
    }
  }
  for (const ClearingTotals& row : books.Clearing()) {
    auto sums = fold_.ClearingOf(shard).find(row.counterpart.value);
    bool same = sums != fold_.ClearingOf(shard).end() && row.totals.debits_posted == sums->second.debits &&
                row.totals.credits_posted == sums->second.credits;
    if (!same) complain("have another clearing account than the entries add up to");
  }
}

void LogChecker::CheckAccount(ShardId shard, ShardMachine& books, const std::string& account) {
  if (ShardOfAccount("main", account, cluster_.shards()) != shard) return;
  const Account* held = books.FindAccount({"main", account});
  const JournalFold::Sums* due = fold_.PostedTo(account);
  if ((held == nullptr) != (due == nullptr)) {
    fail_(absl::StrCat("account ", account, " is known to the books or to the entries only"));
  } else if (held != nullptr &&
             (held->totals.debits_posted != due->debits || held->totals.credits_posted != due->credits)) {
    fail_(absl::StrCat("account ", account, " holds at shard ", shard.value, ", index ",
                       books.applied().value, " debits ", ShowAmount(held->totals.debits_posted),
                       " and credits ", ShowAmount(held->totals.credits_posted), "; the entries add up to ",
                       ShowAmount(due->debits), " and ", ShowAmount(due->credits)));
  }
}

}  // namespace paxledger::sim
