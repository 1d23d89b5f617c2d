#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"
#include "txn/node_messages.h"

namespace paxledger {

/// The feed of committed transactions over the outboxes of all shards, hosted here or not.
/// Threads: the node's strand, which it gives up between a few events.
class EventReader {
 public:
  explicit EventReader(NodeContext& node) : node_(node) {}

  /// See LedgerService::ReadEvents.
  Task<absl::StatusOr<EventsPage>> Read(EventsRequest request);
  /// Of the outbox of one shard, which is hosted here; its events without participants and with those assets
  /// only that the client named.
  /// Errors: kOutOfRange, kUnavailable
  Task<absl::StatusOr<OutboxPage>> ReadHere(OutboxQuestion question);

 private:
  /// What was read of one shard's outbox and not yet taken.
  struct Ahead {
    ShardId shard;
    QueuePosition next;  // behind `events`
    std::vector<CommittedEvent> events;
    size_t taken = 0;
    bool over = false;  // there was no more
    bool empty() const { return taken == events.size(); }
  };

  bool AnythingHereAfter(const std::vector<QueuePosition>& positions);
  Task<absl::StatusOr<OutboxPage>> ReadShard(OutboxQuestion question);
  Task<absl::StatusOr<EventsPage>> Merge(EventsRequest request);
  /// Reads on where everything was taken; says in `page` where the first reading began.
  Task<absl::Status> Refill(const EventsRequest* request, Ahead* ahead, EventsPage* page);
  /// Adds what the bodies do not say.
  Task<void> Complete(std::vector<CommittedEvent>* events);

  NodeContext& node_;
};

}  // namespace paxledger
