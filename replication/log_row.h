#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/core/message.h"

namespace paxledger {

/// The key of an entry's row in Table::kLog.
std::string LogKey(ShardId shard, LogIndex index);
inline constexpr size_t kLogKeyBytes = 12;
/// The index in such a key.
LogIndex IndexOfLogKey(std::string_view key);

/// A row of the log, decoded. Points into the row.
/// Format:  docs/formats.md#log-rows
struct LogRow {
  Record record;
  bool chosen = false;
  std::string_view value;  // empty: none
};

std::string EncodeLogRow(std::string_view key, const LogRow& row);
/// Errors: kDataLoss  a checksum does not match, or the row was read from another's place
absl::StatusOr<LogRow> DecodeLogRow(std::string_view key, std::string_view row);

}  // namespace paxledger
