#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace paxledger {

__extension__ using Uint128 = unsigned __int128;

/// Bridges the two string_view types of this toolchain (Debian's Abseil has its own).
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

/// Appends to a string in the canonical encoding: fixed-width integers little-endian, byte strings with a varint length.
/// Format:  docs/formats.md#canonical-encoding
class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}
  void U8(uint8_t v) { out_->push_back(static_cast<char>(v)); }
  void U16(uint16_t v);
  void U32(uint32_t v);
  void U64(uint64_t v);
  void I64(int64_t v) { U64(static_cast<uint64_t>(v)); }
  void U128(Uint128 v);
  void Varint(uint64_t v);
  /// Varint length, then the bytes.
  void Bytes(std::string_view v);
  /// The bytes alone; the reader must know how many.
  void Raw(std::string_view v) { out_->append(v.data(), v.size()); }

 private:
  std::string* out_;
};

/// Reads the canonical encoding. A read past the end, or a varint that is too long, makes `ok()` false for good, and
/// this and all later reads return zeros: so check `ok()` (or `AtEnd()`) once, after the last read.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}
  uint8_t U8();
  uint16_t U16();
  uint32_t U32();
  uint64_t U64();
  int64_t I64() { return static_cast<int64_t>(U64()); }
  Uint128 U128();
  uint64_t Varint();
  /// Points into the input.
  std::string_view Bytes();
  std::string_view Raw(size_t n);
  /// Marks the input as malformed, for a value that a caller finds out of range.
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  /// Everything was read, and nothing failed.
  bool AtEnd() const { return ok_ && in_.empty(); }
  size_t remaining() const { return in_.size(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

/// Big-endian, for keys that must sort by number.
void AppendBigEndian32(std::string* out, uint32_t v);
void AppendBigEndian64(std::string* out, uint64_t v);
uint32_t ReadBigEndian32(std::string_view at);
uint64_t ReadBigEndian64(std::string_view at);

/// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);

}  // namespace paxledger
