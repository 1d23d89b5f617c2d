#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/strong_id.h"
#include "replication/core/configuration.h"
#include "replication/core/message.h"
#include "replication/core/state_writer.h"

namespace paxledger {

/// What this replica knows of another's record at one index.
struct PeerView {
  ReplicaId replica;
  Record record;  // newest durable record that the member reported
  Record told;    // our durable record as we last sent it to the member
  bool was_told = false;
  Digest offered;  // the value last sent to the member, whether or not it arrived
};

/// One index above the chosen ones: our own record, newest and durable, and our view of the others'. Which of them count
/// is known only when the configuration in force at the index is (consensus.md rule 16), so it is said when asked.
class Slot {
 public:
  /// Takes a promise; `ballot` is above the present one.
  void Promise(Ballot ballot);
  /// Takes an accept at or above the promise (consensus.md, "we promise first": the promise is raised to the ballot).
  void Accept(Ballot ballot, const Digest& digest, SharedBytes value);
  /// The newest record was handed to the disk under `serial`.
  void Writing(uint64_t serial) { writing_.push_back({serial, latest_}); }
  /// The disk holds what was written under `serial`. Returns the durable record before.
  Record Persisted(uint64_t serial);
  /// A record recovered from disk.
  void Restore(const Record& record, SharedBytes value);

  /// Merges what a replica reported: records only grow.
  void Merge(ReplicaId replica, const Record& record);

  /// The value digest that a majority of the members' durable records carries at one ballot, if any (consensus.md rules 3,
  /// 8 and 16).
  std::optional<Digest> Chosen(const Configuration& members, ReplicaId self) const;
  /// Members' durable promises of exactly `ballot`, our own among them.
  size_t Promises(Ballot ballot, const Configuration& members, ReplicaId self) const;
  /// The highest ballot that any replica, we included, is known to have promised.
  Ballot HighestPromise() const;
  /// The highest ballot that a member prepares with, as its own promise shows.
  Ballot HighestPrepare(const Configuration& members) const;

  bool touched() const { return !latest_.promised.none(); }
  bool settled() const { return writing_.empty(); }
  const Record& latest() const { return latest_; }
  const Record& durable() const { return durable_; }
  const SharedBytes& value() const { return value_; }
  /// Keeps the bytes of a value that was seen at this index, accepted or not.
  void Hold(const Digest& digest, SharedBytes value) { seen_[digest] = std::move(value); }
  /// nullptr where the bytes were never seen.
  SharedBytes ValueOf(const Digest& digest) const;
  PeerView& peer(ReplicaId replica);
  const std::vector<PeerView>& peers() const { return peers_; }

  /// Set once the index is known to be chosen while its value is not here yet.
  std::optional<Digest> decided;
  int64_t touched_at_us = 0;  // when the newest record changed
  int64_t sent_at_us = 0;     // when we last sent something that waits for an answer
  uint32_t unanswered = 0;    // how often that was sent again

  /// `Check`s what must hold of every record.
  void CheckInvariants() const;
  void WriteState(StateWriter& out) const;

 private:
  struct Written {
    uint64_t serial;
    Record record;
  };
  Record latest_;
  Record durable_;
  SharedBytes value_;  // of latest_.accepted
  std::map<Digest, SharedBytes> seen_;
  std::deque<Written> writing_;
  /// The durable record of `replica` as known here; ours where it is `self`.
  const Record& RecordOf(ReplicaId replica, ReplicaId self) const;
  const Record& VoteOf(ReplicaId replica, ReplicaId self) const;
  std::vector<PeerView> peers_;  // of whom something was heard, or told
};

}  // namespace paxledger
