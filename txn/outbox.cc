#include "txn/outbox.h"

#include <utility>

#include "base/bytes.h"
#include "txn/command_view.h"
#include "txn/state_rows.h"

namespace paxledger {
namespace {

std::string Prefix(ShardId shard) {
  std::string prefix;
  AppendBigEndian32(&prefix, shard.value);
  prefix.push_back(static_cast<char>(QueueRow::kOutbox));
  return prefix;
}

}  // namespace

Outbox::Outbox(ShardId shard, uint64_t kept_min, Engine& engine) : queue_(Prefix(shard), kept_min, engine) {}

void Outbox::Add(std::string_view ledger, LogTime committed_at, LogIndex body_at, uint32_t command) {
  ByteWriter out(&entry_.emplace_back());
  out.Bytes(ledger);
  out.Varint(static_cast<uint64_t>(committed_at.value));
  out.Varint(body_at.value);
  out.Varint(command);
}

void Outbox::EndEntry(LogIndex index) {
  if (!entry_.empty()) queue_.Append(index, std::exchange(entry_, {}));
}

absl::StatusOr<std::vector<OutboxEvent>> Outbox::Read(QueuePosition from, size_t limit) const {
  absl::StatusOr<std::vector<QueueItem>> items = queue_.Read(from, limit);
  if (!items.ok()) return items.status();
  std::vector<OutboxEvent> events;
  events.reserve(items->size());
  for (const QueueItem& item : *items) {
    ByteReader in(item.bytes);
    OutboxEvent& event = events.emplace_back();
    event.at = item.at;
    event.ledger = std::string(in.Bytes());
    event.committed_at = LogTime{ReadTime(in)};
    event.body_at = LogIndex{in.Varint()};
    event.command = static_cast<uint32_t>(in.Varint());
    if (!in.AtEnd()) return absl::DataLossError("an event in the outbox is damaged");
  }
  return events;
}

}  // namespace paxledger
