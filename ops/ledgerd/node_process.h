#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cluster/node_config.h"
#include "ops/ledgerd/node_exit.h"

namespace paxledger {

/// Why a node cannot run, or not go on.
struct Failure {
  NodeExit code = NodeExit::kOk;
  std::string text;
};

/// All layers of one node put together: engine, transport, consensus, transactions, HTTPS door.
/// Owns:    all of it, and the thread of the strand; the engine and the door have threads of their own.
/// Threads: one caller, which is none of those. The signals SIGTERM and SIGINT must be blocked in it.
class NodeProcess {
 public:
  /// `setup.self` has its number; `heard` is the directory that was heard on the way to it.
  NodeProcess(NodeSetup setup, Directory heard);
  ~NodeProcess();
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  /// Locks and opens the data directory, takes both ports, recovers, greets the peers under a new
  /// incarnation, serves. A failure leaves nothing running.
  std::optional<Failure> Start();
  /// Set once the node cannot go on; it then sends this process a SIGTERM.
  std::optional<Failure> failure() const;
  /// Answers the requests in flight, hands the shards over and writes checkpoints; a few seconds at most,
  /// then it is as if the node was killed, which loses nothing.
  void Drain();
  /// Ends all threads. Does nothing the second time.
  void Stop();

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace paxledger
