#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/strong_id.h"

namespace paxledger {

/// The time of an answer, as `Consistency-Token` carries it. Opaque to clients; the checksum only tells a
/// mangled one.
std::string EncodeConsistencyToken(LogTime at);
std::optional<LogTime> DecodeConsistencyToken(std::string_view token);

/// Where a list of accounts goes on; it keeps its filter.
struct AccountCursor {
  std::string ledger;
  std::string prefix;
  std::string after;  // the last id that was shown
};
std::string EncodeCursor(const AccountCursor& cursor);
std::optional<AccountCursor> DecodeCursor(std::string_view text);

/// Makes ids that no other server makes: UUIDs of version 7 (RFC 9562).
/// Threads: one owner.
class IdMaker {
 public:
  explicit IdMaker(uint64_t seed) : random_(seed) {}
  std::string Uuid7(int64_t wall_us);
  /// 16 hexadecimal digits, for Request-Id.
  std::string RequestId();

 private:
  Random random_;
};

}  // namespace paxledger
