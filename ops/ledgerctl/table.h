#pragma once

#include <string>
#include <utility>
#include <vector>

namespace paxledger {

/// Rows for people: columns as wide as their widest cell, those of numbers alone to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// 1234567 is "1,234,567".
std::string Grouped(uint64_t number);

}  // namespace paxledger
