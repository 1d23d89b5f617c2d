#include "ops/ledgerctl/node_status.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "ops/ledgerctl/connection.h"
#include "ops/ledgerctl/json_read.h"

namespace paxledger {
namespace json = boost::json;
namespace {

Totals ReadTotals(const json::object& object) {
  return Totals{.debits_posted = JsonAmount(object, "debits_posted"),
                .credits_posted = JsonAmount(object, "credits_posted"),
                .debits_pending = JsonAmount(object, "debits_pending"),
                .credits_pending = JsonAmount(object, "credits_pending")};
}

NodeStatus::Digests ReadDigests(const json::object& object, uint64_t index) {
  return {index, JsonText(object, "journal_hash"), JsonText(object, "state_digest")};
}

NodeStatus::Shard ReadShard(const json::object& object) {
  NodeStatus::Shard shard;
  shard.shard = static_cast<uint32_t>(JsonInteger(object, "shard"));
  shard.hosted = !object.contains("hosted") || JsonTrue(object, "hosted");
  shard.applied = static_cast<uint64_t>(JsonInteger(object, "applied"));
  shard.highest_seen = static_cast<uint64_t>(JsonInteger(object, "highest_seen"));
  shard.owner = static_cast<uint64_t>(JsonInteger(object, "owner"));
  shard.in_doubt = static_cast<uint64_t>(JsonInteger(object, "in_doubt"));
  shard.digests = ReadDigests(object, shard.applied);
  if (const json::object& at = JsonObject(object, "digests_at"); !at.empty()) {
    shard.digests_at = ReadDigests(at, static_cast<uint64_t>(JsonInteger(at, "index")));
  }
  for (const json::value& value : JsonArray(object, "totals")) {
    if (!value.is_object()) continue;
    shard.totals.push_back({JsonText(value.get_object(), "asset"), ReadTotals(value.get_object())});
  }
  for (const json::value& value : JsonArray(object, "clearing")) {
    if (!value.is_object()) continue;
    const json::object& clearing = value.get_object();
    shard.clearing.push_back({static_cast<uint32_t>(JsonInteger(clearing, "counterpart")),
                              JsonText(clearing, "asset"), ReadTotals(clearing)});
  }
  return shard;
}

}  // namespace

uint64_t NodeStatus::applied_total() const {
  uint64_t total = 0;
  for (const Shard& shard : shards) total += shard.applied;
  return total;
}

uint64_t NodeStatus::in_doubt_total() const {
  uint64_t total = 0;
  for (const Shard& shard : shards) total += shard.in_doubt;
  return total;
}

absl::StatusOr<NodeStatus> ParseNodeStatus(std::string_view text) {
  const absl::StatusOr<json::object> object = ParseJsonObject(text);
  if (!object.ok()) return object.status();
  NodeStatus status;
  status.cluster_id = JsonText(*object, "cluster_id");
  status.data_centre = JsonText(*object, "data_centre");
  status.has_quorum = JsonTrue(*object, "has_quorum");
  status.clock_offset_us = JsonInteger(*object, "clock_offset_us");
  status.disk_bytes = static_cast<uint64_t>(JsonInteger(JsonObject(*object, "disk_bytes"), "total"));
  status.peers_up = JsonArray(*object, "peers_up").size();
  for (const json::value& value : JsonArray(*object, "shards")) {
    if (value.is_object()) status.shards.push_back(ReadShard(value.get_object()));
  }
  for (size_t i = 0; i < status.shards.size(); ++i) {
    if (status.shards[i].shard != i)
      return absl::InternalError("the audit status does not list shards 0, 1, 2, ...");
  }
  if (status.data_centre.empty())
    return absl::InternalError("the audit status does not name its data centre");
  return status;
}

std::vector<NodeStatus> ReadNodeStatuses(Client& client, const std::vector<uint64_t>& indexes) {
  std::vector<NodeStatus> statuses(client.endpoints());
  size_t missing = client.endpoints();
  std::string target = "/v1/audit/status";
  if (!indexes.empty()) absl::StrAppend(&target, "?indexes=", absl::StrJoin(indexes, ","));
  for (size_t i = 0; i < client.endpoints(); ++i) {
    client.Send({.target = target, .timeout = absl::Seconds(8), .only = i}, [&, i](ClientAnswer answer) {
      const absl::Status answered = AnswerStatus(answer);
      absl::StatusOr<NodeStatus> status = answered.ok() ? ParseNodeStatus(answer.body) : answered;
      if (status.ok()) {
        statuses[i] = *std::move(status);
      } else {
        const absl::string_view why = status.status().message();
        const std::string place = absl::StrCat(client.endpoint(i), ": ");
        statuses[i].failure = absl::Status(status.status().code(), absl::StripPrefix(why, place));
      }
      statuses[i].endpoint = client.endpoint(i);
      if (--missing == 0) client.Stop();
    });
  }
  while (missing > 0) client.Run();
  return statuses;
}

}  // namespace paxledger
