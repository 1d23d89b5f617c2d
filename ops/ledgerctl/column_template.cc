#include "ops/ledgerctl/column_template.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/bytes.h"

namespace paxledger {

absl::StatusOr<ColumnTemplate> ColumnTemplate::Parse(std::string_view text,
                                                     const std::vector<std::string>& header) {
  ColumnTemplate out;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) out.parts_.push_back(Part{kLiteral, std::move(literal)});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal.push_back(c);
      ++i;
    } else if (c == '{') {
      const size_t close = text.find('}', i);
      if (close == std::string_view::npos) {
        return absl::InvalidArgumentError(
            absl::StrCat("template '", ToAbsl(text), "': a brace does not close"));
      }
      const std::string_view name = text.substr(i + 1, close - i - 1);
      const auto column = std::find(header.begin(), header.end(), name);
      if (name != "row" && column == header.end()) {
        return absl::InvalidArgumentError(absl::StrCat("template '", ToAbsl(text), "': no column '",
                                                       ToAbsl(name),
                                                       "'; there are: ", absl::StrJoin(header, ", ")));
      }
      flush();
      out.parts_.push_back(Part{name == "row" ? kRow : static_cast<size_t>(column - header.begin())});
      i = close;
    } else {
      literal.push_back(c);
    }
  }
  flush();
  return out;
}

void ColumnTemplate::Render(const std::vector<std::string>& fields, uint64_t row, std::string* out) const {
  out->clear();
  for (const Part& part : parts_) {
    if (part.column == kLiteral) {
      out->append(part.literal);
    } else if (part.column == kRow) {
      absl::StrAppend(out, row);
    } else {
      out->append(fields[part.column]);
    }
  }
}

}  // namespace paxledger
