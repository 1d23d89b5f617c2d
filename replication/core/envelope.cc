#include "replication/core/envelope.h"

#include "base/bytes.h"

namespace paxledger {
namespace {
constexpr uint8_t kVersion = 1;
constexpr uint8_t kNoMembershipChange = 0;
}  // namespace

std::string EncodeCommand(MachineId machine, std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + 6);
  ByteWriter writer(&out);
  writer.U8(static_cast<uint8_t>(machine));
  writer.Bytes(bytes);
  return out;
}

std::string EncodeEnvelope(Owner owner, int64_t stamp_us, const std::vector<std::string_view>& commands) {
  size_t size = 32;
  for (std::string_view command : commands) size += command.size();
  std::string out;
  out.reserve(size);
  ByteWriter writer(&out);
  writer.U8(kVersion);
  writer.U16(owner.replica.value);
  writer.U64(owner.incarnation.value);
  writer.I64(stamp_us);
  writer.U8(kNoMembershipChange);
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
  return reader.ok() ? head : EnvelopeHead{};
}

absl::StatusOr<Envelope> DecodeEnvelope(std::string_view value) {
  ByteReader reader(value);
  if (reader.U8() != kVersion) return absl::InvalidArgumentError("log value of an unknown version");
  Envelope entry;
  entry.owner.replica = ReplicaId{reader.U16()};
  entry.owner.incarnation = Incarnation{reader.U64()};
  entry.stamp_us = reader.I64();
  if (reader.U8() != kNoMembershipChange)
    return absl::InvalidArgumentError("membership change of an unknown kind");
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
