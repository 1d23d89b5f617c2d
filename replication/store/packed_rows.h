#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace paxledger {

/// Rows one after another, in order of key: what is read, sent and ingested in bulk is not taken apart on its way.
/// Format:  docs/formats.md#packed-rows
inline void AppendPackedRow(std::string* out, std::string_view key, std::string_view value) {
  ByteWriter writer(out);
  writer.Bytes(key);
  writer.Bytes(value);
}

/// Reads packed rows one by one; they point into `packed`.
class PackedRowReader {
 public:
  explicit PackedRowReader(std::string_view packed) : reader_(packed) {}
  /// False at the end, or where the bytes are malformed.
  bool Next() {
    if (reader_.remaining() == 0) return false;
    key_ = reader_.Bytes();
    value_ = reader_.Bytes();
    return reader_.ok();
  }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  /// Everything that was read so far is well formed; true after the last row: so was all of it.
  bool ok() const { return reader_.ok(); }

 private:
  ByteReader reader_;
  std::string_view key_;
  std::string_view value_;
};

}  // namespace paxledger
