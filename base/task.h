#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/executor.h"

namespace paxledger {

namespace task_internal {

struct FinalAwaiter {
  bool await_ready() noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
    return self.promise().continuation ? self.promise().continuation : std::noop_coroutine();
  }
  void await_resume() noexcept {}
};

struct PromiseCommon {
  std::coroutine_handle<> continuation;
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() { CheckFailed("no exception leaves a task", std::source_location::current()); }
};

}  // namespace task_internal

/// A lazy coroutine: it starts when awaited and resumes its awaiter when done. Our code does not throw; an exception
/// that leaves a task ends the process.
/// Threads: the strand that awaits it.
template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type : task_internal::PromiseCommon {
    std::optional<T> value;
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    template <class U>
    void return_value(U&& u) {
      value.emplace(std::forward<U>(u));
    }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> task;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
        task.promise().continuation = awaiter;
        return task;
      }
      T await_resume() { return std::move(*task.promise().value); }
    };
    return Awaiter{handle_};
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  struct promise_type : task_internal::PromiseCommon {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    void return_void() {}
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> task;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
        task.promise().continuation = awaiter;
        return task;
      }
      void await_resume() {}
    };
    return Awaiter{handle_};
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace task_internal {

/// Gives a coroutine its own handle, without suspending it.
struct OwnFrame {
  std::coroutine_handle<> self;
  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> frame) noexcept {
    self = frame;
    return false;
  }
  std::coroutine_handle<> await_resume() noexcept { return self; }
};

struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { CheckFailed("no exception leaves a task", std::source_location::current()); }
  };
};

}  // namespace task_internal

/// Runs tasks beside each other on one strand and knows when all have ended.
/// Owns:    the tasks. Must be empty when destroyed: ask them to end, then run the strand until `running()` is 0.
/// Threads: one strand.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { Check(running_ == 0, "a task group is joined before it is destroyed"); }

  /// Starts `task` at once; it runs until its first suspension before this returns.
  void Spawn(Task<void> task) { Run(this, std::move(task)); }
  size_t running() const { return running_; }
  /// Destroys the tasks where they are suspended. Only when nothing will resume them any more: the strand has stopped
  /// for good, or its node crashed in the simulator.
  void Abandon() {
    while (first_ != nullptr) first_->frame.destroy();
  }

 private:
  /// Stands in the frame of a running task.
  struct Member {
    Member(TaskGroup* g, std::coroutine_handle<> f) : group(g), frame(f), next(g->first_) {
      if (next != nullptr) next->before = this;
      group->first_ = this;
      ++group->running_;
    }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    ~Member() {
      (before != nullptr ? before->next : group->first_) = next;
      if (next != nullptr) next->before = before;
      --group->running_;
    }
    TaskGroup* group;
    std::coroutine_handle<> frame;
    Member* before = nullptr;
    Member* next;
  };

  static task_internal::Detached Run(TaskGroup* group, Task<void> task) {
    std::coroutine_handle<> frame = co_await task_internal::OwnFrame{};
    Member member(group, frame);
    co_await std::move(task);
  }
  Member* first_ = nullptr;
  size_t running_ = 0;
};

/// One value that is set once, from a callback, and awaited once, by a task. The awaiter resumes through the executor,
/// never inside `Set`, so that a callback is not re-entered.
/// Threads: the executor's strand.
template <class T>
class Completion {
 public:
  explicit Completion(Executor& executor) : state_(std::make_shared<State>(executor)) {}

  /// The first call counts; later ones do nothing and return false.
  bool Set(T value) const {
    State& state = *state_;
    if (state.value.has_value()) return false;
    state.value.emplace(std::move(value));
    if (state.awaiter) {
      state.executor.Post([kept = state_] { kept->awaiter.resume(); });
    }
    return true;
  }
  bool is_set() const { return state_->value.has_value(); }

  auto operator co_await() const noexcept {
    struct Awaiter {
      std::shared_ptr<typename Completion::State> state;
      bool await_ready() noexcept { return state->value.has_value(); }
      void await_suspend(std::coroutine_handle<> awaiter) noexcept { state->awaiter = awaiter; }
      T await_resume() { return std::move(*state->value); }
    };
    return Awaiter{state_};
  }

 private:
  struct State {
    explicit State(Executor& e) : executor(e) {}
    Executor& executor;
    std::optional<T> value;
    std::coroutine_handle<> awaiter;
  };
  std::shared_ptr<State> state_;
};

/// Resumes after `delay`.
inline Task<void> SleepFor(Executor& executor, absl::Duration delay) {
  Completion<bool> done(executor);
  executor.After(delay, [done] { done.Set(true); });
  bool woke = co_await done;
  (void)woke;
}

}  // namespace paxledger
