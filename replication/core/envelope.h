#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/core/ballot.h"
#include "replication/core/configuration.h"

namespace paxledger {

/// Names the state machine that a command is for.
enum class MachineId : uint8_t { kNoop = 0, kTxn = 1, kCluster = 2 };

/// When a command must leave.
enum class Urgency : uint8_t {
  kNow = 0,   // propose as soon as the index in flight is decided
  kLazy = 1,  // may wait some milliseconds for something urgent to share an entry with
};

/// One command of a log value, as a layer above encoded it.
struct Command {
  MachineId machine = MachineId::kTxn;
  std::string_view bytes;
};

/// The value of a log entry, decoded. Points into the bytes it was decoded from.
/// Format:  docs/formats.md#envelope
struct Envelope {
  Owner owner;              // may use ballot (0, owner) at the next index (consensus.md rules 1 and 5)
  int64_t stamp_us = 0;     // the proposer's reading of time (transactions.md rule 9)
  MembershipChange change;  // rules the indexes after this one (consensus.md rule 16)
  std::vector<Command> commands;
};

/// Encodes one command as it stands inside an envelope; what `ForwardedCommands` carries.
std::string EncodeCommand(MachineId machine, std::string_view bytes);

/// Puts encoded commands behind a head that names `owner` and `stamp_us`.
std::string EncodeEnvelope(Owner owner, int64_t stamp_us, const std::vector<std::string_view>& commands,
                           const MembershipChange& change = {});

/// The head alone, without the commands; zeros where the value is malformed.
struct EnvelopeHead {
  Owner owner;
  int64_t stamp_us = 0;
  MembershipChange change;
};
EnvelopeHead PeekEnvelope(std::string_view value);

/// kInvalidArgument: not an envelope of a known version.
absl::StatusOr<Envelope> DecodeEnvelope(std::string_view value);

}  // namespace paxledger
