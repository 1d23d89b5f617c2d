#include "tests/sim/core_facts.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"

namespace paxledger::sim {

std::string CoreFacts::Note(ReplicaId replica, const CoreOutput& output) {
  std::string wrong = output.failure;
  auto note = [&wrong](std::string found) {
    if (wrong.empty()) wrong = std::move(found);
  };
  // Writes become durable before anything is done about them.
  for (const BallotValue& vote : output.votes) note(NoteVote(replica, vote));
  for (const BallotValue& proposal : output.proposals) note(NoteProposal(proposal));
  for (const ChosenEntry& entry : output.applied) note(CheckApplied(entry));
  return wrong;
}

CoreFacts::BallotFact& CoreFacts::FactOf(const BallotValue& said) {
  if (facts_.size() <= said.index.value) facts_.resize(said.index.value + 1);
  std::vector<BallotFact>& ballots = facts_[said.index.value].ballots;
  auto at = std::ranges::lower_bound(ballots, said.ballot, {}, &BallotFact::ballot);
  if (at == ballots.end() || at->ballot != said.ballot) {
    at = ballots.insert(at, BallotFact{said.ballot, said.digest, 0});
  }
  return *at;
}

std::string CoreFacts::NoteProposal(const BallotValue& proposal) {
  if (FactOf(proposal).digest != proposal.digest) {
    return absl::StrCat("two values were proposed at index ", proposal.index.value, " and ballot ",
                        BallotName(proposal.ballot));
  }
  if (proposal.index.value > 1 && !facts_[proposal.index.value - 1].chosen.has_value()) {
    return absl::StrCat("a value was proposed at index ", proposal.index.value,
                        " before the index before it was chosen");
  }
  return CheckNoop(proposal);
}

std::string CoreFacts::CheckNoop(const BallotValue& proposal) const {
  if (proposal.value == nullptr) return {};
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(*proposal.value);
  bool noop = envelope.ok() && envelope->commands.empty() && envelope->change.none();
  if (!noop || std::ranges::count(heirs_, envelope->owner) > 0) return {};
  const std::optional<ChosenFact>& before = facts_[proposal.index.value - 1].chosen;
  Owner owner = before.has_value() && before->value != nullptr ? PeekEnvelope(*before->value).owner : Owner{};
  if (envelope->owner == owner) return {};
  return absl::StrCat("a no-op at index ", proposal.index.value, " gives the shard to replica ",
                      envelope->owner.replica.value, ", though replica ", owner.replica.value, " owned it");
}

std::string CoreFacts::NoteVote(ReplicaId replica, const BallotValue& vote) {
  BallotFact& fact = FactOf(vote);
  fact.voters |= 1U << replica.value;
  if (static_cast<size_t>(std::popcount(fact.voters)) <= replicas_ / 2) return {};
  std::optional<ChosenFact>& chosen = facts_[vote.index.value].chosen;
  if (!chosen.has_value()) {
    chosen = ChosenFact{vote.index, fact.ballot, fact.digest, vote.value};
    highest_chosen_ = std::max(highest_chosen_, vote.index);
  } else if (chosen->digest != fact.digest) {
    return absl::StrCat("two values are chosen at index ", vote.index.value, ": at ", BallotName(chosen->at),
                        " and ", BallotName(fact.ballot));
  }
  return {};
}

std::string CoreFacts::CheckApplied(const ChosenEntry& entry) const {
  bool voted = entry.index.value < facts_.size() && facts_[entry.index.value].chosen.has_value();
  if (!voted) {
    return absl::StrCat("index ", entry.index.value,
                        " was applied before a majority of durable votes chose it");
  }
  if (facts_[entry.index.value].chosen->digest != entry.digest) {
    return absl::StrCat("another value than the chosen one was applied at index ", entry.index.value);
  }
  return {};
}

std::vector<ChosenFact> CoreFacts::Chosen() const {
  std::vector<ChosenFact> chosen;
  for (const IndexFacts& facts : facts_) {
    if (facts.chosen.has_value()) chosen.push_back(*facts.chosen);
  }
  return chosen;
}

void CoreFacts::WriteState(StateWriter& out) const {
  for (const IndexFacts& facts : facts_) {
    out.Number(facts.ballots.size());
    for (const BallotFact& fact : facts.ballots) {
      out.Number(fact.ballot.packed);
      out.Value(fact.digest);
      out.Number(fact.voters);
    }
    out.Value(facts.chosen.has_value() ? facts.chosen->digest : Digest());
  }
  for (Owner heir : heirs_) {
    out.Number(heir.replica.value);
    out.Number(heir.incarnation.value);
  }
}

}  // namespace paxledger::sim
