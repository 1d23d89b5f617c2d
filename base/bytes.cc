#include "base/bytes.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace paxledger {
namespace {

static_assert(std::endian::native == std::endian::little, "the canonical encoding is little-endian");

template <class T>
void AppendLittle(std::string* out, T v) {
  char raw[sizeof(T)];
  std::memcpy(raw, &v, sizeof(T));
  out->append(raw, sizeof(T));
}

template <class T>
T ReadLittle(std::string_view raw) {
  T v;
  std::memcpy(&v, raw.data(), sizeof(T));
  return v;
}

}  // namespace

void ByteWriter::U16(uint16_t v) { AppendLittle(out_, v); }
void ByteWriter::U32(uint32_t v) { AppendLittle(out_, v); }
void ByteWriter::U64(uint64_t v) { AppendLittle(out_, v); }
void ByteWriter::U128(Uint128 v) { AppendLittle(out_, v); }

void ByteWriter::Varint(uint64_t v) {
  while (v >= 0x80) {
    U8(static_cast<uint8_t>(v | 0x80));
    v >>= 7;
  }
  U8(static_cast<uint8_t>(v));
}

void ByteWriter::Bytes(std::string_view v) {
  Varint(v.size());
  Raw(v);
}

std::string_view ByteReader::Raw(size_t n) {
  if (!ok_ || in_.size() < n) {
    ok_ = false;
    return {};
  }
  std::string_view taken = in_.substr(0, n);
  in_.remove_prefix(n);
  return taken;
}

uint8_t ByteReader::U8() {
  std::string_view raw = Raw(1);
  return ok_ ? static_cast<uint8_t>(raw[0]) : uint8_t{0};
}
uint16_t ByteReader::U16() {
  std::string_view raw = Raw(2);
  return ok_ ? ReadLittle<uint16_t>(raw) : uint16_t{0};
}
uint32_t ByteReader::U32() {
  std::string_view raw = Raw(4);
  return ok_ ? ReadLittle<uint32_t>(raw) : 0;
}
uint64_t ByteReader::U64() {
  std::string_view raw = Raw(8);
  return ok_ ? ReadLittle<uint64_t>(raw) : 0;
}
Uint128 ByteReader::U128() {
  std::string_view raw = Raw(16);
  return ok_ ? ReadLittle<Uint128>(raw) : 0;
}

uint64_t ByteReader::Varint() {
  uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint8_t byte = U8();
    if (!ok_) return 0;
    // The tenth byte holds one bit; a last byte of zero would be a second encoding of a shorter number.
    if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0)) break;
    v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return v;
  }
  ok_ = false;
  return 0;
}

std::string_view ByteReader::Bytes() {
  uint64_t n = Varint();
  if (n > in_.size()) ok_ = false;
  return Raw(ok_ ? static_cast<size_t>(n) : 0);
}

void AppendBigEndian32(std::string* out, uint32_t v) { AppendLittle(out, __builtin_bswap32(v)); }
void AppendBigEndian64(std::string* out, uint64_t v) { AppendLittle(out, __builtin_bswap64(v)); }

uint32_t ReadBigEndian32(std::string_view at) {
  Check(at.size() >= 4, "a big-endian key part is whole");
  return __builtin_bswap32(ReadLittle<uint32_t>(at));
}
uint64_t ReadBigEndian64(std::string_view at) {
  Check(at.size() >= 8, "a big-endian key part is whole");
  return __builtin_bswap64(ReadLittle<uint64_t>(at));
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

}  // namespace paxledger
