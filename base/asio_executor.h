#pragma once

#include <memory>

#include "base/executor.h"

namespace boost::asio {
class io_context;
}

namespace paxledger {

/// The strand of a node: one `io_context` that exactly one thread runs. What is posted while the strand is
/// busy or asleep is gathered and run by one handler, so that a burst of closures costs one hop between
/// threads.
/// Owns:    the queue and a timer wheel. Borrows the context, which must outlive it; what was not run by then
///          is dropped. It does not keep `run()` from returning: the owner holds a work guard.
/// Threads: `Post` from any; all else from the thread that runs the context, or before it runs.
class AsioExecutor : public Executor {
 public:
  explicit AsioExecutor(boost::asio::io_context& context);
  ~AsioExecutor() override;
  AsioExecutor(const AsioExecutor&) = delete;
  AsioExecutor& operator=(const AsioExecutor&) = delete;

  void Post(absl::AnyInvocable<void()> work) override;
  TimerId After(absl::Duration delay, absl::AnyInvocable<void()> work) override;
  void Cancel(TimerId timer) override;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with handlers that the context still holds
};

}  // namespace paxledger
