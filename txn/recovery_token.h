#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "txn/command.h"

namespace paxledger {

/// What the Location of a 202 carries, so that a GET past the deadline can recover a try even if no shard
/// ever saw its Prepare (transactions.md rule 18). It is not signed: whoever uses it must trust what the home
/// recorded above it.
/// Format:  docs/formats.md#recovery-token
struct RecoveryToken {
  Try of;
  std::vector<ShardId> participants;
  int64_t deadline_us = 0;  // wall clock
};

/// URL-safe: base64url without padding.
std::string EncodeRecoveryToken(const RecoveryToken& token);
/// What it returns can stand in a command: participants ascend, each once; attempt and deadline are in bounds.
/// kInvalidArgument: not a token of a known version.
absl::StatusOr<RecoveryToken> DecodeRecoveryToken(std::string_view text);

}  // namespace paxledger
