#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/random.h"

namespace paxledger {

/// Coverage marks and fault points, for the simulator. Outside it both cost one load and a branch.
/// Threads: the registry belongs to one thread at a time (the simulator has only one).
class Marks {
 public:
  /// Installs the registry of the calling thread; null takes it away.
  static void Install(Marks* marks);
  static Marks* installed() { return installed_; }

  explicit Marks(uint64_t seed) : random_(seed) {}
  void Hit(std::string_view name) { ++hits_[std::string(name)]; }
  /// True in `per_thousand` of 1000 cases, if faults are on.
  bool Draw(std::string_view name);
  void set_faults_per_thousand(uint32_t n) { faults_per_thousand_ = n; }
  const std::map<std::string, uint64_t>& hits() const { return hits_; }

 private:
  static thread_local Marks* installed_;
  Random random_;
  uint32_t faults_per_thousand_ = 0;
  std::map<std::string, uint64_t> hits_;
};

/// Says that a rare place was reached; a simulator run lists the marks that no seed hit.
inline void Mark(std::string_view name) {
  if (Marks* marks = Marks::installed()) [[unlikely]]
    marks->Hit(name);
}

/// True sometimes in the simulator, never in production: makes a rare but legal choice likely.
inline bool Fault(std::string_view name) {
  Marks* marks = Marks::installed();
  return marks != nullptr && marks->Draw(name);
}

}  // namespace paxledger
