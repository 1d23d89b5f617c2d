#pragma once

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "base/check.h"

namespace paxledger {

/// How a node's strand hands answers to one thread of the HTTPS door: a burst of them costs one wake-up.
/// Owns:    what was posted and has not run. Outlives both sides by being shared; what comes after Close is
///          dropped.
/// Threads: `Post` from any; all else from the thread that serves the queue.
class HandoverQueue {
 public:
  /// Somebody who waits for an answer.
  class Waiting {
   public:
    virtual ~Waiting() = default;
    /// No answer will be heard. May post, and wait for other answers.
    virtual void Abandon() = 0;
  };

  /// `wake` arranges for a call of `Run`; it is called from any thread, never after Close.
  explicit HandoverQueue(absl::AnyInvocable<void()> wake) : wake_(std::move(wake)) {}

  void Post(absl::AnyInvocable<void()> work) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    work_.push_back(std::move(work));
    // Under the lock, so that Close cannot come between.
    if (work_.size() == 1) wake_();
  }

  /// Runs what was posted before the call.
  void Run() {
    {
      std::lock_guard lock(mutex_);
      running_.swap(work_);
    }
    for (absl::AnyInvocable<void()>& work : running_) work();
    running_.clear();
  }

  /// Tells all who wait that nothing will come.
  void AbandonAll() {
    while (!waiting_.empty()) {
      Waiting* one = *waiting_.begin();
      waiting_.erase(waiting_.begin());
      one->Abandon();
    }
  }

  void Close() {
    std::vector<absl::AnyInvocable<void()>> dropped;
    std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(work_);
  }

  void Add(Waiting* one) { waiting_.insert(one); }
  void Remove(Waiting* one) { waiting_.erase(one); }

 private:
  std::mutex mutex_;
  absl::AnyInvocable<void()> wake_;
  std::vector<absl::AnyInvocable<void()>> work_;
  bool closed_ = false;
  std::vector<absl::AnyInvocable<void()>> running_;  // kept for its capacity
  absl::flat_hash_set<Waiting*> waiting_;            // of the serving thread
};

/// One answer of the service, awaited once by a task of the queue's thread.
///     Answer<absl::Status> answer(queue);
///     service.Ready(answer.Callback());
///     std::optional<absl::Status> status = co_await answer;   // nullopt: abandoned, since the server stops
template <class T>
class Answer {
 public:
  explicit Answer(std::shared_ptr<HandoverQueue> queue) : state_(std::make_shared<State>(std::move(queue))) {}

  /// To be called at most once, from any thread.
  absl::AnyInvocable<void(T)> Callback() const {
    return [state = state_](T value) {
      HandoverQueue& queue = *state->queue;
      queue.Post([state, kept = std::move(value)]() mutable { state->Set(std::move(kept)); });
    };
  }

  auto operator co_await() const noexcept {
    struct Awaiter {
      std::shared_ptr<State> state;
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<> awaiter) noexcept {
        state->awaiter = awaiter;
        state->queue->Add(state.get());
      }
      std::optional<T> await_resume() { return std::move(state->value); }
    };
    return Awaiter{state_};
  }

 private:
  struct State : HandoverQueue::Waiting {
    explicit State(std::shared_ptr<HandoverQueue> q) : queue(std::move(q)) {}
    void Set(T v) {
      if (over) return;
      // Posted work runs later than the call that made it, and that call's task awaits at once.
      Check(static_cast<bool>(awaiter), "an answer is awaited before the queue runs again");
      over = true;
      queue->Remove(this);
      value.emplace(std::move(v));
      awaiter.resume();
    }
    void Abandon() override {
      over = true;
      awaiter.resume();
    }
    std::shared_ptr<HandoverQueue> queue;
    std::optional<T> value;
    std::coroutine_handle<> awaiter;
    bool over = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace paxledger
