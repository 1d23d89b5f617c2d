#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/strong_id.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// Where lists go on. Opaque to clients, of URL-safe characters; a checksum tells a mangled one, and a cursor of one list is none of
/// another. What a cursor says is no secret and gives no right: a made-up one leads to other places of what its key may read.

/// Of a statement; it keeps the filters.
struct StatementCursor {
  LedgerKey account;
  LogTime from;
  LogTime until;
  LineOrder order = LineOrder::kOldestFirst;
  LineKey after;
};
std::string EncodeStatementCursor(const StatementCursor& cursor);
std::optional<StatementCursor> DecodeStatementCursor(std::string_view text);

/// Of the events of a ledger: a position for each shard.
struct EventsCursor {
  std::string ledger;
  std::vector<QueuePosition> positions;
};
std::string EncodeEventsCursor(const EventsCursor& cursor);
std::optional<EventsCursor> DecodeEventsCursor(std::string_view text);

}  // namespace paxledger
