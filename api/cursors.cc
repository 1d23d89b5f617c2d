#include "api/cursors.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/limits.h"
#include "ledger/encoding.h"
#include "txn/command_view.h"

namespace paxledger {

namespace {

constexpr uint8_t kStatementVersion = 2;
constexpr uint8_t kEventsVersion = 3;
constexpr size_t kSumBytes = 4;

std::string Seal(std::string bytes) {
  ByteWriter(&bytes).U32(static_cast<uint32_t>(Checksum64(bytes)));
  return absl::WebSafeBase64Escape(bytes);
}

/// The bytes that were sealed under `version`; nullopt: this is no such cursor.
std::optional<std::string> Unseal(std::string_view text, uint8_t version) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(ToAbsl(text), &bytes) || bytes.size() <= kSumBytes) return std::nullopt;
  const std::string_view sealed(bytes.data(), bytes.size() - kSumBytes);
  ByteReader sum(std::string_view(bytes).substr(sealed.size()));
  const bool intact = sum.U32() == static_cast<uint32_t>(Checksum64(sealed));
  if (!intact || static_cast<uint8_t>(bytes[0]) != version) return std::nullopt;
  return std::string(sealed.substr(1));
}

/// What a cursor says goes to other nodes, which mind the bounds.
LogTime ReadLogTime(ByteReader& in) {
  const int64_t at = in.I64();
  if (at < 0 || at > kLogTimeMaxUs) in.Fail();
  return LogTime{at};
}

}  // namespace

std::string EncodeStatementCursor(const StatementCursor& cursor) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kStatementVersion);
  out.Bytes(cursor.account.ledger);
  out.Bytes(cursor.account.id);
  out.I64(cursor.from.value);
  out.I64(std::min(cursor.until.value, kLogTimeMaxUs));
  out.U8(static_cast<uint8_t>(cursor.order));
  out.I64(cursor.after.committed_at.value);
  out.Bytes(cursor.after.transaction);
  out.U32(cursor.after.transfer);
  return Seal(std::move(bytes));
}

std::optional<StatementCursor> DecodeStatementCursor(std::string_view text) {
  const std::optional<std::string> bytes = Unseal(text, kStatementVersion);
  if (!bytes.has_value()) return std::nullopt;
  ByteReader in(*bytes);
  StatementCursor cursor;
  cursor.account.ledger = in.Bytes();
  cursor.account.id = in.Bytes();
  cursor.from = ReadLogTime(in);
  cursor.until = ReadLogTime(in);
  const uint8_t order = in.U8();
  if (order > static_cast<uint8_t>(LineOrder::kNewestFirst)) in.Fail();
  cursor.order = static_cast<LineOrder>(order);
  cursor.after.committed_at = ReadLogTime(in);
  cursor.after.transaction = ReadId(in);
  cursor.after.transfer = in.U32();
  if (cursor.after.transfer >= limits::kTransfersPerTransactionMax) in.Fail();
  if (!in.AtEnd()) return std::nullopt;
  return cursor;
}

std::string EncodeEventsCursor(const EventsCursor& cursor) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kEventsVersion);
  out.Bytes(cursor.ledger);
  out.Varint(cursor.positions.size());
  for (const QueuePosition& position : cursor.positions) {
    out.Varint(position.batch.value);
    out.Varint(position.item);
  }
  return Seal(std::move(bytes));
}

std::optional<EventsCursor> DecodeEventsCursor(std::string_view text) {
  const std::optional<std::string> bytes = Unseal(text, kEventsVersion);
  if (!bytes.has_value()) return std::nullopt;
  ByteReader in(*bytes);
  EventsCursor cursor;
  cursor.ledger = in.Bytes();
  const uint64_t count = in.Varint();
  if (count > limits::kShardsMax) return std::nullopt;
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const LogIndex batch{in.Varint()};
    const uint64_t item = in.Varint();
    if (item > UINT32_MAX) in.Fail();
    cursor.positions.push_back({batch, static_cast<uint32_t>(item)});
  }
  if (!in.AtEnd()) return std::nullopt;
  return cursor;
}

}  // namespace paxledger
