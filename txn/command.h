#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "ledger/outcome.h"
#include "ledger/transfer.h"

namespace paxledger {

/// `(id, digest, attempt)`: what every vote, Resolve, Finish and reservation carries (transactions.md rule 1).
struct Try {
  LedgerKey key;
  Digest digest;         // SHA-256 of the transaction's canonical encoding
  uint32_t attempt = 1;  // from 1
  friend bool operator==(const Try&, const Try&) = default;
};

/// A decision on a try (transactions.md rule 2). kCommitted and kRefused are final for the id; kConflict touches only this
/// digest; kAborted allows attempt + 1.
enum class DecisionKind : uint8_t { kCommitted = 1, kRefused = 2, kConflict = 3, kAborted = 4 };
struct Decision {
  DecisionKind kind = DecisionKind::kAborted;
  Outcome refusal = Outcome::kCommitted;  // where refused: the rule...
  uint32_t transfer = 0;                  // ...and the transfer that broke it
  LogTime committed_at;                   // where committed: the largest prepare timestamp
  friend bool operator==(const Decision&, const Decision&) = default;
};

/// One participant: the whole transaction in one entry. Its timestamp is the commit timestamp.
struct ExecuteCommand {
  Try of;
  Transaction body;
  LogTime after;  // a Consistency-Token: the entry's timestamp is above it (rule 9); 0: none
};

/// Several participants: this shard's check, reservation and vote.
struct PrepareCommand {
  Try of;
  std::vector<ShardId> participants;
  int64_t deadline_us = 0;  // wall clock; recovery may begin limits::kRecoveryGraceUs later
  Transaction body;
  /// The asset of each transfer where the client left it out, as the gateway read it from the debit account; outside the
  /// digest, since assets never change. Empty: not known, and a shard that holds an account of that transfer votes Blocked.
  std::vector<std::string> assets;
  LogTime after;  // a Consistency-Token: the entry's timestamp is above it (rule 9); 0: none
};

/// Records kResolved where no vote of the try is (rule 18), so that a late Prepare loses. Binds the id at home.
struct ResolveCommand {
  Try of;
  std::vector<ShardId> participants;
};

/// Turns reservations into postings, or releases them.
struct FinishCommand {
  Try of;
  Decision decision;
};

/// Later timestamps in this log are above `at` (rule 11); also how a clock is raised (rule 10).
struct CloseCommand {
  LogTime at;
};

struct OpenAccountCommand {
  LedgerKey key;
  AccountSpec spec;
};

using TxnCommand = std::variant<ExecuteCommand, PrepareCommand, ResolveCommand, FinishCommand, CloseCommand,
                                OpenAccountCommand>;

/// Format:  docs/formats.md#commands
std::string EncodeTxnCommand(const TxnCommand& command);
/// kInvalidArgument: not a command of a known kind and version.
absl::StatusOr<TxnCommand> DecodeTxnCommand(std::string_view bytes);

/// The digest of the body that makes a replay a replay.
Digest TransactionDigest(const Transaction& transaction);

/// A reservation in doubt that stood in the way.
struct Blocker {
  Try of;
  std::vector<ShardId> participants;
  int64_t deadline_us = 0;
};

enum class VoteKind : uint8_t {
  kPrepared = 1,
  kRefused = 2,
  kBlocked = 3,
  kConflict = 4,
  kResolved = 5,
  kSuperseded = 6,  // not recorded: a later attempt was seen (rule 3)
  kFinished = 7,    // not recorded: the id has its outcome; `finished` and `of.attempt` carry it
};

/// What a shard says of a try.
struct Vote {
  VoteKind kind = VoteKind::kBlocked;
  Try of;      // kSuperseded and kFinished: with the attempt that was seen, or that committed
  LogTime at;  // kPrepared: the prepare timestamp
  Outcome refusal = Outcome::kCommitted;  // kRefused
  uint32_t transfer = 0;                  // kRefused
  std::vector<Blocker>
      blockers;       // kBlocked; at most limits::kBlockersNamedMax, may be empty (asset not known)
  Decision finished;  // kFinished
};

struct ShardVote {
  ShardId shard;
  Vote vote;
};

/// Rule 2 over the votes of *all* participants, none of them kSuperseded or kFinished.
Decision Decide(const std::vector<ShardVote>& votes);

}  // namespace paxledger
