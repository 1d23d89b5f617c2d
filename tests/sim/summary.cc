#include "tests/sim/summary.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "api/json.h"
#include "base/bytes.h"
#include "tests/sim/build_facts.h"

namespace paxledger::sim {
namespace {

constexpr char kFault[] = "fault:";
constexpr char kMark[] = "mark:";
constexpr char kEnd[] = "end";

/// The plain numbers of a report, by the name that they have everywhere.
std::map<std::string, uint64_t> CountsOf(const SimReport& report) {
  return {{"requests", report.requests},         {"transfers", report.transfers},
          {"committed", report.committed},       {"refused", report.refused},
          {"conflicts", report.conflicts},       {"reads", report.reads},
          {"reads placed", report.reads_placed}, {"reads ambiguous", report.reads_ambiguous},
          {"barriers", report.barriers},         {"entries", report.entries},
          {"commands", report.commands},         {"events", report.events},
          {"messages", report.messages},         {"messages lost", report.messages_lost},
          {"peer bytes", report.peer_bytes}};
}

void SetCounts(const std::map<std::string, uint64_t>& counts, SimReport* report) {
  auto of = [&counts](const char* name) {
    auto at = counts.find(name);
    return at == counts.end() ? 0 : at->second;
  };
  report->requests = of("requests");
  report->http_requests = of("HTTP requests");
  report->transfers = of("transfers");
  report->committed = of("committed");
  report->refused = of("refused");
  report->conflicts = of("conflicts");
  report->reads = of("reads");
  report->reads_placed = of("reads placed");
  report->reads_ambiguous = of("reads ambiguous");
  report->barriers = of("barriers");
  report->entries = of("entries");
  report->commands = of("commands");
  report->events = of("events");
  report->messages = of("messages");
  report->messages_lost = of("messages lost");
  report->peer_bytes = of("peer bytes");
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string CountsText(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) absl::StrAppend(&text, text.empty() ? "" : ", ", name, " ", count);
  return text.empty() ? "none" : text;
}

void AppendCounts(const std::map<std::string, uint64_t>& counts, std::string* out) {
  out->push_back('{');
  bool first = true;
  for (const auto& [name, count] : counts) {
    if (!first) out->push_back(',');
    first = false;
    AppendJsonString(out, name);
    absl::StrAppend(out, ":", count);
  }
  out->push_back('}');
}

}  // namespace

std::string EncodeReport(const SimReport& report) {
  std::string text = absl::StrCat("failure ", OneLine(report.failure), "\nplan ", OneLine(report.plan), "\n",
                                  "hash ", report.hash, "\nvirtual_us ", report.virtual_us, "\nsettled_us ",
                                  report.settled_after_us, "\n");
  for (const auto& [name, count] : CountsOf(report)) absl::StrAppend(&text, name, "\t", count, "\n");
  for (const auto& [name, count] : report.faults) absl::StrAppend(&text, kFault, name, "\t", count, "\n");
  for (const auto& [name, count] : report.marks) absl::StrAppend(&text, kMark, name, "\t", count, "\n");
  absl::StrAppend(&text, kEnd, "\n");
  return text;
}

std::optional<SimReport> DecodeReport(std::string_view text) {
  SimReport report;
  std::map<std::string, uint64_t> counts;
  bool whole = false;
  for (absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    whole = whole || line == kEnd;
    std::pair<std::string, std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (words.first == "failure") {
      report.failure = words.second;
    } else if (words.first == "plan") {
      report.plan = words.second;
    } else if (words.first == "hash") {
      if (!absl::SimpleAtoi(words.second, &report.hash)) return std::nullopt;
    } else if (words.first == "virtual_us") {
      if (!absl::SimpleAtoi(words.second, &report.virtual_us)) return std::nullopt;
    } else if (words.first == "settled_us") {
      if (!absl::SimpleAtoi(words.second, &report.settled_after_us)) return std::nullopt;
    } else if (size_t tab = line.find('\t'); tab != line.npos) {
      std::string name(line.substr(0, tab));
      uint64_t count = 0;
      if (!absl::SimpleAtoi(line.substr(tab + 1), &count)) return std::nullopt;
      if (name.starts_with(kFault)) {
        report.faults[name.substr(sizeof(kFault) - 1)] = count;
      } else if (name.starts_with(kMark)) {
        report.marks[name.substr(sizeof(kMark) - 1)] = count;
      } else {
        counts[name] = count;
      }
    }
  }
  SetCounts(counts, &report);
  return whole ? std::optional(std::move(report)) : std::nullopt;
}

void SimSummary::Add(const SimReport& report, double took_s) {
  ++seeds;
  wall_s += took_s;
  virtual_us += static_cast<uint64_t>(report.virtual_us);
  settled_us_max = std::max(settled_us_max, static_cast<uint64_t>(report.settled_after_us));
  for (const auto& [name, count] : CountsOf(report)) counts[name] += count;
  for (const auto& [name, count] : report.faults) faults[name] += count;
  for (const auto& [name, count] : report.marks) marks[name] += count;
}

std::vector<std::string> SimSummary::MarksMissed() const {
  std::vector<std::string> missed;
  for (size_t i = 0; i < kMarkCount; ++i) {
    if (!marks.contains(kMarks[i])) missed.emplace_back(kMarks[i]);
  }
  return missed;
}

double SimSummary::OutcomesPerSecond() const {
  auto of = [this](const char* name) {
    auto at = counts.find(name);
    return at == counts.end() ? 0.0 : static_cast<double>(at->second);
  };
  return wall_s > 0 ? (of("committed") + of("refused") + of("conflicts")) / wall_s : 0;
}

std::string SimSummary::Text() const {
  std::string missed;
  for (const std::string& name : MarksMissed()) absl::StrAppend(&missed, " ", name);
  return absl::StrFormat(
      "%d seeds, %d failed; revision %s\n"
      "%.2f virtual hours in %.1f core seconds: %.0f times real time, %.0f transactions to their outcome per "
      "core "
      "second; slowest settled %.1f s after the faults\n"
      "done: %s\nfaults: %s\nmarks hit: %s\nmarks that no seed hit:%s\n",
      seeds, failed.size(), kRevision, static_cast<double>(virtual_us) / 3.6e9, wall_s,
      wall_s > 0 ? static_cast<double>(virtual_us) / 1e6 / wall_s : 0, OutcomesPerSecond(),
      static_cast<double>(settled_us_max) / 1e6, CountsText(counts), CountsText(faults), CountsText(marks),
      missed.empty() ? " none" : missed);
}

std::string SimSummary::Json(std::string_view command) const {
  std::string out = "{\"revision\":";
  AppendJsonString(&out, kRevision);
  out.append(",\"command\":");
  AppendJsonString(&out, command);
  absl::StrAppendFormat(
      &out,
      ",\"seeds\":%d,\"virtual_hours\":%.4f,\"core_seconds\":%.2f,\"outcomes_per_second\":%.0f,"
      "\"slowest_settled_s\":%.2f,\"counts\":",
      seeds, static_cast<double>(virtual_us) / 3.6e9, wall_s, OutcomesPerSecond(),
      static_cast<double>(settled_us_max) / 1e6);
  AppendCounts(counts, &out);
  out.append(",\"faults\":");
  AppendCounts(faults, &out);
  out.append(",\"marks\":");
  AppendCounts(marks, &out);
  out.append(",\"marks_missed\":[");
  std::vector<std::string> missed = MarksMissed();
  for (size_t i = 0; i < missed.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendJsonString(&out, missed[i]);
  }
  out.append("],\"failed\":[");
  for (size_t i = 0; i < failed.size(); ++i) {
    absl::StrAppend(&out, i > 0 ? "," : "", "{\"seed\":", failed[i].seed, ",\"what\":");
    AppendJsonString(&out, failed[i].what);
    out.append(",\"replay\":");
    AppendJsonString(&out, failed[i].replay);
    out.push_back('}');
  }
  out.append("]}\n");
  return out;
}

}  // namespace paxledger::sim
