#include "ops/ledgerctl/audit_quick.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/fields.h"

namespace paxledger {
namespace {

std::string Text(Amount amount) {
  std::string out;
  AppendAmount(&out, amount);
  return out;
}

std::string Place(const NodeStatus& node, uint32_t shard) {
  return absl::StrCat(node.data_centre, " shard ", shard);
}

void CheckBooks(const NodeStatus& node, AuditFindings* findings) {
  for (const NodeStatus::Shard& shard : node.shards) {
    for (const NodeStatus::AssetTotals& asset : shard.totals) {
      const Totals& t = asset.totals;
      if (t.debits_posted == t.credits_posted && t.debits_pending == t.credits_pending) continue;
      findings->books_balanced = false;
      findings->differences.push_back(absl::StrCat(
          Place(node, shard.shard), " ", asset.asset, ": debits ", Text(t.debits_posted), ", credits ",
          Text(t.credits_posted), ", pending ", Text(t.debits_pending), " and ", Text(t.credits_pending)));
    }
  }
}

/// One status for each data centre, made of those of its nodes; those that failed stand as they are.
std::vector<NodeStatus> ByDataCentre(const std::vector<NodeStatus>& nodes) {
  std::vector<NodeStatus> merged;
  for (const NodeStatus& node : nodes) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const NodeStatus& other) {
      return node.failure.ok() && other.failure.ok() && other.data_centre == node.data_centre &&
             other.cluster_id == node.cluster_id && other.shards.size() == node.shards.size();
    });
    if (same == merged.end()) {
      merged.push_back(node);
      continue;
    }
    same->has_quorum = same->has_quorum && node.has_quorum;
    for (size_t i = 0; i < node.shards.size(); ++i) {
      NodeStatus::Shard& known = same->shards[i];
      const NodeStatus::Shard& told = node.shards[i];
      // While it moves, two may host it.
      if (told.hosted && (!known.hosted || known.applied < told.applied)) known = told;
    }
  }
  return merged;
}

bool IsBehind(const NodeStatus::Shard& shard, const std::vector<NodeStatus>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const NodeStatus& other) {
    return shard.shard < other.shards.size() && other.shards[shard.shard].applied > shard.applied;
  });
}

/// Nothing moved between the rounds, and nothing is under way.
bool AtRest(const NodeStatus& node, const std::vector<NodeStatus>& nodes,
            const std::vector<NodeStatus>& before) {
  if (!node.has_quorum) return false;
  const auto same = std::find_if(before.begin(), before.end(), [&](const NodeStatus& other) {
    return other.failure.ok() && other.data_centre == node.data_centre;
  });
  if (same == before.end() || same->shards.size() != node.shards.size()) return false;
  for (size_t i = 0; i < node.shards.size(); ++i) {
    const NodeStatus::Shard& shard = node.shards[i];
    if (!shard.hosted) return false;
    if (shard.applied != same->shards[i].applied || shard.highest_seen > shard.applied || shard.in_doubt > 0)
      return false;
    if (IsBehind(shard, nodes)) return false;
  }
  return true;
}

using PairKey = std::tuple<uint32_t, uint32_t, std::string>;  // shard, counterpart, asset

/// What s booked towards r as credit, r must have booked towards s as debit, and the other way round: never
/// netted.
void CheckPairs(const NodeStatus& node, const std::vector<NodeStatus>& nodes,
                const std::vector<NodeStatus>& before, AuditFindings* findings) {
  std::map<PairKey, Totals> books;
  for (const NodeStatus::Shard& shard : node.shards) {
    for (const NodeStatus::Clearing& c : shard.clearing)
      books[{shard.shard, c.counterpart, c.asset}] = c.totals;
  }
  std::vector<std::string> unpaired;
  for (const auto& [key, mine] : books) {
    const auto& [shard, counterpart, asset] = key;
    const auto other = books.find({counterpart, shard, asset});
    if (other != books.end() && counterpart < shard) continue;  // judged from the other side
    // Where the counterpart was not asked, that is said to be open.
    if (counterpart < node.shards.size() && !node.shards[counterpart].hosted) continue;
    const Totals theirs = other == books.end() ? Totals{} : other->second;
    if (mine.credits_posted == theirs.debits_posted && mine.debits_posted == theirs.credits_posted) continue;
    unpaired.push_back(absl::StrCat(node.data_centre, " clearing ", shard, "-", counterpart, " ", asset, ": ",
                                    Text(mine.credits_posted), " against ", Text(theirs.debits_posted), ", ",
                                    Text(mine.debits_posted), " against ", Text(theirs.credits_posted)));
  }
  if (unpaired.empty()) return;
  findings->pairs_settled = false;
  std::vector<std::string>& where = AtRest(node, nodes, before) ? findings->differences : findings->open;
  where.insert(where.end(), unpaired.begin(), unpaired.end());
}

/// The digests of the shard at `index`, where this data centre still knows them.
const NodeStatus::Digests* DigestsAt(const NodeStatus::Shard& shard, uint64_t index) {
  if (shard.applied == index) return &shard.digests;
  return shard.digests_at.has_value() && shard.digests_at->index == index ? &*shard.digests_at : nullptr;
}

/// The index that all can be asked about: where somebody was asked, that one.
uint64_t CommonIndex(const std::vector<const NodeStatus*>& nodes, size_t shard) {
  uint64_t lowest = UINT64_MAX;
  for (const NodeStatus* node : nodes) {
    const NodeStatus::Shard& s = node->shards[shard];
    if (!s.hosted) continue;
    lowest = std::min(lowest, s.digests_at.has_value() ? s.digests_at->index : s.applied);
  }
  return lowest;
}

void CheckDigests(const std::vector<const NodeStatus*>& nodes, size_t shards, AuditFindings* findings) {
  for (size_t s = 0; s < shards; ++s) {
    const uint64_t index = CommonIndex(nodes, s);
    const NodeStatus::Digests* first = nullptr;
    for (const NodeStatus* node : nodes) {
      if (!node->shards[s].hosted) {
        findings->open.push_back(
            absl::StrCat(Place(*node, node->shards[s].shard), ": no node that hosts it was asked"));
        continue;
      }
      const NodeStatus::Digests* digests = DigestsAt(node->shards[s], index);
      if (digests == nullptr) {
        findings->open.push_back(absl::StrCat(Place(*node, node->shards[s].shard), ": digests at index ",
                                              index, " are not known any more; another is far behind"));
      } else if (first == nullptr) {
        first = digests;
      } else {
        ++findings->digests_compared;
        const bool journals = digests->journal_hash == first->journal_hash;
        const bool states = digests->state_digest == first->state_digest;
        if (journals && states) continue;
        findings->differences.push_back(absl::StrCat(Place(*node, node->shards[s].shard), " at index ", index,
                                                     ": ",
                                                     journals ? "the state differs" : "the journal differs"));
      }
    }
  }
}

}  // namespace

std::vector<uint64_t> LowestApplied(const std::vector<NodeStatus>& nodes) {
  std::vector<uint64_t> lowest;
  for (const NodeStatus& node : nodes) {
    if (!node.failure.ok()) continue;
    lowest.resize(std::max(lowest.size(), node.shards.size()), UINT64_MAX);
    for (const NodeStatus::Shard& shard : node.shards) {
      if (shard.hosted) lowest[shard.shard] = std::min(lowest[shard.shard], shard.applied);
    }
  }
  std::replace(lowest.begin(), lowest.end(), UINT64_MAX, uint64_t{0});
  return lowest;
}

AuditFindings JudgeStatuses(const std::vector<NodeStatus>& asked,
                            const std::vector<NodeStatus>& asked_before) {
  const std::vector<NodeStatus> nodes = ByDataCentre(asked);
  const std::vector<NodeStatus> before = ByDataCentre(asked_before);
  AuditFindings findings;
  std::vector<const NodeStatus*> reached;
  for (const NodeStatus& node : nodes) {
    if (!node.failure.ok()) {
      findings.unreachable.push_back(absl::StrCat(node.endpoint, ": ", node.failure.message()));
      continue;
    }
    if (!reached.empty() &&
        (node.cluster_id != reached[0]->cluster_id || node.shards.size() != reached[0]->shards.size())) {
      findings.differences.push_back(absl::StrCat(node.endpoint, " belongs to another cluster"));
      continue;
    }
    reached.push_back(&node);
    findings.in_doubt = std::max(findings.in_doubt, node.in_doubt_total());
    CheckBooks(node, &findings);
    CheckPairs(node, nodes, before, &findings);
  }
  findings.data_centres = reached.size();
  findings.shards = reached.empty() ? 0 : reached[0]->shards.size();
  CheckDigests(reached, findings.shards, &findings);
  return findings;
}

}  // namespace paxledger
