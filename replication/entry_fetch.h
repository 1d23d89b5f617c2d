#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/replica.h"

namespace paxledger {

/// Fetches single chosen entries from peers: one peer after the other, until one has it. What a peer says is chosen is chosen
/// (consensus.md rule 7).
/// Threads: the node's strand.
class EntryFetch {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<SharedBytes>)>;
  /// `sources`: whom to ask for entries of a shard, best first.
  EntryFetch(const ReplicaPorts& ports, std::function<std::vector<ReplicaId>(ShardId)> sources)
      : ports_(ports), sources_(std::move(sources)) {}

  /// `done` is called on the strand, perhaps inside the call.
  /// Errors: kUnavailable  nobody had it until `give_up_at_us`
  void Ask(ShardId shard, LogIndex index, int64_t give_up_at_us, Done done);
  /// An answer came, which may hold something that is waited for.
  void Handle(const FetchAnswer& answer);
  /// Call every now and then.
  void Tick();
  bool waiting() const { return !wanted_.empty(); }

 private:
  struct Waiting {
    int64_t give_up_at_us;
    Done done;
  };
  struct Wanted {
    int64_t asked_at_us = 0;
    uint32_t turn = 0;
    std::vector<Waiting> waiting;
  };
  using Name = std::pair<ShardId, LogIndex>;
  void AskNext(const Name& name, Wanted& wanted);

  const ReplicaPorts& ports_;
  std::function<std::vector<ReplicaId>(ShardId)> sources_;
  std::map<Name, Wanted> wanted_;
};

}  // namespace paxledger
