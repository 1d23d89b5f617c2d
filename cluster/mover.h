#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/strong_id.h"
#include "cluster/directory.h"
#include "replication/core/configuration.h"

namespace paxledger {

/// What a node knows of one shard: enough to say what is missing between its replicas as they are and as they are wanted.
struct ShardView {
  ShardId shard;
  Configuration members;  // in force
  LogIndex newest;        // that anybody is known to hold
  std::map<ReplicaId, LogIndex>
      hosts;               // who holds a replica, member or learner, and up to where; as last heard
  std::set<ReplicaId> up;  // nodes that answer, this one among them
};

/// What the next step of a shard is, or what it waits for. A step is never recorded: it follows from what is there, so
/// after a crash anywhere the next comparison yields it again (docs/adr/0008).
namespace move {
/// Members are those that are wanted.
struct InPlace {
  friend bool operator==(const InPlace&, const InPlace&) = default;
};
/// Ask `joiner` to hold a replica: it fetches, but does not vote.
struct Host {
  ReplicaId joiner;
  friend bool operator==(const Host&, const Host&) = default;
};
/// `joiner` fetches: it is at `durable` of `target`.
struct Fetching {
  ReplicaId joiner;
  LogIndex durable;
  LogIndex target;
  friend bool operator==(const Fetching&, const Fetching&) = default;
};
/// Propose it: `joiner` has nearly caught up, or nobody joins.
struct Change {
  MembershipChange change;
  friend bool operator==(const Change&, const Change&) = default;
};
/// Neither can be done now.
enum class Obstacle : uint8_t {
  kJoinerDown,   // `node` does not answer
  kNoMajority,   // too few of those who would be members answer
  kNobodyIsLeft  // the directory wants no replica at all
};
struct Waiting {
  Obstacle obstacle = Obstacle::kJoinerDown;
  ReplicaId node;
  friend bool operator==(const Waiting&, const Waiting&) = default;
};
}  // namespace move
using MoveStep = std::variant<move::InPlace, move::Host, move::Fetching, move::Change, move::Waiting>;

/// A learner this many entries behind is admitted: the rest it fetches while it joins, without a vote until it has it.
inline constexpr uint64_t kLearnerLagMax = 128;

/// Compares wanted with actual. One replica joins or leaves per step, or one takes the place of another, preferably of its
/// own data centre, so that no more of them are needed for a majority than before. Joins come before removals.
MoveStep NextStep(const Directory& directory, const ShardView& view);

/// Whether `node` may give up its replica of the shard: it is neither a member in force nor wanted, and a majority of the
/// members in force durably holds everything up to the  change that brought them (consensus.md rule 16).
bool MayDrop(const Directory& directory, const ShardView& view, ReplicaId node);

/// Who takes the steps of a shard: its owner, or else the first member that answers. 0: nobody answers.
ReplicaId MoverOf(const ShardView& view, ReplicaId owner);

/// For a person: "node 4 fetches, at 120 of 300".
std::string DescribeStep(const MoveStep& step, const Directory& directory);

}  // namespace paxledger
