#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace paxledger {

/// Text with columns of a CSV file in it: `ext:{bank_to}:{account_to}`. `{row}` is the number of the data
/// row; `{{` is a brace.
class ColumnTemplate {
 public:
  /// Errors: kInvalidArgument  a column that `header` does not name, or a brace that does not close
  [[nodiscard]] static absl::StatusOr<ColumnTemplate> Parse(std::string_view text,
                                                            const std::vector<std::string>& header);

  /// Replaces `out`. `fields` has as many as the header.
  void Render(const std::vector<std::string>& fields, uint64_t row, std::string* out) const;

 private:
  static constexpr size_t kLiteral = SIZE_MAX;
  static constexpr size_t kRow = SIZE_MAX - 1;
  struct Part {
    size_t column = kLiteral;
    std::string literal{};
  };
  std::vector<Part> parts_;
};

}  // namespace paxledger
