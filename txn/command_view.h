#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "ledger/encoding.h"
#include "txn/command.h"

namespace paxledger {

/// Recorded in the log: never reuse a number.
enum class CommandKind : uint8_t {
  kExecute = 1,
  kPrepare = 2,
  kResolve = 3,
  kFinish = 4,
  kClose = 5,
  kOpenAccount = 6,
};

/// A decoded command that points into its bytes. One object is decoded into again and again and keeps its
/// room, so that applying an entry allocates little. Fields that the kind does not have hold nothing of use.
struct CommandView {
  CommandKind kind = CommandKind::kClose;
  uint32_t position = 0;    // among the commands of its entry; set by whoever decodes
  std::string_view ledger;  // kExecute to kFinish: of the try; kOpenAccount: of the account
  std::string_view id;
  Digest digest;
  uint32_t attempt = 1;
  std::vector<ShardId> participants;     // kPrepare, kResolve; ascending
  int64_t deadline_us = 0;               // kPrepare
  TransactionView body;                  // kExecute, kPrepare
  std::vector<std::string_view> assets;  // kPrepare; none, or one per transfer
  Decision decision;                     // kFinish
  AccountSpec spec;                      // kOpenAccount
  /// The least timestamp of the command's entry (transactions.md rules 9 and 11); 0: none.
  int64_t not_before_us = 0;

  /// False: not a command of a known kind and version. Every bound is checked.
  [[nodiscard]] bool Decode(std::string_view bytes);
};

/// The largest time that a log accepts, in the year 9999: from here the clock of a shard cannot run over.
inline constexpr int64_t kLogTimeMaxUs = 253'402'300'799'000'000;

/// Parts that rows of a shard's state are made of as well.
/// Format:  docs/formats.md#commands
void WriteParticipants(ByteWriter& out, const std::vector<ShardId>& participants);
void ReadParticipants(ByteReader& in, std::vector<ShardId>* participants);
void WriteDecision(ByteWriter& out, const Decision& decision);
Decision ReadDecision(ByteReader& in);
uint32_t ReadAttempt(ByteReader& in);
int64_t ReadTime(ByteReader& in);

}  // namespace paxledger
