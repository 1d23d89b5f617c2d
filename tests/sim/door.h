#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/task.h"
#include "tests/sim/sim_cluster.h"

namespace paxledger::sim {

/// The way from clients to the data centres, below HTTPS: a request travels, waits where the process is paused, is refused
/// where none runs, and its answer may be lost with the process, by the network, or by patience.
/// Owns:    the calls under way.
class Door {
 public:
  Door(SimCluster& cluster, SimExecutor& strand, const Plan& plan, uint64_t seed)
      : cluster_(cluster), strand_(strand), plan_(plan), random_(seed) {}

  /// `Send` starts the request in a data centre and gives its answer to the callback.
  template <class Answer>
  using Send = std::function<void(SimCluster::Gate, Deadline, absl::AnyInvocable<void(Answer)>)>;

  /// Errors: kUnavailable       refused, nothing happened
  ///         kAborted           the connection broke: unknown
  ///         kDeadlineExceeded  no answer in time: unknown
  template <class Answer>
  Task<absl::StatusOr<Answer>> Call(uint32_t machine, Send<Answer> send) {
    Completion<absl::StatusOr<Answer>> done(strand_);
    uint64_t call = ++calls_;
    bool answer_lost = !calm_ && random_.Chance(plan_.answers_lost_per_thousand, 1000);
    int64_t back_us = Delay();
    Later(Delay(), [this, machine, call, answer_lost, back_us, done, send = std::move(send)] {
      if (!cluster_.serving(machine)) {
        Later(back_us, [done] { done.Set(absl::UnavailableError("connection refused")); });
        return;
      }
      breaks_[machine][call] = [done] { done.Set(absl::AbortedError("connection reset")); };
      Deadline deadline = DeadlineAfter(cluster_.clock(machine), absl::Microseconds(plan_.client_timeout_us));
      auto answered = [this, machine, call, answer_lost, back_us, done](Answer answer) mutable {
        breaks_[machine].erase(call);
        if (answer_lost) return;
        Later(back_us, [done, kept = std::move(answer)]() mutable { done.Set(std::move(kept)); });
      };
      cluster_.Enter(machine,
                     [send, deadline, answered = std::move(answered)](SimCluster::Gate gate) mutable {
                       send(gate, deadline, std::move(answered));
                     });
    });
    TimerId timer = strand_.After(absl::Microseconds(plan_.client_timeout_us + 500'000),
                                  [done] { done.Set(absl::DeadlineExceededError("no answer")); });
    absl::StatusOr<Answer> answer = co_await done;
    strand_.Cancel(timer);
    co_return answer;
  }

  /// The process on the machine died: most clients notice.
  void OnDeath(uint32_t machine) {
    std::map<uint64_t, std::function<void()>> broken = std::exchange(breaks_[machine], {});
    for (auto& [call, tell] : broken) {
      if (random_.Chance(4, 5)) Later(Delay(), std::move(tell));
    }
  }
  void Calm() { calm_ = true; }
  int64_t Delay() { return random_.Between(100, 2'000); }

 private:
  template <class Work>
  void Later(int64_t delay_us, Work work) {
    cluster_.scheduler().After(delay_us, EventKind::kClient, nullptr, std::move(work));
  }

  SimCluster& cluster_;
  SimExecutor& strand_;
  const Plan& plan_;
  Random random_;
  bool calm_ = false;
  uint64_t calls_ = 0;
  std::map<uint32_t, std::map<uint64_t, std::function<void()>>> breaks_;  // by machine, then call
};

}  // namespace paxledger::sim
