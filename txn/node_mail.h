#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/strong_id.h"
#include "replication/replica.h"
#include "txn/node_messages.h"

namespace paxledger {

/// Sends what `txn` has to say to other nodes: all of one turn of the strand to one node as one message of the transport, which
/// may lose it.
/// Threads: the node's strand.
class NodeMail {
 public:
  NodeMail(Replica& replica, Executor& executor, Metrics& metrics);
  NodeMail(const NodeMail&) = delete;
  NodeMail& operator=(const NodeMail&) = delete;

  /// May be called inside Apply.
  void Send(ReplicaId to, const NodeMessage& message);
  /// Messages as they were received; none where they break their format.
  std::vector<NodeMessage> Open(const AppMessage& message);

 private:
  void Flush();

  Replica& replica_;
  Executor& executor_;
  std::multimap<ReplicaId, std::string> out_;  // the last frame of each node is open
  Counter& sent_;
  Counter& malformed_;
};

}  // namespace paxledger
