#include "replication/store/table_2d.h"

#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kColumnBytes = 8;

std::string EncodeCell(LogIndex made_by, std::string_view value) {
  std::string bytes;
  bytes.reserve(8 + value.size());
  ByteWriter out(&bytes);
  out.U8(kVersion);
  out.Varint(made_by.value);
  out.Raw(value);
  return bytes;
}

absl::StatusOr<Table2d::Cell> DecodeCell(std::string_view key, std::string_view bytes) {
  ByteReader in(bytes);
  Table2d::Cell cell;
  cell.column = ReadBigEndian64(key.substr(key.size() - kColumnBytes));
  if (in.U8() != kVersion) in.Fail();
  cell.made_by = LogIndex{in.Varint()};
  cell.value = std::string(in.Raw(in.remaining()));
  if (!in.AtEnd()) return absl::DataLossError("a cell of a table is damaged");
  return cell;
}

}  // namespace

// Rows of any bytes, none the beginning of another: a zero byte is followed by 0xff, and two zeros end the row. They sort as
// their bytes do.
std::string Table2d::RowStart(std::string_view row) const {
  std::string key;
  key.reserve(prefix_.size() + row.size() + 4 + kColumnBytes);
  key.append(prefix_);
  for (char byte : row) {
    key.push_back(byte);
    if (byte == '\0') key.push_back('\xff');
  }
  key.append(2, '\0');
  return key;
}

void Table2d::Put(std::string_view row, uint64_t column, LogIndex made_by, std::string_view value) {
  std::string key = RowStart(row);
  AppendBigEndian64(&key, column);
  bool added = active_.emplace(std::move(key), EncodeCell(made_by, value)).second;
  Check(added, "a cell is written once");
}

absl::StatusOr<std::optional<Table2d::Cell>> Table2d::FirstAtOrAfter(std::string_view row, uint64_t column,
                                                                     LogIndex as_of) const {
  std::string begin = RowStart(row);
  std::string end = begin;
  end.back() = '\1';
  AppendBigEndian64(&begin, column);
  std::optional<Cell> first;
  for (const Cells* cells : {&active_, &frozen_}) {
    for (auto at = cells->lower_bound(begin); at != cells->end() && at->first < end; ++at) {
      absl::StatusOr<Cell> cell = DecodeCell(at->first, at->second);
      if (!cell.ok()) return cell.status();
      if (cell->made_by > as_of) continue;
      if (!first.has_value() || cell->column < first->column) first = *std::move(cell);
      break;
    }
  }
  std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kTables, begin, end);
  for (; rows->valid(); rows->Next()) {
    absl::StatusOr<Cell> cell = DecodeCell(rows->key(), rows->value());
    if (!cell.ok()) return cell.status();
    if (first.has_value() && first->column <= cell->column) break;
    if (cell->made_by > as_of) continue;
    return std::optional<Cell>(*std::move(cell));
  }
  if (!rows->status().ok()) return rows->status();
  return first;
}

void Table2d::Freeze(std::vector<EngineRow>* rows) {
  Check(frozen_.empty(), "one checkpoint at a time");
  frozen_.swap(active_);
  for (const auto& [key, value] : frozen_) rows->push_back({key, value});
}

}  // namespace paxledger
