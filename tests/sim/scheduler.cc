#include "tests/sim/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace paxledger::sim {

std::string_view EventKindName(EventKind kind) {
  switch (kind) {
    case EventKind::kWork:
      return "work";
    case EventKind::kTimer:
      return "timer";
    case EventKind::kFrame:
      return "frame";
    case EventKind::kDisk:
      return "disk";
    case EventKind::kClient:
      return "client";
    case EventKind::kFault:
      return "fault";
    case EventKind::kConnection:
      return "connection";
    case EventKind::kNote:
      return "note";
  }
  return "?";
}

void Trace::Add(const TraceRecord& record) {
  Mix(static_cast<uint64_t>(record.time_us));
  Mix(static_cast<uint64_t>(record.kind) << 32 | uint64_t{record.node} << 16 | record.peer);
  for (uint64_t number : record.numbers) Mix(number);
  last_[count_ % kKept] = record;
  ++count_;
  if (echo_) std::fprintf(stderr, "%s\n", Line(record).c_str());
}

std::string Trace::Line(const TraceRecord& record) {
  std::string line = absl::StrFormat("%12.6f  %-10s", static_cast<double>(record.time_us) / 1e6,
                                     std::string(EventKindName(record.kind)));
  if (record.node != 0) absl::StrAppendFormat(&line, " dc%d", record.node);
  if (record.peer != 0) absl::StrAppendFormat(&line, " from dc%d", record.peer);
  absl::StrAppendFormat(&line, "  %s", record.what);
  for (uint64_t number : record.numbers) absl::StrAppendFormat(&line, " %d", number);
  return line;
}

void Trace::Dump(size_t lines) const {
  uint64_t kept = std::min<uint64_t>({count_, kKept, lines});
  for (uint64_t i = count_ - kept; i < count_; ++i) {
    std::fprintf(stderr, "%s\n", Line(last_[i % kKept]).c_str());
  }
}

uint64_t Scheduler::At(int64_t time_us, EventKind kind, SimExecutor* strand, Work work) {
  Check(time_us >= now_us_, "no event lies in the past");
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.work = std::move(work);
  slot.strand = strand;
  slot.kind = kind;
  slot.live = true;
  queue_.push(Entry{time_us, ++sequence_, index, slot.generation});
  return uint64_t{slot.generation} << 32 | index;
}

void Scheduler::Release(uint32_t index) {
  Slot& slot = slots_[index];
  slot.live = false;
  ++slot.generation;
  free_.push_back(index);
}

void Scheduler::Cancel(uint64_t id) {
  auto index = static_cast<uint32_t>(id);
  if (id == 0 || index >= slots_.size()) return;
  Slot& slot = slots_[index];
  if (!slot.live || slot.generation != id >> 32) return;
  Work dropped = std::move(slot.work);
  slot.work = nullptr;
  Release(index);
}

bool Scheduler::RunOne() {
  while (!queue_.empty()) {
    Entry entry = queue_.top();
    queue_.pop();
    Slot& slot = slots_[entry.slot];
    if (!slot.live || slot.generation != entry.generation) continue;
    Work work = std::move(slot.work);
    slot.work = nullptr;
    SimExecutor* strand = slot.strand;
    EventKind kind = slot.kind;
    Release(entry.slot);
    now_us_ = entry.time_us;
    ++delivered_;
    trace_.Mix(static_cast<uint64_t>(entry.time_us));
    trace_.Mix(static_cast<uint64_t>(kind) << 16 | (strand != nullptr ? strand->node() : 0));
    if (strand != nullptr) {
      strand->Take(std::move(work));
    } else {
      work();
    }
    return true;
  }
  return false;
}

void Scheduler::RunUntil(int64_t time_us) {
  while (!queue_.empty() && queue_.top().time_us <= time_us) {
    const Entry& top = queue_.top();
    const Slot& slot = slots_[top.slot];
    if (slot.live && slot.generation == top.generation) {
      RunOne();
    } else {
      queue_.pop();  // cancelled
    }
  }
  now_us_ = std::max(now_us_, time_us);
}

void Scheduler::Note(EventKind kind, uint32_t node, uint32_t peer, const char* what, uint64_t a, uint64_t b,
                     uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  trace_.Add(TraceRecord{
      now_us_, kind, static_cast<uint16_t>(node), static_cast<uint16_t>(peer), what, {a, b, c, d, e, f}});
}

void SimExecutor::Post(absl::AnyInvocable<void()> work) {
  scheduler_.After(0, EventKind::kWork, this, std::move(work));
}

TimerId SimExecutor::After(absl::Duration delay, absl::AnyInvocable<void()> work) {
  int64_t delay_us =
      std::max<int64_t>(0, absl::ToInt64Microseconds(absl::Ceil(delay, absl::Microseconds(1))));
  return scheduler_.After(delay_us, EventKind::kTimer, this, std::move(work));
}

void SimExecutor::Cancel(TimerId timer) { scheduler_.Cancel(timer); }

void SimExecutor::Take(Scheduler::Work work) {
  if (dead_) return;
  if (paused_ || !waiting_.empty()) {
    waiting_.push_back(std::move(work));
    return;
  }
  work();
  if (after_work_ && !dead_) after_work_();
}

void SimExecutor::Resume() {
  paused_ = false;
  while (!waiting_.empty() && !paused_ && !dead_) {
    Scheduler::Work work = std::move(waiting_.front());
    work();
    waiting_.pop_front();
    if (after_work_) after_work_();
  }
}

}  // namespace paxledger::sim
