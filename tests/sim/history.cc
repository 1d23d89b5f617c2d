#include "tests/sim/history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/amounts.h"
#include "txn/placement.h"

namespace paxledger::sim {
namespace {

std::string_view StateName(TransactionState state) {
  switch (state) {
    case TransactionState::kCommitted:
      return "committed";
    case TransactionState::kRefused:
      return "refused";
    case TransactionState::kConflict:
      return "conflict";
    case TransactionState::kInDoubt:
      return "in doubt";
    case TransactionState::kContended:
      return "contended";
    case TransactionState::kUnavailable:
      return "unavailable";
    case TransactionState::kOverloaded:
      return "overloaded";
  }
  return "?";
}

}  // namespace

History::BodyId History::Begin(Transaction body) {
  auto [at, fresh] = by_name_.try_emplace(body.id, ids_.size());
  if (fresh) ids_.push_back(Id{body.id, {}});
  Id& id = ids_[at->second];
  Digest digest = TransactionDigest(body);
  for (size_t known = 0; known < id.bodies.size(); ++known) {
    if (id.bodies[known].digest == digest) return {at->second, known};  // the same by chance
  }
  BodyId name{at->second, id.bodies.size()};
  for (const Transfer& transfer : body.transfers) {
    for (const std::string& account : {transfer.debit_account, transfer.credit_account}) {
      std::vector<BodyId>& bodies = accounts_[account].bodies;
      bool noted = !bodies.empty() && bodies.back().id == name.id && bodies.back().body == name.body;
      if (!noted) bodies.push_back(name);
    }
  }
  id.bodies.push_back(Body{std::move(body), digest, cluster_.scheduler().now_us(), {}, {}});
  return name;
}

void History::Acknowledged(BodyId name, const TransactionResult& result) {
  Id& id = ids_[name.id];
  Body& body = id.bodies[name.body];
  Acknowledgement now{result.state, result.refusal, result.committed_at, cluster_.scheduler().now_us()};
  if (body.acknowledged.has_value()) {
    const Acknowledgement& before = *body.acknowledged;
    if (before.state != now.state || before.refusal != now.refusal ||
        before.committed_at != now.committed_at) {
      fail_(absl::StrCat("transaction ", id.id, " was acknowledged as ", ToAbsl(StateName(before.state)),
                         " at ", before.committed_at.value, " and as ", ToAbsl(StateName(now.state)), " at ",
                         now.committed_at.value));
    }
    return;
  }
  body.acknowledged = now;
  committed_ += now.state == TransactionState::kCommitted ? 1 : 0;
  refused_ += now.state == TransactionState::kRefused ? 1 : 0;
  conflicts_ += now.state == TransactionState::kConflict ? 1 : 0;
  if (now.state == TransactionState::kConflict && id.bodies.size() == 1) {
    fail_(absl::StrCat("transaction ", id.id, " conflicts with a body that nobody sent"));
  }
  auto winners = std::ranges::count_if(id.bodies, [](const Body& b) {
    return b.acknowledged.has_value() && b.acknowledged->state != TransactionState::kConflict;
  });
  if (winners > 1) {
    std::string text =
        absl::StrCat("two bodies of transaction ", id.id, " (", name.id, ") were acknowledged:");
    for (const Body& b : id.bodies) {
      if (!b.acknowledged.has_value()) continue;
      absl::StrAppend(&text, " ", ToAbsl(StateName(b.acknowledged->state)), " ",
                      static_cast<int>(b.acknowledged->refusal), " at ", b.acknowledged->at_us, " us;");
    }
    fail_(std::move(text));
  }
}

History::Sums History::EffectOn(const std::string& account, const Transaction& body) {
  Sums sums;
  for (const Transfer& transfer : body.transfers) {
    if (transfer.debit_account == account) sums.debits += transfer.amount;
    if (transfer.credit_account == account) sums.credits += transfer.amount;
  }
  return sums;
}

void History::Read(const std::string& account, int64_t began_us, int64_t ended_us, const AccountRead& read) {
  ++reads_;
  if (!read.account.has_value())
    return fail_(absl::StrCat("account ", account, " was opened and is not found"));
  AccountFacts& facts = accounts_[account];
  Sums shown{read.account->totals.debits_posted, read.account->totals.credits_posted};
  Sums least;
  Sums most;
  for (BodyId name : facts.bodies) {
    const Body& body = ids_[name.id].bodies[name.body];
    Sums effect = EffectOn(account, body.body);
    bool known = body.acknowledged.has_value();
    bool committed = known && body.acknowledged->state == TransactionState::kCommitted;
    if (committed && body.acknowledged->at_us <= began_us) {
      least.debits += effect.debits;
      least.credits += effect.credits;
    }
    if (body.sent_us < ended_us && (committed || !known)) {
      most.debits += effect.debits;
      most.credits += effect.credits;
    }
  }
  if (shown.debits < least.debits || shown.credits < least.credits) {
    fail_(absl::StrCat(
        "a strong read of ", account, " (shard ", ShardOfAccount("main", account, cluster_.shards()).value,
        ") misses a transfer that was acknowledged before it began at ", began_us, " us; it shows ",
        Shown(shown), ", due are ", Shown(least), "; the newest: ", NewestOn(facts, began_us)));
  }
  if (shown.debits > most.debits || shown.credits > most.credits) {
    fail_(absl::StrCat("a strong read of ", account, " shows more than was ever sent"));
  }
  for (const PastRead& past : facts.reads) {
    if (past.ended_us > began_us) continue;
    if (shown.debits < past.sums.debits || shown.credits < past.sums.credits) {
      fail_(absl::StrCat("a strong read of ", account, " shows less than one that had ended before"));
    }
  }
  facts.reads.push_back({began_us, ended_us, shown});
}

void History::ReadTransaction(BodyId name, const absl::StatusOr<TransferRead>& read) {
  ++reads_;
  const Id& id = ids_[name.id];
  Body& body = ids_[name.id].bodies[name.body];
  if (read.ok() && read->result.state == TransactionState::kCommitted && read->transaction == body.body &&
      !body.seen_committed_us.has_value()) {
    body.seen_committed_us = cluster_.scheduler().now_us();
  }
  bool final = body.acknowledged.has_value() && body.acknowledged->state != TransactionState::kConflict;
  if (!final) return;
  if (!read.ok()) {
    if (read.status().code() == absl::StatusCode::kNotFound) {
      fail_(absl::StrCat("transaction ", id.id, " was acknowledged and is not found"));
    }
    return;
  }
  if (read->result.state != body.acknowledged->state) {
    fail_(absl::StrCat("transaction ", id.id, " was acknowledged as ",
                       ToAbsl(StateName(body.acknowledged->state)), " and is read as ",
                       ToAbsl(StateName(read->result.state))));
  }
}

std::string History::Shown(const Sums& sums) {
  return absl::StrCat("debits ", ShowAmount(sums.debits), " credits ", ShowAmount(sums.credits));
}

std::string History::NewestOn(const AccountFacts& facts, int64_t before_us) const {
  std::string text;
  int named = 0;
  for (auto name = facts.bodies.rbegin(); name != facts.bodies.rend() && named < 5; ++name) {
    const Body& body = ids_[name->id].bodies[name->body];
    if (!body.acknowledged.has_value() || body.acknowledged->at_us > before_us) continue;
    ++named;
    absl::StrAppend(&text, ids_[name->id].id, " (", name->id, ", ",
                    ToAbsl(StateName(body.acknowledged->state)), " at ", body.acknowledged->at_us, " us)");
    for (const Transfer& t : body.body.transfers) {
      absl::StrAppend(&text, " ", t.debit_account, "->", t.credit_account, ":", ShowAmount(t.amount));
    }
    text += "; ";
  }
  return text;
}

ShardMachine& History::BooksOf(uint32_t machine, ShardId shard) {
  while (!cluster_.counts(machine) || !cluster_.hosts(machine, shard))
    machine = 1 + machine % cluster_.size();
  return cluster_.node(machine)->machine(shard);
}

std::optional<Decision> History::DecisionOf(uint32_t machine, const Id& id, const Body& body) {
  LedgerKey key{body.body.ledger, id.id};
  ShardId home = ShardOfTransaction(key.ledger, key.id, cluster_.shards());
  for (const TransactionRecord& record : BooksOf(machine, home).FindTransaction(key)) {
    if (record.of.digest == body.digest) return record.decision;
  }
  return std::nullopt;
}

void History::CheckOutcome(const Id& id, const Body& body, const std::optional<Decision>& decision) {
  if (!body.acknowledged.has_value()) return;
  auto kind = decision.has_value() ? std::optional(decision->kind) : std::nullopt;
  bool holds = true;
  switch (body.acknowledged->state) {
    case TransactionState::kCommitted:
      holds = kind == DecisionKind::kCommitted && decision->committed_at == body.acknowledged->committed_at;
      break;
    case TransactionState::kRefused:
      holds = kind == DecisionKind::kRefused && decision->refusal == body.acknowledged->refusal;
      break;
    case TransactionState::kConflict:
      holds = kind != DecisionKind::kCommitted && kind != DecisionKind::kRefused;
      break;
    case TransactionState::kInDoubt:
    case TransactionState::kContended:
    case TransactionState::kUnavailable:
    case TransactionState::kOverloaded:
      break;
  }
  if (!holds) {
    fail_(absl::StrCat("transaction ", id.id, " was acknowledged as ",
                       ToAbsl(StateName(body.acknowledged->state)), ", but the record says ",
                       kind.has_value() ? static_cast<int>(*kind) : 0));
  }
}

void History::CheckFinal(uint32_t machine) {
  std::map<std::string, Sums> expected;
  for (const Id& id : ids_) {
    int effects = 0;
    for (const Body& body : id.bodies) {
      std::optional<Decision> decision = DecisionOf(machine, id, body);
      CheckOutcome(id, body, decision);
      if (!decision.has_value() || decision->kind != DecisionKind::kCommitted) continue;
      ++effects;
      for (const Transfer& transfer : body.body.transfers) {
        expected[transfer.debit_account].debits += transfer.amount;
        expected[transfer.credit_account].credits += transfer.amount;
      }
    }
    if (effects > 1) fail_(absl::StrCat("two bodies of transaction ", id.id, " committed"));
  }
  for (const auto& [name, facts] : accounts_) {
    ShardId shard = ShardOfAccount("main", name, cluster_.shards());
    const Account* account = BooksOf(machine, shard).FindAccount({"main", name});
    if (account == nullptr) {
      fail_(absl::StrCat("account ", name, " is missing on dc", machine));
      continue;
    }
    const Sums& sums = expected[name];
    const Totals& totals = account->totals;
    if (totals.debits_posted != sums.debits || totals.credits_posted != sums.credits) {
      fail_(absl::StrCat("account ", name, " on dc", machine, " holds ",
                         Shown({totals.debits_posted, totals.credits_posted}),
                         ", but what committed sums up to ", Shown(sums)));
    }
    if (account->debits_in_doubt != 0 || account->credits_in_doubt != 0) {
      fail_(absl::StrCat("account ", name, " has reservations that nothing in doubt explains"));
    }
  }
  CheckClearing(machine);
}

const History::Body* History::Find(const std::string& id, const Digest& digest) const {
  auto at = by_name_.find(id);
  if (at == by_name_.end()) return nullptr;
  for (const Body& body : ids_[at->second].bodies) {
    if (body.digest == digest) return &body;
  }
  return nullptr;
}

SerialVerdict History::CheckOrder(const JournalFold& fold) {
  SerialHistory serial;
  std::map<JournalFold::BodyNo, size_t> operations;
  for (const auto& [number, transaction] : fold.committed()) {
    const Body* body = Find(transaction.id, transaction.digest);
    if (body == nullptr) {
      fail_(absl::StrCat("transaction ", transaction.id, " has an effect and nobody asked for it"));
      continue;
    }
    std::optional<int64_t> told_us = body->seen_committed_us;
    if (body->acknowledged.has_value()) {
      told_us = std::min(body->acknowledged->at_us, told_us.value_or(INT64_MAX));
      if (body->acknowledged->state != TransactionState::kCommitted) {
        fail_(absl::StrCat("transaction ", transaction.id, " was acknowledged as ",
                           ToAbsl(StateName(body->acknowledged->state)), " and has an effect"));
      }
    }
    operations[number] = serial.operations.size();
    serial.operations.push_back({transaction.id, body->sent_us, told_us});
  }
  for (const auto& [account, effects] : fold.effects()) {
    std::vector<SerialHistory::Effect>& to = serial.effects[account];
    for (const JournalFold::Effect& effect : effects) {
      auto operation = operations.find(effect.of);
      if (operation == operations.end()) continue;
      to.push_back({operation->second, effect.voted, effect.done, effect.sums.debits, effect.sums.credits});
    }
  }
  for (const auto& [account, facts] : accounts_) {
    for (const PastRead& read : facts.reads) {
      serial.reads.push_back({serial.operations.size(), account, read.sums.debits, read.sums.credits});
      serial.operations.push_back(
          {absl::StrCat("a read of ", account, " (", read.began_us, "..", read.ended_us, " us)"),
           read.began_us, read.ended_us});
    }
  }
  return CheckSerializable(serial);
}

void History::CheckClearing(uint32_t machine) {
  // transactions.md rule 16: with nothing in flight the two sides of each pair agree.
  std::map<std::pair<uint32_t, uint32_t>, Totals> sides;
  for (uint32_t s = 0; s < cluster_.shards(); ++s) {
    for (const ClearingTotals& row : BooksOf(machine, ShardId{s}).Clearing()) {
      sides[{s, row.counterpart.value}] = row.totals;  // one asset is in use
    }
  }
  for (const auto& [pair, totals] : sides) {
    const Totals& other = sides[{pair.second, pair.first}];
    if (totals.credits_posted != other.debits_posted || totals.debits_posted != other.credits_posted) {
      fail_(absl::StrCat("clearing of shards ", pair.first, " and ", pair.second, " does not pair off on dc",
                         machine));
    }
  }
}

}  // namespace paxledger::sim
