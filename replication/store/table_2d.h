#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/store/engine.h"

namespace paxledger {

/// The 2-D table model: cells named by a row (any bytes) and a column (a number, such as a time), in order of both. A cell is
/// written once. It carries the index of the log entry that made it, so that a reader at index i ignores what was made above
/// i: rows may then be written ahead of the checkpoint they belong to, and a replay after a crash does not meet its own.
/// What is put stays in memory until a checkpoint writes it as sorted rows.
/// Owns:    the rows of kTables that begin with its prefix. Borrows the engine.
/// Threads: the node's strand.
/// Format:  docs/formats.md#table-2d
class Table2d {
 public:
  struct Cell {
    uint64_t column = 0;
    LogIndex made_by;
    std::string value;
  };

  Table2d(std::string prefix, Engine& engine) : prefix_(std::move(prefix)), engine_(engine) {}

  void Put(std::string_view row, uint64_t column, LogIndex made_by, std::string_view value);
  /// The first cell of `row` at `column` or after it that an entry up to `as_of` made; nullopt: none.
  /// Errors: kDataLoss  a row is damaged
  absl::StatusOr<std::optional<Cell>> FirstAtOrAfter(std::string_view row, uint64_t column,
                                                     LogIndex as_of) const;

  /// Begins a checkpoint: appends all cells since the last one, sorted by key. They stay in memory until
  /// `RowsWritten`.
  void Freeze(std::vector<EngineRow>* rows);
  void RowsWritten() { frozen_.clear(); }

 private:
  using Cells = std::map<std::string, std::string, std::less<>>;

  std::string RowStart(std::string_view row) const;

  std::string prefix_;
  Engine& engine_;
  Cells active_;
  Cells frozen_;  // of the checkpoint that is being written
};

}  // namespace paxledger
