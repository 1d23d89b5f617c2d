#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "api/admission.h"
#include "api/handover.h"
#include "api/json.h"
#include "api/message.h"
#include "api/tokens.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/task.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// What the handlers of one thread work with.
/// Threads: the thread that serves `queue`.
struct ApiContext {
  LedgerService& service;
  Clock& clock;
  Metrics& metrics;
  const std::atomic<bool>& draining;
  std::string data_centre;
  std::shared_ptr<HandoverQueue> queue;
  IdMaker ids;
  JsonDocument json;         // of the body that is being parsed; no handler keeps it over a wait
  size_t event_streams = 0;  // that are open
};

/// Does what the call asks for: parses, awaits once, maps. An answer for every call, whatever the body holds.
Task<HttpResponse> Handle(ApiContext& context, Call call);

// By resource.
Task<HttpResponse> OpenAccount(ApiContext& context, Call call);
Task<HttpResponse> OpenAccounts(ApiContext& context, Call call);
Task<HttpResponse> GetAccount(ApiContext& context, Call call);
Task<HttpResponse> GetBalance(ApiContext& context, Call call);
Task<HttpResponse> GetAccounts(ApiContext& context, Call call);
Task<HttpResponse> PostTransfer(ApiContext& context, Call call);
Task<HttpResponse> PostTransfers(ApiContext& context, Call call);
Task<HttpResponse> GetTransfer(ApiContext& context, Call call);
Task<HttpResponse> GetTransaction(ApiContext& context, Call call);
Task<HttpResponse> GetPostings(ApiContext& context, Call call);
Task<HttpResponse> GetEvents(ApiContext& context, Call call);
Task<HttpResponse> GetAuditStatus(ApiContext& context, Call call);
Task<HttpResponse> GetCluster(ApiContext& context, Call call);
Task<HttpResponse> GetClusterNodes(ApiContext& context, Call call);
Task<HttpResponse> PutClusterNode(ApiContext& context, Call call);
Task<HttpResponse> ReplaceClusterNode(ApiContext& context, Call call);
Task<HttpResponse> PutClusterShard(ApiContext& context, Call call);
Task<HttpResponse> GetReady(ApiContext& context, Call call);
HttpResponse GetLedgers();
HttpResponse GetLedger(const Call& call);
HttpResponse GetMetrics(ApiContext& context);
HttpResponse GetFrontPage(ApiContext& context);

/// Of a failed read: nothing happened, so it may be tried again.
HttpResponse ReadProblem(const absl::Status& status, ApiCode not_found, std::string_view path);
/// Of a call whose answer will not come, since the server stops.
HttpResponse AbandonedProblem(std::string_view path);

/// `api/openapi.yaml` as JSON; made at build time.
std::string_view OpenApiJson();

}  // namespace paxledger
