#include "tests/sim/journal_fold.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/sim/amounts.h"
#include "txn/placement.h"

namespace paxledger::sim {
namespace {

constexpr char kLedger[] = "main";  // the only one in use

JournalFold::Sums EffectOn(const std::string& account, const Transfer& transfer) {
  JournalFold::Sums sums;
  if (transfer.debit_account == account) sums.debits = transfer.amount;
  if (transfer.credit_account == account) sums.credits = transfer.amount;
  return sums;
}

JournalFold::Sums EffectOn(const std::string& account, const Transaction& body) {
  JournalFold::Sums sums;
  for (const Transfer& transfer : body.transfers) sums.Add(EffectOn(account, transfer));
  return sums;
}

std::vector<std::string> AccountsOf(const Transaction& body) {
  std::vector<std::string> accounts;
  for (const Transfer& transfer : body.transfers) {
    accounts.push_back(transfer.debit_account);
    accounts.push_back(transfer.credit_account);
  }
  std::sort(accounts.begin(), accounts.end());
  accounts.erase(std::unique(accounts.begin(), accounts.end()), accounts.end());
  return accounts;
}

}  // namespace

ShardId JournalFold::ShardOf(const std::string& account) const {
  return ShardOfAccount(kLedger, account, shards_);
}

const JournalFold::Sums* JournalFold::PostedTo(const std::string& account) const {
  auto at = accounts_.find(account);
  return at == accounts_.end() ? nullptr : &at->second.posted;
}

const Transaction* JournalFold::BodyOf(const Try& of) const {
  auto number = numbers_.find({of.key.id, of.digest});
  if (number == numbers_.end()) return nullptr;
  auto body = bodies_.find(number->second);
  return body == bodies_.end() ? nullptr : &body->second;
}

void JournalFold::Add(ShardId shard, LogIndex index, const TxnCommand& command, const Claim& claim) {
  ++books_[shard.value].commands;
  if (const auto* open = std::get_if<OpenAccountCommand>(&command)) {
    accounts_.try_emplace(open->key.id, AccountFacts{open->spec, {}, {}});
  } else if (const auto* execute = std::get_if<ExecuteCommand>(&command)) {
    Execute(shard, index, *execute, claim);
  } else if (const auto* prepare = std::get_if<PrepareCommand>(&command)) {
    Begin(shard, prepare->of, prepare->body);
  } else if (const auto* finish = std::get_if<FinishCommand>(&command)) {
    Finish(shard, index, *finish);
  }
}

JournalFold::BodyNo JournalFold::NumberOf(const Try& of) {
  auto number = static_cast<BodyNo>(numbers_.size());
  return numbers_.try_emplace({of.key.id, of.digest}, number).first->second;
}

// Remembers the accounts as the first command of the try found them, and that it is in doubt on them.
void JournalFold::Begin(ShardId shard, const Try& of, const Transaction& body) {
  TryNo number{NumberOf(of), of.attempt};
  ShardBooks& books = books_[shard.value];
  if (!books.prepared.try_emplace(number, books.commands).second) return;
  bodies_.try_emplace(number.first, body);
  // An earlier attempt of the same body ends by it (transactions.md rule 3).
  if (of.attempt > 1) Leave(shard, {number.first, of.attempt - 1});
  for (const std::string& name : AccountsOf(body)) {
    auto account = accounts_.find(name);
    if (account == accounts_.end() || ShardOf(name) != shard) continue;
    AccountFacts& facts = account->second;
    sights_.insert_or_assign(
        {number, name},
        Sight{&facts, facts.posted, std::vector<TryNo>(facts.in_doubt.begin(), facts.in_doubt.end())});
    facts.in_doubt.insert(number);
  }
}

void JournalFold::Leave(ShardId shard, TryNo number) {
  auto body = bodies_.find(number.first);
  if (body == bodies_.end()) return;
  for (const std::string& name : AccountsOf(body->second)) {
    auto account = accounts_.find(name);
    if (account != accounts_.end() && ShardOf(name) == shard) account->second.in_doubt.erase(number);
  }
}

void JournalFold::Execute(ShardId shard, LogIndex index, const ExecuteCommand& command, const Claim& claim) {
  ShardBooks& books = books_[shard.value];
  TryNo number{NumberOf(command.of), command.of.attempt};
  bool first = !books.prepared.contains(number);
  Begin(shard, command.of, command.body);
  if (!first) return;
  std::optional<Decision> ended = claim(command.of, index);
  if (!ended.has_value() || ended->kind == DecisionKind::kAborted || ended->kind == DecisionKind::kConflict) {
    return;  // blocked or in conflict: some Finish will say so
  }
  Note(index, command.of, *ended);
  if (ended->kind == DecisionKind::kCommitted) {
    Post(shard, index, command.of, books.commands, ended->committed_at);
  }
  Leave(shard, number);
}

void JournalFold::Finish(ShardId shard, LogIndex index, const FinishCommand& command) {
  Note(index, command.of, command.decision);
  ShardBooks& books = books_[shard.value];
  TryNo number{NumberOf(command.of), command.of.attempt};
  Leave(shard, number);
  if (command.decision.kind != DecisionKind::kCommitted) return;
  auto prepared = books.prepared.find(number);
  auto done = books.done.find(command.of.key.id);
  bool again = done != books.done.end() && done->second == number.first;
  if (prepared == books.prepared.end() || again) return;
  Post(shard, index, command.of, prepared->second, command.decision.committed_at);
}

void JournalFold::Note(LogIndex index, const Try& of, const Decision& decision) {
  auto [known, first] = decisions_.try_emplace({NumberOf(of), of.attempt}, decision);
  if (first || known->second == decision) return;
  fail_(absl::StrCat("attempt ", of.attempt, " of transaction ", of.key.id, " was decided as ",
                     static_cast<int>(known->second.kind), " and, at index ", index.value, ", as ",
                     static_cast<int>(decision.kind)));
}

void JournalFold::Post(ShardId shard, LogIndex index, const Try& of, int64_t voted, LogTime at) {
  ShardBooks& books = books_[shard.value];
  BodyNo number = NumberOf(of);
  if (!books.done.try_emplace(of.key.id, number).second) {
    fail_(absl::StrCat("transaction ", of.key.id, " has a second effect in shard ", shard.value, " at index ",
                       index.value));
    return;
  }
  committed_.try_emplace(number, Committed{of.key.id, of.digest, at});
  const Transaction& body = bodies_.at(number);
  for (const Transfer& transfer : body.transfers) {
    ShardId debit = ShardOf(transfer.debit_account);
    ShardId credit = ShardOf(transfer.credit_account);
    if (debit == shard) PostTo(shard, index, transfer.debit_account, {transfer.amount, 0});
    if (credit == shard) PostTo(shard, index, transfer.credit_account, {0, transfer.amount});
    if (debit == credit) continue;
    // transactions.md rule 16: the other half of the double entry.
    if (debit == shard) books.clearing[credit.value].credits += transfer.amount;
    if (credit == shard) books.clearing[debit.value].debits += transfer.amount;
  }
  for (const std::string& account : AccountsOf(body)) {
    if (ShardOf(account) != shard) continue;
    effects_[account].push_back({number, voted, books.commands, EffectOn(account, body)});
  }
}

void JournalFold::PostTo(ShardId shard, LogIndex index, const std::string& account, const Sums& sums) {
  auto at = accounts_.find(account);
  if (at == accounts_.end()) {
    fail_(absl::StrCat("a transfer was posted to account ", account, ", which nobody opened"));
    return;
  }
  at->second.posted.Add(sums);
  books_[shard.value].all.Add(sums);
  if (CrossesLimit(at->second.spec, at->second.posted)) {
    fail_(absl::StrCat("account ", account, " crossed its limit at shard ", shard.value, ", index ",
                       index.value, ": debits ", ShowAmount(at->second.posted.debits), ", credits ",
                       ShowAmount(at->second.posted.credits)));
  }
}

bool JournalFold::CrossesLimit(const AccountSpec& spec, const Sums& sums) const {
  switch (spec.limit) {
    case LimitRule::kNone:
      return false;
    case LimitRule::kDebitsMustNotExceedCredits:
      return sums.debits > sums.credits + spec.overdraft;
    case LimitRule::kCreditsMustNotExceedDebits:
      return sums.credits > sums.debits + spec.overdraft;
  }
  return false;
}

// --- in the end -----------------------------------------------------------------------------------------------------

void JournalFold::CheckEnd() const {
  std::map<std::string, std::string> winner;  // by id: the body's digest
  for (const auto& [number, transaction] : committed_) {
    auto [known, first] = winner.try_emplace(transaction.id, transaction.digest.hex());
    if (!first) fail_(absl::StrCat("two bodies of transaction ", transaction.id, " have an effect"));
    CheckAtomicity(number, transaction);
  }
  for (const auto& [number, decision] : decisions_) {
    if (decision.kind == DecisionKind::kRefused) CheckRefusal(number, decision);
  }
}

void JournalFold::CheckAtomicity(BodyNo number, const Committed& transaction) const {
  for (const std::string& account : AccountsOf(bodies_.at(number))) {
    auto at = effects_.find(account);
    bool done =
        at != effects_.end() && std::any_of(at->second.begin(), at->second.end(),
                                            [number](const Effect& effect) { return effect.of == number; });
    if (!done) {
      fail_(absl::StrCat("transaction ", transaction.id, " has effects, but none on account ", account));
    }
  }
}

void JournalFold::CheckRefusal(TryNo number, const Decision& decision) const {
  auto known = bodies_.find(number.first);
  if (known == bodies_.end() || decision.transfer >= known->second.transfers.size()) {
    fail_("a transaction was refused that no log holds");
    return;
  }
  const Transaction& body = known->second;
  const Transfer& transfer = body.transfers[decision.transfer];
  bool holds = false;
  switch (decision.refusal) {
    case Outcome::kSameAccount:
      holds = transfer.debit_account == transfer.credit_account;
      break;
    case Outcome::kInsufficientFunds:
      holds = LimitCanFail(number, transfer.debit_account, decision.transfer);
      break;
    case Outcome::kCreditLimitExceeded:
      holds = LimitCanFail(number, transfer.credit_account, decision.transfer);
      break;
    case Outcome::kCommitted:
    case Outcome::kDebitAccountNotFound:
    case Outcome::kCreditAccountNotFound:
    case Outcome::kAssetMismatch:
    case Outcome::kAccountClosed:
    case Outcome::kAccountFrozen:
    case Outcome::kNotPending:
    case Outcome::kPendingExpired:
    case Outcome::kAmountExceedsPending:
    case Outcome::kConditionFailed:
    case Outcome::kAmountOverflow:
    case Outcome::kAccountNotEmpty:
      break;  // the clients give no reason for these
  }
  if (!holds) {
    fail_(absl::StrCat("transaction ", body.id, " was refused (", ToAbsl(OutcomeCode(decision.refusal)),
                       ", transfer ", decision.transfer, ") for a reason that was never true"));
  }
}

// In some order of what was in doubt when the try was judged and committed in the end.
bool JournalFold::LimitCanFail(TryNo number, const std::string& account, uint32_t transfer) const {
  auto at = sights_.find({number, account});
  if (at == sights_.end()) return false;
  const Sight& sight = at->second;
  bool debits = sight.account->spec.limit == LimitRule::kDebitsMustNotExceedCredits;
  Sums sums = sight.posted;
  for (const TryNo& doubt : sight.in_doubt) {
    auto decided = decisions_.find(doubt);
    if (decided == decisions_.end() || decided->second.kind != DecisionKind::kCommitted) continue;
    Sums effect = EffectOn(account, bodies_.at(doubt.first));
    if (debits ? effect.debits > effect.credits : effect.credits > effect.debits) sums.Add(effect);
  }
  const Transaction& body = bodies_.at(number.first);
  for (uint32_t i = 0; i <= transfer; ++i) sums.Add(EffectOn(account, body.transfers[i]));
  return CrossesLimit(sight.account->spec, sums);
}

}  // namespace paxledger::sim
