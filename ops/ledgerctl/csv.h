#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace paxledger {

/// Records of a CSV text, as RFC 4180 has them: quoted fields with doubled quotes, delimiters and line ends
/// inside them; LF or CRLF; a byte order mark is skipped, and so are empty lines. Borrows: the text.
class CsvReader {
 public:
  CsvReader(std::string_view text, char delimiter);

  /// False at the end, and where `status()` is not OK any more. The strings of `fields` are reused.
  bool Next(std::vector<std::string>* fields);
  /// kInvalidArgument, with the line: a quote that never closes, or text after one that does.
  const absl::Status& status() const { return status_; }
  /// Of the record read last, from 1.
  size_t line() const { return record_line_; }

 private:
  bool ReadField(std::string* field);
  void ReadQuoted(std::string* field);
  void Fail(std::string_view what);

  std::string_view text_;
  char delimiter_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t record_line_ = 0;
  absl::Status status_;
};

/// Appends `field`, quoted where it must be.
void AppendCsvField(std::string* out, std::string_view field);

/// The whole file.
/// Errors: kNotFound  it cannot be read
[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace paxledger
