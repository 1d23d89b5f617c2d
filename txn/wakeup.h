#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/task.h"
#include "base/timer_wheel.h"

namespace paxledger {

/// Many deadlines on one executor timer, which runs only while there are some.
/// Owns:    the wheel. Borrows executor and clock.
/// Threads: the node's strand.
class Timers {
 public:
  Timers(Executor& executor, Clock& clock);
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  ~Timers();
  /// Runs `work` at `at_us` on the monotonic clock, or up to a tick later; soon, where that has passed.
  TimerId Set(int64_t at_us, absl::AnyInvocable<void()> work);
  void Cancel(TimerId timer) { wheel_.Cancel(timer); }
  int64_t now_us() { return clock_.MonotonicMicros(); }

 private:
  void Arm();

  Executor& executor_;
  Clock& clock_;
  TimerWheel wheel_;
  TimerId armed_ = 0;
};

class Wakeup;

/// Resumes the tasks that events woke, all of them with one hop through the executor.
/// Threads: the node's strand.
class WakeQueue {
 public:
  WakeQueue(Executor& executor, Timers& timers) : executor_(executor), timers_(timers) {}
  WakeQueue(const WakeQueue&) = delete;
  WakeQueue& operator=(const WakeQueue&) = delete;
  /// Ends the waits of all tasks, as if their time had come, in the order in which they began.
  void WakeAll();

 private:
  friend class Wakeup;
  void Add(Wakeup* woken);
  void Drain();

  Executor& executor_;
  Timers& timers_;
  std::vector<Wakeup*> woken_;
  std::vector<Wakeup*> resuming_;
  Wakeup* first_waiting_ = nullptr;
  Wakeup* last_waiting_ = nullptr;
};

/// What one task waits on, again and again, with a time limit. `Set` may be called from anywhere on the
/// strand: the task resumes later, never inside it.
class Wakeup {
 public:
  explicit Wakeup(WakeQueue& queue) : queue_(queue) {}
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup() {
    StopTimer();
    if (awaiter_) Unlink();
  }

  void Set();
  /// Awaits `Set` or the time on the monotonic clock. True: `Set` was called since the last wait ended.
  auto Wait(int64_t until_us) noexcept {
    struct Awaiter {
      Wakeup& wakeup;
      int64_t until_us;
      bool await_ready() noexcept { return wakeup.set_ || wakeup.queue_.timers_.now_us() >= until_us; }
      void await_suspend(std::coroutine_handle<> awaiter) noexcept { wakeup.Suspend(awaiter, until_us); }
      bool await_resume() noexcept { return std::exchange(wakeup.set_, false); }
    };
    return Awaiter{*this, until_us};
  }

 private:
  friend class WakeQueue;
  void Suspend(std::coroutine_handle<> awaiter, int64_t until_us);
  void StopTimer();
  void Link();
  void Unlink();
  void Resume();

  WakeQueue& queue_;
  std::coroutine_handle<> awaiter_;
  TimerId timer_ = 0;
  bool set_ = false;
  bool queued_ = false;
  Wakeup* before_ = nullptr;  // in the queue's list of those that wait
  Wakeup* after_ = nullptr;
};

/// Lets the rest of the strand's work go on, and resumes behind it.
inline Task<void> LetOthersRun(Executor& executor) {
  Completion<bool> done(executor);
  executor.Post([done] { done.Set(true); });
  bool resumed = co_await done;
  (void)resumed;
}

}  // namespace paxledger
