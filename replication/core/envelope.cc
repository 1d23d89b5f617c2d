#include "replication/core/envelope.h"

#include "base/bytes.h"

namespace paxledger {
namespace {
constexpr uint8_t kVersion = 1;
constexpr uint8_t kNoChange = 0;
constexpr uint8_t kReplicaChange = 1;

void WriteChange(ByteWriter& writer, const MembershipChange& change) {
  writer.U8(change.none() ? kNoChange : kReplicaChange);
  if (change.none()) return;
  writer.U64(change.since.value);
  writer.U16(change.remove.value);
  writer.U16(change.add.value);
}

MembershipChange ReadChange(ByteReader& reader) {
  MembershipChange change;
  uint8_t kind = reader.U8();
  if (kind == kNoChange) return change;
  if (kind != kReplicaChange) reader.Fail();
  change.since = LogIndex{reader.U64()};
  change.remove = ReplicaId{reader.U16()};
  change.add = ReplicaId{reader.U16()};
  if (change.none()) reader.Fail();  // one value has one encoding
  return change;
}

}  // namespace

std::string EncodeCommand(MachineId machine, std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + 6);
  ByteWriter writer(&out);
  writer.U8(static_cast<uint8_t>(machine));
  writer.Bytes(bytes);
  return out;
}

std::string EncodeEnvelope(Owner owner, int64_t stamp_us, const std::vector<std::string_view>& commands,
                           const MembershipChange& change) {
  size_t size = 48;
  for (std::string_view command : commands) size += command.size();
  std::string out;
  out.reserve(size);
  ByteWriter writer(&out);
  writer.U8(kVersion);
  writer.U16(owner.replica.value);
  writer.U64(owner.incarnation.value);
  writer.I64(stamp_us);
  WriteChange(writer, change);
  writer.Varint(commands.size());
  for (std::string_view command : commands) writer.Raw(command);
  return out;
}

EnvelopeHead PeekEnvelope(std::string_view value) {
  ByteReader reader(value);
  if (reader.U8() != kVersion) return {};
  EnvelopeHead head;
  head.owner.replica = ReplicaId{reader.U16()};
  head.owner.incarnation = Incarnation{reader.U64()};
  head.stamp_us = reader.I64();
  head.change = ReadChange(reader);
  return reader.ok() ? head : EnvelopeHead{};
}

absl::StatusOr<Envelope> DecodeEnvelope(std::string_view value) {
  ByteReader reader(value);
  if (reader.U8() != kVersion) return absl::InvalidArgumentError("log value of an unknown version");
  Envelope entry;
  entry.owner.replica = ReplicaId{reader.U16()};
  entry.owner.incarnation = Incarnation{reader.U64()};
  entry.stamp_us = reader.I64();
  entry.change = ReadChange(reader);
  uint64_t count = reader.Varint();
  // Each command takes two bytes at least, so a forged count cannot make us reserve more than the value's own size.
  if (!reader.ok() || count > reader.remaining()) return absl::InvalidArgumentError("log value is cut short");
  entry.commands.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    Command command;
    command.machine = static_cast<MachineId>(reader.U8());
    command.bytes = reader.Bytes();
    entry.commands.push_back(command);
  }
  if (!reader.AtEnd()) return absl::InvalidArgumentError("log value is malformed");
  return entry;
}

}  // namespace paxledger
