#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace paxledger {

/// One flag of a command line: `--name value`, `--name=value`, or `--name` alone for a switch.
struct Flag {
  std::string_view name;           // without dashes
  std::string_view value;          // what the value is called in the help text; empty: a switch
  std::string_view default_value;  // shown in the help text
  std::string_view help;
};

/// A parsed command line. What is asked of it must have been declared.
class Arguments {
 public:
  /// `--` ends the flags.
  /// Errors: kInvalidArgument  an unknown flag, a flag without its value, a flag given twice
  [[nodiscard]] static absl::StatusOr<Arguments> Parse(std::vector<Flag> known,
                                                       const std::vector<std::string>& words);

  const std::vector<std::string>& positional() const { return positional_; }
  /// Given on the command line.
  bool Given(std::string_view name) const;
  /// As given, or the default.
  const std::string& Get(std::string_view name) const;
  /// A whole number within bounds.
  /// Errors: kInvalidArgument, naming the flag
  [[nodiscard]] absl::StatusOr<uint64_t> GetNumber(std::string_view name, uint64_t low, uint64_t high) const;
  /// "250ms", "30s", "2m", or a number of seconds; above 0.
  /// Errors: kInvalidArgument, naming the flag
  [[nodiscard]] absl::StatusOr<absl::Duration> GetDuration(std::string_view name) const;

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::string, std::less<>> values_;  // of all that take one: given or default
  std::map<std::string, bool, std::less<>> given_;
};

/// One line or two for each flag, in order.
std::string DescribeFlags(const std::vector<Flag>& flags);

}  // namespace paxledger
