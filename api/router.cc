#include "api/router.h"

#include <array>
#include <optional>

#include "api/fields.h"

namespace paxledger {

namespace {

constexpr std::array kRoutes = {
    RouteSpec{RouteId::kPostTransfer,
              "POST",
              "/v1/ledgers/{ledger}/transfers",
              Scope::kTransfersWrite,
              {"dry_run"}},
    RouteSpec{RouteId::kPostTransfers,
              "POST",
              "/v1/ledgers/{ledger}/transfers/batch",
              Scope::kTransfersWrite,
              {"dry_run"}},
    RouteSpec{RouteId::kReadAccount,
              "GET",
              "/v1/ledgers/{ledger}/accounts/{id}",
              Scope::kAccountsRead,
              {"consistency"}},
    RouteSpec{RouteId::kReadBalance,
              "GET",
              "/v1/ledgers/{ledger}/accounts/{id}/balance",
              Scope::kAccountsRead,
              {"consistency", "at"}},
    RouteSpec{RouteId::kListPostings,
              "GET",
              "/v1/ledgers/{ledger}/accounts/{id}/postings",
              Scope::kAccountsRead,
              {"from", "until", "order", "limit", "cursor", "consistency"}},
    RouteSpec{RouteId::kListEvents,
              "GET",
              "/v1/ledgers/{ledger}/events",
              Scope::kEventsRead,
              {"cursor", "start", "limit", "wait"}},
    RouteSpec{RouteId::kReadTransfer,
              "GET",
              "/v1/ledgers/{ledger}/transfers/{id}",
              Scope::kTransfersRead,
              {"recovery"}},
    RouteSpec{RouteId::kReadTransaction,
              "GET",
              "/v1/ledgers/{ledger}/transactions/{id}",
              Scope::kTransfersRead,
              {"recovery"}},
    RouteSpec{RouteId::kOpenAccounts,
              "POST",
              "/v1/ledgers/{ledger}/accounts/batch",
              Scope::kAccountsWrite,
              {"dry_run"}},
    RouteSpec{
        RouteId::kOpenAccount, "POST", "/v1/ledgers/{ledger}/accounts", Scope::kAccountsWrite, {"dry_run"}},
    RouteSpec{RouteId::kListAccounts,
              "GET",
              "/v1/ledgers/{ledger}/accounts",
              Scope::kAccountsRead,
              {"prefix", "limit", "cursor", "consistency"}},
    RouteSpec{RouteId::kListLedgers, "GET", "/v1/ledgers", Scope::kLedgersRead, {}},
    RouteSpec{RouteId::kReadLedger, "GET", "/v1/ledgers/{ledger}", Scope::kLedgersRead, {}},
    RouteSpec{RouteId::kAuditStatus, "GET", "/v1/audit/status", Scope::kAuditRead, {"indexes"}},
    RouteSpec{RouteId::kCluster, "GET", "/v1/cluster", Scope::kClusterRead, {}},
    RouteSpec{RouteId::kClusterNodes, "GET", "/v1/cluster/nodes", Scope::kClusterRead, {}},
    RouteSpec{RouteId::kPutClusterNode, "PUT", "/v1/cluster/nodes/{id}", Scope::kClusterWrite, {}},
    RouteSpec{
        RouteId::kReplaceClusterNode, "POST", "/v1/cluster/nodes/{id}/replace", Scope::kClusterWrite, {}},
    RouteSpec{RouteId::kPutClusterShard, "PUT", "/v1/cluster/shards/{id}", Scope::kClusterWrite, {}},
    RouteSpec{RouteId::kLive, "GET", "/livez", Scope::kNone, {}},
    RouteSpec{RouteId::kReady, "GET", "/readyz", Scope::kNone, {}},
    RouteSpec{RouteId::kMetrics, "GET", "/metrics", Scope::kMetricsRead, {}},
    RouteSpec{RouteId::kOpenApi, "GET", "/openapi.json", Scope::kNone, {}},
    RouteSpec{RouteId::kFrontPage, "GET", "/", Scope::kNone, {}},
};

/// Takes the segment up to the next '/' off a path that begins with one.
std::string_view TakeSegment(std::string_view* path) {
  path->remove_prefix(1);
  const std::string_view segment = path->substr(0, path->find('/'));
  path->remove_prefix(segment.size());
  return segment;
}

struct PathParameters {
  std::string_view ledger;
  std::string_view id;
};

bool MatchPattern(std::string_view pattern, std::string_view path, PathParameters* parameters) {
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = TakeSegment(&pattern);
    const std::string_view given = TakeSegment(&path);
    if (wanted == "{ledger}") {
      parameters->ledger = given;
    } else if (wanted == "{id}") {
      parameters->id = given;
    } else if (wanted != given) {
      return false;
    }
    if (given.empty() && !wanted.empty()) return false;
  }
  return pattern.empty() && path.empty();
}

}  // namespace

std::span<const RouteSpec> Routes() { return kRoutes; }

RouteMatch MatchRoute(std::string_view method, std::string_view path) {
  RouteMatch match;
  if (path.empty() || path.front() != '/') return match;
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  for (const RouteSpec& route : kRoutes) {
    PathParameters parameters;
    if (!MatchPattern(route.pattern, path, &parameters)) continue;
    if (route.method != wanted) {
      if (match.allow.find(route.method) != std::string::npos) continue;
      match.allow.append(match.allow.empty() ? "" : ", ").append(route.method);
      if (route.method == "GET") match.allow.append(", HEAD");
      continue;
    }
    if (!PercentDecode(parameters.ledger, &match.ledger) || !PercentDecode(parameters.id, &match.id))
      return {};
    match.route = &route;
    match.allow.clear();
    return match;
  }
  return match;
}

bool PercentDecode(std::string_view text, std::string* out) {
  out->clear();
  out->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    std::string hex(text.substr(i + 1, 2));
    for (char& c : hex) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    std::optional<uint64_t> value = ParseHex(hex);
    if (hex.size() != 2 || !value.has_value()) return false;
    out->push_back(static_cast<char>(*value));
    i += 2;
  }
  return true;
}

bool ParseQuery(std::string_view query, std::vector<QueryParameter>* out) {
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(part.size() < query.size() ? part.size() + 1 : part.size());
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    QueryParameter parameter;
    if (!PercentDecode(part.substr(0, equals), &parameter.name)) return false;
    if (equals != std::string_view::npos && !PercentDecode(part.substr(equals + 1), &parameter.value))
      return false;
    out->push_back(std::move(parameter));
  }
  return true;
}

}  // namespace paxledger
