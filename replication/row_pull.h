#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/replica.h"

namespace paxledger {

/// Receives what a session of a peer's `RowSource` sends: its head, then parts in order, each once. What is lost on the way is
/// asked for again.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void OnHead(const RowsHead& head) = 0;
  virtual void OnPart(RowsPart part) = 0;
  /// The source does not answer, or cannot go on. Nothing more will come.
  virtual void OnLost(RowsRefusal refusal) = 0;
};

/// The asking side of one session. A window of parts is asked for before they are wanted, so that the way to the source costs
/// no time; what is on its way or not consumed is never more than the window.
/// Threads: the node's strand. The sink may destroy this inside its calls.
class RowPull {
 public:
  struct Wanted {
    ShardId shard;
    RowsKind kind = RowsKind::kState;
    LogIndex from;
    LogIndex to;
  };
  /// `session` is a number that this process never used before; ports and sink outlive the pull.
  RowPull(const ReplicaPorts& ports, Wanted wanted, ReplicaId source, uint64_t session, RowSink& sink);

  /// Asks for the head, and for no part yet.
  void Start();
  /// Parts below `parts_end` are welcome.
  void Grant(uint64_t parts_end);
  /// Tells the source that nothing more is wanted.
  void Close();
  /// Asks again for what did not come; call every now and then.
  void Tick();

  void Handle(ReplicaId from, const RowsHead& head);
  void Handle(ReplicaId from, RowsPart& part);

  const Wanted& wanted() const { return wanted_; }
  ReplicaId source() const { return source_; }
  uint64_t session() const { return session_; }
  uint64_t parts() const { return next_part_; }

 private:
  enum class Position : uint8_t { kKnown, kAgain };
  void Ask(Position position);

  const ReplicaPorts& ports_;
  Wanted wanted_;
  ReplicaId source_;
  uint64_t session_;
  RowSink& sink_;
  bool has_head_ = false;
  LogIndex head_index_;
  Digest head_journal_;
  bool ended_ = false;
  uint64_t next_part_ = 0;
  uint64_t parts_end_ = 0;
  std::string position_;  // of next_part_
  int64_t heard_at_us_ = 0;
  uint32_t unanswered_ = 0;
};

}  // namespace paxledger
