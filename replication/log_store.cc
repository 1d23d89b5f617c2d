#include "replication/log_store.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {
namespace {

constexpr uint8_t kRowVersion = 1;
constexpr uint8_t kChosenFlag = 1;

std::string LogKey(ShardId shard, LogIndex index) {
  std::string key;
  AppendBigEndian32(&key, shard.value);
  AppendBigEndian64(&key, index.value);
  return key;
}

// Zero-padded, so that the rows of a shard stand in order of `since`.
std::string MembersName(ShardId shard, LogIndex since) {
  return absl::StrFormat("members/%d/%020d", shard.value, since.value);
}
std::string MembersEnd(ShardId shard) {
  return absl::StrFormat("members/%d0", shard.value);
}  // '0' follows '/'

constexpr char kLineageName[] = "lineage";

std::string ChosenName(ShardId shard) { return absl::StrCat("chosen/", shard.value); }

absl::Status Damaged(ShardId shard, LogIndex index, absl::string_view how) {
  return absl::DataLossError(absl::StrCat("log of shard ", shard.value, ", index ", index.value, ": ", how));
}

// The checksum covers the key, so that a row read from another's place is noticed.
uint64_t RowChecksum(std::string_view key, std::string_view head, std::string_view value) {
  std::string covered;
  covered.reserve(key.size() + head.size() + 8);
  covered.append(key);
  covered.append(head);
  ByteWriter(&covered).U64(Checksum64(value));
  return Checksum64(covered);
}

}  // namespace

void LogStore::Add(ShardId shard, const RecordWrite& write, EngineBatch& batch) {
  std::string key = LogKey(shard, write.index);
  std::string_view value = write.value == nullptr ? std::string_view() : std::string_view(*write.value);
  std::string row;
  row.reserve(64 + value.size());
  ByteWriter writer(&row);
  writer.U8(kRowVersion);
  writer.U8(write.chosen ? kChosenFlag : 0);
  writer.U64(write.record.promised.packed);
  writer.U64(write.record.accepted.packed);
  writer.Raw(write.record.digest.view());
  writer.U64(RowChecksum(key, row, value));
  writer.Raw(value);
  batch.Add(EngineBatch::Put{Table::kLog, std::move(key), std::move(row)});
  AddChosenThrough(shard, write.chosen_through, batch);
  if (write.members.has_value()) AddConfiguration(shard, *write.members, batch);
}

void LogStore::AddChosenThrough(ShardId shard, LogIndex chosen, EngineBatch& batch) {
  AddNumber(ChosenName(shard), chosen.value, batch);
}

void LogStore::AddConfiguration(ShardId shard, const Configuration& members, EngineBatch& batch) {
  std::string name = MembersName(shard, members.since);
  std::string row;
  ByteWriter writer(&row);
  writer.Varint(members.members.size());
  for (ReplicaId member : members.members) writer.U16(member.value);
  writer.U64(Checksum64(absl::StrCat(name, "=", row)));
  batch.Add(EngineBatch::Put{Table::kMeta, std::move(name), std::move(row)});
}

void LogStore::AddRemoval(ShardId shard, EngineBatch& batch) {
  batch.Add(EngineBatch::DeleteRange{Table::kLog, LogKey(shard, LogIndex{0}),
                                     LogKey(ShardId{shard.value + 1}, LogIndex{0})});
  std::string begin, end;  // of the rows of its machine
  AppendBigEndian32(&begin, shard.value);
  AppendBigEndian32(&end, shard.value + 1);
  for (Table table : {Table::kState, Table::kQueues, Table::kTables}) {
    batch.Add(EngineBatch::DeleteRange{table, begin, end});
  }
  batch.Add(EngineBatch::DeleteRange{Table::kMeta, MembersName(shard, LogIndex{0}), MembersEnd(shard)});
  AddChosenThrough(shard, LogIndex{0}, batch);
}

void LogStore::AddNumber(std::string_view name, uint64_t number, EngineBatch& batch) {
  std::string row;
  ByteWriter writer(&row);
  writer.U64(number);
  writer.U64(Checksum64(absl::StrCat(ToAbsl(name), "=", number)));
  batch.Add(EngineBatch::Put{Table::kMeta, std::string(name), std::move(row)});
}

absl::StatusOr<uint64_t> LogStore::ReadNumber(std::string_view name) const {
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kMeta, name);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return uint64_t{0};
  ByteReader reader(**row);
  uint64_t number = reader.U64();
  uint64_t checksum = reader.U64();
  if (!reader.AtEnd() || checksum != Checksum64(absl::StrCat(ToAbsl(name), "=", number))) {
    return absl::DataLossError(absl::StrCat("the row '", ToAbsl(name), "' of the meta table is damaged"));
  }
  return number;
}

void LogStore::AddLineage(const std::vector<Incarnation>& processes, EngineBatch& batch) {
  std::string row;
  ByteWriter writer(&row);
  writer.Varint(processes.size());
  for (Incarnation process : processes) writer.U64(process.value);
  writer.U64(Checksum64(absl::StrCat(kLineageName, "=", row)));
  batch.Add(EngineBatch::Put{Table::kMeta, kLineageName, std::move(row)});
}

absl::StatusOr<std::vector<Incarnation>> LogStore::ReadLineage() const {
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kMeta, kLineageName);
  if (!row.ok()) return row.status();
  std::vector<Incarnation> processes;
  if (!row->has_value()) return processes;
  ByteReader reader(**row);
  uint64_t count = reader.Varint();
  while (processes.size() < count && reader.ok()) processes.push_back(Incarnation{reader.U64()});
  size_t body_bytes = (*row)->size() - std::min((*row)->size(), sizeof(uint64_t));
  uint64_t checksum = reader.U64();
  std::string covered = absl::StrCat(kLineageName, "=", (*row)->substr(0, body_bytes));
  if (!reader.AtEnd() || checksum != Checksum64(covered)) {
    return absl::DataLossError("the row 'lineage' of the meta table is damaged");
  }
  return processes;
}

absl::StatusOr<LogStore::DecodedRow> LogStore::Decode(std::string_view key, std::string_view row) {
  constexpr size_t kHeadBytes = 2 + 8 + 8 + 32;
  ByteReader reader(row);
  DecodedRow decoded;
  uint8_t version = reader.U8();
  decoded.chosen = (reader.U8() & kChosenFlag) != 0;
  decoded.record.promised.packed = reader.U64();
  decoded.record.accepted.packed = reader.U64();
  decoded.record.digest = Digest::FromRaw(reader.Raw(32));
  uint64_t checksum = reader.U64();
  if (!reader.ok() || version != kRowVersion) return absl::DataLossError("a row of an unknown form");
  std::string_view value = reader.Raw(reader.remaining());
  if (checksum != RowChecksum(key, row.substr(0, kHeadBytes), value)) {
    return absl::DataLossError("a checksum does not match");
  }
  if (!value.empty()) decoded.value = std::make_shared<const std::string>(value);
  return decoded;
}

absl::StatusOr<SharedBytes> LogStore::ReadValue(ShardId shard, LogIndex index) const {
  std::string key = LogKey(shard, index);
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kLog, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::NotFoundError(absl::StrCat("no entry at index ", index.value));
  absl::StatusOr<DecodedRow> decoded = Decode(key, **row);
  if (!decoded.ok()) return Damaged(shard, index, decoded.status().message());
  if (decoded->value == nullptr) return absl::NotFoundError(absl::StrCat("no value at index ", index.value));
  return decoded->value;
}

absl::StatusOr<Configuration> LogStore::ReadConfiguration(ShardId shard, LogIndex chosen,
                                                          Configuration first) const {
  Configuration newest = std::move(first);
  std::unique_ptr<EngineCursor> rows =
      engine_.Scan(Table::kMeta, MembersName(shard, LogIndex{0}), MembersName(shard, Next(chosen)));
  for (; rows->valid(); rows->Next()) {
    std::string_view name = rows->key();
    ByteReader reader(rows->value());
    Configuration read;
    uint64_t count = reader.Varint();
    for (uint64_t i = 0; i < count && reader.ok(); ++i) read.members.push_back(ReplicaId{reader.U16()});
    std::string_view covered = rows->value().substr(0, rows->value().size() - reader.remaining());
    uint64_t checksum = reader.U64();
    if (!reader.AtEnd() || checksum != Checksum64(absl::StrCat(ToAbsl(name), "=", ToAbsl(covered))) ||
        !absl::SimpleAtoi(ToAbsl(name.substr(name.rfind('/') + 1)), &read.since.value)) {
      return absl::DataLossError(absl::StrCat("the row '", ToAbsl(name), "' of the meta table is damaged"));
    }
    newest = std::move(read);
  }
  if (!rows->status().ok()) return rows->status();
  return newest;
}

absl::Status LogStore::RecoverChosenTail(ShardId shard, LogIndex known, const Digest& genesis,
                                         RecoveredLog* log) const {
  log->chosen = known;
  log->digest = genesis;
  if (known == LogIndex{0}) return absl::OkStatus();
  absl::StatusOr<SharedBytes> value = ReadValue(shard, known);
  if (!value.ok())
    return Damaged(shard, known, absl::StrCat("a chosen entry cannot be read: ", value.status().message()));
  log->owner = PeekEnvelope(**value).owner;
  log->digest = Sha256(**value);
  return absl::OkStatus();
}

absl::StatusOr<RecoveredLog> LogStore::Recover(ShardId shard, LogIndex applied, const Digest& genesis,
                                               Configuration first) const {
  absl::StatusOr<uint64_t> known = ReadNumber(ChosenName(shard));
  if (!known.ok()) return known.status();
  RecoveredLog log;
  LogIndex chosen = std::max(LogIndex{*known}, applied);
  absl::Status tail = RecoverChosenTail(shard, chosen, genesis, &log);
  if (!tail.ok()) return tail;
  absl::StatusOr<Configuration> members = ReadConfiguration(shard, chosen, std::move(first));
  if (!members.ok()) return members.status();
  log.members = *std::move(members);
  std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kLog, LogKey(shard, Next(log.chosen)),
                                                    LogKey(ShardId{shard.value + 1}, LogIndex{0}));
  for (; rows->valid(); rows->Next()) {
    LogIndex index{ReadBigEndian64(rows->key().substr(4))};
    absl::StatusOr<DecodedRow> row = Decode(rows->key(), rows->value());
    if (!row.ok()) return Damaged(shard, index, row.status().message());
    if (row->chosen && index == Next(log.chosen) && log.above.empty() && row->value != nullptr) {
      EnvelopeHead head = PeekEnvelope(*row->value);
      log.chosen = index;
      log.owner = head.owner;
      if (std::optional<Configuration> next = Changed(log.members, head.change, index)) log.members = *next;
      log.digest = Sha256(*row->value);
      continue;
    }
    // A chosen row above a gap keeps its promise; its value is learned anew.
    if (row->chosen) row->value = nullptr;
    log.above.push_back({index, row->record, row->value});
  }
  if (!rows->status().ok()) return rows->status();
  return log;
}

}  // namespace paxledger
