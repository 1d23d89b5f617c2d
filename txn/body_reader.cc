#include "txn/body_reader.h"

#include <utility>

#include "base/mark.h"

namespace paxledger {

absl::StatusOr<const TransactionView*> BodyReader::Read(LogIndex index, uint32_t command) {
  if (value_ == nullptr || index != index_) {
    absl::StatusOr<SharedBytes> value = node_.replica().ReadEntry(shard_, index);
    if (absl::IsNotFound(value.status()))
      return absl::UnavailableError("the journal that far back is not in this data centre");
    if (!value.ok()) return value.status();
    if (absl::Status held = Hold(index, *std::move(value)); !held.ok()) return held;
  }
  bool found = command < entry_.commands.size() && entry_.commands[command].machine == MachineId::kTxn &&
               view_.Decode(entry_.commands[command].bytes) &&
               (view_.kind == CommandKind::kExecute || view_.kind == CommandKind::kPrepare);
  if (!found) return absl::DataLossError("a journal entry does not hold the transaction that a row names");
  return &view_.body;
}

absl::Status BodyReader::Hold(LogIndex index, SharedBytes value) {
  absl::StatusOr<Envelope> entry = DecodeEnvelope(*value);
  if (!entry.ok()) return absl::DataLossError("a journal entry cannot be decoded");
  index_ = index;
  value_ = std::move(value);
  entry_ = *std::move(entry);
  ++entries_read_;
  return absl::OkStatus();
}

Task<absl::Status> BodyReader::Fetch(LogIndex index, Deadline deadline) {
  Mark("feeds.body_fetched");
  absl::StatusOr<SharedBytes> value = co_await node_.replica().FetchEntry(shard_, index, deadline);
  if (!value.ok()) co_return value.status();
  co_return Hold(index, *std::move(value));
}

}  // namespace paxledger
