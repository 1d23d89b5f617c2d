#include "ops/ledgerctl/csv.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {

CsvReader::CsvReader(std::string_view text, char delimiter) : text_(text), delimiter_(delimiter) {
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
}

bool CsvReader::Next(std::vector<std::string>* fields) {
  while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }
  if (at_ >= text_.size() || !status_.ok()) return false;
  record_line_ = line_;
  size_t count = 0;
  bool more = true;
  while (more) {
    if (count == fields->size()) fields->emplace_back();
    more = ReadField(&(*fields)[count++]);
  }
  fields->resize(count);
  return status_.ok();
}

/// True where another field of the record follows.
bool CsvReader::ReadField(std::string* field) {
  field->clear();
  if (at_ < text_.size() && text_[at_] == '"') {
    ReadQuoted(field);
  } else {
    const char ends[] = {delimiter_, '\n', '\r'};
    size_t end = text_.find_first_of(std::string_view(ends, sizeof(ends)), at_);
    if (end == std::string_view::npos) end = text_.size();
    field->assign(text_, at_, end - at_);
    at_ = end;
  }
  if (at_ >= text_.size() || !status_.ok()) return false;
  const char c = text_[at_];
  if (c != delimiter_ && c != '\n' && c != '\r') {
    Fail("text follows a closing quote");
    return false;
  }
  ++at_;
  if (c == delimiter_) return true;
  if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
  return false;
}

void CsvReader::ReadQuoted(std::string* field) {
  ++at_;
  while (true) {
    const size_t quote = text_.find('"', at_);
    if (quote == std::string_view::npos) {
      Fail("a quote never closes");
      at_ = text_.size();
      return;
    }
    for (size_t i = at_; i < quote; ++i) {
      if (text_[i] == '\n') ++line_;
    }
    field->append(text_, at_, quote - at_);
    at_ = quote + 1;
    if (at_ >= text_.size() || text_[at_] != '"') return;
    field->push_back('"');
    ++at_;
  }
}

void CsvReader::Fail(std::string_view what) {
  status_ = absl::InvalidArgumentError(absl::StrCat("line ", record_line_, ": ", ToAbsl(what)));
}

void AppendCsvField(std::string* out, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    out->append(field);
    return;
  }
  out->push_back('"');
  for (const char c : field) {
    if (c == '"') out->push_back('"');
    out->push_back(c);
  }
  out->push_back('"');
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read '", path, "': ", std::strerror(errno)));
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  return text;
}

}  // namespace paxledger
