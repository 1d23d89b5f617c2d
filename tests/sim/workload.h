#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/task.h"
#include "tests/sim/amounts.h"
#include "tests/sim/client_calls.h"
#include "tests/sim/history.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// The clients: payment services in front of the data centres. Each has one request under way at a time, asks again with the
/// same id in another data centre when it hears nothing, and sometimes dies, repeats itself, or reuses an id.
/// Owns:    the clients' tasks.
class Workload {
 public:
  Workload(SimCluster& cluster, const Plan& plan, History& history, ClientCalls::Fail fail, uint64_t seed);
  ~Workload();

  /// Opens the accounts and puts money on them; `ready()` when done. Nothing fails meanwhile.
  void StartSetup();
  bool ready() const { return ready_; }
  /// Clients begin, so that about `transfers` are begun within `duration_us`; they go on until `Finish`.
  void StartClients(uint64_t transfers, int64_t duration_us);
  /// Transfers of bodies that were sent since then, each body counted once.
  uint64_t transfers() const { return transfers_; }
  /// No new operations; what is under way is driven to its end.
  void Finish();
  bool finished() const { return tasks_.running() == 0; }
  size_t running() const { return tasks_.running(); }
  /// A barrier on every shard of the data centre, as an operator's listing makes one; then `looked()` counts up.
  void Look(uint32_t machine);
  uint64_t looked() const { return looked_; }
  void OnDeath(uint32_t machine) { calls_.OnDeath(machine); }
  uint64_t requests() const { return requests_; }
  uint64_t http_requests() const { return calls_.http_requests(); }
  /// Told of each request to change something. True: the client dies with its gateway.
  std::function<bool(uint32_t machine)> on_request = [](uint32_t) { return false; };

 private:
  enum class Fate : uint8_t { kEnded, kUndecided, kClientDied };

  Task<void> Setup();
  Task<void> OpenAll();
  Task<void> Client(uint32_t home, int64_t think_us);
  Task<void> OneOperation(uint32_t home);
  Task<void> Drive(uint32_t home, History::BodyId body);
  Task<Fate> OneTry(uint32_t machine, History::BodyId body, std::string* token);
  Task<void> DenseReader();
  Task<void> ReadAnAccount(uint32_t machine, std::string account);
  Task<void> ReadSomeTransaction(uint32_t home);
  Task<void> LookAt(uint32_t machine);

  void BuildAccounts();
  Transaction NewTransaction();
  Transfer NewTransfer();
  const std::string& AnyAccount();
  const std::string& HotAccount() { return accounts_[1 + random_.Below(plan_.hot_accounts)].key.id; }
  Amount NewAmount();
  Amount Units(uint64_t units) const { return plan_.tagged_amounts ? units * kTaggedUnit : Amount{units}; }
  History::BodyId AnyKnownBody();
  uint32_t OtherMachine(uint32_t home);
  Fate NoteResult(History::BodyId body, const TransactionResult& result, std::string* token);

  SimCluster& cluster_;
  const Plan& plan_;
  History& history_;
  Random random_;
  SimExecutor strand_;
  ClientCalls calls_;
  TaskGroup tasks_;
  std::vector<OpenAccountRequest> accounts_;
  bool ready_ = false;
  bool finishing_ = false;
  uint64_t names_ = 0;
  uint64_t requests_ = 0;
  uint64_t transfers_ = 0;
  uint64_t looked_ = 0;
};

}  // namespace paxledger::sim
