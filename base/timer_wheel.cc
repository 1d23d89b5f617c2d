#include "base/timer_wheel.h"

#include <algorithm>
#include <utility>

namespace paxledger {

TimerWheel::TimerWheel(int64_t now_us, int64_t tick_us)
    : tick_us_(tick_us), tick_(now_us / tick_us), slots_(kSlots) {}

TimerId TimerWheel::Set(int64_t at_us, absl::AnyInvocable<void()> work) {
  TimerId id = next_id_++;
  // Rounded up, so that no timer fires early; never into a tick that was already looked at.
  int64_t tick = std::max(at_us / tick_us_ + 1, tick_);
  live_.emplace(id, Timer{at_us, std::move(work)});
  slots_[static_cast<size_t>(tick) % kSlots].push_back(id);
  return id;
}

void TimerWheel::Cancel(TimerId timer) { live_.erase(timer); }

void TimerWheel::Advance(int64_t now_us) {
  int64_t last = now_us / tick_us_;
  if (last - tick_ >= static_cast<int64_t>(kSlots)) tick_ = last - static_cast<int64_t>(kSlots) + 1;
  while (tick_ <= last) {
    // Stepped before the work runs: what that sets for a time gone by belongs in a tick still to come.
    size_t at = static_cast<size_t>(tick_++) % kSlots;
    std::vector<TimerId> slot;
    slot.swap(slots_[at]);
    std::vector<TimerId> later;
    for (TimerId id : slot) {
      auto it = live_.find(id);
      if (it == live_.end()) continue;
      if (it->second.at_us > now_us) {
        later.push_back(id);
        continue;
      }
      absl::AnyInvocable<void()> work = std::move(it->second.work);
      live_.erase(it);
      work();
    }
    slots_[at].insert(slots_[at].end(), later.begin(), later.end());
  }
}

}  // namespace paxledger
