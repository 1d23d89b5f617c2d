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
#include "replication/log_row.h"

namespace paxledger {
namespace {

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

std::string GapName(ShardId shard) { return absl::StrCat("gap/", shard.value); }

/// The row's bytes with a checksum over them and its name.
std::string Sealed(std::string_view name, std::string row) {
  uint64_t checksum = Checksum64(absl::StrCat(ToAbsl(name), "=", row));
  ByteWriter(&row).U64(checksum);
  return row;
}

}  // namespace

void LogStore::Add(ShardId shard, const RecordWrite& write, EngineBatch& batch) {
  std::string key = LogKey(shard, write.index);
  std::string_view value = write.value == nullptr ? std::string_view() : std::string_view(*write.value);
  std::string row = EncodeLogRow(key, LogRow{write.record, write.chosen, value});
  batch.Add(EngineBatch::Put{Table::kLog, std::move(key), std::move(row)});
  AddChosenThrough(shard, write.chosen_through, batch);
  if (write.members.has_value()) AddConfiguration(shard, *write.members, batch);
}

void LogStore::AddChosenRow(ShardId shard, LogIndex index, std::string_view value, EngineBatch& batch) {
  std::string key = LogKey(shard, index);
  std::string row = EncodeLogRow(key, LogRow{Record{}, true, value});
  batch.Add(EngineBatch::Put{Table::kLog, std::move(key), std::move(row)});
}

void LogStore::AddGap(ShardId shard, const LogGap& gap, EngineBatch& batch) {
  std::string name = GapName(shard);
  if (gap.through >= gap.last) {
    batch.Add(EngineBatch::Delete{Table::kMeta, std::move(name)});
    return;
  }
  std::string row;
  ByteWriter writer(&row);
  writer.U64(gap.through.value);
  writer.Raw(gap.chain.view());
  writer.U64(gap.last.value);
  writer.Raw(gap.chain_after.view());
  std::string sealed = Sealed(name, std::move(row));
  batch.Add(EngineBatch::Put{Table::kMeta, std::move(name), std::move(sealed)});
}

absl::StatusOr<std::optional<LogGap>> LogStore::ReadGap(ShardId shard) const {
  std::string name = GapName(shard);
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kMeta, name);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return std::optional<LogGap>();
  ByteReader reader(**row);
  LogGap gap;
  gap.through = LogIndex{reader.U64()};
  gap.chain = Digest::FromRaw(reader.Raw(32));
  gap.last = LogIndex{reader.U64()};
  gap.chain_after = Digest::FromRaw(reader.Raw(32));
  size_t covered = (*row)->size() - std::min((*row)->size(), reader.remaining());
  reader.U64();
  if (!reader.AtEnd() || Sealed(name, (*row)->substr(0, covered)) != **row) {
    return absl::DataLossError(absl::StrCat("the row '", name, "' of the meta table is damaged"));
  }
  return std::optional<LogGap>(gap);
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
  AddGap(shard, LogGap{}, batch);
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
  absl::StatusOr<LogRow> read = DecodeLogRow(key, row);
  if (!read.ok()) return read.status();
  DecodedRow decoded{read->record, read->chosen, nullptr};
  if (!read->value.empty()) decoded.value = std::make_shared<const std::string>(read->value);
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

absl::StatusOr<LogIndex> LogStore::ReadChosenThrough(ShardId shard) const {
  absl::StatusOr<uint64_t> chosen = ReadNumber(ChosenName(shard));
  if (!chosen.ok()) return chosen.status();
  return LogIndex{*chosen};
}

// The newest chosen entry that can be read, at or below the last one applied: the log goes on from there. What it learns again
// of entries that are applied is stored, and not applied twice.
void LogStore::RecoverTail(ShardId shard, const Known& known, RecoveredLog* log) const {
  LogIndex at = known.replayed;
  while (at > LogIndex{}) {
    if (known.gap.has_value() && known.gap->Contains(at)) {
      at = known.gap->through;
      continue;
    }
    absl::StatusOr<SharedBytes> value = ReadValue(shard, at);
    if (value.ok()) {
      log->chosen = at;
      log->owner = PeekEnvelope(**value).owner;
      log->digest = Sha256(**value);
      return;
    }
    at = LogIndex{at.value - 1};
  }
  log->chosen = LogIndex{};
  log->digest = known.genesis;
}

void LogStore::AddRow(LogIndex index, DecodedRow row, RecoveredLog* log) const {
  bool next = index == Next(log->chosen) && log->above.empty() && log->damaged <= log->chosen;
  if (row.chosen && next && row.value != nullptr) {
    EnvelopeHead head = PeekEnvelope(*row.value);
    log->chosen = index;
    log->owner = head.owner;
    if (std::optional<Configuration> members = Changed(log->members, head.change, index))
      log->members = *members;
    log->digest = Sha256(*row.value);
    return;
  }
  // A chosen row above rows that cannot be read keeps its promise, and its value is learned anew. It may have taken the place
  // of this replica's own vote for that value (rule 7): before it is learned, nothing that it says of this index is a vote.
  if (row.chosen) {
    row.value = nullptr;
    log->damaged = std::max(log->damaged, index);
  }
  log->above.push_back({index, row.record, row.value});
}

absl::Status LogStore::ScanAbove(ShardId shard, RecoveredLog* log) const {
  // A block of damaged rows is left behind by trying one index after the other; more than this is more than a block.
  constexpr uint64_t kBlockRowsMax = 65'536;
  std::string end = LogKey(ShardId{shard.value + 1}, LogIndex{0});
  LogIndex from = Next(log->chosen);
  for (uint64_t skipped = 0; skipped < kBlockRowsMax;) {
    std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kLog, LogKey(shard, from), end);
    for (; rows->valid(); rows->Next()) {
      LogIndex index = IndexOfLogKey(rows->key());
      absl::StatusOr<DecodedRow> row = Decode(rows->key(), rows->value());
      if (row.ok()) {
        AddRow(index, *std::move(row), log);
      } else {
        log->damaged = std::max(log->damaged, index);
      }
      from = Next(index);
      skipped = 0;
    }
    absl::Status status = rows->status();
    if (status.ok()) return status;
    if (!absl::IsDataLoss(status)) return status;
    log->damaged = std::max(log->damaged, from);
    from = Next(from);
    ++skipped;
  }
  return absl::DataLossError(absl::StrCat("log of shard ", shard.value, ": nothing can be read from index ",
                                          from.value - kBlockRowsMax, " on"));
}

absl::StatusOr<RecoveredLog> LogStore::Recover(ShardId shard, Known known) const {
  RecoveredLog log;
  RecoverTail(shard, known, &log);
  if (log.chosen < known.chosen) log.damaged = known.chosen;
  absl::StatusOr<Configuration> members = ReadConfiguration(shard, log.chosen, std::move(known.first));
  if (!members.ok()) return members.status();
  absl::StatusOr<Configuration> newest = ReadConfiguration(shard, known.chosen, *members);
  if (!newest.ok()) return newest.status();
  if (newest->since > log.chosen) {
    // The entries that made it are learned anew, but a snapshot may have left out the configurations between.
    return Damaged(shard, known.chosen, "all entries since the members changed cannot be read");
  }
  log.members = *std::move(members);
  absl::Status scanned = ScanAbove(shard, &log);
  if (!scanned.ok()) return scanned;
  return log;
}

}  // namespace paxledger
