#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"

namespace paxledger {

/// What a key may do (api.md, "Resources"). kNone is for routes that ask nobody.
enum class Scope : uint8_t {
  kNone = 0,
  kLedgersRead = 1,
  kLedgersWrite = 2,
  kAccountsRead = 3,
  kAccountsWrite = 4,
  kTransfersRead = 5,
  kTransfersWrite = 6,
  kEventsRead = 7,
  kAuditRead = 8,
  kAuditRun = 9,
  kClusterRead = 10,
  kClusterWrite = 11,
  kMetricsRead = 12,
};

/// "accounts:read"; empty for kNone.
std::string_view ScopeName(Scope scope);
std::optional<Scope> ScopeFromName(std::string_view name);

/// A client that may call. The key itself is kept nowhere.
struct ApiKey {
  std::string name;
  Digest sha256;                    // of the key
  std::vector<std::string> scopes;  // "*" is all
};

enum class Access : uint8_t { kGranted, kUnauthenticated, kForbidden };

/// The keys of one node, fixed when it starts.
/// Threads: any.
class Authenticator {
 public:
  /// Errors: kInvalidArgument  an unknown scope, a key without a digest, a name that comes twice
  static absl::StatusOr<Authenticator> Create(const std::vector<ApiKey>& keys);

  /// `authorization`: the header's value. Takes the same time whichever key it is and wherever it differs.
  Access Admit(std::string_view authorization, Scope scope) const;

 private:
  struct Entry {
    Digest sha256;
    uint32_t scopes = 0;  // one bit per Scope
  };
  std::vector<Entry> entries_;
};

}  // namespace paxledger
