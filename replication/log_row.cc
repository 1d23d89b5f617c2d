#include "replication/log_row.h"

#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {
namespace {

constexpr uint8_t kRowVersion = 1;
constexpr uint8_t kChosenFlag = 1;
constexpr size_t kHeadBytes = 2 + 8 + 8 + 32;  // before the checksum

// The checksum covers the key, so that a row read from another's place is noticed.
uint64_t RowChecksum(std::string_view key, std::string_view head, std::string_view value) {
  std::string covered;
  covered.reserve(key.size() + head.size() + 8);
  covered.append(key);
  covered.append(head);
  ByteWriter(&covered).U64(Checksum64(value));
  return Checksum64(covered);
}

}  // namespace

std::string LogKey(ShardId shard, LogIndex index) {
  std::string key;
  key.reserve(kLogKeyBytes);
  AppendBigEndian32(&key, shard.value);
  AppendBigEndian64(&key, index.value);
  return key;
}

LogIndex IndexOfLogKey(std::string_view key) {
  Check(key.size() == kLogKeyBytes, "a key of the log names a shard and an index");
  return LogIndex{ReadBigEndian64(key.substr(4))};
}

std::string EncodeLogRow(std::string_view key, const LogRow& row) {
  std::string bytes;
  bytes.reserve(kHeadBytes + 8 + row.value.size());
  ByteWriter writer(&bytes);
  writer.U8(kRowVersion);
  writer.U8(row.chosen ? kChosenFlag : 0);
  writer.U64(row.record.promised.packed);
  writer.U64(row.record.accepted.packed);
  writer.Raw(row.record.digest.view());
  writer.U64(RowChecksum(key, bytes, row.value));
  writer.Raw(row.value);
  return bytes;
}

absl::StatusOr<LogRow> DecodeLogRow(std::string_view key, std::string_view row) {
  ByteReader reader(row);
  LogRow decoded;
  uint8_t version = reader.U8();
  decoded.chosen = (reader.U8() & kChosenFlag) != 0;
  decoded.record.promised.packed = reader.U64();
  decoded.record.accepted.packed = reader.U64();
  decoded.record.digest = Digest::FromRaw(reader.Raw(32));
  uint64_t checksum = reader.U64();
  if (!reader.ok() || version != kRowVersion) return absl::DataLossError("a row of an unknown form");
  decoded.value = reader.Raw(reader.remaining());
  if (checksum != RowChecksum(key, row.substr(0, kHeadBytes), decoded.value)) {
    return absl::DataLossError("a checksum does not match");
  }
  return decoded;
}

}  // namespace paxledger
