#include "txn/wakeup.h"

#include "base/check.h"

namespace paxledger {

namespace {
constexpr int64_t kTickMicros = 2000;
}  // namespace

Timers::Timers(Executor& executor, Clock& clock)
    : executor_(executor), clock_(clock), wheel_(clock.MonotonicMicros(), kTickMicros) {}

Timers::~Timers() { executor_.Cancel(armed_); }

TimerId Timers::Set(int64_t at_us, absl::AnyInvocable<void()> work) {
  TimerId timer = wheel_.Set(at_us, std::move(work));
  if (armed_ == 0) Arm();
  return timer;
}

void Timers::Arm() {
  armed_ = executor_.After(absl::Microseconds(kTickMicros), [this] {
    armed_ = 0;
    wheel_.Advance(clock_.MonotonicMicros());
    if (!wheel_.empty() && armed_ == 0) Arm();
  });
}

void WakeQueue::Add(Wakeup* woken) {
  woken_.push_back(woken);
  if (woken_.size() == 1) {
    executor_.Post([this] { Drain(); });
  }
}

void WakeQueue::WakeAll() {
  for (Wakeup* wakeup = first_waiting_; wakeup != nullptr; wakeup = wakeup->after_) {
    if (wakeup->queued_) continue;
    wakeup->queued_ = true;
    Add(wakeup);
  }
}

void WakeQueue::Drain() {
  // What is woken meanwhile waits for the next hop, so that a storm of events does not hold the strand.
  resuming_.clear();
  resuming_.swap(woken_);
  for (Wakeup* woken : resuming_) woken->Resume();
}

void Wakeup::Set() {
  set_ = true;
  if (!awaiter_ || queued_) return;
  queued_ = true;
  queue_.Add(this);
}

void Wakeup::Suspend(std::coroutine_handle<> awaiter, int64_t until_us) {
  Check(!awaiter_, "one task waits on a wakeup");
  awaiter_ = awaiter;
  Link();
  timer_ = queue_.timers_.Set(until_us, [this] {
    timer_ = 0;
    if (queued_) return;
    queued_ = true;
    queue_.Add(this);
  });
}

void Wakeup::StopTimer() {
  if (timer_ != 0) queue_.timers_.Cancel(std::exchange(timer_, 0));
}

void Wakeup::Link() {
  before_ = std::exchange(queue_.last_waiting_, this);
  after_ = nullptr;
  (before_ == nullptr ? queue_.first_waiting_ : before_->after_) = this;
}

void Wakeup::Unlink() {
  (before_ == nullptr ? queue_.first_waiting_ : before_->after_) = after_;
  (after_ == nullptr ? queue_.last_waiting_ : after_->before_) = before_;
}

void Wakeup::Resume() {
  StopTimer();
  Unlink();
  queued_ = false;
  // The task may destroy this object while it runs.
  std::exchange(awaiter_, nullptr).resume();
}

}  // namespace paxledger
