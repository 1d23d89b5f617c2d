#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/random.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// Does to a cluster what the plan says, until it is told to stop; then it heals what it broke, but for a data centre that
/// died for good.
class Faults {
 public:
  Faults(SimCluster& cluster, const Plan& plan, uint64_t seed)
      : cluster_(cluster), plan_(plan), random_(seed) {}
  void Start();
  void StopAndHeal();
  /// The machine has just taken a request, or will in a moment: it may be its last.
  enum class Fate : uint8_t { kLives, kDies };
  Fate OnRequest(uint32_t machine);
  /// The process on the machine has ended of itself.
  void OnEnd(uint32_t machine);
  /// How often each kind of fault struck.
  const std::map<std::string, uint64_t>& struck() const { return struck_; }

 private:
  using Act = void (Faults::*)();
  void Every(int64_t interval_us, const char* name, Act act);
  void Crash();
  void CrashMachine(uint32_t machine);
  void Pause();
  void CutLink();
  void Partition();
  void Swizzle();
  void ResetConnection();
  void JumpClock();
  void SlowDisk();
  void FullDisk();
  void FailingWrite();
  void HandOver();
  void MoveShard();
  void ChangeNodeState();
  void PlannedRestart();
  void LoseMachine();
  void TakeImage();
  void SwapDisk();
  void Rot();
  void BootLater(uint32_t machine, int64_t delay_us);
  uint32_t AnyMachine() { return 1 + static_cast<uint32_t>(random_.Below(cluster_.size())); }
  int64_t UpTo(int64_t most_us) { return random_.Between(most_us / 20, most_us); }
  template <class Work>
  void Later(int64_t delay_us, Work work) {
    cluster_.scheduler().After(delay_us, EventKind::kFault, nullptr, std::move(work));
  }
  void CutFor(uint32_t from, uint32_t to, int64_t delay_us, int64_t duration_us);

  SimCluster& cluster_;
  const Plan& plan_;
  Random random_;
  bool started_ = false;
  bool stopped_ = false;
  uint32_t victim_ = 0;      // of the loss; 0: none yet
  Rows image_[kTableCount];  // its disk as it was...
  uint64_t image_life_ = 0;  // ...after this life; 0: no image
  std::map<std::string, uint64_t> struck_;
};

}  // namespace paxledger::sim
