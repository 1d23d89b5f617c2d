#include "base/mark.h"

namespace paxledger {

thread_local Marks* Marks::installed_ = nullptr;

void Marks::Install(Marks* marks) { installed_ = marks; }

bool Marks::Draw(std::string_view name) {
  if (faults_per_thousand_ == 0 || !random_.Chance(faults_per_thousand_, 1000)) return false;
  Hit(name);
  return true;
}

}  // namespace paxledger
