#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/strong_id.h"
#include "base/task.h"
#include "cluster/cluster_machine.h"
#include "cluster/cluster_message.h"
#include "cluster/directory.h"
#include "replication/replica.h"

namespace paxledger {

struct RegistrarOptions {
  ReplicaId self;
  Directory creation;  // of the creation document
  /// By node name: where the creation document says that it listens for peers.
  std::map<std::string, std::string> creation_addresses;
};

/// Keeps the newest directory that this node heard of, durably; passes it on to peers that have an older one; tells the
/// replica and the transport who is in the cluster; and has changes of the directory chosen, through a node that holds
/// shard 0 where this one does not.
/// Owns:    the row `directory` of the meta table, and its tasks. Borrows the rest, which outlives it.
/// Threads: the node's strand. When destroyed, nothing of it may run any more (see Node).
class Registrar {
 public:
  Registrar(RegistrarOptions options, ReplicaPorts ports, Replica& replica, ClusterMachine& machine);
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;
  ~Registrar();

  /// Reads what the disk holds. `heard` is what a process heard before its node was made; version 0: nothing.
  /// Errors: kDataLoss
  [[nodiscard]] absl::Status Recover(Directory heard);
  /// Tells the transport and the replica who is there, and begins to pass news on. When the replica has recovered.
  void Start();

  const Directory& directory() const { return directory_; }
  bool IsGone(ReplicaId number) const { return directory_.IsGone(number); }

  /// Has `command` chosen and says what became of it. A refusal is success of this call.
  /// Errors: kDeadlineExceeded  UNKNOWN: ask again with the same request
  Task<absl::StatusOr<DirectoryResult>> Propose(DirectoryCommand command, Deadline deadline);

  /// A message of machine `cluster`; `reply` answers it. HostShard goes to `host_handler`.
  void Handle(const ClusterMessage& message, const std::function<void(const ClusterMessage&)>& reply);
  /// From a node that is no peer: what it may not say is left out. `name` is as its certificate says.
  void HandleGuest(std::string_view name, std::string_view bytes,
                   const std::function<void(const ClusterMessage&)>& reply);
  void Send(ReplicaId to, const ClusterMessage& message);
  void set_host_handler(std::function<void(const HostShard&)> handler) { host_handler_ = std::move(handler); }

  /// Nodes that are not gone and answer, this one among them.
  std::set<ReplicaId> Up() const;

 private:
  void Learn(Directory directory);
  void ShowNodes();
  void Write();
  void Look();
  void Wake();
  Task<bool> WaitForNews(int64_t until_us);
  Task<void> ProposeFor(DirectoryCommand command, uint64_t ticket,
                        std::function<void(const ClusterMessage&)> reply);
  int64_t now_us() const { return ports_.clock->MonotonicMicros(); }

  RegistrarOptions options_;
  ReplicaPorts ports_;
  Replica& replica_;
  ClusterMachine& machine_;
  Directory directory_;
  std::function<void(const HostShard&)> host_handler_;
  bool started_ = false;
  std::vector<ReplicaId> shown_;  // nodes, to the replica
  std::set<ReplicaId> seen_up_;
  uint64_t next_ticket_ = 1;
  std::map<uint64_t, std::optional<DirectoryResult>> asked_;  // by ticket, of proposals through another node
  std::vector<Completion<bool>> waiting_;
  size_t proposals_for_others_ = 0;
  TaskGroup tasks_;
};

}  // namespace paxledger
