#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace paxledger {

/// The words after a subcommand: `--name value` or `--name=value`, each name at most once.
class CommandLine {
 public:
  /// Errors: kInvalidArgument  a word that is no option, an option not in `known`, one without value or given twice
  static absl::StatusOr<CommandLine> Parse(const std::vector<std::string>& words,
                                           const std::vector<std::string_view>& known);

  /// Errors: kInvalidArgument  it was not given
  absl::StatusOr<std::string> Get(std::string_view name) const;
  std::string GetOr(std::string_view name, std::string_view otherwise) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace paxledger
