#include "api/tokens.h"

#include "api/fields.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace paxledger {

namespace {

constexpr std::string_view kTokenVersion = "t1";
constexpr uint8_t kCursorVersion = 1;

uint64_t Checksum32(std::string_view bytes) { return Checksum64(bytes) & 0xFFFFFFFF; }

std::optional<std::string> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    std::optional<uint64_t> byte = ParseHex(text.substr(i, 2));
    if (!byte.has_value()) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
  }
  return bytes;
}

}  // namespace

std::string EncodeConsistencyToken(LogTime at) {
  std::string token(kTokenVersion);
  AppendHex(&token, static_cast<uint64_t>(at.value), 16);
  AppendHex(&token, Checksum32(token), 8);
  return token;
}

std::optional<LogTime> DecodeConsistencyToken(std::string_view token) {
  constexpr size_t kSize = 2 + 16 + 8;
  if (token.size() != kSize || !token.starts_with(kTokenVersion)) return std::nullopt;
  std::optional<uint64_t> at = ParseHex(token.substr(2, 16));
  std::optional<uint64_t> sum = ParseHex(token.substr(18, 8));
  if (!at.has_value() || !sum.has_value() || *sum != Checksum32(token.substr(0, 18))) return std::nullopt;
  if (*at > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return LogTime{static_cast<int64_t>(*at)};
}

std::string EncodeCursor(const AccountCursor& cursor) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kCursorVersion);
  out.Bytes(cursor.ledger);
  out.Bytes(cursor.prefix);
  out.Bytes(cursor.after);
  out.U32(static_cast<uint32_t>(Checksum32(bytes)));
  return ToHex(bytes);
}

std::optional<AccountCursor> DecodeCursor(std::string_view text) {
  std::optional<std::string> bytes = FromHex(text);
  if (!bytes.has_value()) return std::nullopt;
  ByteReader in(*bytes);
  if (in.U8() != kCursorVersion) return std::nullopt;
  AccountCursor cursor;
  cursor.ledger = in.Bytes();
  cursor.prefix = in.Bytes();
  cursor.after = in.Bytes();
  const uint32_t sum = in.U32();
  if (!in.AtEnd() || sum != Checksum32(std::string_view(*bytes).substr(0, bytes->size() - 4)))
    return std::nullopt;
  return cursor;
}

std::string IdMaker::Uuid7(int64_t wall_us) {
  const auto ms = static_cast<uint64_t>(wall_us / 1000);
  const uint64_t high = (ms << 16) | 0x7000 | (random_.Next() & 0x0FFF);
  const uint64_t low = (uint64_t{1} << 63) | (random_.Next() >> 2);
  std::string id;
  AppendHex(&id, high >> 32, 8);
  id.push_back('-');
  AppendHex(&id, (high >> 16) & 0xFFFF, 4);
  id.push_back('-');
  AppendHex(&id, high & 0xFFFF, 4);
  id.push_back('-');
  AppendHex(&id, low >> 48, 4);
  id.push_back('-');
  AppendHex(&id, low & 0xFFFF'FFFF'FFFF, 12);
  return id;
}

std::string IdMaker::RequestId() {
  std::string id;
  AppendHex(&id, random_.Next(), 16);
  return id;
}

}  // namespace paxledger
