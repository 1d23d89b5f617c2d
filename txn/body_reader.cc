#include "txn/body_reader.h"

#include <utility>

namespace paxledger {

absl::StatusOr<const TransactionView*> BodyReader::Read(LogIndex index, uint32_t command) {
  if (value_ == nullptr || index != index_) {
    absl::StatusOr<SharedBytes> value = node_.replica().ReadEntry(shard_, index);
    if (absl::IsNotFound(value.status()))
      return absl::UnavailableError("the journal that far back is not in this data centre");
    if (!value.ok()) return value.status();
    absl::StatusOr<Envelope> entry = DecodeEnvelope(**value);
    if (!entry.ok()) return absl::DataLossError("a journal entry cannot be decoded");
    index_ = index;
    value_ = *std::move(value);
    entry_ = *std::move(entry);
    ++entries_read_;
  }
  bool found = command < entry_.commands.size() && entry_.commands[command].machine == MachineId::kTxn &&
               view_.Decode(entry_.commands[command].bytes) &&
               (view_.kind == CommandKind::kExecute || view_.kind == CommandKind::kPrepare);
  if (!found) return absl::DataLossError("a journal entry does not hold the transaction that a row names");
  return &view_.body;
}

}  // namespace paxledger
