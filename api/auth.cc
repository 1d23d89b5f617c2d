#include "api/auth.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {

namespace {

constexpr std::array kScopes = {
    Scope::kLedgersRead,   Scope::kLedgersWrite,   Scope::kAccountsRead, Scope::kAccountsWrite,
    Scope::kTransfersRead, Scope::kTransfersWrite, Scope::kEventsRead,   Scope::kAuditRead,
    Scope::kAuditRun,      Scope::kClusterRead,    Scope::kClusterWrite, Scope::kMetricsRead,
};

uint32_t Bit(Scope scope) { return uint32_t{1} << static_cast<uint32_t>(scope); }

/// Without an early exit, so that the time says nothing of where two digests differ.
bool SameDigest(const Digest& a, const Digest& b) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.bytes.size(); ++i) {
    difference = static_cast<uint8_t>(difference | (a.bytes[i] ^ b.bytes[i]));
  }
  return difference == 0;
}

/// The token of "Bearer <token>"; empty: there is none.
std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kScheme[i]) return {};
  }
  std::string_view token = authorization.substr(kScheme.size());
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  while (!token.empty() && token.back() == ' ') token.remove_suffix(1);
  return token;
}

}  // namespace

std::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kNone:
      return "";
    case Scope::kLedgersRead:
      return "ledgers:read";
    case Scope::kLedgersWrite:
      return "ledgers:write";
    case Scope::kAccountsRead:
      return "accounts:read";
    case Scope::kAccountsWrite:
      return "accounts:write";
    case Scope::kTransfersRead:
      return "transfers:read";
    case Scope::kTransfersWrite:
      return "transfers:write";
    case Scope::kEventsRead:
      return "events:read";
    case Scope::kAuditRead:
      return "audit:read";
    case Scope::kAuditRun:
      return "audit:run";
    case Scope::kClusterRead:
      return "cluster:read";
    case Scope::kClusterWrite:
      return "cluster:write";
    case Scope::kMetricsRead:
      return "metrics:read";
  }
  return "";
}

std::optional<Scope> ScopeFromName(std::string_view name) {
  for (Scope scope : kScopes) {
    if (ScopeName(scope) == name) return scope;
  }
  return std::nullopt;
}

absl::StatusOr<Authenticator> Authenticator::Create(const std::vector<ApiKey>& keys) {
  Authenticator result;
  for (size_t i = 0; i < keys.size(); ++i) {
    const ApiKey& key = keys[i];
    if (key.sha256.none()) {
      return absl::InvalidArgumentError(absl::StrCat("API key '", key.name, "' has no SHA-256 digest"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (keys[j].name == key.name) {
        return absl::InvalidArgumentError(absl::StrCat("API key '", key.name, "' is given twice"));
      }
    }
    Entry entry{key.sha256, 0};
    for (const std::string& name : key.scopes) {
      if (name == "*") {
        for (Scope scope : kScopes) entry.scopes |= Bit(scope);
        continue;
      }
      std::optional<Scope> scope = ScopeFromName(name);
      if (!scope.has_value()) {
        return absl::InvalidArgumentError(
            absl::StrCat("API key '", key.name, "' has an unknown scope '", name, "'"));
      }
      entry.scopes |= Bit(*scope);
    }
    result.entries_.push_back(entry);
  }
  return result;
}

Access Authenticator::Admit(std::string_view authorization, Scope scope) const {
  if (scope == Scope::kNone) return Access::kGranted;
  const std::string_view token = BearerToken(authorization);
  if (token.empty()) return Access::kUnauthenticated;
  const Digest digest = Sha256(token);
  bool known = false;
  uint32_t scopes = 0;
  for (const Entry& entry : entries_) {
    if (!SameDigest(entry.sha256, digest)) continue;
    known = true;
    scopes |= entry.scopes;
  }
  if (!known) return Access::kUnauthenticated;
  return (scopes & Bit(scope)) != 0 ? Access::kGranted : Access::kForbidden;
}

}  // namespace paxledger
