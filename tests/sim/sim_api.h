#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "api/message.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "tests/sim/scheduler.h"
#include "txn/ledger_service.h"

namespace paxledger::sim {

/// The HTTPS door of a process below its sockets: admission, routing and handlers are the production code; the thread that
/// they have to themselves there is the process's strand here.
/// Owns:    the requests under way.
/// Threads: the strand.
class SimApi {
 public:
  SimApi(LedgerService& service, Clock& clock, Metrics& metrics, SimExecutor& strand, std::string data_centre,
         uint64_t seed);
  ~SimApi();

  /// `done` on the strand; not where the process dies before.
  void Serve(HttpRequest request, absl::AnyInvocable<void(HttpResponse)> done);

  /// What clients send as Authorization.
  static std::string Authorization();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace paxledger::sim
