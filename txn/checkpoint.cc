#include "txn/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/planted.h"
#include "txn/state_rows.h"

namespace paxledger {
namespace {
constexpr uint8_t kVersion = 2;
constexpr size_t kChecksumBytes = 8;

absl::Status DamagedHead() { return absl::DataLossError("the head row of a shard is damaged"); }

/// The head of another shard is damage too.
uint64_t HeadChecksum(ShardId shard, std::string_view head) {
  std::string covered = StateRowKey(shard, StateRow::kHead, {});
  covered.append(head);
  return Checksum64(covered);
}

/// Without its checksum; kDataLoss where that does not match.
absl::StatusOr<std::string_view> CheckedHead(ShardId shard, std::string_view row) {
  if (row.size() < kChecksumBytes) return DamagedHead();
  std::string_view head = row.substr(0, row.size() - kChecksumBytes);
  if (ByteReader(row.substr(head.size())).U64() != HeadChecksum(shard, head)) return DamagedHead();
  return head;
}
}  // namespace

Checkpoints::Checkpoints(ShardState& state, Engine& engine, uint32_t commands_between)
    : state_(state),
      engine_(engine),
      commands_between_(commands_between),
      self_(std::make_shared<Checkpoints*>(this)) {}

std::string Checkpoints::EncodeHead() const {
  std::string value;
  ByteWriter out(&value);
  out.U8(kVersion);
  out.Varint(state_.applied.value);
  out.I64(state_.clock.value);
  out.Raw(state_.journal.view());
  out.Raw(state_.digest.value().view());
  out.Varint(state_.tries.next_sequence());
  state_.books.Write(out);
  uint64_t checksum = HeadChecksum(state_.shard, value);
  out.U64(checksum);
  return value;
}

absl::Status Checkpoints::DecodeHead(std::string_view row, uint64_t* next_sequence) {
  absl::StatusOr<std::string_view> head = CheckedHead(state_.shard, row);
  if (!head.ok()) return head.status();
  ByteReader in(*head);
  if (in.U8() != kVersion) in.Fail();
  state_.applied = LogIndex{in.Varint()};
  state_.clock = LogTime{in.I64()};
  state_.journal = Digest::FromRaw(in.Raw(32));
  state_.digest.set_value(Digest::FromRaw(in.Raw(32)));
  *next_sequence = in.Varint();
  state_.books.Read(in);
  return in.AtEnd() ? absl::OkStatus() : DamagedHead();
}

absl::Status Checkpoints::Recover() {
  absl::StatusOr<std::optional<std::string>> head =
      engine_.Get(Table::kState, StateRowKey(state_.shard, StateRow::kHead, {}));
  if (!head.ok()) return head.status();
  if (!head->has_value()) return absl::OkStatus();
  uint64_t next_sequence = 0;
  if (absl::Status status = DecodeHead(**head, &next_sequence); !status.ok()) return status;
  if (absl::Status status = state_.ids.Recover(state_.applied); !status.ok()) return status;
  if (absl::Status status = state_.outbox.Recover(); !status.ok()) return status;
  if (absl::Status status = state_.accounts.Recover(); !status.ok()) return status;
  return state_.tries.Recover(engine_, state_.accounts, next_sequence);
}

absl::StatusOr<CheckpointMark> Checkpoints::In(ShardId shard, EngineSnapshot& rows) {
  absl::StatusOr<std::optional<std::string>> head =
      rows.Get(Table::kState, StateRowKey(shard, StateRow::kHead, {}));
  if (!head.ok()) return head.status();
  if (!head->has_value()) return CheckpointMark{};
  absl::StatusOr<std::string_view> checked = CheckedHead(shard, **head);
  if (!checked.ok()) return checked.status();
  ByteReader in(*checked);
  CheckpointMark mark;
  if (in.U8() != kVersion) in.Fail();
  mark.applied = LogIndex{in.Varint()};
  in.I64();  // the clock
  mark.journal = Digest::FromRaw(in.Raw(32));
  if (!in.ok()) return DamagedHead();
  return mark;
}

void Checkpoints::AfterEntry(uint32_t commands) {
  // An empty entry counts too: what matters is how much would have to be replayed.
  commands_ += std::max(commands, 1u);
  if (!running_ && commands_ >= commands_between_) Begin();
}

void Checkpoints::Request(absl::AnyInvocable<void()> done) {
  if (running_) {
    waiting_next_.push_back(std::move(done));
    return;
  }
  waiting_.push_back(std::move(done));
  Begin();
}

void Checkpoints::Release(absl::AnyInvocable<void()> done) {
  commands_between_ = UINT32_MAX;  // nothing is applied from now on
  if (running_) {
    released_ = std::move(done);
  } else {
    Confirm(std::move(done));
  }
}

// After everything that was handed to the engine before.
void Checkpoints::Confirm(absl::AnyInvocable<void()> done) {
  engine_.Write(EngineBatch(), Durability::kLazy, std::move(done));
}

void Checkpoints::Begin() {
  Check(!running_, "one checkpoint at a time");
  running_ = true;
  commands_ = 0;
  base_ = state_.applied;
  batch_ = EngineBatch();
  state_.accounts.AppendRows(&batch_);
  state_.tries.AppendRows(&batch_);
  state_.outbox.AppendRows(&batch_);
  batch_.Add(EngineBatch::Put{Table::kState, StateRowKey(state_.shard, StateRow::kHead, {}), EncodeHead()});
  // In the order of their kinds, so of their keys.
  std::vector<EngineRow> rows = state_.ids.Freeze();
  state_.statements.Freeze(&rows);
  if (rows.empty()) {
    OnIngested();
    return;
  }
  if (Bug("txn.checkpoint_before_rows")) {
    OnIngested();
    engine_.Ingest(Table::kTables, std::move(rows), [] {});
    return;
  }
  engine_.Ingest(Table::kTables, std::move(rows), [self = std::weak_ptr<Checkpoints*>(self_)] {
    if (std::shared_ptr<Checkpoints*> alive = self.lock()) (*alive)->OnIngested();
  });
}

void Checkpoints::OnIngested() {
  engine_.Write(std::exchange(batch_, EngineBatch()), Durability::kSync,
                [self = std::weak_ptr<Checkpoints*>(self_)] {
                  if (std::shared_ptr<Checkpoints*> alive = self.lock()) (*alive)->OnWritten();
                });
}

void Checkpoints::OnWritten() {
  state_.ids.RowsWritten(base_);
  state_.statements.RowsWritten();
  state_.outbox.RowsWritten();
  state_.accounts.RowsWritten();
  running_ = false;
  std::vector<absl::AnyInvocable<void()>> done = std::exchange(waiting_, std::exchange(waiting_next_, {}));
  if (released_ != nullptr) {
    // No other follows: whoever waits for one must not do so for ever.
    std::move(waiting_.begin(), waiting_.end(), std::back_inserter(done));
    waiting_.clear();
    Confirm(std::exchange(released_, nullptr));
  } else if (!waiting_.empty() || commands_ >= commands_between_) {
    Begin();
  }
  for (absl::AnyInvocable<void()>& callback : done) callback();
}

}  // namespace paxledger
