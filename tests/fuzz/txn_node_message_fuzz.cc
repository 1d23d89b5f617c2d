// The decoder of messages between nodes about transactions must refuse any bytes without a fault, and give back what it accepts.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "txn/node_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace paxledger;
  absl::StatusOr<std::vector<NodeMessage>> messages =
      DecodeNodeMessages({reinterpret_cast<const char*>(data), size});
  if (!messages.ok()) return 0;
  std::string frame;
  for (const NodeMessage& message : *messages) AppendNodeMessage(message, &frame);
  if (messages->empty()) return 0;
  absl::StatusOr<std::vector<NodeMessage>> again = DecodeNodeMessages(frame);
  Check(again.ok(), "what was encoded decodes");
  Check(again->size() == messages->size(), "no message is lost");
  std::string twice;
  for (const NodeMessage& message : *again) AppendNodeMessage(message, &twice);
  Check(frame == twice, "a message has one encoding");
  return 0;
}
