#include "ops/ledgerctl/table.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace paxledger {
namespace {

/// Columns beside it hold bytes, not characters: all cells are ASCII but for what clients named their
/// accounts.
size_t Width(std::string_view cell) {
  return static_cast<size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool LooksNumeric(std::string_view cell) {
  return !cell.empty() && cell.find_first_not_of("0123456789.,+-%") == std::string_view::npos;
}

}  // namespace

std::string Table::Render() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows_[r].size(); ++c) {
      const std::string& cell = rows_[r][c];
      const std::string gap(widths[c] - Width(cell), ' ');
      const bool right =
          r == 0 ? rows_.size() > 1 && c < rows_[1].size() && LooksNumeric(rows_[1][c]) : LooksNumeric(cell);
      line += right ? gap + cell : cell + gap;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string Grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace paxledger
