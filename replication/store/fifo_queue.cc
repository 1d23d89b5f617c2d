#include "replication/store/fifo_queue.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
constexpr char kHeadRow = 0;
constexpr char kBatchRow = 1;
constexpr uint64_t kCuts = 64;

absl::Status Damaged() { return absl::DataLossError("a row of a queue is damaged"); }

std::string EncodeBatch(const std::vector<std::string>& items) {
  std::string value;
  ByteWriter out(&value);
  out.U8(kVersion);
  out.Varint(items.size());
  for (const std::string& item : items) out.Bytes(item);
  return value;
}

}  // namespace

FifoQueue::FifoQueue(std::string prefix, uint64_t kept_min, Engine& engine)
    : prefix_(std::move(prefix)), kept_min_(kept_min), engine_(engine) {}

std::string FifoQueue::BatchKey(LogIndex batch) const {
  std::string key = prefix_;
  key.push_back(kBatchRow);
  AppendBigEndian64(&key, batch.value);
  return key;
}

std::string FifoQueue::EncodeHead() const {
  std::string value;
  ByteWriter out(&value);
  out.U8(kVersion);
  out.Varint(head_.value);
  out.Varint(tail_.batch.value);
  out.Varint(tail_.item);
  out.Varint(appended_);
  out.Varint(marks_.size());
  for (const Mark& mark : marks_) {
    out.Varint(mark.batch.value);
    out.Varint(mark.first);
  }
  return value;
}

absl::Status FifoQueue::Recover() {
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kQueues, prefix_ + kHeadRow);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::OkStatus();
  ByteReader in(**row);
  if (in.U8() != kVersion) in.Fail();
  head_ = LogIndex{in.Varint()};
  tail_.batch = LogIndex{in.Varint()};
  tail_.item = static_cast<uint32_t>(in.Varint());
  appended_ = in.Varint();
  uint64_t marks = in.Varint();
  for (uint64_t i = 0; i < marks && in.ok(); ++i) {
    LogIndex batch{in.Varint()};
    marks_.push_back({batch, in.Varint()});
  }
  return in.AtEnd() ? absl::OkStatus() : Damaged();
}

void FifoQueue::Append(LogIndex batch, std::vector<std::string> items) {
  Check(batch >= tail_.batch && (batch > tail_.batch || tail_.item == 0), "batches are appended in order");
  Check(!items.empty(), "a batch is of items");
  if (marks_.empty() || appended_ - marks_.back().first >= std::max<uint64_t>(kept_min_ / kCuts, 1)) {
    marks_.push_back({batch, appended_});
  }
  tail_ = {batch, static_cast<uint32_t>(items.size())};
  appended_ += items.size();
  recent_.push_back({batch, std::move(items)});
}

absl::Status FifoQueue::ReadRows(QueuePosition from, size_t limit, std::vector<QueueItem>* items) const {
  // Rows of batches that are in memory may be there already.
  LogIndex end = recent_.empty() ? Next(tail_.batch) : recent_.front().index;
  if (from.batch >= end) return absl::OkStatus();
  std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kQueues, BatchKey(from.batch), BatchKey(end));
  for (; rows->valid() && items->size() < limit; rows->Next()) {
    if (rows->key().size() != prefix_.size() + 9) return Damaged();
    LogIndex batch{ReadBigEndian64(rows->key().substr(prefix_.size() + 1))};
    ByteReader in(rows->value());
    if (in.U8() != kVersion) in.Fail();
    uint64_t count = in.Varint();
    for (uint32_t i = 0; i < count && in.ok(); ++i) {
      std::string_view bytes = in.Bytes();
      QueuePosition at{batch, i};
      if (in.ok() && at >= from && items->size() < limit) items->push_back({at, std::string(bytes)});
    }
    if (!in.AtEnd()) return Damaged();
  }
  return rows->status();
}

absl::StatusOr<std::vector<QueueItem>> FifoQueue::Read(QueuePosition from, size_t limit) const {
  if (from < head()) return absl::OutOfRangeError("the queue was trimmed past this position");
  std::vector<QueueItem> items;
  absl::Status read = ReadRows(from, limit, &items);
  if (!read.ok()) return read;
  auto batch = std::lower_bound(recent_.begin(), recent_.end(), from.batch,
                                [](const Batch& b, LogIndex index) { return b.index < index; });
  for (; batch != recent_.end() && items.size() < limit; ++batch) {
    for (uint32_t i = 0; i < batch->items.size() && items.size() < limit; ++i) {
      QueuePosition at{batch->index, i};
      if (at >= from) items.push_back({at, batch->items[i]});
    }
  }
  return items;
}

void FifoQueue::Trim(EngineBatch* batch) {
  LogIndex old = head_;
  while (marks_.size() > 1 && appended_ - marks_[1].first >= kept_min_) marks_.pop_front();
  if (!marks_.empty()) head_ = std::max(head_, marks_.front().batch);
  if (head_ > old) batch->Add(EngineBatch::DeleteRange{Table::kQueues, BatchKey(old), BatchKey(head_)});
}

void FifoQueue::AppendRows(EngineBatch* batch) {
  Check(frozen_ == 0, "one checkpoint at a time");
  if (recent_.empty()) return;
  Trim(batch);
  frozen_ = recent_.size();
  for (const Batch& appended : recent_) {
    // What this very call trims is not worth a row.
    if (appended.index < head_) continue;
    batch->Add(EngineBatch::Put{Table::kQueues, BatchKey(appended.index), EncodeBatch(appended.items)});
  }
  batch->Add(EngineBatch::Put{Table::kQueues, prefix_ + kHeadRow, EncodeHead()});
}

void FifoQueue::RowsWritten() {
  recent_.erase(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(frozen_));
  frozen_ = 0;
}

}  // namespace paxledger
