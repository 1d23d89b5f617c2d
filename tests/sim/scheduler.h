#pragma once

#include <cstdint>
#include <deque>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"

namespace paxledger::sim {

/// What an event was, for the trace.
enum class EventKind : uint8_t {
  kWork = 1,
  kTimer = 2,
  kFrame = 3,
  kDisk = 4,
  kClient = 5,
  kFault = 6,
  kConnection = 7,
  kNote = 8,
};
std::string_view EventKindName(EventKind kind);

/// One line of the trace. `what` points to a string literal. The numbers mean what `what` says.
struct TraceRecord {
  int64_t time_us = 0;
  EventKind kind = EventKind::kNote;
  uint16_t node = 0;  // 0: the world
  uint16_t peer = 0;  // 0: none
  const char* what = "";
  uint64_t numbers[6] = {};
};

/// What happened, twice: as a hash over everything, so that two runs can be compared, and as the last events, to read.
class Trace {
 public:
  void Mix(uint64_t word) {
    hash_ ^= word + 0x9e3779b97f4a7c15ULL + (hash_ << 6) + (hash_ >> 2);
    hash_ *= 0xff51afd7ed558ccdULL;
    hash_ ^= hash_ >> 32;
  }
  void Add(const TraceRecord& record);
  uint64_t hash() const { return hash_; }
  void set_echo(bool echo) { echo_ = echo; }
  /// Writes the last `lines` records to stderr; safe in a handler of a failed check, since the process ends then.
  void Dump(size_t lines) const;
  static std::string Line(const TraceRecord& record);

 private:
  static constexpr size_t kKept = 4096;
  std::vector<TraceRecord> last_ = std::vector<TraceRecord>(kKept);
  uint64_t count_ = 0;
  uint64_t hash_ = 0;
  bool echo_ = false;
};

class SimExecutor;

/// The one queue of events of a simulated world, ordered by (virtual time, sequence).
/// Threads: one.
/// Units:   microseconds of virtual time since the start of the run.
class Scheduler {
 public:
  using Work = absl::AnyInvocable<void()>;

  int64_t now_us() const { return now_us_; }
  uint64_t delivered() const { return delivered_; }
  Trace& trace() { return trace_; }

  /// Runs `work` at `time_us`, on `strand`, or in no node where that is null. The id is never 0.
  uint64_t At(int64_t time_us, EventKind kind, SimExecutor* strand, Work work);
  uint64_t After(int64_t delay_us, EventKind kind, SimExecutor* strand, Work work) {
    return At(now_us_ + delay_us, kind, strand, std::move(work));
  }
  void Cancel(uint64_t id);
  /// Delivers the next event. False: none is left.
  bool RunOne();
  /// Delivers all events up to `time_us` and advances to it.
  void RunUntil(int64_t time_us);
  void Note(EventKind kind, uint32_t node, uint32_t peer, const char* what, uint64_t a = 0, uint64_t b = 0,
            uint64_t c = 0, uint64_t d = 0, uint64_t e = 0, uint64_t f = 0);

 private:
  struct Slot {
    Work work;
    SimExecutor* strand = nullptr;
    uint32_t generation = 1;
    EventKind kind = EventKind::kWork;
    bool live = false;
  };
  struct Entry {
    int64_t time_us;
    uint64_t sequence;
    uint32_t slot;
    uint32_t generation;
    bool operator>(const Entry& o) const {
      return time_us != o.time_us ? time_us > o.time_us : sequence > o.sequence;
    }
  };
  void Release(uint32_t slot);

  int64_t now_us_ = 0;
  uint64_t sequence_ = 0;
  uint64_t delivered_ = 0;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  Trace trace_;
};

/// The strand of one incarnation of a node. When the node is paused, its events wait in order; when it is dead they are
/// dropped, so they must not own anything that acts when it is destroyed.
class SimExecutor : public Executor {
 public:
  SimExecutor(Scheduler& scheduler, uint32_t node) : scheduler_(scheduler), node_(node) {}

  void Post(absl::AnyInvocable<void()> work) override;
  TimerId After(absl::Duration delay, absl::AnyInvocable<void()> work) override;
  void Cancel(TimerId timer) override;

  /// Runs `work` now, or when the pause ends, or drops it.
  void Take(Scheduler::Work work);
  void Pause() { paused_ = true; }
  void Resume();
  void Kill() { dead_ = true; }
  /// Drops what waited; after the node is gone.
  void Forget() { waiting_.clear(); }
  bool paused() const { return paused_; }
  bool dead() const { return dead_; }
  uint32_t node() const { return node_; }
  /// Called after each piece of work.
  void set_after_work(Scheduler::Work hook) { after_work_ = std::move(hook); }

 private:
  Scheduler& scheduler_;
  uint32_t node_;
  bool paused_ = false;
  bool dead_ = false;
  std::deque<Scheduler::Work> waiting_;
  Scheduler::Work after_work_;
};

/// The clocks of one machine. The wall clock is wrong by `offset_us`; both run with virtual time.
class SimClock : public Clock {
 public:
  explicit SimClock(const Scheduler& scheduler) : scheduler_(scheduler) {}
  int64_t WallMicros() override { return kEpochUs + scheduler_.now_us() + offset_us_; }
  int64_t MonotonicMicros() override { return kStartUs + scheduler_.now_us(); }
  void set_offset_us(int64_t offset_us) { offset_us_ = offset_us; }
  int64_t offset_us() const { return offset_us_; }

  static constexpr int64_t kEpochUs = 1'750'000'000'000'000;
  static constexpr int64_t kStartUs = 1'000'000;

 private:
  const Scheduler& scheduler_;
  int64_t offset_us_ = 0;
};

}  // namespace paxledger::sim
