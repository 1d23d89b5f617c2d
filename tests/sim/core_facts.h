#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/core_node.h"

namespace paxledger::sim {

/// A value that a majority of durable votes chose.
struct ChosenFact {
  LogIndex index;
  Ballot at;  // the ballot at which a majority was first durable
  Digest digest;
  SharedBytes value;
};

/// What happened in a shard for ever, whoever crashed since: proposals, durable votes, and so what is chosen. Checks:
///   - one value is proposed per (index, ballot), and none before the index before it is chosen (consensus.md rules 1, 8, 21)
///   - one value is chosen per index, counted from durable votes alone, and only chosen values are applied (rules 3, 5, 7)
///   - a no-op names the owner that was, unless it hands over (rules 5, 14)
/// A value: a copy goes its own way.
class CoreFacts {
 public:
  explicit CoreFacts(size_t replicas) : replicas_(replicas) {}

  /// Takes in what `replica` did; what is wrong with it, or nothing.
  std::string Note(ReplicaId replica, const CoreOutput& output);
  /// A hand-over to `heir` was asked for: a value without commands may name it.
  void NoteHandOver(Owner heir) { heirs_.push_back(heir); }

  LogIndex highest_chosen() const { return highest_chosen_; }
  /// In order of index.
  std::vector<ChosenFact> Chosen() const;
  void WriteState(StateWriter& out) const;

 private:
  struct BallotFact {
    Ballot ballot;
    Digest digest;
    uint32_t voters = 0;  // a bit for each replica with a durable vote
  };
  struct IndexFacts {
    std::vector<BallotFact> ballots;  // in order
    std::optional<ChosenFact> chosen;
  };
  BallotFact& FactOf(const BallotValue& said);
  std::string NoteProposal(const BallotValue& proposal);
  std::string CheckNoop(const BallotValue& proposal) const;
  std::string NoteVote(ReplicaId replica, const BallotValue& vote);
  std::string CheckApplied(const ChosenEntry& entry) const;

  size_t replicas_;
  std::vector<IndexFacts> facts_;  // by index
  std::vector<Owner> heirs_;
  LogIndex highest_chosen_;
};

}  // namespace paxledger::sim
