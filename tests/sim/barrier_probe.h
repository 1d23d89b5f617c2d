#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/random.h"
#include "tests/sim/log_checker.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// Asks for a read barrier now and then, anywhere, and holds it to its promise: when it returns an index, whatever any
/// replica had applied before it was asked for is applied here.
/// Owns:    nothing that outlives the cluster.
class BarrierProbe {
 public:
  using Fail = std::function<void(std::string what)>;
  BarrierProbe(SimCluster& cluster, const LogChecker& checker, Fail fail, uint64_t seed)
      : cluster_(cluster), checker_(checker), fail_(std::move(fail)), random_(seed) {}

  /// Until `Stop`; an interval of 0 means never.
  void Start(int64_t interval_us);
  void Stop() { stopped_ = true; }
  uint64_t answered() const { return answered_; }

 private:
  void Next();
  void Ask();

  SimCluster& cluster_;
  const LogChecker& checker_;
  Fail fail_;
  Random random_;
  int64_t interval_us_ = 0;
  bool stopped_ = false;
  uint64_t answered_ = 0;
};

}  // namespace paxledger::sim
