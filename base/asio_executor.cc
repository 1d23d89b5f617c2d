#include "base/asio_executor.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "base/system_clock.h"
#include "base/timer_wheel.h"

namespace paxledger {
namespace {

constexpr int64_t kTickMicros = 1000;
constexpr int64_t kNotArmed = INT64_MAX;
// A burst longer than this would keep its capacity for good.
constexpr size_t kKeptCapacity = 16384;

using Work = absl::AnyInvocable<void()>;

}  // namespace

struct AsioExecutor::State : std::enable_shared_from_this<AsioExecutor::State> {
  explicit State(boost::asio::io_context& c)
      : context(c), timer(c), wheel(clock.MonotonicMicros(), kTickMicros) {}

  void Drain() {
    {
      std::lock_guard lock(mutex);
      running.swap(queue);
      if (running.empty()) {
        drain_posted = false;
        return;
      }
    }
    for (Work& work : running) {
      if (closed) break;
      work();
    }
    running.clear();
    if (running.capacity() > kKeptCapacity) running.shrink_to_fit();
    {
      std::lock_guard lock(mutex);
      drain_posted = !queue.empty() && !closed;
      if (!drain_posted) return;
    }
    // What was posted meanwhile waits behind the sockets' handlers, so that neither starves the other.
    PostDrain();
  }

  void PostDrain() {
    boost::asio::post(context, [self = shared_from_this()] { self->Drain(); });
  }

  /// Wakes at the first tick that holds a timer. Cancelled timers keep their tick: waking in vain, at most
  /// once a millisecond, is cheaper than counting.
  void Arm() {
    int64_t next = ticks.empty() ? kNotArmed : *ticks.begin();
    if (next >= armed_tick) return;
    armed_tick = next;
    timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(next * kTickMicros)));
    timer.async_wait([self = shared_from_this(), next](const boost::system::error_code& error) {
      if (error || self->closed || self->armed_tick != next) return;
      self->armed_tick = kNotArmed;
      self->Tick();
    });
  }

  void Tick() {
    int64_t now_us = clock.MonotonicMicros();
    ticks.erase(ticks.begin(), ticks.upper_bound(now_us / kTickMicros));
    wheel.Advance(now_us);
    if (wheel.empty()) ticks.clear();
    if (!closed) Arm();
  }

  boost::asio::io_context& context;
  SystemClock clock;

  std::mutex mutex;
  std::vector<Work> queue;    // guarded by mutex
  bool drain_posted = false;  // guarded by mutex

  // The strand's own.
  std::vector<Work> running;
  boost::asio::steady_timer timer;
  TimerWheel wheel;
  absl::btree_set<int64_t> ticks;
  int64_t armed_tick = kNotArmed;
  bool closed = false;
};

AsioExecutor::AsioExecutor(boost::asio::io_context& context) : state_(std::make_shared<State>(context)) {}

AsioExecutor::~AsioExecutor() {
  State& state = *state_;
  std::vector<Work> dropped;
  {
    std::lock_guard lock(state.mutex);
    state.closed = true;
    dropped.swap(state.queue);
  }
  state.timer.cancel();
}

void AsioExecutor::Post(Work work) {
  State& state = *state_;
  {
    std::lock_guard lock(state.mutex);
    state.queue.push_back(std::move(work));
    if (std::exchange(state.drain_posted, true)) return;
  }
  state.PostDrain();
}

TimerId AsioExecutor::After(absl::Duration delay, Work work) {
  State& state = *state_;
  int64_t delay_us = std::max<int64_t>(absl::ToInt64Microseconds(delay), 0);
  int64_t now_us = state.clock.MonotonicMicros();
  int64_t at_us = delay_us > INT64_MAX / 2 ? INT64_MAX / 2 : now_us + delay_us;
  // The wheel looks at a timer in the tick after its time.
  state.ticks.insert(at_us / kTickMicros + 1);
  TimerId id = state.wheel.Set(at_us, std::move(work));
  state.Arm();
  return id;
}

void AsioExecutor::Cancel(TimerId timer) { state_->wheel.Cancel(timer); }

}  // namespace paxledger
