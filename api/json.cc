#include "api/json.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Bytes of the well-formed UTF-8 sequence at the start of `at` (Unicode 15, table 3-7); 0: it is not well
/// formed.
size_t Utf8Sequence(std::string_view at) {
  const auto byte = [&](size_t i) { return i < at.size() ? static_cast<uint8_t>(at[i]) : uint8_t{0}; };
  const auto tail = [&](size_t i) { return byte(i) >= 0x80 && byte(i) <= 0xBF; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
    return byte(1) >= low && byte(1) <= high && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return byte(1) >= low && byte(1) <= high && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void AppendUtf8(std::string* out, uint32_t point) {
  if (point < 0x80) {
    out->push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (point >> 6)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else if (point < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (point >> 12)));
    out->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (point >> 18)));
    out->push_back(static_cast<char>(0x80 | ((point >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (point & 0x3F)));
  }
}

/// Of a byte within a string: true where it stands for itself.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

}  // namespace

/// One pass over the text; fills a document.
class JsonParser {
 public:
  JsonParser(JsonDocument& document, std::string_view text) : document_(document), text_(text) {}

  absl::Status Run() {
    SkipSpace();
    if (!Value(0)) return Error();
    SkipSpace();
    if (at_ != text_.size()) {
      Fail("something follows the JSON text");
      return Error();
    }
    return absl::OkStatus();
  }

 private:
  using Node = JsonDocument::Node;

  absl::Status Error() const {
    return absl::InvalidArgumentError(absl::StrCat(problem_, " (at byte ", at_, ")"));
  }
  bool Fail(const char* problem) {
    problem_ = problem;
    return false;
  }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  void SkipSpace() {
    while (!AtEnd()) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
      ++at_;
    }
  }
  bool Take(char c) {
    if (Peek() != c || AtEnd()) return false;
    ++at_;
    return true;
  }

  bool AddNode(JsonKind kind, uint32_t* index) {
    if (document_.nodes_.size() >= limits::kJsonNodesMax) return Fail("more values than are allowed");
    *index = static_cast<uint32_t>(document_.nodes_.size());
    document_.nodes_.push_back(Node{static_cast<uint32_t>(at_), 0, 0, kind});
    return true;
  }
  void EndNode(uint32_t index) { document_.nodes_[index].end = static_cast<uint32_t>(at_); }

  bool Value(size_t depth) {
    switch (Peek()) {
      case '{':
        return Object(depth + 1);
      case '[':
        return Array(depth + 1);
      case '"':
        return String();
      case 't':
        return Word("true", JsonKind::kTrue);
      case 'f':
        return Word("false", JsonKind::kFalse);
      case 'n':
        return Word("null", JsonKind::kNull);
      default:
        break;
    }
    if (Peek() == '-' || IsDigit(Peek())) return Number();
    return Fail(AtEnd() ? "the text ends where a value should stand" : "no JSON value");
  }

  bool Word(std::string_view word, JsonKind kind) {
    if (text_.substr(at_, word.size()) != word) return Fail("no JSON value");
    uint32_t index = 0;
    if (!AddNode(kind, &index)) return false;
    at_ += word.size();
    EndNode(index);
    return true;
  }

  bool Digits() {
    if (!IsDigit(Peek())) return Fail("a digit is missing");
    while (IsDigit(Peek())) ++at_;
    return true;
  }

  bool Number() {
    uint32_t index = 0;
    if (!AddNode(JsonKind::kNumber, &index)) return false;
    (void)Take('-');
    if (!Take('0') && !Digits()) return false;
    if (IsDigit(Peek())) return Fail("a number begins with a zero");
    if (Take('.') && !Digits()) return false;
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!Digits()) return false;
    }
    EndNode(index);
    return true;
  }

  bool String() {
    uint32_t index = 0;
    if (!AddNode(JsonKind::kString, &index)) return false;
    ++at_;
    const size_t content = at_;
    while (true) {
      while (at_ < text_.size() && kPlain[static_cast<uint8_t>(text_[at_])]) ++at_;
      if (AtEnd()) return Fail("a string has no end");
      const uint8_t c = static_cast<uint8_t>(text_[at_]);
      if (c == '"') break;
      if (c == '\\') return EscapedString(index, content);
      if (c < 0x20) return Fail("a control character within a string");
      const size_t length = Utf8Sequence(text_.substr(at_, 4));
      if (length == 0) return Fail("no valid UTF-8");
      at_ += length;
    }
    ++at_;
    EndNode(index);
    return true;
  }

  /// The rest of a string from its first escape on.
  bool EscapedString(uint32_t index, size_t content) {
    std::string& pool = document_.pool_;
    // A decoded string is shorter than its source: nothing in the pool will ever move.
    if (pool.capacity() < text_.size()) pool.reserve(text_.size());
    const size_t offset = pool.size();
    pool.append(text_.substr(content, at_ - content));
    while (Peek() != '"' || AtEnd()) {
      if (AtEnd()) return Fail("a string has no end");
      const uint8_t c = static_cast<uint8_t>(text_[at_]);
      if (c == '\\') {
        if (!Escape(&pool)) return false;
        continue;
      }
      if (c < 0x20) return Fail("a control character within a string");
      const size_t length = Utf8Sequence(text_.substr(at_, 4));
      if (length == 0) return Fail("no valid UTF-8");
      pool.append(text_.substr(at_, length));
      at_ += length;
    }
    ++at_;
    EndNode(index);
    document_.decoded_.emplace_back(static_cast<uint32_t>(offset),
                                    static_cast<uint32_t>(pool.size() - offset));
    document_.nodes_[index].link = static_cast<uint32_t>(document_.decoded_.size());
    return true;
  }

  bool Hex4(uint32_t* value) {
    *value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = Peek();
      uint32_t digit = 0;
      if (IsDigit(c)) {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        return Fail("\\u needs four hexadecimal digits");
      }
      *value = *value * 16 + digit;
      ++at_;
    }
    return true;
  }

  bool UnicodeEscape(std::string* out) {
    uint32_t point = 0;
    if (!Hex4(&point)) return false;
    if (point >= 0xDC00 && point <= 0xDFFF) return Fail("half of a surrogate pair");
    if (point >= 0xD800 && point <= 0xDBFF) {
      uint32_t low = 0;
      if (!Take('\\') || !Take('u')) return Fail("half of a surrogate pair");
      if (!Hex4(&low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return Fail("half of a surrogate pair");
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(out, point);
    return true;
  }

  bool Escape(std::string* out) {
    ++at_;
    const char c = Peek();
    if (AtEnd()) return Fail("a string has no end");
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out->push_back(c);
        return true;
      case 'b':
        out->push_back('\b');
        return true;
      case 'f':
        out->push_back('\f');
        return true;
      case 'n':
        out->push_back('\n');
        return true;
      case 'r':
        out->push_back('\r');
        return true;
      case 't':
        out->push_back('\t');
        return true;
      case 'u':
        return UnicodeEscape(out);
      default:
        return Fail("an unknown escape");
    }
  }

  bool Array(size_t depth) {
    if (depth > limits::kJsonDepthMax) return Fail("nested more deeply than is allowed");
    uint32_t index = 0;
    if (!AddNode(JsonKind::kArray, &index)) return false;
    ++at_;
    SkipSpace();
    if (!Take(']')) {
      while (true) {
        if (!Value(depth)) return false;
        SkipSpace();
        if (Take(']')) break;
        if (!Take(',')) return Fail("an array needs ',' or ']' here");
        SkipSpace();
      }
    }
    EndContainer(index);
    return true;
  }

  bool Object(size_t depth) {
    if (depth > limits::kJsonDepthMax) return Fail("nested more deeply than is allowed");
    uint32_t index = 0;
    if (!AddNode(JsonKind::kObject, &index)) return false;
    const size_t names = names_.size();
    ++at_;
    SkipSpace();
    if (!Take('}')) {
      while (true) {
        if (Peek() != '"') return Fail("an object needs a member name here");
        const auto name = static_cast<uint32_t>(document_.nodes_.size());
        if (!String()) return false;
        names_.push_back(document_.ValueAt(name).text());
        SkipSpace();
        if (!Take(':')) return Fail("a member needs ':' here");
        SkipSpace();
        if (!Value(depth)) return false;
        SkipSpace();
        if (Take('}')) break;
        if (!Take(',')) return Fail("an object needs ',' or '}' here");
        SkipSpace();
      }
    }
    if (!NamesDiffer(names)) return Fail("an object has two members of one name");
    names_.resize(names);
    EndContainer(index);
    return true;
  }

  void EndContainer(uint32_t index) {
    EndNode(index);
    document_.nodes_[index].link = static_cast<uint32_t>(document_.nodes_.size());
  }

  /// Of the names from `first` on.
  bool NamesDiffer(size_t first) {
    constexpr size_t kPairwiseMax = 16;
    const auto begin = names_.begin() + static_cast<std::ptrdiff_t>(first);
    if (names_.size() - first <= kPairwiseMax) {
      for (auto a = begin; a != names_.end(); ++a) {
        if (std::find(begin, a, *a) != a) return false;
      }
      return true;
    }
    std::sort(begin, names_.end());
    return std::adjacent_find(begin, names_.end()) == names_.end();
  }

  JsonDocument& document_;
  std::string_view text_;
  size_t at_ = 0;
  const char* problem_ = "";
  std::vector<std::string_view> names_;  // of the objects that are open
};

absl::Status JsonDocument::Parse(std::string_view text) {
  text_ = text;
  nodes_.clear();
  pool_.clear();
  decoded_.clear();
  if (text.size() > UINT32_MAX) return absl::InvalidArgumentError("the text is too long");
  return JsonParser(*this, text).Run();
}

JsonValue JsonDocument::ValueAt(uint32_t index) const { return JsonValue(this, index); }

JsonValue JsonDocument::root() const {
  Check(!nodes_.empty(), "a JSON document is read after it was parsed");
  return ValueAt(0);
}

std::string_view JsonValue::text() const {
  const JsonDocument::Node& n = node();
  if (n.kind != JsonKind::kString) return raw();
  if (n.link == 0) return document_->text_.substr(n.begin + 1, n.end - n.begin - 2);
  const auto [offset, length] = document_->decoded_[n.link - 1];
  return std::string_view(document_->pool_).substr(offset, length);
}

void AppendJsonString(std::string* out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out->push_back('"');
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text.substr(done, i - done));
    done = i + 1;
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        out->append("\\u00");
        out->push_back(kHex[c >> 4]);
        out->push_back(kHex[c & 15]);
        break;
    }
  }
  out->append(text.substr(done));
  out->push_back('"');
}

}  // namespace paxledger
