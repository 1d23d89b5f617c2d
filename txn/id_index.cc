#include "txn/id_index.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/planted.h"
#include "txn/command_view.h"
#include "txn/state_rows.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kIdElement = 3;

void WriteRecord(ByteWriter& out, const IdRecord& record) {
  out.Raw(record.digest.view());
  out.Varint(record.attempt);
  out.Varint(record.body_at.value);
  WriteDecision(out, record.decision);
}

std::string EncodeEntry(const IdEntry& entry) {
  std::string bytes;
  bytes.reserve(64);
  ByteWriter out(&bytes);
  out.Varint(entry.made_by.value);
  out.Varint(entry.records.size());
  for (const IdRecord& record : entry.records) WriteRecord(out, record);
  return bytes;
}

absl::StatusOr<IdEntry> DecodeEntry(std::string_view bytes) {
  ByteReader in(bytes);
  IdEntry entry;
  entry.made_by = LogIndex{in.Varint()};
  uint64_t count = in.Varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    IdRecord& record = entry.records.emplace_back();
    record.digest = Digest::FromRaw(in.Raw(32));
    record.attempt = ReadAttempt(in);
    record.body_at = LogIndex{in.Varint()};
    record.decision = ReadDecision(in);
  }
  if (!in.AtEnd()) return absl::DataLossError("the row of an id is damaged");
  return entry;
}

// The newest version that a reader at checkpoint `base` may see.
absl::StatusOr<std::string> VisibleVersion(std::string_view row, LogIndex base) {
  ByteReader in(row);
  if (in.U8() != kVersion) in.Fail();
  std::string_view current = in.Bytes();
  std::string_view before = in.Bytes();
  if (!in.AtEnd()) return absl::DataLossError("the row of an id is damaged");
  for (std::string_view version : {current, before}) {
    ByteReader head(version);
    uint64_t made_by = head.Varint();
    if (!version.empty() && !head.ok()) return absl::DataLossError("the row of an id is damaged");
    bool of_checkpoint = made_by <= base.value || Bug("txn.rows_of_no_checkpoint");
    if (!version.empty() && of_checkpoint) return std::string(version);
  }
  return std::string();
}

}  // namespace

const IdRecord* IdEntry::Find(const Digest& digest) const {
  for (const IdRecord& record : records) {
    if (record.digest == digest) return &record;
  }
  return nullptr;
}

IdIndex::IdIndex(ShardId shard, Engine& engine, MultisetDigest& digest)
    : shard_(shard), engine_(engine), digest_(digest) {}

std::string IdIndex::RowKey(std::string_view key) const {
  std::string row;
  row.reserve(kRowPrefixBytes + key.size());
  AppendBigEndian32(&row, shard_.value);
  row.push_back(static_cast<char>(TableRow::kId));
  row.append(key);
  return row;
}

absl::Status IdIndex::Recover(LogIndex base) {
  base_ = base;
  if (Bug("txn.filter_not_recovered")) return absl::OkStatus();
  std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kTables, RowKey({}), PrefixEnd(RowKey({})));
  for (; rows->valid() && !filter_.given_up(); rows->Next()) filter_.Add(rows->key().substr(kRowPrefixBytes));
  return rows->status();
}

std::string IdIndex::ReadRow(std::string_view key) {
  if (!filter_.MayContain(key)) return {};
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kTables, RowKey(key));
  if (!row.ok()) StopOnDamage(row.status());
  if (!row->has_value()) return {};
  absl::StatusOr<std::string> version = VisibleVersion(**row, base_);
  if (!version.ok()) StopOnDamage(version.status());
  return *std::move(version);
}

const IdEntry* IdIndex::Find(std::string_view key) {
  auto changed = active_.find(ToAbsl(key));
  if (changed != active_.end()) return &changed->second.entry;
  auto frozen = frozen_.find(ToAbsl(key));
  if (frozen != frozen_.end()) return &frozen->second.entry;
  std::string version = ReadRow(key);
  if (version.empty()) return nullptr;
  absl::StatusOr<IdEntry> entry = DecodeEntry(version);
  if (!entry.ok()) StopOnDamage(entry.status());
  loaded_ = *std::move(entry);
  return &loaded_;
}

Digest IdIndex::ElementOf(std::string_view key, const IdRecord& record) const {
  std::string bytes;
  bytes.reserve(128);
  ByteWriter out(&bytes);
  out.U8(kIdElement);
  out.Bytes(key);
  WriteRecord(out, record);
  return digest_.Element(bytes);
}

void IdIndex::Put(std::string_view key, IdRecord record, LogIndex made_by, RowHint hint) {
  auto found = active_.find(ToAbsl(key));
  if (found == active_.end()) {
    Changed changed;
    auto frozen = frozen_.find(ToAbsl(key));
    if (frozen != frozen_.end()) {
      changed.entry = frozen->second.entry;
      changed.before = EncodeEntry(changed.entry);
    } else if (hint == RowHint::kPossible) {
      changed.before = ReadRow(key);
      if (!changed.before.empty()) {
        absl::StatusOr<IdEntry> entry = DecodeEntry(changed.before);
        if (!entry.ok()) StopOnDamage(entry.status());
        changed.entry = *std::move(entry);
      }
    }
    if (changed.entry.records.empty()) filter_.Add(key);
    found = active_.emplace(std::string(key), std::move(changed)).first;
  }
  IdEntry& entry = found->second.entry;
  entry.made_by = made_by;
  digest_.Add(ElementOf(key, record));
  for (IdRecord& old : entry.records) {
    if (old.digest != record.digest) continue;
    digest_.Remove(ElementOf(key, old));
    old = record;
    return;
  }
  entry.records.push_back(record);
}

std::vector<EngineRow> IdIndex::Freeze() {
  Check(frozen_.empty(), "one checkpoint at a time");
  frozen_ = std::exchange(active_, Changes());
  std::vector<const Changes::value_type*> sorted;
  sorted.reserve(frozen_.size());
  for (const auto& change : frozen_) sorted.push_back(&change);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  std::vector<EngineRow> rows;
  rows.reserve(sorted.size());
  for (const auto* change : sorted) {
    std::string value;
    value.reserve(72 + change->second.before.size());
    ByteWriter out(&value);
    out.U8(kVersion);
    out.Bytes(EncodeEntry(change->second.entry));
    out.Bytes(change->second.before);
    rows.push_back({RowKey(change->first), std::move(value)});
  }
  return rows;
}

void IdIndex::RowsWritten(LogIndex base) {
  Check(base >= base_, "checkpoints go forward");
  base_ = base;
  frozen_ = Changes();
}

}  // namespace paxledger
