#include "cluster/mover.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "cluster/placement.h"

namespace paxledger {
namespace {

/// Sorted: `of` without `without`.
std::vector<ReplicaId> Difference(const std::vector<ReplicaId>& of, const std::vector<ReplicaId>& without) {
  std::vector<ReplicaId> rest;
  std::set_difference(of.begin(), of.end(), without.begin(), without.end(), std::back_inserter(rest));
  return rest;
}

/// The leaver whose place `joiner` takes: the one of its name or else of its data centre; 0: none. A leaver that is not
/// named in the directory any more was of no data centre that we know, and goes by itself.
ReplicaId LeaverFor(const Directory& directory, ReplicaId joiner, const std::vector<ReplicaId>& leavers) {
  const NodeEntry* to = directory.Find(joiner);
  ReplicaId found;
  for (ReplicaId leaver : leavers) {
    const NodeEntry* from = directory.Find(leaver);
    if (to == nullptr || from == nullptr || from->data_centre != to->data_centre) continue;
    if (from->name == to->name) return leaver;
    if (found == ReplicaId{}) found = leaver;
  }
  return found;
}

/// Whether a majority of the members after `change` answers. A wedged shard could not be changed back.
bool LeavesMajority(const ShardView& view, const MembershipChange& change) {
  size_t members = 0;
  size_t answer = 0;
  auto count = [&](ReplicaId member) {
    ++members;
    answer += view.up.count(member);
  };
  for (ReplicaId member : view.members.members) {
    if (member != change.remove) count(member);
  }
  if (change.add != ReplicaId{}) count(change.add);
  return answer > members / 2;
}

MoveStep Propose(const ShardView& view, MembershipChange change) {
  if (!LeavesMajority(view, change)) {
    return move::Waiting{move::Obstacle::kNoMajority, change.add != ReplicaId{} ? change.add : change.remove};
  }
  return move::Change{change};
}

/// Brings a node that is wanted as far as a member must be; InPlace: it is.
MoveStep Bring(const ShardView& view, ReplicaId node) {
  if (!view.up.contains(node)) return move::Waiting{move::Obstacle::kJoinerDown, node};
  auto host = view.hosts.find(node);
  if (host == view.hosts.end()) return move::Host{node};
  if (host->second.value + kLearnerLagMax < view.newest.value) {
    return move::Fetching{node, host->second, view.newest};
  }
  return move::InPlace{};
}

std::string NameOf(const Directory& directory, ReplicaId number) {
  const NodeEntry* node = directory.Find(number);
  return node == nullptr ? absl::StrCat("node ", number.value) : node->name;
}

struct Describe {
  const Directory& directory;
  std::string operator()(const move::InPlace&) const { return "in place"; }
  std::string operator()(const move::Host& step) const {
    return absl::StrCat(NameOf(directory, step.joiner), " is asked to hold a replica");
  }
  std::string operator()(const move::Fetching& step) const {
    return absl::StrCat(NameOf(directory, step.joiner), " fetches, at ", step.durable.value, " of ",
                        step.target.value);
  }
  std::string operator()(const move::Change& step) const {
    const MembershipChange& change = step.change;
    if (change.remove == ReplicaId{}) return absl::StrCat(NameOf(directory, change.add), " joins");
    if (change.add == ReplicaId{}) return absl::StrCat(NameOf(directory, change.remove), " leaves");
    return absl::StrCat(NameOf(directory, change.add), " (", change.add.value, ") takes the place of ",
                        NameOf(directory, change.remove), " (", change.remove.value, ")");
  }
  std::string operator()(const move::Waiting& step) const {
    switch (step.obstacle) {
      case move::Obstacle::kJoinerDown:
        return absl::StrCat("waits: ", NameOf(directory, step.node), " does not answer");
      case move::Obstacle::kNoMajority:
        return "waits: too few of the members that would be answer";
      case move::Obstacle::kNobodyIsLeft:
        return "waits: no node is active";
    }
    return "";
  }
};

}  // namespace

MoveStep NextStep(const Directory& directory, const ShardView& view) {
  std::vector<ReplicaId> wanted = WantedMembers(directory, view.shard);
  if (wanted.empty()) return move::Waiting{move::Obstacle::kNobodyIsLeft, ReplicaId{}};
  const std::vector<ReplicaId>& members = view.members.members;
  std::vector<ReplicaId> joiners = Difference(wanted, members);
  std::vector<ReplicaId> leavers = Difference(members, wanted);

  // Whom a step cannot be taken for holds up no other: what it waits for is only said where nothing else is to do.
  MoveStep later = move::InPlace{};
  for (ReplicaId joiner : joiners) {
    MoveStep brought = Bring(view, joiner);
    if (std::holds_alternative<move::InPlace>(brought)) {
      ReplicaId leaver = LeaverFor(directory, joiner, leavers);
      bool full = members.size() >= limits::kReplicasMax && leaver == ReplicaId{};
      if (full && leavers.empty()) continue;
      if (full) leaver = leavers.front();
      return Propose(view, {view.members.since, leaver, joiner});
    }
    if (std::holds_alternative<move::Host>(brought)) return brought;
    if (std::holds_alternative<move::InPlace>(later)) later = brought;
  }
  if (joiners.empty() && !leavers.empty()) {
    // The dead first: with one of the living gone before them those who stay might be no majority.
    auto living = [&view](ReplicaId leaver) { return std::make_pair(view.up.contains(leaver), leaver); };
    std::sort(leavers.begin(), leavers.end(),
              [&](ReplicaId a, ReplicaId b) { return living(a) < living(b); });
    return Propose(view, {view.members.since, leavers.front(), ReplicaId{}});
  }
  // A member that holds nothing gave its replica up while it was admitted: it votes no more until it fetched all again.
  for (ReplicaId member : members) {
    if (!view.up.contains(member) || view.hosts.contains(member)) continue;
    return move::Host{member};
  }
  return later;
}

bool MayDrop(const Directory& directory, const ShardView& view, ReplicaId node) {
  if (view.members.Contains(node)) return false;
  std::vector<ReplicaId> wanted = WantedMembers(directory, view.shard);
  if (std::binary_search(wanted.begin(), wanted.end(), node)) return false;
  size_t have = 0;
  for (ReplicaId member : view.members.members) {
    auto host = view.hosts.find(member);
    if (host != view.hosts.end() && host->second >= view.members.since) ++have;
  }
  return have >= view.members.majority();
}

ReplicaId MoverOf(const ShardView& view, ReplicaId owner) {
  if (view.members.Contains(owner) && view.up.contains(owner)) return owner;
  for (ReplicaId member : view.members.members) {
    if (view.up.contains(member)) return member;
  }
  return ReplicaId{};
}

std::string DescribeStep(const MoveStep& step, const Directory& directory) {
  return std::visit(Describe{directory}, step);
}

}  // namespace paxledger
