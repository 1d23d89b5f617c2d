#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace paxledger::sim {

/// What must come before what. Nodes are operations, which have names, and joints, which only make it cheap to say "all of
/// these before all of those" and carry the reason.
class OrderGraph {
 public:
  using Node = uint32_t;

  Node AddOperation(std::string name) { return Add(std::move(name), Kind::kOperation); }
  Node AddJoint(std::string reason) { return Add(std::move(reason), Kind::kJoint); }
  void Before(Node first, Node second) { edges_.emplace_back(first, second); }
  size_t edges() const { return edges_.size(); }

  /// A short cycle in words; empty: there is an order in which all of it can have happened.
  std::string FindCycle() const;

 private:
  enum class Kind : uint8_t { kOperation, kJoint };
  struct NodeFacts {
    std::string text;
    Kind kind;
  };
  /// The successors of node n are `targets[begin[n]]` up to `targets[begin[n + 1]]`.
  struct Adjacency {
    std::vector<uint32_t> begin;
    std::vector<Node> targets;
  };
  Node Add(std::string text, Kind kind) {
    nodes_.push_back({std::move(text), kind});
    return static_cast<Node>(nodes_.size() - 1);
  }
  Adjacency Successors() const;
  std::vector<Node> ShortCycle(const Adjacency& successors, const std::vector<uint32_t>& waiting_for) const;

  std::vector<NodeFacts> nodes_;
  std::vector<std::pair<Node, Node>> edges_;
};

/// Operations as intervals of one line (of time, or of a log): whatever ended before another began comes before it. Those
/// that overlap are not ordered.
class IntervalLine {
 public:
  explicit IntervalLine(std::string reason) : reason_(std::move(reason)) {}
  /// Ends and begins may come in any order; one that never ended has no end.
  void Begins(OrderGraph::Node operation, int64_t at) { points_.push_back({at, 0, operation}); }
  void Ends(OrderGraph::Node operation, int64_t at) { points_.push_back({at, 1, operation}); }
  void AddTo(OrderGraph& graph);

 private:
  struct Point {
    int64_t at;
    int kind;  // begins come before ends of the same moment, so that these overlap
    OrderGraph::Node operation;
  };
  std::string reason_;
  std::vector<Point> points_;
};

}  // namespace paxledger::sim
