#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "ledger/account.h"

/// The bodies of api.md from the client's side: cheap to write (appended to a string), and their answers
/// read.
namespace paxledger {

struct TransferFields {
  std::string_view id;
  std::string_view debit_account;
  std::string_view credit_account;
  Amount amount = 0;
  std::string_view asset;  // empty: the accounts' own
};
/// Appends a JSON object.
void AppendTransferJson(std::string* out, const TransferFields& transfer);

struct AccountFields {
  std::string_view id;
  std::string_view asset;
  std::string_view limit = "none";  // as api.md spells it
  std::string_view normal_side = "credit";
};
void AppendAccountJson(std::string* out, const AccountFields& account);

/// What became of one item of a batch (api.md, Outcomes).
enum class ItemStatus : uint8_t {
  kPosted,
  kPending,
  kRefused,  // final; `code` says why
  kInvalid,  // malformed, not recorded
  kInDoubt,  // outcome unknown: ask again with the same id
  kAborted,  // nothing happened: may be tried again with the same id
  kOpened,
  kExists,
};
struct ItemResult {
  ItemStatus status = ItemStatus::kInDoubt;
  std::string code{};
  bool replayed = false;
};

/// Reads `{"data":[{"id":..,"status":..},..]}`.
/// Errors: kInvalidArgument  not such a document, or not of `count` items
[[nodiscard]] absl::StatusOr<std::vector<ItemResult>> ParseBatchAnswer(std::string_view body, size_t count);

/// Reads the answer to a single transfer or account: a record, or a problem that is final.
/// Errors: kInvalidArgument   the answer is of neither kind
///         kPermissionDenied  401 or 403
///         kInternal          500 and other statuses that no retry mends
[[nodiscard]] absl::StatusOr<ItemResult> ParseSingleAnswer(int http_status, std::string_view body);

/// "422 insufficient_funds: ..." of a problem document, or the status and the body's beginning.
std::string DescribeProblem(int http_status, std::string_view body);
/// The `code` of a problem document; empty where there is none.
std::string ProblemCode(std::string_view body);

/// Makes transaction ids whose home is the debit account's shard, so that the home is no further participant:
/// a ULID (48 bits of milliseconds, then 80 random ones that count up within the millisecond; 26 characters)
/// as stem.
/// Threads: one owner.
class TransferIds {
 public:
  TransferIds(std::string ledger, uint32_t shards, uint64_t seed)
      : ledger_(std::move(ledger)), shards_(shards), random_(seed) {}
  std::string Make(std::string_view debit_account, int64_t unix_ms);
  /// The stem alone: an id whose home is wherever it hashes to.
  std::string Stem(int64_t unix_ms);

 private:
  std::string ledger_;
  uint32_t shards_;
  Random random_;
  int64_t last_ms_ = 0;
  uint64_t high_ = 0;  // the upper 16 of the 80 bits
  uint64_t low_ = 0;
};

}  // namespace paxledger
