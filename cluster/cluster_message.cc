#include "cluster/cluster_message.h"

#include <utility>

#include "absl/status/status.h"
#include "base/bytes.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
enum class Kind : uint8_t { kHave = 1, kAsk = 2, kNews = 3, kPropose = 4, kDone = 5, kHost = 6 };

struct Writer {
  ByteWriter& out;
  void Begin(Kind kind) const { out.U8(static_cast<uint8_t>(kind)); }
  void operator()(const HaveDirectory& have) const {
    Begin(Kind::kHave);
    out.Varint(have.version);
  }
  void operator()(const AskDirectory&) const { Begin(Kind::kAsk); }
  void operator()(const DirectoryNews& news) const {
    Begin(Kind::kNews);
    out.Bytes(EncodeDirectory(news.directory));
  }
  void operator()(const ProposeCommand& propose) const {
    Begin(Kind::kPropose);
    out.U64(propose.ticket);
    out.Bytes(EncodeDirectoryCommand(propose.command));
  }
  void operator()(const CommandDone& done) const {
    Begin(Kind::kDone);
    out.U64(done.ticket);
    out.U8(done.result.has_value() ? static_cast<uint8_t>(done.result->outcome) : 0);
    if (!done.result.has_value()) return;
    out.U16(done.result->number.value);
    out.Varint(done.result->version);
    out.Bytes(EncodeDirectory(done.directory));
  }
  void operator()(const HostShard& host) const {
    Begin(Kind::kHost);
    out.U32(host.shard.value);
    out.Varint(host.version);
  }
};

Directory ReadDirectory(ByteReader& in) {
  absl::StatusOr<Directory> directory = DecodeDirectory(in.Bytes());
  if (directory.ok()) return *std::move(directory);
  in.Fail();
  return {};
}

ProposeCommand ReadPropose(ByteReader& in) {
  ProposeCommand propose{.ticket = in.U64(), .command = {}};
  absl::StatusOr<DirectoryCommand> command = DecodeDirectoryCommand(in.Bytes());
  if (command.ok()) {
    propose.command = *std::move(command);
  } else {
    in.Fail();
  }
  return propose;
}

CommandDone ReadDone(ByteReader& in) {
  CommandDone done{.ticket = in.U64(), .result = {}, .directory = {}};
  uint8_t outcome = in.U8();
  if (outcome == 0) return done;
  if (outcome > static_cast<uint8_t>(DirectoryOutcome::kUnknownShard)) in.Fail();
  DirectoryResult& result = done.result.emplace();
  result.outcome = static_cast<DirectoryOutcome>(outcome);
  result.number = ReplicaId{in.U16()};
  result.version = in.Varint();
  done.directory = ReadDirectory(in);
  return done;
}

}  // namespace

std::string EncodeClusterMessage(const ClusterMessage& message) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kVersion);
  std::visit(Writer{out}, message);
  return bytes;
}

absl::StatusOr<ClusterMessage> DecodeClusterMessage(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.U8() != kVersion) return absl::InvalidArgumentError("not a cluster message of a known version");
  uint8_t kind = in.U8();
  if (kind < 1 || kind > 6) return absl::InvalidArgumentError("not a cluster message of a known kind");
  ClusterMessage message;
  switch (static_cast<Kind>(kind)) {
    case Kind::kHave:
      message = HaveDirectory{in.Varint()};
      break;
    case Kind::kAsk:
      message = AskDirectory{};
      break;
    case Kind::kNews:
      message = DirectoryNews{ReadDirectory(in)};
      break;
    case Kind::kPropose:
      message = ReadPropose(in);
      break;
    case Kind::kDone:
      message = ReadDone(in);
      break;
    case Kind::kHost: {
      ShardId shard{in.U32()};
      message = HostShard{shard, in.Varint()};
      break;
    }
  }
  if (!in.AtEnd()) return absl::InvalidArgumentError("malformed cluster message");
  return message;
}

}  // namespace paxledger
