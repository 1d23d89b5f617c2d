#include "tests/sim/explore_shard.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/unit/test_shard.h"
#include "txn/command_view.h"
#include "txn/placement.h"

namespace paxledger::sim {
namespace {

constexpr char kBank[] = "bank";
constexpr Amount kFunds = 100;
constexpr uint64_t kCompareOneIn = 8;
constexpr size_t kStepsRemembered = 4;

uint64_t Small(Amount amount) { return static_cast<uint64_t>(amount); }

std::string VoteKindName(VoteKind kind) {
  switch (kind) {
    case VoteKind::kPrepared:
      return "prepared";
    case VoteKind::kRefused:
      return "refused";
    case VoteKind::kBlocked:
      return "blocked";
    case VoteKind::kConflict:
      return "conflict";
    case VoteKind::kResolved:
      return "resolved";
    case VoteKind::kSuperseded:
      return "superseded";
    case VoteKind::kFinished:
      return "finished";
  }
  return {};
}

}  // namespace

std::string DecisionName(const Decision& decision) {
  switch (decision.kind) {
    case DecisionKind::kCommitted:
      return "committed";
    case DecisionKind::kRefused:
      return absl::StrCat("refused for ", ToAbsl(OutcomeCode(decision.refusal)), " of transfer ",
                          decision.transfer);
    case DecisionKind::kConflict:
      return "conflict";
    case DecisionKind::kAborted:
      return "aborted";
  }
  return {};
}

// --- bodies ---------------------------------------------------------------------------------------------------------

ExploredBodies::ExploredBodies(std::vector<Transaction> bodies) : bodies_(std::move(bodies)) {
  for (const Transaction& body : bodies_) {
    digests_.push_back(TransactionDigest(body));
    participants_.push_back(Participants(body, kExploredShards));
  }
}

Try ExploredBodies::OfTry(uint32_t body, uint32_t attempt) const {
  return Try{{bodies_[body].ledger, bodies_[body].id}, digests_[body], attempt};
}

uint32_t ExploredBodies::Find(const Digest& digest) const {
  auto at = std::ranges::find(digests_, digest);
  Check(at != digests_.end(), "only the explored transactions are on their way");
  return static_cast<uint32_t>(at - digests_.begin());
}

std::string ExploredBodies::NameOf(const Try& of) const {
  return absl::StrCat("t", Find(of.digest), "#", of.attempt);
}

std::string ExploredBodies::NameOf(const Vote& vote) const {
  std::string name = absl::StrCat(NameOf(vote.of), " ", VoteKindName(vote.kind));
  if (vote.kind == VoteKind::kRefused) {
    absl::StrAppend(&name, " ", static_cast<int>(vote.refusal), " of transfer ", vote.transfer);
  }
  if (vote.kind == VoteKind::kFinished) absl::StrAppend(&name, " ", DecisionName(vote.finished));
  for (const Blocker& blocker : vote.blockers) absl::StrAppend(&name, " by ", NameOf(blocker.of));
  return name;
}

// --- states ---------------------------------------------------------------------------------------------------------

ExploredShard::ExploredShard(ShardId shard, const ExploredBodies& bodies, uint32_t attempts)
    : shard_(shard), bodies_(bodies), attempts_(attempts) {
  TestShard first(shard_, kExploredShards);
  // The clocks of shards stand apart.
  first.Apply({CloseCommand{LogTime{int64_t{kExploredShards - shard_.value} * 1'000}}});
  std::string bank = AccountOn(shard_, kExploredShards, kBank);
  first.Apply({Open(bank, Unlimited())});
  for (uint32_t body = 0; body < bodies_.size(); ++body) {
    for (const Transfer& transfer : bodies_[body].transfers) {
      for (const std::string& account : {transfer.debit_account, transfer.credit_account}) {
        if (ShardOfAccount("main", account, kExploredShards) != shard_ || funded_.contains(account)) continue;
        first.Apply({Open(account, Limited())});
        Transaction funds =
            Pay(PlacedTransactionId(absl::StrCat("fund-", account), shard_), bank, account, kFunds);
        Check(first.Say(Execute(funds)).finished.kind == DecisionKind::kCommitted,
              "accounts begin with money");
        funded_[account] = *first.machine->FindAccount({"main", account});
      }
    }
  }
  Add(Look(first));
}

ExploredShard::State ExploredShard::Look(TestShard& shard) const {
  State state;
  state.journal = shard.journal;
  for (uint32_t body = 0; body < bodies_.size(); ++body) {
    for (uint32_t attempt = 1; attempt <= attempts_; ++attempt) {
      state.votes.push_back(shard.machine->FindVote(bodies_.OfTry(body, attempt)));
    }
    std::optional<DecisionKind> finished;
    Try of = bodies_.OfTry(body, 1);
    for (const TransactionRecord& record : shard.machine->FindTransaction(of.key)) {
      if (record.of.digest == of.digest && record.decision.has_value()) finished = record.decision->kind;
    }
    state.finished.push_back(finished);
  }
  state.in_doubt = shard.machine->Overdue(kLogTimeMaxUs);
  for (const auto& [account, before] : funded_) {
    state.accounts[account] = *shard.machine->FindAccount({"main", account});
  }
  state.name = NameOf(state);
  return state;
}

std::string ExploredShard::NameOf(const State& state) const {
  std::string name;
  for (const std::optional<Vote>& vote : state.votes) {
    absl::StrAppend(&name, vote.has_value() ? bodies_.NameOf(*vote) : "-", "\n");
  }
  // Their order is their age.
  for (const InDoubt& doubt : state.in_doubt) absl::StrAppend(&name, bodies_.NameOf(doubt.vote), "\n");
  for (const auto& [account, now] : state.accounts) {
    absl::StrAppend(&name, account, " ", Small(now.totals.debits_posted), " ",
                    Small(now.totals.credits_posted), " ", Small(now.debits_in_doubt), " ",
                    Small(now.credits_in_doubt), "\n");
  }
  return name;
}

uint32_t ExploredShard::Add(State state) {
  auto number = static_cast<uint32_t>(states_.size());
  by_name_.emplace(state.name, number);
  states_.push_back(std::move(state));
  return number;
}

const ExploredShard::Applied& ExploredShard::Apply(uint32_t state, uint32_t number,
                                                   const TxnCommand& command) {
  auto [at, fresh] = applied_.try_emplace({state, number});
  Applied& applied = at->second;
  if (!fresh) return applied;
  ++steps_;
  wrong_.clear();
  TestShard shard(shard_, kExploredShards);
  shard.journal = states_[state].journal;
  shard.Replay();
  shard.Apply({command});
  applied.said = shard.votes;
  State after = Look(shard);
  for (const Vote& vote : applied.said) CheckRefusal(states_[state], vote);
  CheckAccounts(after);
  CheckClearing(after, shard.machine->Clearing());
  const auto* finish = std::get_if<FinishCommand>(&command);
  if (finish != nullptr && shard.machine->clock() < finish->decision.committed_at) {
    Wrong("the clock stands before what was finished");  // rule 9
  }
  std::vector<std::pair<uint32_t, TxnCommand>>& taken = states_[state].taken;
  if (taken.size() < kStepsRemembered) taken.emplace_back(number, command);
  auto known = by_name_.find(after.name);
  if (known == by_name_.end()) {
    applied.after = Add(std::move(after));
    return applied;
  }
  applied.after = known->second;
  if (steps_ % kCompareOneIn == 0 && wrong_.empty()) Compare(after, known->second);
  return applied;
}

// Two journals that lead to states of one name must lead on to states of one name: else the name leaves something out.
void ExploredShard::Compare(const State& again, uint32_t known) {
  for (const auto& [number, command] : states_[known].taken) {
    ++compared_;
    TestShard shard(shard_, kExploredShards);
    shard.journal = again.journal;
    shard.Replay();
    shard.Apply({command});
    const Applied& before = applied_.at({known, number});
    bool same = Look(shard).name == states_[before.after].name && shard.votes.size() == before.said.size();
    if (!same) Wrong("two states of a shard that are named alike do not do the same");
  }
}

const std::optional<Vote>& ExploredShard::FindVote(uint32_t state, uint32_t body, uint32_t attempt) const {
  return states_[state].votes[body * attempts_ + attempt - 1];
}

// --- checks ---------------------------------------------------------------------------------------------------------

void ExploredShard::Wrong(std::string what) {
  if (wrong_.empty()) wrong_ = absl::StrCat("shard ", shard_.value, ": ", what);
}

void ExploredShard::AddLegs(uint32_t body, std::map<std::string, std::pair<Amount, Amount>>* legs) const {
  for (const Transfer& transfer : bodies_[body].transfers) {
    if (funded_.contains(transfer.debit_account)) (*legs)[transfer.debit_account].first += transfer.amount;
    if (funded_.contains(transfer.credit_account)) (*legs)[transfer.credit_account].second += transfer.amount;
  }
}

void ExploredShard::CheckAccounts(const State& state) {
  std::map<std::string, std::pair<Amount, Amount>> posted;
  std::map<std::string, std::pair<Amount, Amount>> in_doubt;
  for (uint32_t body = 0; body < bodies_.size(); ++body) {
    if (state.finished[body] == DecisionKind::kCommitted) AddLegs(body, &posted);
  }
  for (const InDoubt& doubt : state.in_doubt) {
    if (doubt.vote.kind == VoteKind::kPrepared) AddLegs(bodies_.Find(doubt.vote.of.digest), &in_doubt);
  }
  for (const auto& [account, now] : state.accounts) {
    const Totals& before = funded_.at(account).totals;
    if (now.totals.debits_posted != before.debits_posted + posted[account].first ||
        now.totals.credits_posted != before.credits_posted + posted[account].second) {
      Wrong(absl::StrCat("account ", account, " does not add up to the transactions that committed"));
    }
    if (now.debits_in_doubt != in_doubt[account].first || now.credits_in_doubt != in_doubt[account].second) {
      Wrong(absl::StrCat("account ", account, " does not hold what is in doubt"));
    }
    if (now.totals.debits_posted + now.debits_in_doubt > now.totals.credits_posted) {
      Wrong(absl::StrCat("account ", account, " may cross its limit"));
    }
  }
}

// Rule 16.
void ExploredShard::CheckClearing(const State& state, const std::vector<ClearingTotals>& clearing) {
  Amount debits = 0;
  Amount credits = 0;
  for (uint32_t body = 0; body < bodies_.size(); ++body) {
    if (state.finished[body] != DecisionKind::kCommitted) continue;
    for (const Transfer& transfer : bodies_[body].transfers) {
      bool debit_here = funded_.contains(transfer.debit_account);
      bool credit_here = funded_.contains(transfer.credit_account);
      if (debit_here && !credit_here) credits += transfer.amount;
      if (credit_here && !debit_here) debits += transfer.amount;
    }
  }
  Totals cleared;
  for (const ClearingTotals& book : clearing) {
    cleared.debits_posted += book.totals.debits_posted;
    cleared.credits_posted += book.totals.credits_posted;
  }
  if (cleared.debits_posted != debits || cleared.credits_posted != credits) {
    Wrong("the clearing account does not hold the other half of what committed");
  }
}

// Rule 6: a refusal holds in the best case: no debit in doubt happens, every credit does.
void ExploredShard::CheckRefusal(const State& before, const Vote& vote) {
  uint32_t body = bodies_.Find(vote.of.digest);
  if (vote.of.attempt > attempts_) return;
  const std::optional<Vote>& told = before.votes[body * attempts_ + vote.of.attempt - 1];
  // Judged by this entry, and not recorded by an earlier one or at another shard.
  bool judged = vote.kind == VoteKind::kRefused && vote.refusal == Outcome::kInsufficientFunds &&
                !(told.has_value() && told->kind == VoteKind::kRefused);
  bool judged_alone = vote.kind == VoteKind::kFinished && !told.has_value() &&
                      bodies_.participants(body).size() == 1 &&
                      vote.finished.refusal == Outcome::kInsufficientFunds;
  if (!judged && !judged_alone) return;
  const std::vector<Transfer>& transfers = bodies_[body].transfers;
  const std::string& account = transfers[vote.transfer].debit_account;
  if (!funded_.contains(account)) return;
  const Account& then = before.accounts.at(account);
  Amount best = then.totals.credits_posted + then.credits_in_doubt;
  Amount spent = then.totals.debits_posted;
  for (uint32_t i = 0; i <= vote.transfer; ++i) {
    if (transfers[i].debit_account == account) spent += transfers[i].amount;
    if (transfers[i].credit_account == account) best += transfers[i].amount;
  }
  if (spent <= best)
    Wrong(absl::StrCat(bodies_.NameOf(vote.of), " was refused for a reason that was never true"));
}

}  // namespace paxledger::sim
