#include "api/fields.h"
#include "api/json.h"
#include "api/render.h"

namespace paxledger {

namespace {

void AppendNumber(std::string* out, std::string_view name, uint64_t value) {
  out->append(",\"").append(name).append("\":");
  AppendUint64(out, value);
}

void AppendText(std::string* out, std::string_view name, std::string_view value) {
  out->append(",\"").append(name).append("\":");
  AppendJsonString(out, value);
}

void AppendFlag(std::string* out, std::string_view name, const bool value) {
  out->append(",\"").append(name).append(value ? "\":true" : "\":false");
}

template <class Numbers>
void AppendNumbers(std::string* out, std::string_view name, const Numbers& numbers) {
  out->append(",\"").append(name).append("\":[");
  std::string_view comma;
  for (ReplicaId number : numbers) {
    out->append(comma);
    AppendUint64(out, number.value);
    comma = ",";
  }
  out->push_back(']');
}

/// `"nodes":[…]`. Those that are gone are left out: nothing can be asked of them.
void AppendNodes(std::string* out, const ClusterReport& report, std::string_view name) {
  out->append("\"").append(name).append("\":[");
  std::string_view comma;
  for (const NodeEntry& node : report.directory.nodes) {
    if (node.state == NodeState::kGone) continue;
    uint64_t replicas = 0;
    bool up = node.number == report.self;
    for (const ShardPlace& place : report.shards)
      replicas += place.view.members.Contains(node.number) ? 1 : 0;
    for (ReplicaId peer : report.peers_up) up = up || peer == node.number;
    out->append(comma).append("{\"name\":");
    AppendJsonString(out, node.name);
    AppendNumber(out, "number", node.number.value);
    AppendText(out, "data_centre", node.data_centre);
    AppendText(out, "state", NodeStateName(node.state));
    AppendText(out, "peer_address", node.peer_address);
    AppendText(out, "https_address", node.https_address);
    AppendFlag(out, "up", up);
    AppendNumber(out, "replicas", replicas);
    out->push_back('}');
    comma = ",";
  }
  out->push_back(']');
}

std::string_view StateOf(const MoveStep& step) {
  if (std::holds_alternative<move::InPlace>(step)) return "in_place";
  if (std::holds_alternative<move::Waiting>(step)) return "waiting";
  return "moving";
}

void AppendShard(std::string* out, const ShardPlace& place) {
  out->append("{\"shard\":");
  AppendUint64(out, place.view.shard.value);
  AppendNumber(out, "owner", place.owner.value);
  AppendNumber(out, "applied", place.applied.value);
  AppendFlag(out, "voting", place.voting);
  AppendNumbers(out, "members", place.view.members.members);
  AppendNumber(out, "members_since", place.view.members.since.value);
  AppendNumbers(out, "wanted", place.wanted);
  out->append(",\"replicas\":[");
  std::string_view comma;
  for (const auto& [number, durable] : place.view.hosts) {
    out->append(comma).append("{\"number\":");
    AppendUint64(out, number.value);
    AppendNumber(out, "durable", durable.value);
    AppendFlag(out, "member", place.view.members.Contains(number));
    out->push_back('}');
    comma = ",";
  }
  out->push_back(']');
  AppendNumber(out, "newest", place.view.newest.value);
  AppendText(out, "state", StateOf(place.step));
  AppendText(out, "step", place.step_text);
  out->push_back('}');
}

}  // namespace

HttpResponse RenderCluster(const ClusterReport& report) {
  HttpResponse response;
  std::string& out = response.body;
  out.append("{\"cluster_id\":");
  AppendJsonString(&out, report.cluster_id);
  AppendText(&out, "data_centre", report.data_centre);
  AppendText(&out, "node", report.node);
  AppendNumber(&out, "replica", report.self.value);
  AppendFlag(&out, "has_quorum", report.has_quorum);
  out.append(",\"clock_offset_us\":");
  AppendInt64(&out, report.clock_offset_us);
  AppendNumbers(&out, "peers_up", report.peers_up);
  AppendNumber(&out, "version", report.directory.version);
  out.push_back(',');
  AppendNodes(&out, report, "nodes");
  out.append(",\"pins\":[");
  std::string_view comma;
  for (const Pin& pin : report.directory.pins) {
    out.append(comma).append("{\"shard\":");
    AppendUint64(&out, pin.shard.value);
    AppendText(&out, "node", pin.node);
    out.push_back('}');
    comma = ",";
  }
  out.append("],\"shards\":[");
  comma = "";
  for (const ShardPlace& place : report.shards) {
    out.append(comma);
    AppendShard(&out, place);
    comma = ",";
  }
  out.append("]}");
  return response;
}

HttpResponse RenderClusterNodes(const ClusterReport& report) {
  HttpResponse response;
  response.body.append("{");
  AppendNodes(&response.body, report, "data");
  AppendNumber(&response.body, "version", report.directory.version);
  response.body.push_back('}');
  return response;
}

HttpResponse RenderDirectoryResult(const DirectoryResult& result) {
  HttpResponse response;
  response.body.append("{\"number\":");
  AppendUint64(&response.body, result.number.value);
  AppendNumber(&response.body, "version", result.version);
  response.body.push_back('}');
  return response;
}

}  // namespace paxledger
