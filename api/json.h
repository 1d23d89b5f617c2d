#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace paxledger {

enum class JsonKind : uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

class JsonValue;

/// A JSON text (RFC 8259) that was checked as a whole and can be walked without building a tree. Stricter
/// than most parsers, since money depends on it: a member name may come once in an object, UTF-8 must be
/// valid and without lone surrogates, depth and size are bounded. Numbers stay text, so nothing is rounded,
/// and every value knows its source, so that metadata is kept as the client wrote it.
/// Owns:    an index over the text, used again by the next Parse. Borrows the text.
class JsonDocument {
 public:
  /// Errors: kInvalidArgument  no JSON text, or against the rules above; the message names the place
  [[nodiscard]] absl::Status Parse(std::string_view text);
  /// After a Parse that succeeded.
  JsonValue root() const;

 private:
  friend class JsonValue;
  friend class JsonParser;
  JsonValue ValueAt(uint32_t index) const;
  struct Node {
    uint32_t begin = 0;  // of the source, with quotes
    uint32_t end = 0;
    uint32_t link = 0;  // array, object: the node after the last child; string: 1 + place in `decoded_`, or 0
    JsonKind kind = JsonKind::kNull;
  };
  std::string_view text_;
  std::vector<Node> nodes_;  // in order of the text; an object's children are name, value, name, value...
  std::string pool_;         // strings with escapes, decoded
  std::vector<std::pair<uint32_t, uint32_t>> decoded_;  // offset and length in `pool_`
};

/// A value within a document; as cheap as a pointer, and good as long as the document and its text.
class JsonValue {
 public:
  JsonKind kind() const { return node().kind; }
  bool is_object() const { return kind() == JsonKind::kObject; }
  bool is_array() const { return kind() == JsonKind::kArray; }
  bool is_string() const { return kind() == JsonKind::kString; }
  bool is_number() const { return kind() == JsonKind::kNumber; }
  /// The source, as it was written.
  std::string_view raw() const { return document_->text_.substr(node().begin, node().end - node().begin); }
  /// A string's content; of anything else the source.
  std::string_view text() const;

  class Iterator {
   public:
    Iterator(const JsonDocument* document, uint32_t index) : document_(document), index_(index) {}
    JsonValue operator*() const { return JsonValue(document_, index_); }
    Iterator& operator++() {
      index_ = JsonValue(document_, index_).after();
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const JsonDocument* document_;
    uint32_t index_;
  };
  /// The elements of an array; of an object its names and values in turn; none of anything else.
  Iterator begin() const { return Iterator(document_, index_ + 1); }
  Iterator end() const { return Iterator(document_, after()); }

 private:
  friend class JsonDocument;
  JsonValue(const JsonDocument* document, uint32_t index) : document_(document), index_(index) {}
  const JsonDocument::Node& node() const { return document_->nodes_[index_]; }
  uint32_t after() const {
    const JsonDocument::Node& n = node();
    return n.kind == JsonKind::kArray || n.kind == JsonKind::kObject ? n.link : index_ + 1;
  }

  const JsonDocument* document_;
  uint32_t index_;
};

/// Appends `text` as a JSON string with its quotes. The text must be UTF-8.
void AppendJsonString(std::string* out, std::string_view text);

}  // namespace paxledger
