#include "replication/row_pull.h"

#include <utility>

#include "base/check.h"
#include "base/digest.h"
#include "base/mark.h"

namespace paxledger {
namespace {

constexpr int64_t kAskAgainUs = 1'000'000;
constexpr uint32_t kUnansweredMax = 5;

}  // namespace

RowPull::RowPull(const ReplicaPorts& ports, Wanted wanted, ReplicaId source, uint64_t session, RowSink& sink)
    : ports_(ports), wanted_(wanted), source_(source), session_(session), sink_(sink) {}

void RowPull::Start() { Ask(Position::kKnown); }

void RowPull::Grant(uint64_t parts_end) {
  if (parts_end <= parts_end_ || ended_) return;
  parts_end_ = parts_end;
  if (has_head_) Ask(Position::kKnown);
}

void RowPull::Ask(Position position) {
  RowsRequest request;
  request.shard = wanted_.shard;
  request.session = session_;
  request.kind = wanted_.kind;
  request.from = wanted_.from;
  request.to = wanted_.to;
  request.part = next_part_;
  request.parts_end = parts_end_;
  request.again = position == Position::kAgain;
  if (request.again) request.position = position_;
  heard_at_us_ = ports_.clock->MonotonicMicros();
  ports_.transport->Send(source_, std::move(request));
}

void RowPull::Close() {
  if (std::exchange(ended_, true) || !has_head_) return;
  RowsRequest request;
  request.shard = wanted_.shard;
  request.session = session_;
  request.kind = wanted_.kind;
  request.part = next_part_ + 1;  // whatever it is: no part is taken any more
  ports_.transport->Send(source_, std::move(request));
}

void RowPull::Tick() {
  bool waiting = !has_head_ || next_part_ < parts_end_;
  if (ended_ || !waiting || ports_.clock->MonotonicMicros() - heard_at_us_ < kAskAgainUs) return;
  // One whose connection is gone for so long is not waited for.
  if (++unanswered_ > kUnansweredMax || !ports_.transport->IsUp(source_)) {
    ended_ = true;
    return sink_.OnLost(RowsRefusal::kNone);
  }
  Mark("rows.asked_again");
  Ask(Position::kAgain);
}

void RowPull::Handle(ReplicaId from, const RowsHead& head) {
  if (ended_ || from != source_ || head.session != session_) return;
  if (head.refusal != RowsRefusal::kNone) {
    ended_ = true;
    return sink_.OnLost(head.refusal);
  }
  if (std::exchange(has_head_, true)) {
    if (head.index == head_index_ && head.journal == head_journal_) return;
    // The source began the session anew, at another checkpoint: its parts do not go with those that came.
    ended_ = true;
    return sink_.OnLost(RowsRefusal::kNone);
  }
  head_index_ = head.index;
  head_journal_ = head.journal;
  unanswered_ = 0;
  heard_at_us_ = ports_.clock->MonotonicMicros();
  sink_.OnHead(head);
}

void RowPull::Handle(ReplicaId from, RowsPart& part) {
  // A part out of turn is one that was sent twice, or comes after a lost one: that one is asked for again, with all after it.
  if (ended_ || from != source_ || part.session != session_ || !has_head_ || part.part != next_part_) return;
  if (Checksum64(*part.rows) != part.checksum) return;
  ++next_part_;
  position_ = part.next;
  unanswered_ = 0;
  heard_at_us_ = ports_.clock->MonotonicMicros();
  if (part.next.empty()) Close();
  sink_.OnPart(std::move(part));
}

}  // namespace paxledger
