#include "txn/state_rows.h"

#include <source_location>

#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {

std::string StateRowKey(ShardId shard, StateRow kind, std::string_view rest) {
  std::string key;
  key.reserve(kRowPrefixBytes + rest.size());
  AppendBigEndian32(&key, shard.value);
  key.push_back(static_cast<char>(kind));
  key.append(rest);
  return key;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

void StopOnDamage(const absl::Status& status) {
  CheckFailed(ToStd(status.message()), std::source_location::current());
}

}  // namespace paxledger
