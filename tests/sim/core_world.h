#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "replication/core/shard_log.h"

namespace paxledger::sim {

/// A message on its way between two shard logs.
struct Flight {
  ReplicaId from;
  ReplicaId to;
  uint64_t from_life = 0;  // messages outlive their sender
  PeerMessage message;
};

/// The shard logs of one shard with everything around them reduced to a few lines: a bag of messages, disks whose writes
/// become durable when told, and facts that are recorded for ever. It does nothing by itself: a script or a random
/// driver says what happens. After each step it has checked:
///   - one value is proposed per (index, ballot), whoever crashed in between (consensus.md rule 1)
///   - one value is chosen per index, counted from durable votes alone, and only chosen values are applied (rules 3, 5, 7)
///   - no message tells of a record that is not durable at its sender (rule 2)
///   - a finished read barrier saw everything chosen before it began (rules 9-11)
/// Threads: one.
class CoreWorld {
 public:
  CoreWorld(uint32_t replicas, uint64_t seed);

  // What can happen. Replicas are numbered from 1.
  void Propose(uint32_t replica, std::string_view command);
  void Deliver(size_t flight);
  void Drop(size_t flight);
  void Duplicate(size_t flight);
  /// Makes the first `count` writes that wait at the disk durable.
  void Sync(uint32_t replica, size_t count);
  void Crash(uint32_t replica, size_t writes_kept);
  void Restart(uint32_t replica);
  /// The disk is found empty at the next restart.
  void Wipe(uint32_t replica);
  void Tick(uint32_t replica);
  void Advance(int64_t us) { now_us_ += us; }
  /// A read that was under way begins anew.
  void StartRead(uint32_t replica);
  void HandOver(uint32_t from, uint32_t to);

  uint32_t replicas() const { return static_cast<uint32_t>(nodes_.size()); }
  bool up(uint32_t replica) const { return At(replica).log != nullptr; }
  const ShardLog& log(uint32_t replica) const { return *At(replica).log; }
  int64_t wake_at_us(uint32_t replica) const { return At(replica).wake_at_us; }
  size_t writes_waiting(uint32_t replica) const { return At(replica).waiting.size(); }
  bool reading(uint32_t replica) const { return At(replica).read.has_value(); }
  int64_t now_us() const { return now_us_; }
  const std::vector<Flight>& flights() const { return flights_; }
  uint64_t hash() const { return hash_; }
  uint64_t reads_done() const { return reads_done_; }
  /// Empty while every rule holds.
  const std::string& failure() const { return failure_; }

  struct ChosenFact {
    LogIndex index;
    Ballot at;  // the ballot at which a majority was first durable
    Digest digest;
    SharedBytes value;
  };
  /// What durable votes have decided, in order of index.
  std::vector<ChosenFact> Chosen() const;
  LogIndex highest_chosen() const { return highest_chosen_; }
  /// What the disk of a replica holds of an index.
  struct Row {
    Record record;
    bool chosen = false;
    SharedBytes value;
    LogIndex chosen_through;
  };
  const Row* DiskRow(uint32_t replica, LogIndex index) const;
  /// "pay-1", "pay-1+pay-2" or "no-op".
  static std::string ValueName(const SharedBytes& value);
  /// What a message says, in a line.
  static std::string FlightName(const Flight& flight);

  /// Finished reads, as lines, since the last call.
  std::vector<std::string> TakeReadResults() { return std::exchange(read_results_, {}); }

 private:
  struct Read {
    uint64_t round;
    std::vector<bool> answered;
    LogIndex highest;
    LogIndex floor;  // chosen somewhere before the read began
    bool completing = false;
  };
  struct Node {
    std::unique_ptr<Random> random;
    std::unique_ptr<ShardLog> log;  // null: down
    uint64_t incarnation = 0;
    std::map<uint64_t, Row> disk;
    std::deque<RecordWrite> waiting;
    int64_t wake_at_us = INT64_MAX;
    std::optional<Read> read;
  };
  struct BallotFact {
    Ballot ballot;
    Digest digest;
    uint32_t voters = 0;  // a bit for each replica with a durable vote
  };
  struct IndexFacts {
    std::vector<BallotFact> ballots;
    std::optional<ChosenFact> chosen;
  };

  Node& At(uint32_t replica) { return nodes_[replica - 1]; }
  const Node& At(uint32_t replica) const { return nodes_[replica - 1]; }
  void Step(uint32_t replica, const ShardLogEvent& event);
  void CarryOut(uint32_t replica, Effects effects);
  void Receive(uint32_t replica, const Flight& flight);
  void Store(uint32_t replica, const RecordWrite& write);
  void NoteProposal(LogIndex index, Ballot ballot, const Digest& digest);
  void NoteVote(uint32_t replica, const RecordWrite& write);
  void NoteApplied(const ChosenEntry& entry);
  void CheckRevealed(uint32_t replica, const PaxosMessage& message);
  void AnswerBarrier(uint32_t replica, uint64_t round, uint32_t from, LogIndex highest);
  void MaybeFinishRead(uint32_t replica);
  void Send(uint32_t from, uint32_t to, PeerMessage message);
  /// What a log gave back goes to the owner of its next index.
  void Return(uint32_t replica, std::vector<PendingCommand> commands);
  void Fail(std::string what);
  void Mix(uint64_t word) { hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15ULL + (hash_ >> 29); }
  BallotFact& FactOf(LogIndex index, Ballot ballot, const Digest& digest);
  Moment Now() const;

  std::vector<ReplicaId> members_;
  std::vector<Node> nodes_;
  std::vector<Flight> flights_;
  std::vector<IndexFacts> facts_;
  LogIndex highest_chosen_;
  int64_t now_us_ = 1'000'000;
  uint64_t read_rounds_ = 0;
  uint64_t reads_done_ = 0;
  std::vector<std::string> read_results_;
  uint64_t hash_ = 0;
  std::string failure_;
};

}  // namespace paxledger::sim
