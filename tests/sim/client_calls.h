#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/task.h"
#include "tests/sim/door.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// What a client can ask of a data centre: as an HTTP request through the production admission and handlers, or, as the plan
/// draws it, of the node itself. An answer that api.md does not allow is a failure of the run.
/// Errors: as Door::Call, for calls of which nothing was heard.
class ClientCalls {
 public:
  using Fail = std::function<void(std::string what)>;
  ClientCalls(SimCluster& cluster, SimExecutor& strand, const Plan& plan, Fail fail, uint64_t seed)
      : plan_(plan), fail_(std::move(fail)), random_(seed), door_(cluster, strand, plan, random_.Next()) {}

  Task<absl::StatusOr<TransactionResult>> Execute(uint32_t machine, Transaction transaction);
  Task<absl::StatusOr<std::vector<OpenAccountResult>>> OpenAccounts(uint32_t machine,
                                                                    std::vector<OpenAccountRequest> accounts);
  /// The inner status is the answer's.
  Task<absl::StatusOr<absl::StatusOr<AccountRead>>> ReadAccount(uint32_t machine, LedgerKey key);
  /// `expected`: the body that the client knows.
  Task<absl::StatusOr<absl::StatusOr<TransferRead>>> ReadTransaction(uint32_t machine, Transaction expected,
                                                                     std::string recovery_token);
  Task<absl::StatusOr<absl::StatusOr<AccountPage>>> ListAccounts(uint32_t machine, std::string ledger);

  void OnDeath(uint32_t machine) { door_.OnDeath(machine); }
  void Calm() { door_.Calm(); }
  uint64_t http_requests() const { return http_requests_; }

 private:
  bool DrawsHttp() { return random_.Chance(plan_.http_per_thousand, 1000); }
  Task<absl::StatusOr<HttpResponse>> Ask(uint32_t machine, HttpRequest request);
  /// What the answer says; where it says nothing sensible, the run has failed.
  template <class Answer>
  absl::StatusOr<Answer> Understood(absl::StatusOr<Answer> answer) {
    if (!answer.ok()) fail_(answer.status().ToString());
    return answer;
  }

  const Plan& plan_;
  Fail fail_;
  Random random_;
  Door door_;
  uint64_t http_requests_ = 0;
};

}  // namespace paxledger::sim
