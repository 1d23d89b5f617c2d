#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace paxledger {

/// The cluster as a node shows it at `GET /v1/cluster`.
struct ClusterView {
  struct Node {
    std::string name;
    uint64_t number = 0;
    std::string data_centre;
    std::string state;
    std::string peer_address;
    bool up = false;
    uint64_t replicas = 0;
  };
  struct Replica {
    uint64_t number = 0;
    uint64_t durable = 0;
    bool member = false;
  };
  struct Shard {
    uint64_t shard = 0;
    uint64_t owner = 0;
    std::vector<uint64_t> members;
    std::vector<Replica> replicas;
    uint64_t newest = 0;
    std::string state;
    std::string step;

    /// Members are those that are wanted, and nobody else holds a replica.
    bool in_place() const;
  };

  std::string node;  // that answered
  uint64_t version = 0;
  std::vector<Node> nodes;
  std::vector<Shard> shards;

  /// nullptr: there is none.
  const Node* FindNode(std::string_view name) const;
  const Node* FindNumber(uint64_t number) const;
  size_t in_place() const;
  /// Of the first shard that is not in place: "shard 3: dc1-b fetches, at 120 of 300"; empty: all are.
  std::string next_step() const;
};

/// Errors: kInternal  not such a document
[[nodiscard]] absl::StatusOr<ClusterView> ParseClusterView(std::string_view json);

/// For a person.
std::string RenderClusterView(const ClusterView& view);

}  // namespace paxledger
