#include "api/fields.h"
#include "api/json.h"
#include "api/render.h"

namespace paxledger {

namespace {

void AppendTotals(std::string* out, const Totals& totals) {
  out->append(",\"debits_posted\":\"");
  AppendAmount(out, totals.debits_posted);
  out->append("\",\"credits_posted\":\"");
  AppendAmount(out, totals.credits_posted);
  out->append("\",\"debits_pending\":\"");
  AppendAmount(out, totals.debits_pending);
  out->append("\",\"credits_pending\":\"");
  AppendAmount(out, totals.credits_pending);
  out->push_back('"');
}

void AppendNumber(std::string* out, std::string_view name, uint64_t value) {
  out->append(",\"").append(name).append("\":");
  AppendUint64(out, value);
}

void AppendFlag(std::string* out, std::string_view name, const bool value) {
  out->append(",\"").append(name).append(value ? "\":true" : "\":false");
}

void AppendLogTime(std::string* out, std::string_view name, LogTime at) {
  out->append(",\"").append(name).append("\":");
  if (at.value == 0) {
    out->append("null");
    return;
  }
  out->push_back('"');
  AppendTime(out, at.value);
  out->push_back('"');
}

void AppendDigests(std::string* out, const DigestsAtIndex& digests) {
  out->append(",\"journal_hash\":\"").append(digests.journal.hex());
  out->append("\",\"state_digest\":\"").append(digests.state.hex()).append("\"");
}

void AppendShard(std::string* out, const ShardReport& shard) {
  out->append("{\"shard\":");
  AppendUint64(out, shard.shard.value);
  AppendFlag(out, "hosted", shard.hosted);
  AppendNumber(out, "owner", shard.owner.value);
  out->append(",\"members\":[");
  for (size_t i = 0; i < shard.members.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendUint64(out, shard.members[i].value);
  }
  out->push_back(']');
  if (!shard.hosted) {
    out->push_back('}');
    return;
  }
  AppendNumber(out, "applied", shard.applied.value);
  AppendNumber(out, "highest_seen", shard.highest_seen.value);
  AppendFlag(out, "voting", shard.voting);
  AppendLogTime(out, "clock", shard.clock);
  AppendDigests(out, shard.digests);
  out->append(",\"digests_at\":");
  if (shard.digests_at.has_value()) {
    out->append("{\"index\":");
    AppendUint64(out, shard.digests_at->index.value);
    AppendDigests(out, *shard.digests_at);
    out->push_back('}');
  } else {
    out->append("null");
  }
  out->append(",\"totals\":[");
  for (size_t i = 0; i < shard.totals.size(); ++i) {
    out->append(i > 0 ? ",{\"asset\":" : "{\"asset\":");
    AppendJsonString(out, shard.totals[i].asset);
    AppendTotals(out, shard.totals[i].totals);
    out->push_back('}');
  }
  out->append("],\"clearing\":[");
  for (size_t i = 0; i < shard.clearing.size(); ++i) {
    out->append(i > 0 ? ",{\"counterpart\":" : "{\"counterpart\":");
    AppendUint64(out, shard.clearing[i].counterpart.value);
    out->append(",\"asset\":");
    AppendJsonString(out, shard.clearing[i].asset);
    AppendTotals(out, shard.clearing[i].totals);
    out->push_back('}');
  }
  out->push_back(']');
  AppendNumber(out, "in_doubt", shard.in_doubt);
  out->push_back('}');
}

/// `{"cluster_id":…,"peers_up":[…]`, still open.
void AppendNode(std::string* out, const NodeReport& report) {
  out->append("{\"cluster_id\":");
  AppendJsonString(out, report.cluster_id);
  out->append(",\"data_centre\":");
  AppendJsonString(out, report.data_centre);
  AppendNumber(out, "replica", report.self.value);
  AppendFlag(out, "has_quorum", report.has_quorum);
  out->append(",\"clock_offset_us\":");
  AppendInt64(out, report.clock_offset_us);
  out->append(",\"disk_bytes\":{\"total\":");
  AppendUint64(out, report.disk.total());
  AppendNumber(out, "write_ahead", report.disk.write_ahead);
  for (size_t i = 0; i < report.disk.tables.size(); ++i) {
    const DiskUse::OfTable& table = report.disk.tables[i];
    out->append(",\"").append(TableName(static_cast<Table>(i))).append("\":{\"rows\":");
    AppendUint64(out, table.rows);
    AppendNumber(out, "blobs", table.blobs);
    out->push_back('}');
  }
  out->append("},\"peers_up\":[");
  for (size_t i = 0; i < report.peers_up.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendUint64(out, report.peers_up[i].value);
  }
  out->push_back(']');
}

}  // namespace

HttpResponse RenderAuditStatus(const NodeReport& report) {
  HttpResponse response;
  std::string& out = response.body;
  AppendNode(&out, report);
  out.append(",\"shards\":[");
  for (size_t i = 0; i < report.shards.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendShard(&out, report.shards[i]);
  }
  out.append("]}");
  return response;
}

}  // namespace paxledger
