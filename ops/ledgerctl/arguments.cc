#include "ops/ledgerctl/arguments.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {

absl::StatusOr<Arguments> Arguments::Parse(std::vector<Flag> known, const std::vector<std::string>& words) {
  Arguments out;
  for (const Flag& flag : known) {
    out.values_[std::string(flag.name)] = std::string(flag.default_value);
    out.given_[std::string(flag.name)] = false;
  }
  bool flags_ended = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (flags_ended || word.size() < 3 || word.substr(0, 2) != "--") {
      if (word == "--") {
        flags_ended = true;
      } else {
        out.positional_.push_back(word);
      }
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto flag = std::find_if(known.begin(), known.end(), [&](const Flag& f) { return f.name == name; });
    if (flag == known.end()) return absl::InvalidArgumentError(absl::StrCat("unknown flag --", name));
    if (out.given_[name]) return absl::InvalidArgumentError(absl::StrCat("--", name, " is given twice"));
    out.given_[name] = true;
    if (flag->value.empty()) {
      if (equals != std::string::npos) {
        return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
      }
    } else if (equals != std::string::npos) {
      out.values_[name] = word.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      out.values_[name] = words[++i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
    }
  }
  return out;
}

bool Arguments::Given(std::string_view name) const {
  const auto found = given_.find(name);
  Check(found != given_.end(), "a flag is declared before it is asked for");
  return found->second;
}

const std::string& Arguments::Get(std::string_view name) const {
  const auto found = values_.find(name);
  Check(found != values_.end(), "a flag is declared before it is asked for");
  return found->second;
}

absl::StatusOr<uint64_t> Arguments::GetNumber(std::string_view name, uint64_t low, uint64_t high) const {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(Get(name), &number) || number < low || number > high) {
    return absl::InvalidArgumentError(absl::StrCat("--", ToAbsl(name), " must be a whole number from ", low,
                                                   " to ", high, ", not '", Get(name), "'"));
  }
  return number;
}

absl::StatusOr<absl::Duration> Arguments::GetDuration(std::string_view name) const {
  const std::string& text = Get(name);
  absl::Duration duration;
  double seconds = 0;
  if (!absl::ParseDuration(text, &duration)) {
    duration = absl::SimpleAtod(text, &seconds) ? absl::Seconds(seconds) : absl::ZeroDuration();
  }
  if (duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", ToAbsl(name), " must be a duration such as 250ms or 30s, not '", text, "'"));
  }
  return duration;
}

std::string DescribeFlags(const std::vector<Flag>& flags) {
  constexpr size_t kHelpColumn = 34;
  std::string out;
  for (const Flag& flag : flags) {
    std::string line = absl::StrCat("  --", ToAbsl(flag.name));
    if (!flag.value.empty()) absl::StrAppend(&line, " ", ToAbsl(flag.value));
    if (line.size() + 2 > kHelpColumn) {
      absl::StrAppend(&out, line, "\n", std::string(kHelpColumn, ' '));
    } else {
      absl::StrAppend(&out, line, std::string(kHelpColumn - line.size(), ' '));
    }
    absl::StrAppend(&out, ToAbsl(flag.help));
    if (!flag.default_value.empty()) absl::StrAppend(&out, " [", ToAbsl(flag.default_value), "]");
    out += '\n';
  }
  return out;
}

}  // namespace paxledger
