#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/replica.h"
#include "replication/store/engine.h"

namespace paxledger {

/// The tables that hold rows of state machines, in the order in which a snapshot is sent. All of a shard begin with its
/// number, 32 bits big-endian.
inline constexpr Table kMachineTables[] = {Table::kState, Table::kQueues, Table::kTables};

/// Hands out rows of this node's shards in bulk: snapshots of state (consensus.md rule 20) and stretches of the log.
/// Each session reads one engine snapshot, part after part as far as the asker takes them, away from the strand.
/// Owns:    the sessions; each is forgotten when nobody asked for a while. Borrows the ports.
/// Threads: the node's strand.
class RowSource {
 public:
  struct Basis {
    LogIndex index;
    SharedBytes value;
    Configuration members;
    Digest journal;
  };
  /// What it asks the replica.
  struct Host {
    /// Begins a checkpoint of the shard's machine; `done` when it is durable. False: the shard has no state here.
    std::function<bool(ShardId, std::function<void()> done)> checkpoint;
    /// The checkpoint that stands in `rows`. kNotFound: none that could be sent.
    std::function<absl::StatusOr<Basis>(ShardId, EngineSnapshot& rows)> basis;
    /// The last entry up to which the log is here durably, without a gap, from `from` on; `from` less 1 where it is not.
    std::function<LogIndex(ShardId, LogIndex from)> log_through;
    std::function<void()> flush_soon;
  };
  RowSource(ReplicaPorts ports, Host host, size_t part_bytes);

  void Handle(ReplicaId from, const RowsRequest& request);

 private:
  using Name = std::pair<ReplicaId, uint64_t>;
  struct Range {
    Table table;
    std::string begin;
    std::string end;
  };
  struct Session {
    ShardId shard;
    RowsKind kind = RowsKind::kState;
    std::unique_ptr<EngineSnapshot> rows;  // null: the checkpoint is under way
    RowsHead head;
    std::vector<Range> ranges;
    size_t range = 0;   // where the next part begins...
    std::string at;     // ...and at which key
    uint64_t part = 0;  // its number
    uint64_t parts_end = 0;
    uint64_t turn = 0;  // grows when it goes back, so that a page that is being read counts no more
    bool reading = false;
    int64_t used_us = 0;
  };

  void Begin(const Name& name, const RowsRequest& request);
  void BeginState(const Name& name);
  void BeginLog(const Name& name, const RowsRequest& request);
  void SendHead(const Name& name, const Session& session);
  void Refuse(const Name& name, ShardId shard, RowsRefusal refusal);
  bool GoBack(Session& session, const RowsRequest& request);
  void ReadNext(const Name& name, Session& session);
  void OnPage(const Name& name, uint64_t turn, absl::StatusOr<EnginePage> page);
  std::string PositionAfter(Session& session, std::string next) const;
  void ArmExpiry();
  void Expire();

  ReplicaPorts ports_;
  Host host_;
  size_t part_bytes_;
  std::map<Name, Session> sessions_;
  bool expiry_armed_ = false;
  Counter* bytes_ = nullptr;
};

}  // namespace paxledger
