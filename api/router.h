#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/auth.h"

namespace paxledger {

enum class RouteId : uint8_t {
  kListLedgers,
  kReadLedger,
  kListAccounts,
  kOpenAccount,
  kOpenAccounts,
  kReadAccount,
  kReadBalance,
  kListPostings,
  kPostTransfer,
  kPostTransfers,
  kReadTransfer,
  kReadTransaction,
  kListEvents,
  kAuditStatus,
  kCluster,
  kClusterNodes,
  kPutClusterNode,
  kReplaceClusterNode,
  kPutClusterShard,
  kLive,
  kReady,
  kMetrics,
  kOpenApi,
  kFrontPage,
};

struct RouteSpec {
  RouteId id;
  std::string_view method;
  std::string_view pattern;  // segments in braces are parameters
  Scope scope;
  std::array<std::string_view, 6> query = {};  // the parameters that it knows; empty: no more

  bool Knows(std::string_view parameter) const {
    return !parameter.empty() && std::find(query.begin(), query.end(), parameter) != query.end();
  }
};

/// Every call there is. `api/openapi.yaml` documents exactly these; a test compares.
std::span<const RouteSpec> Routes();

/// Where a request leads.
struct RouteMatch {
  const RouteSpec* route = nullptr;  // nullptr: no such path, or not with this method
  std::string ledger;                // the path's parameters, decoded
  std::string id;
  std::string allow;  // methods of the path, where only the method is wrong; empty: no such path
};

/// `path`: without the query. HEAD is answered as GET.
RouteMatch MatchRoute(std::string_view method, std::string_view path);

/// Decodes %XX. False: a bad escape.
bool PercentDecode(std::string_view text, std::string* out);

struct QueryParameter {
  std::string name;
  std::string value;  // decoded; may be any bytes
};

/// Splits "a=1&b=2". False: a bad escape.
bool ParseQuery(std::string_view query, std::vector<QueryParameter>* out);

}  // namespace paxledger
