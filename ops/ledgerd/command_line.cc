#include "ops/ledgerd/command_line.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {

absl::StatusOr<CommandLine> CommandLine::Parse(const std::vector<std::string>& words,
                                               const std::vector<std::string_view>& known) {
  CommandLine line;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.substr(0, 2) != "--") {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", word, "\""));
    }
    size_t equals = word.find('=');
    std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown option --", name));
    }
    if (equals == std::string::npos && i + 1 == words.size()) {
      return absl::InvalidArgumentError(absl::StrCat("option --", name, " needs a value"));
    }
    std::string value = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    if (!line.values_.emplace(name, std::move(value)).second) {
      return absl::InvalidArgumentError(absl::StrCat("option --", name, " is given twice"));
    }
  }
  return line;
}

absl::StatusOr<std::string> CommandLine::Get(std::string_view name) const {
  auto it = values_.find(name);
  if (it == values_.end()) {
    return absl::InvalidArgumentError(absl::StrCat("option --", ToAbsl(name), " must be given"));
  }
  return it->second;
}

std::string CommandLine::GetOr(std::string_view name, std::string_view otherwise) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::string(otherwise) : it->second;
}

}  // namespace paxledger
