#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/sim/core_facts.h"
#include "tests/sim/core_node.h"

namespace paxledger::sim {

/// A message on its way between two shard logs.
struct Flight {
  ReplicaId from;
  ReplicaId to;
  uint64_t from_life = 0;   // messages outlive their sender
  Incarnation incarnation;  // of that life
  uint64_t disk = 0;        // that it runs from: another number after it was emptied
  PeerMessage message;
};

/// The replicas of one shard, a bag of messages between them, and the facts. It does nothing by itself: a script or a random
/// driver says what happens. After each step it has checked what `CoreNode` and `CoreFacts` check, and
///   - a finished read barrier saw everything chosen before it began (rules 9-11)
/// and when all has come to rest, `LostCommands()` names what was proposed and neither chosen nor lost with a process or message
/// (rule 12).
/// A process whose incarnation a peer finds too old for a new one is refused and gone for good (rules 1 and 18).
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
  /// The disk is found empty at the next restart, which is the last one.
  void Wipe(uint32_t replica);
  /// All others have heard of the present incarnation of the replica: they would refuse it with an emptied disk.
  bool KnownToAll(uint32_t replica) const;
  /// The records are lost, and nothing else: what a restored image or a damaged table may look like.
  void LoseRecords(uint32_t replica) { At(replica).core.LoseRecords(); }
  void Tick(uint32_t replica);
  void Advance(int64_t us) { now_us_ += us; }
  /// The wall clock of the replica stands this far from the true time from now on.
  void SetClock(uint32_t replica, int64_t offset_us) { At(replica).clock_offset_us = offset_us; }
  void StartRead(uint32_t replica);
  void HandOver(uint32_t from, uint32_t to);

  uint32_t replicas() const { return static_cast<uint32_t>(nodes_.size()); }
  bool up(uint32_t replica) const { return At(replica).core.up(); }
  const ShardLog& log(uint32_t replica) const { return At(replica).core.log(); }
  int64_t wake_at_us(uint32_t replica) const { return At(replica).core.wake_at_us(); }
  size_t writes_waiting(uint32_t replica) const { return At(replica).core.writes_waiting(); }
  bool reading(uint32_t replica) const { return !At(replica).reads.empty(); }
  /// Refused by its peers: it never comes back.
  bool gone(uint32_t replica) const { return At(replica).gone; }
  /// It will be, once a peer hears of it.
  bool wiped(uint32_t replica) const { return At(replica).wiped; }
  const CoreNode::Row* DiskRow(uint32_t replica, LogIndex index) const {
    return At(replica).core.DiskRow(index);
  }
  int64_t now_us() const { return now_us_; }
  const std::vector<Flight>& flights() const { return flights_; }
  uint64_t hash() const { return hash_; }
  uint64_t reads_done() const { return reads_done_; }
  /// Prepares begun, by any replica.
  uint64_t prepares() const { return prepares_; }
  /// Commands that a living process took and that are not in a chosen value.
  std::vector<std::string> LostCommands() const;
  /// Empty while every rule holds.
  const std::string& failure() const { return failure_; }
  /// What durable votes have decided, in order of index.
  std::vector<ChosenFact> Chosen() const { return facts_.Chosen(); }
  LogIndex highest_chosen() const { return facts_.highest_chosen(); }
  /// Finished reads, as lines, since the last call.
  std::vector<std::string> TakeReadResults() { return std::exchange(read_results_, {}); }

 private:
  struct Greeted {  // the newest process of a replica that a peer heard
    uint64_t life = 0;
    Incarnation incarnation;
    uint64_t disk = 0;
  };
  struct Node {
    std::unique_ptr<Random> random;
    CoreNode core;
    uint64_t life = 0;
    int64_t clock_offset_us = 0;
    std::map<ReadTicket, LogIndex> reads;  // what was chosen somewhere before the read began
    std::map<uint32_t, Greeted> greeted;   // by replica; on its disk
    bool wiped = false;
    bool gone = false;
    uint64_t disk() const { return wiped ? 1 : 0; }
  };
  /// Who holds a command: a life of a replica, or nobody any more.
  struct CommandFact {
    uint32_t replica = 0;
    uint64_t life = 0;
    bool excused = false;  // lost with a process or a message
  };

  Node& At(uint32_t replica) { return nodes_[replica - 1]; }
  const Node& At(uint32_t replica) const { return nodes_[replica - 1]; }
  Moment NowAt(uint32_t replica) const;
  void Note(uint32_t replica, CoreOutput output);
  void FinishRead(uint32_t replica, ReadTicket ticket, LogIndex at);
  void Receive(uint32_t replica, const Flight& flight);
  bool Admits(const Flight& flight);
  void LeaveForGood(uint32_t replica);
  void Hold(uint32_t replica, const SharedBytes& command);
  void Lose(const Flight& flight);
  void Excuse(const SharedBytes& command) { commands_[*command].excused = true; }
  void Fail(std::string what);
  void Mix(uint64_t word) { hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15ULL + (hash_ >> 29); }

  std::vector<ReplicaId> members_;
  std::vector<Node> nodes_;
  std::vector<Flight> flights_;
  CoreFacts facts_;
  int64_t now_us_ = 1'000'000;
  uint64_t lives_ = 0;
  ReadTicket tickets_ = 0;
  uint64_t prepares_ = 0;
  std::map<std::string, CommandFact> commands_;  // by their bytes
  uint64_t reads_done_ = 0;
  std::vector<std::string> read_results_;
  uint64_t hash_ = 0;
  std::string failure_;
};

/// "pay-1", "pay-1+pay-2" or "no-op".
std::string ValueName(const SharedBytes& value);
/// What a message says, in a line.
std::string FlightName(const Flight& flight);

}  // namespace paxledger::sim
