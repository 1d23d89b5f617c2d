#include "replication/row_source.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/mark.h"
#include "replication/log_row.h"

namespace paxledger {
namespace {

constexpr int64_t kIdleUs = 15'000'000;
constexpr absl::Duration kExpireEvery = absl::Seconds(5);

std::string ShardPrefix(ShardId shard) {
  std::string prefix;
  AppendBigEndian32(&prefix, shard.value);
  return prefix;
}

}  // namespace

RowSource::RowSource(ReplicaPorts ports, Host host, size_t part_bytes)
    : ports_(ports), host_(std::move(host)), part_bytes_(part_bytes) {
  if (ports_.metrics != nullptr) bytes_ = &ports_.metrics->counter("paxledger_rows_sent_bytes_total");
}

void RowSource::Handle(ReplicaId from, const RowsRequest& request) {
  Name name{from, request.session};
  auto it = sessions_.find(name);
  if (it == sessions_.end()) {
    if (request.part > 0 && request.parts_end == 0) return;  // done, and forgotten already
    if (request.part != 0) return Refuse(name, request.shard, RowsRefusal::kGone);
    if (sessions_.size() >= limits::kRowsSessionsMax) return Refuse(name, request.shard, RowsRefusal::kBusy);
    return Begin(name, request);
  }
  Session& session = it->second;
  if (request.part > 0 && request.parts_end == 0) {
    sessions_.erase(it);
    return;
  }
  session.used_us = ports_.clock->MonotonicMicros();
  if (request.again && session.rows != nullptr) {
    if (!GoBack(session, request)) {
      sessions_.erase(it);
      return Refuse(name, request.shard, RowsRefusal::kGone);
    }
    if (request.part == 0) SendHead(name, session);
  }
  session.parts_end = std::max(session.parts_end, request.parts_end);
  ReadNext(name, session);
}

void RowSource::Refuse(const Name& name, ShardId shard, RowsRefusal refusal) {
  RowsHead head;
  head.shard = shard;
  head.session = name.second;
  head.refusal = refusal;
  ports_.transport->Send(name.first, std::move(head));
  host_.flush_soon();
}

void RowSource::Begin(const Name& name, const RowsRequest& request) {
  Session& session = sessions_[name];
  session.shard = request.shard;
  session.kind = request.kind;
  session.parts_end = request.parts_end;
  session.used_us = ports_.clock->MonotonicMicros();
  ArmExpiry();
  switch (request.kind) {
    case RowsKind::kState: {
      // A fresh checkpoint leaves the shortest tail of entries to apply after it.
      bool begun = host_.checkpoint(request.shard, [this, name] { BeginState(name); });
      if (begun) return;
      sessions_.erase(name);
      return Refuse(name, request.shard, RowsRefusal::kNotHere);
    }
    case RowsKind::kLog:
      return BeginLog(name, request);
  }
}

void RowSource::BeginState(const Name& name) {
  auto it = sessions_.find(name);
  if (it == sessions_.end()) return;
  Session& session = it->second;
  session.rows = ports_.engine->Snapshot();
  absl::StatusOr<Basis> basis = host_.basis(session.shard, *session.rows);
  if (!basis.ok()) {
    ShardId shard = session.shard;
    sessions_.erase(it);
    return Refuse(name, shard, RowsRefusal::kNotHere);
  }
  std::string begin = ShardPrefix(session.shard);
  std::string end = ShardPrefix(ShardId{session.shard.value + 1});
  for (Table table : kMachineTables) session.ranges.push_back({table, begin, end});
  session.at = begin;
  session.head = {session.shard, name.second,    RowsRefusal::kNone, basis->index,
                  basis->value,  basis->members, basis->journal};
  SendHead(name, session);
  ReadNext(name, session);
}

void RowSource::BeginLog(const Name& name, const RowsRequest& request) {
  Session& session = sessions_.at(name);
  LogIndex through = std::min(host_.log_through(request.shard, request.from), request.to);
  if (through < request.from) {
    sessions_.erase(name);
    return Refuse(name, request.shard, RowsRefusal::kNotHere);
  }
  session.rows = ports_.engine->Snapshot();
  session.at = LogKey(request.shard, request.from);
  session.ranges.push_back({Table::kLog, session.at, LogKey(request.shard, Next(through))});
  session.head = {session.shard, name.second, RowsRefusal::kNone, through, nullptr, {}, {}};
  SendHead(name, session);
  ReadNext(name, session);
}

void RowSource::SendHead(const Name& name, const Session& session) {
  ports_.transport->Send(name.first, session.head);
  host_.flush_soon();
}

// A position is a table and a key in it, as `RowsPart::next` gave it.
bool RowSource::GoBack(Session& session, const RowsRequest& request) {
  if (request.position.empty() != (request.part == 0)) return false;
  size_t range = 0;
  std::string at = session.ranges.front().begin;
  if (!request.position.empty()) {
    at = request.position.substr(1);
    while (range < session.ranges.size() &&
           static_cast<char>(session.ranges[range].table) != request.position.front()) {
      ++range;
    }
    if (range == session.ranges.size() || at < session.ranges[range].begin) return false;
  }
  session.range = range;
  session.at = std::move(at);
  session.part = request.part;
  session.reading = false;
  ++session.turn;
  return true;
}

void RowSource::ReadNext(const Name& name, Session& session) {
  bool over = session.range >= session.ranges.size();
  if (session.rows == nullptr || session.reading || over || session.part >= session.parts_end) return;
  session.reading = true;
  const Range& range = session.ranges[session.range];
  session.rows->Read(range.table, session.at, range.end, part_bytes_,
                     [this, name, turn = session.turn](absl::StatusOr<EnginePage> page) {
                       OnPage(name, turn, std::move(page));
                     });
}

std::string RowSource::PositionAfter(Session& session, std::string next) const {
  if (!next.empty()) {
    session.at = std::move(next);
  } else if (++session.range < session.ranges.size()) {
    session.at = session.ranges[session.range].begin;
  } else {
    return {};
  }
  return static_cast<char>(session.ranges[session.range].table) + session.at;
}

void RowSource::OnPage(const Name& name, uint64_t turn, absl::StatusOr<EnginePage> page) {
  auto it = sessions_.find(name);
  if (it == sessions_.end() || it->second.turn != turn) return;
  Session& session = it->second;
  session.reading = false;
  if (!page.ok()) {
    // Damage at the source: somebody else has to help.
    ShardId shard = session.shard;
    sessions_.erase(it);
    return Refuse(name, shard, RowsRefusal::kNotHere);
  }
  RowsPart part;
  part.shard = session.shard;
  part.session = name.second;
  part.part = session.part++;
  part.table = static_cast<uint32_t>(session.ranges[session.range].table);
  part.checksum = Checksum64(page->rows);
  part.next = PositionAfter(session, std::move(page->next));
  if (bytes_ != nullptr) bytes_->Add(page->rows.size());
  part.rows = std::make_shared<const std::string>(std::move(page->rows));
  ports_.transport->Send(name.first, std::move(part));
  host_.flush_soon();
  ReadNext(name, session);
}

void RowSource::ArmExpiry() {
  if (std::exchange(expiry_armed_, true)) return;
  ports_.executor->After(kExpireEvery, [this] { Expire(); });
}

void RowSource::Expire() {
  expiry_armed_ = false;
  int64_t now_us = ports_.clock->MonotonicMicros();
  std::erase_if(sessions_, [now_us](const auto& s) { return now_us - s.second.used_us > kIdleUs; });
  if (!sessions_.empty()) ArmExpiry();
}

}  // namespace paxledger
