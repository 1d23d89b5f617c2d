#include "txn/applier.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"
#include "ledger/checks.h"
#include "ledger/encoding.h"
#include "ledger/posting.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

bool Contains(const std::vector<ShardId>& ascending, ShardId shard) {
  return std::binary_search(ascending.begin(), ascending.end(), shard);
}

Vote FinishedVote(std::string_view key, const IdRecord& record) {
  Vote vote;
  vote.kind = VoteKind::kFinished;
  vote.of = Try{SplitLedgerKey(key), record.digest, record.attempt};
  vote.at = record.decision.committed_at;
  vote.refusal = record.decision.refusal;
  vote.transfer = record.decision.transfer;
  vote.finished = record.decision;
  return vote;
}

Vote PlainVote(VoteKind kind, std::string_view key, const Digest& digest, uint32_t attempt) {
  Vote vote;
  vote.kind = kind;
  vote.of = Try{SplitLedgerKey(key), digest, attempt};
  return vote;
}

}  // namespace

void Applier::Apply(const CommandView& command, LogIndex index, LogTime at) {
  index_ = index;
  at_ = at;
  switch (command.kind) {
    case CommandKind::kExecute:
    case CommandKind::kPrepare:
    case CommandKind::kResolve:
      BeginAttempt(command);
      return;
    case CommandKind::kFinish:
      Finish(command);
      return;
    case CommandKind::kClose:
      return;  // the entry's timestamp was computed from it (rule 11)
    case CommandKind::kOpenAccount:
      OpenAccount(command);
      return;
  }
}

void Applier::OpenAccount(const CommandView& command) {
  if (ShardOfAccount(command.ledger, command.id, state_.shards) != state_.shard) return;
  key_.clear();
  AppendLedgerKey(&key_, command.ledger, command.id);
  OpenStatus status = OpenStatus::kOpened;
  if (const CachedAccount* found = state_.accounts.Find(key_)) {
    status = found->account.spec == command.spec ? OpenStatus::kExists : OpenStatus::kExistsWithOtherFields;
  } else {
    Account account;
    account.spec = command.spec;
    account.opened_at = at_;
    state_.accounts.Create(key_, std::move(account));
  }
  observer_.OnOpened(state_.shard, SplitLedgerKey(key_), command.spec, status);
}

Applier::Home Applier::HomeOf(std::string_view ledger, std::string_view id) const {
  return ShardOfTransaction(ledger, id, state_.shards) == state_.shard ? Home::kHere : Home::kElsewhere;
}

Applier::Standing Applier::Look(std::string_view key, const Digest& digest, Home home) {
  Standing standing;
  const TryTable::OfId* tries = state_.tries.Find(key);
  if (tries != nullptr) {
    for (OpenTry* t : *tries) {
      if (t->digest == digest || Bug("txn.votes_without_digest")) standing.open = t;
    }
  }
  if (standing.open != nullptr) {
    standing.bound_elsewhere = home == Home::kHere && standing.open->kind == VoteKind::kConflict;
    standing.id_row_possible = standing.open->id_row_possible;
    return standing;
  }
  const IdEntry* entry = state_.ids.Find(key);
  standing.id_row_possible = entry != nullptr;
  if (entry != nullptr) {
    if (const IdRecord* record = entry->Find(digest)) standing.record = *record;
  }
  if (home == Home::kHere) {
    // The first digest that the home recorded is the id's for ever (rule 1); so where there are others and
    // not this one, it came too late.
    standing.bound_elsewhere = standing.record.has_value()
                                   ? standing.record->decision.kind == DecisionKind::kConflict
                                   : tries != nullptr || entry != nullptr;
  }
  return standing;
}

// What a command of `attempt` is told without recording anything; nullopt: it begins that attempt.
std::optional<Vote> Applier::Told(const Standing& standing, std::string_view key, const Digest& digest,
                                  uint32_t attempt) const {
  if (standing.open != nullptr) {
    uint32_t seen = standing.open->attempt;
    if (attempt == seen) {
      Vote vote = standing.open->AsVote();
      if (Bug("txn.votes_without_digest")) vote.of.digest = digest;
      return vote;
    }
    if (attempt < seen && !Bug("txn.late_prepare_voted_on"))
      return PlainVote(VoteKind::kSuperseded, key, digest, seen);  // rule 3
    return std::nullopt;
  }
  if (!standing.record.has_value()) return std::nullopt;
  const IdRecord& record = *standing.record;
  if (record.decision.kind != DecisionKind::kAborted || attempt == record.attempt)
    return FinishedVote(key, record);
  if (attempt < record.attempt) return PlainVote(VoteKind::kSuperseded, key, digest, record.attempt);
  return std::nullopt;
}

void Applier::BeginAttempt(const CommandView& command) {
  bool has_body = command.kind != CommandKind::kResolve;
  if (has_body ? !Locate(command) : !Contains(command.participants, state_.shard)) return;
  key_.clear();
  AppendLedgerKey(&key_, command.ledger, command.id);
  Standing standing = Look(key_, command.digest, HomeOf(command.ledger, command.id));
  if (std::optional<Vote> told = Told(standing, key_, command.digest, command.attempt)) {
    observer_.OnVote(state_.shard, *told);
    return;
  }
  OpenTry opened;
  opened.key = key_;
  opened.digest = command.digest;
  opened.attempt = command.attempt;
  opened.participants =
      command.kind == CommandKind::kExecute ? std::vector<ShardId>{state_.shard} : command.participants;
  // Only a Prepare says until when its sender will care for it; others may be settled by anybody after the
  // grace.
  opened.deadline_us = command.kind == CommandKind::kPrepare ? command.deadline_us : at_.value;
  opened.id_row_possible = standing.id_row_possible;
  if (has_body) {
    opened.body_at = index_;
    opened.body_command = command.position;
  } else if (standing.open != nullptr) {
    opened.body_at = standing.open->body_at;
    opened.body_command = standing.open->body_command;
  } else if (standing.record.has_value()) {
    opened.body_at = standing.record->body_at;
  }
  if (standing.open != nullptr) {
    // A later attempt is itself proof that this one aborted (rule 3).
    Mark("txn.attempt_released_by_the_next");
    if (!Bug("txn.next_attempt_keeps_reservation")) EndLegs(*standing.open, Decision{});
    state_.tries.Remove(*standing.open);
  }
  if (standing.bound_elsewhere) {
    Mark("txn.conflict");
    opened.kind = VoteKind::kConflict;
    Open(std::move(opened));
  } else if (!has_body && Bug("txn.resolve_records_nothing")) {
    observer_.OnVote(state_.shard, PlainVote(VoteKind::kResolved, key_, opened.digest, opened.attempt));
  } else if (!has_body) {
    Mark("txn.resolved_without_vote");
    opened.kind = VoteKind::kResolved;
    Open(std::move(opened));
  } else {
    CastVote(command, std::move(opened));
  }
}

void Applier::CastVote(const CommandView& command, OpenTry opened) {
  Verdict verdict = Judge(command);
  bool execute = command.kind == CommandKind::kExecute;
  if (execute && verdict.kind != VoteKind::kBlocked) {
    // The only participant knows all votes at once.
    Decision decision;
    decision.kind = DecisionKind::kCommitted;
    if (verdict.kind == VoteKind::kRefused) {
      decision.kind = DecisionKind::kRefused;
      decision.refusal = verdict.refusal;
      decision.transfer = verdict.transfer;
    } else {
      decision.committed_at = at_;
      PostBody(command);
    }
    Record(key_, IdRecord{opened.digest, opened.attempt, opened.body_at, decision}, opened.body_command,
           opened.id_row_possible ? RowHint::kPossible : RowHint::kNone);
    return;
  }
  opened.kind = verdict.kind;
  opened.refusal = verdict.refusal;
  opened.transfer = verdict.transfer;
  if (verdict.kind == VoteKind::kPrepared) {
    opened.at = at_;
    ReserveLegs(command, &opened);
  } else if (verdict.kind == VoteKind::kBlocked) {
    Mark("txn.blocked");
    opened.blockers = OldestOn(verdict.blocked_on);
  }
  Open(std::move(opened));
}

void Applier::Open(OpenTry opened) {
  const OpenTry& recorded = state_.tries.Add(std::move(opened));
  observer_.OnVote(state_.shard, recorded.AsVote());
}

Applier::SideAt Applier::LocateSide(std::string_view ledger, std::string_view account) {
  SideAt side;
  side.shard = ShardOfAccount(ledger, account, state_.shards);
  if (side.shard != state_.shard) return side;
  account_.clear();
  AppendLedgerKey(&account_, ledger, account);
  side.account = state_.accounts.Find(account_);
  return side;
}

bool Applier::Locate(const CommandView& command) {
  bool execute = command.kind == CommandKind::kExecute;
  auto takes_part = [&](ShardId shard) {
    return execute ? shard == state_.shard : Contains(command.participants, shard);
  };
  if (!takes_part(state_.shard)) return false;
  bool home_votes = takes_part(ShardOfTransaction(command.ledger, command.id, state_.shards));
  if (!home_votes && !Bug("txn.home_not_participant")) return false;
  located_.clear();
  for (const TransferView& transfer : command.body.transfers) {
    TransferAt& at = located_.emplace_back();
    at.debit = LocateSide(command.ledger, transfer.debit_account);
    at.credit = LocateSide(command.ledger, transfer.credit_account);
    if (!takes_part(at.debit.shard) || !takes_part(at.credit.shard)) return false;
  }
  return true;
}

Applier::Verdict Applier::Judge(const CommandView& command) {
  Verdict verdict;
  for (size_t i = 0; i < located_.size(); ++i) {
    const TransferView& transfer = command.body.transfers[i];
    const TransferAt& at = located_[i];
    LocalTransfer local;
    local.same_account = transfer.debit_account == transfer.credit_account;
    local.asset = transfer.asset;
    // Where both accounts are here they are compared; else what the gateway read stands for the account
    // elsewhere.
    bool both_here = at.debit.shard == state_.shard && at.credit.shard == state_.shard;
    if (local.asset.empty() && !both_here && !command.assets.empty()) local.asset = command.assets[i];
    // Rule 8: counting the transaction's earlier transfers on the same account.
    if (Bug("txn.earlier_transfers_not_counted")) ForgetOwnLegs();
    if (at.debit.account != nullptr) at.debit.account->own.debits.Add(transfer.amount);
    if (at.credit.account != nullptr) at.credit.account->own.credits.Add(transfer.amount);
    auto side = [&](const SideAt& s) {
      if (s.account == nullptr) return LocalSide{s.shard == state_.shard, nullptr, {}};
      return LocalSide{true, &s.account->account, s.account->own};
    };
    local.debit = side(at.debit);
    local.credit = side(at.credit);
    TransferJudgement judged = JudgeTransfer(local);
    if (judged.judgement == Judgement::kFails) {
      // A true refusal, whatever becomes of an earlier transfer that is in doubt.
      verdict.kind = VoteKind::kRefused;
      verdict.refusal = judged.refusal;
      verdict.transfer = static_cast<uint32_t>(i);
      break;
    }
    if (judged.judgement == Judgement::kInDoubt) {
      verdict.kind = VoteKind::kBlocked;
      if (judged.debit_in_doubt) verdict.blocked_on.push_back(at.debit.account);
      if (judged.credit_in_doubt) verdict.blocked_on.push_back(at.credit.account);
    }
  }
  ForgetOwnLegs();
  if (verdict.kind == VoteKind::kBlocked && Bug("txn.blocked_as_refused")) {
    verdict.kind = VoteKind::kRefused;
    verdict.refusal = Outcome::kInsufficientFunds;
  }
  return verdict;
}

void Applier::ForgetOwnLegs() {
  for (const TransferAt& at : located_) {
    if (at.debit.account != nullptr) at.debit.account->own = OwnLegs{};
    if (at.credit.account != nullptr) at.credit.account->own = OwnLegs{};
  }
}

std::vector<Blocker> Applier::OldestOn(const std::vector<CachedAccount*>& accounts) const {
  std::vector<const OpenTry*> oldest;
  for (const CachedAccount* account : accounts) {
    size_t n = std::min(account->reservations.size(), limits::kBlockersNamedMax);
    oldest.insert(oldest.end(), account->reservations.begin(),
                  account->reservations.begin() + static_cast<std::ptrdiff_t>(n));
  }
  std::sort(oldest.begin(), oldest.end(),
            [](const OpenTry* a, const OpenTry* b) { return a->sequence < b->sequence; });
  oldest.erase(std::unique(oldest.begin(), oldest.end()), oldest.end());
  if (oldest.size() > limits::kBlockersNamedMax) oldest.resize(limits::kBlockersNamedMax);
  std::vector<Blocker> blockers;
  blockers.reserve(oldest.size());
  for (const OpenTry* t : oldest) blockers.push_back({t->OfTry(), t->participants, t->deadline_us});
  return blockers;
}

void Applier::ReserveLegs(const CommandView& command, OpenTry* opened) {
  auto reserve = [&](const SideAt& side, ShardId counterpart, size_t transfer, Leg leg) {
    if (side.account == nullptr) return;  // elsewhere
    state_.accounts.Touch(*side.account);
    Reserve(side.account->account, leg);
    opened->legs.push_back({side.account, counterpart, static_cast<uint32_t>(transfer), leg});
  };
  for (size_t i = 0; i < located_.size(); ++i) {
    const TransferAt& at = located_[i];
    Amount amount = command.body.transfers[i].amount;
    reserve(at.debit, at.credit.shard, i, {Side::kDebit, amount});
    reserve(at.credit, at.debit.shard, i, {Side::kCredit, amount});
  }
}

void Applier::PostBody(const CommandView& command) {
  state_.statements.Begin({std::string(command.id), at_, index_, command.position});
  auto post = [&](CachedAccount& account, size_t transfer, Leg leg) {
    state_.accounts.Touch(account);
    Post(account.account, leg);
    state_.statements.Add(account, static_cast<uint32_t>(transfer), leg, index_, at_);
  };
  for (size_t i = 0; i < located_.size(); ++i) {
    const TransferAt& at = located_[i];
    Amount amount = command.body.transfers[i].amount;
    post(*at.debit.account, i, {Side::kDebit, amount});
    post(*at.credit.account, i, {Side::kCredit, amount});
  }
}

void Applier::EndLegs(const OpenTry& open, const Decision& decision) {
  bool committed = decision.kind == DecisionKind::kCommitted;
  if (committed && !open.legs.empty()) {
    std::string_view id = std::string_view(open.key).substr(open.key.find('\0') + 1);
    state_.statements.Begin({std::string(id), decision.committed_at, open.body_at, open.body_command});
  }
  for (const ReservedLeg& leg : open.legs) {
    state_.accounts.Touch(*leg.account);
    Release(leg.account->account, leg.leg);
    if (!committed) continue;
    Post(leg.account->account, leg.leg);
    state_.statements.Add(*leg.account, leg.transfer, leg.leg, index_, at_);
    if (leg.counterpart == state_.shard) continue;
    // Rule 16: the other half of the double entry, towards the shard of the other account.
    CachedAccount& clearing = state_.accounts.Clearing(*leg.account->book, leg.counterpart, at_);
    state_.accounts.Touch(clearing);
    Side other = leg.leg.side == Side::kDebit ? Side::kCredit : Side::kDebit;
    if (!Bug("txn.clearing_forgotten")) PostToClearing(clearing.account, {other, leg.leg.amount});
  }
}

// A decision that the vote recorded here contradicts was not made from it.
bool Applier::Fits(const OpenTry& open, const CommandView& command) const {
  if (open.attempt != command.attempt) return false;
  DecisionKind decision = command.decision.kind;
  if (decision == DecisionKind::kCommitted && open.kind != VoteKind::kPrepared) return false;
  if (HomeOf(command.ledger, command.id) == Home::kElsewhere) return true;
  return (decision == DecisionKind::kConflict) == (open.kind == VoteKind::kConflict);
}

void Applier::Finish(const CommandView& command) {
  key_.clear();
  AppendLedgerKey(&key_, command.ledger, command.id);
  OpenTry* open = state_.tries.Find(key_, command.digest);
  if (open != nullptr && Fits(*open, command)) {
    EndLegs(*open, command.decision);
    EndTry(*open, command.decision);
    return;
  }
  // Late, or twice: nothing is done again (rule 5), and the sender is told how it stands.
  Standing standing = Look(key_, command.digest, HomeOf(command.ledger, command.id));
  if (std::optional<Vote> told = Told(standing, key_, command.digest, command.attempt)) {
    observer_.OnVote(state_.shard, *told);
  }
}

void Applier::EndTry(OpenTry& open, const Decision& decision) {
  IdRecord record{open.digest, open.attempt, open.body_at, decision};
  uint32_t body_command = open.body_command;
  RowHint hint = open.id_row_possible ? RowHint::kPossible : RowHint::kNone;
  state_.tries.Remove(open);
  Record(key_, record, body_command, hint);
}

void Applier::Record(std::string_view key, const IdRecord& record, uint32_t body_command, RowHint hint) {
  if (!Bug("txn.forgets_after_finish")) state_.ids.Put(key, record, index_, hint);
  std::string_view ledger = key.substr(0, key.find('\0'));
  // The home alone tells the world, so that each transaction is told once.
  if (record.decision.kind == DecisionKind::kCommitted &&
      HomeOf(ledger, key.substr(ledger.size() + 1)) == Home::kHere) {
    state_.outbox.Add(ledger, record.decision.committed_at, record.body_at, body_command);
  }
  if (const TryTable::OfId* others = state_.tries.Find(key)) {
    for (OpenTry* other : *others) other->id_row_possible = true;
  }
  observer_.OnVote(state_.shard, FinishedVote(key, record));
}

std::optional<Vote> Applier::FindVote(const Try& of) {
  std::string key;
  AppendLedgerKey(&key, of.key.ledger, of.key.id);
  Standing standing = Look(key, of.digest, HomeOf(of.key.ledger, of.key.id));
  if (std::optional<Vote> told = Told(standing, key, of.digest, of.attempt)) return told;
  bool known = standing.open != nullptr || standing.record.has_value();
  if (!known && standing.bound_elsewhere) return PlainVote(VoteKind::kConflict, key, of.digest, of.attempt);
  return std::nullopt;
}

}  // namespace paxledger
