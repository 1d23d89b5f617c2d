#include "ops/ledgerctl/cluster_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ops/ledgerctl/json_read.h"
#include "ops/ledgerctl/table.h"

namespace paxledger {
namespace json = boost::json;
namespace {

uint64_t Number(const json::object& object, std::string_view name) {
  return static_cast<uint64_t>(JsonInteger(object, name));
}

ClusterView::Node ReadNode(const json::object& object) {
  return {.name = JsonText(object, "name"),
          .number = Number(object, "number"),
          .data_centre = JsonText(object, "data_centre"),
          .state = JsonText(object, "state"),
          .peer_address = JsonText(object, "peer_address"),
          .up = JsonTrue(object, "up"),
          .replicas = Number(object, "replicas")};
}

ClusterView::Shard ReadShard(const json::object& object) {
  ClusterView::Shard shard;
  shard.shard = Number(object, "shard");
  shard.owner = Number(object, "owner");
  shard.newest = Number(object, "newest");
  shard.state = JsonText(object, "state");
  shard.step = JsonText(object, "step");
  for (const json::value& member : JsonArray(object, "members")) {
    if (member.is_int64()) shard.members.push_back(static_cast<uint64_t>(member.get_int64()));
  }
  for (const json::value& value : JsonArray(object, "replicas")) {
    if (!value.is_object()) continue;
    const json::object& replica = value.get_object();
    shard.replicas.push_back(
        {Number(replica, "number"), Number(replica, "durable"), JsonTrue(replica, "member")});
  }
  return shard;
}

std::string NameOf(const ClusterView& view, uint64_t number) {
  const ClusterView::Node* node = view.FindNumber(number);
  return node == nullptr ? absl::StrCat("(", number, ")") : node->name;
}

}  // namespace

bool ClusterView::Shard::in_place() const { return state == "in_place"; }

const ClusterView::Node* ClusterView::FindNode(std::string_view name) const {
  for (const Node& each : nodes) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

const ClusterView::Node* ClusterView::FindNumber(uint64_t number) const {
  for (const Node& each : nodes) {
    if (each.number == number) return &each;
  }
  return nullptr;
}

size_t ClusterView::in_place() const {
  return static_cast<size_t>(
      std::count_if(shards.begin(), shards.end(), [](const Shard& shard) { return shard.in_place(); }));
}

std::string ClusterView::next_step() const {
  for (const Shard& shard : shards) {
    if (!shard.in_place()) return absl::StrCat("shard ", shard.shard, ": ", shard.step);
  }
  return "";
}

absl::StatusOr<ClusterView> ParseClusterView(std::string_view text) {
  const absl::StatusOr<json::object> object = ParseJsonObject(text);
  if (!object.ok()) return object.status();
  ClusterView view;
  view.node = JsonText(*object, "node");
  view.version = Number(*object, "version");
  for (const json::value& node : JsonArray(*object, "nodes")) {
    if (node.is_object()) view.nodes.push_back(ReadNode(node.get_object()));
  }
  for (const json::value& shard : JsonArray(*object, "shards")) {
    if (shard.is_object()) view.shards.push_back(ReadShard(shard.get_object()));
  }
  if (view.nodes.empty() || view.shards.empty()) {
    return absl::InternalError("the answer does not show a cluster");
  }
  return view;
}

std::string RenderClusterView(const ClusterView& view) {
  Table nodes({"node", "number", "data centre", "state", "up", "replicas", "peer address"});
  for (const ClusterView::Node& node : view.nodes) {
    nodes.Add({node.name, absl::StrCat(node.number), node.data_centre, node.state, node.up ? "yes" : "NO",
               absl::StrCat(node.replicas), node.peer_address.empty() ? "-" : node.peer_address});
  }
  Table shards({"shard", "owner", "members", "entries", "also held by", "step"});
  for (const ClusterView::Shard& shard : view.shards) {
    std::string members;
    std::string others;
    for (uint64_t member : shard.members)
      absl::StrAppend(&members, members.empty() ? "" : " ", NameOf(view, member));
    for (const ClusterView::Replica& replica : shard.replicas) {
      if (replica.member) continue;
      uint64_t percent =
          shard.newest == 0 ? 100 : 100 * std::min(replica.durable, shard.newest) / shard.newest;
      absl::StrAppend(&others, others.empty() ? "" : " ", NameOf(view, replica.number), " ", percent, "%");
    }
    shards.Add({absl::StrCat(shard.shard), shard.owner == 0 ? "-" : NameOf(view, shard.owner), members,
                absl::StrCat(shard.newest), others.empty() ? "-" : others, shard.step});
  }
  return absl::StrCat(nodes.Render(), "\n", shards.Render(), "\n", view.in_place(), " of ",
                      view.shards.size(), " shards are in place; directory version ", view.version, ", as ",
                      view.node, " sees it\n");
}

}  // namespace paxledger
