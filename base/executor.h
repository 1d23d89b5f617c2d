#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace paxledger {

/// Names a timer that was set; 0 is none.
using TimerId = uint64_t;

/// One strand: what is posted runs later, one at a time, in order. Exactly two implementations: Asio's and the simulator's.
/// Threads: `Post` from any thread; `After` and `Cancel` from the strand itself.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(absl::AnyInvocable<void()> work) = 0;
  /// Runs `work` once, after `delay`, unless cancelled before.
  virtual TimerId After(absl::Duration delay, absl::AnyInvocable<void()> work) = 0;
  /// Cancelling a timer that ran, or none, does nothing.
  virtual void Cancel(TimerId timer) = 0;
};

}  // namespace paxledger
