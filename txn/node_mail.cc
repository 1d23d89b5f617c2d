#include "txn/node_mail.h"

#include <utility>

namespace paxledger {

namespace {
constexpr size_t kFrameFullBytes = 1 << 20;
}  // namespace

NodeMail::NodeMail(Replica& replica, Executor& executor, Metrics& metrics)
    : replica_(replica),
      executor_(executor),
      sent_(metrics.counter("paxledger_node_messages_sent_total")),
      malformed_(metrics.counter("paxledger_node_messages_malformed_total")) {}

void NodeMail::Send(ReplicaId to, const NodeMessage& message) {
  if (out_.empty()) {
    executor_.Post([this] { Flush(); });
  }
  auto last = out_.upper_bound(to);
  bool fits = last != out_.begin() && std::prev(last)->first == to &&
              std::prev(last)->second.size() < kFrameFullBytes;
  auto frame = fits ? std::prev(last) : out_.emplace_hint(last, to, std::string());
  AppendNodeMessage(message, &frame->second);
  sent_.Add();
}

void NodeMail::Flush() {
  std::multimap<ReplicaId, std::string> out = std::exchange(out_, {});
  for (auto& [to, frame] : out)
    replica_.SendApp(to, AppMessage{static_cast<uint32_t>(MachineId::kTxn), std::move(frame)});
}

std::vector<NodeMessage> NodeMail::Open(const AppMessage& message) {
  absl::StatusOr<std::vector<NodeMessage>> messages = DecodeNodeMessages(message.bytes);
  if (messages.ok()) return *std::move(messages);
  malformed_.Add();
  return {};
}

}  // namespace paxledger
