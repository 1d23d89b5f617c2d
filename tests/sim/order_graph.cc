#include "tests/sim/order_graph.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace paxledger::sim {
namespace {

constexpr size_t kStartsTried = 200;  // of the search for a short cycle
constexpr uint32_t kUnseen = UINT32_MAX;

}  // namespace

OrderGraph::Adjacency OrderGraph::Successors() const {
  Adjacency adjacency;
  adjacency.begin.assign(nodes_.size() + 1, 0);
  for (const auto& [first, second] : edges_) ++adjacency.begin[first + 1];
  for (size_t n = 0; n < nodes_.size(); ++n) adjacency.begin[n + 1] += adjacency.begin[n];
  adjacency.targets.resize(edges_.size());
  std::vector<uint32_t> next(adjacency.begin.begin(), adjacency.begin.end() - 1);
  for (const auto& [first, second] : edges_) adjacency.targets[next[first]++] = second;
  return adjacency;
}

std::string OrderGraph::FindCycle() const {
  Adjacency successors = Successors();
  std::vector<uint32_t> waiting_for(nodes_.size(), 0);
  for (Node target : successors.targets) ++waiting_for[target];
  std::vector<Node> free;
  for (Node n = 0; n < nodes_.size(); ++n) {
    if (waiting_for[n] == 0) free.push_back(n);
  }
  size_t ordered = 0;
  while (!free.empty()) {
    Node n = free.back();
    free.pop_back();
    ++ordered;
    for (uint32_t e = successors.begin[n]; e < successors.begin[n + 1]; ++e) {
      if (--waiting_for[successors.targets[e]] == 0) free.push_back(successors.targets[e]);
    }
  }
  if (ordered == nodes_.size()) return "";

  std::vector<Node> cycle = ShortCycle(successors, waiting_for);
  std::string text;
  std::string reason;
  for (Node n : cycle) {
    if (nodes_[n].kind == Kind::kJoint) {
      reason = nodes_[n].text;
      continue;
    }
    absl::StrAppend(&text, text.empty() ? "" : " -> ", reason.empty() ? "" : absl::StrCat("[", reason, "] "),
                    nodes_[n].text);
    reason.clear();
  }
  absl::StrAppend(&text, " -> ", reason.empty() ? "" : absl::StrCat("[", reason, "] "), "the first again");
  return text;
}

// Among the nodes that wait for each other; begins at an operation where one is in a cycle.
std::vector<OrderGraph::Node> OrderGraph::ShortCycle(const Adjacency& successors,
                                                     const std::vector<uint32_t>& waiting_for) const {
  std::vector<Node> best;
  size_t tried = 0;
  for (Node start = 0; start < nodes_.size() && tried < kStartsTried; ++start) {
    if (waiting_for[start] == 0 || nodes_[start].kind != Kind::kOperation) continue;
    ++tried;
    std::vector<Node> came_from(nodes_.size(), kUnseen);
    std::vector<Node> queue{start};
    for (size_t at = 0; at < queue.size() && came_from[start] == kUnseen; ++at) {
      Node n = queue[at];
      for (uint32_t e = successors.begin[n]; e < successors.begin[n + 1]; ++e) {
        Node next = successors.targets[e];
        if (waiting_for[next] == 0 || came_from[next] != kUnseen) continue;
        came_from[next] = n;
        queue.push_back(next);
      }
    }
    if (came_from[start] == kUnseen) continue;  // behind a cycle, not in one
    std::vector<Node> cycle{start};
    for (Node n = came_from[start]; n != start; n = came_from[n]) cycle.push_back(n);
    std::reverse(cycle.begin() + 1, cycle.end());
    if (best.empty() || cycle.size() < best.size()) best = std::move(cycle);
  }
  return best;
}

void IntervalLine::AddTo(OrderGraph& graph) {
  std::sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) {
    return std::tie(a.at, a.kind, a.operation) < std::tie(b.at, b.kind, b.operation);
  });
  bool ended = false;  // something has, so that a joint stands behind it
  OrderGraph::Node joint = 0;
  bool open = false;  // nothing began since the last joint was made
  for (const Point& point : points_) {
    if (point.kind == 0) {
      if (ended) graph.Before(joint, point.operation);
      open = false;
      continue;
    }
    if (!open) {
      OrderGraph::Node next = graph.AddJoint(reason_);
      if (ended) graph.Before(joint, next);
      joint = next;
      ended = true;
      open = true;
    }
    graph.Before(point.operation, joint);
  }
}

}  // namespace paxledger::sim
