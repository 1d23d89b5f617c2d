#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/strong_id.h"
#include "replication/core/configuration.h"
#include "replication/core/message.h"
#include "replication/replica.h"
#include "replication/row_pull.h"

namespace paxledger {

/// Where the state of a shard stands once a snapshot is in (consensus.md rule 20).
struct InstalledSnapshot {
  LogIndex index;         // of the checkpoint that it is
  SharedBytes value;      // chosen there
  Configuration members;  // in force after it
  Digest journal;         // the machine's hash chain there
};

/// Replaces the state of one shard by a snapshot that a peer streams. Nothing half is ever read: first the meta row
/// `installing/{shard}` is durable and the old rows are gone, then the new rows are ingested as sorted files; whoever
/// holds this makes the rest, with the removal of that row, one durable batch. A crash before that begins anew; a source that is
/// lost, or sends what cannot be, is exchanged for another.
/// Threads: the node's strand.
class SnapshotInstall : public RowSink {
 public:
  /// What it asks the replica.
  struct Host {
    /// Whom to ask, the `turn`-th time; nullopt: nobody can be asked now.
    std::function<std::optional<ReplicaId>(uint32_t turn)> source;
    std::function<uint64_t()> new_session;
    /// Is a snapshot at this index worth it?
    std::function<bool(LogIndex)> wanted;
    /// Makes durable that the shard is being installed, and removes the rows of its machine; then `done`.
    std::function<void(std::function<void()> done)> clear;
    /// All rows are in. False: they are not the state that they should be.
    std::function<bool(const InstalledSnapshot&)> finish;
    std::function<void()> flush_soon;
  };
  SnapshotInstall(ShardId shard, const ReplicaPorts& ports, Host host, size_t ingest_bytes);

  enum class Begin : uint8_t { kAllowed, kNotYet };
  /// Call every now and then, at first to begin.
  void Tick(Begin begin);
  /// The rows of the shard are about to be removed: nothing is on its way to the disk any more when `done` is called, perhaps
  /// inside the call.
  void End(std::function<void()> done);
  /// Of the session under way, if any.
  RowPull* pull() { return pull_.get(); }
  /// So many peers in a row said that they have no state either.
  uint32_t refused() const { return refused_; }
  /// It uses a source, the network or the disk.
  bool running() const { return pull_ != nullptr || ingesting_ > 0; }

  // RowSink
  void OnHead(const RowsHead& head) override;
  void OnPart(RowsPart part) override;
  void OnLost(RowsRefusal refusal) override;

 private:
  void TryAgain(int64_t after_us);
  void Gather(RowsPart part);
  void IngestGathered();
  void OnIngested(uint64_t attempt, const absl::Status& status);
  void Go();

  ShardId shard_;
  const ReplicaPorts& ports_;
  Host host_;
  size_t ingest_bytes_;
  std::unique_ptr<RowPull> pull_;
  int64_t try_at_us_ = 0;
  uint32_t turn_ = 0;
  uint64_t attempt_ = 0;  // ends the life of callbacks of earlier ones
  InstalledSnapshot at_;
  std::vector<SharedBytes> gathered_;  // of one table
  Table table_ = Table::kState;
  size_t gathered_bytes_ = 0;
  size_t ingesting_ = 0;
  bool all_received_ = false;
  bool finished_ = false;
  uint32_t refused_ = 0;
  std::function<void()> ended_;
  Counter* bytes_ = nullptr;
  std::shared_ptr<SnapshotInstall*> self_ =
      std::make_shared<SnapshotInstall*>(this);  // the engine may call back after this is gone
};

}  // namespace paxledger
