#include "tests/sim/core_world.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace paxledger::sim {
namespace {

constexpr uint32_t kHopsMax = 3;
constexpr int64_t kWallUs = 1'750'000'000'000'000;

std::string BallotName(Ballot ballot) {
  if (ballot.none()) return "none";
  return absl::StrFormat("(%d,%d)", ballot.round(), ballot.replica().value);
}

std::string RecordName(const Record& record) {
  std::string name = absl::StrCat("promised ", BallotName(record.promised));
  if (!record.accepted.none()) absl::StrAppend(&name, " accepted ", BallotName(record.accepted));
  return name;
}

}  // namespace

CoreWorld::CoreWorld(uint32_t replicas, uint64_t seed) : nodes_(replicas) {
  Random seeds(seed);
  for (uint32_t r = 1; r <= replicas; ++r) members_.push_back(ReplicaId{static_cast<uint16_t>(r)});
  for (Node& node : nodes_) node.random = std::make_unique<Random>(seeds.Next());
  for (uint32_t r = 1; r <= replicas; ++r) Restart(r);
}

Moment CoreWorld::Now() const {
  Moment moment;
  moment.now_us = now_us_;
  moment.wall_us = kWallUs + now_us_;
  moment.stamp_max_us = kWallUs + now_us_ + 500'000;
  moment.round_trip_us = 1'000;
  return moment;
}

void CoreWorld::Fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
}

void CoreWorld::Step(uint32_t replica, const ShardLogEvent& event) {
  Node& node = At(replica);
  if (node.log == nullptr) return;
  CarryOut(replica, node.log->Step(event, Now()));
  MaybeFinishRead(replica);
}

void CoreWorld::CarryOut(uint32_t replica, Effects effects) {
  Node& node = At(replica);
  if (!effects.fatal.empty()) Fail(absl::StrCat("replica ", replica, " stops: ", effects.fatal));
  for (RecordWrite& write : effects.persist) {
    if (!write.record.accepted.none()) NoteProposal(write.index, write.record.accepted, write.record.digest);
    node.waiting.push_back(std::move(write));
  }
  for (OutgoingPaxos& out : effects.send) {
    CheckRevealed(replica, out.message);
    Mix(out.message.mine.promised.packed ^ out.message.proposed.packed << 8 ^ uint64_t{out.to.value} << 56);
    Send(replica, out.to.value, std::move(out.message));
  }
  for (const ChosenEntry& entry : effects.apply) NoteApplied(entry);
  Return(replica, std::move(effects.returned));
  if (effects.fetch.has_value()) {
    Send(replica, effects.fetch->from.value,
         FetchRequest{ShardId{}, effects.fetch->first, effects.fetch->last});
  }
  node.wake_at_us = effects.wake_at_us;
}

void CoreWorld::Return(uint32_t replica, std::vector<PendingCommand> commands) {
  ForwardedCommands forwarded;
  for (PendingCommand& command : commands) {
    if (command.hops <= kHopsMax) forwarded.commands.push_back(std::move(command.bytes));
    forwarded.hops = std::max(forwarded.hops, command.hops);
  }
  uint32_t owner = At(replica).log->owner().replica.value;
  if (!forwarded.commands.empty() && owner != 0) Send(replica, owner, std::move(forwarded));
}

void CoreWorld::Send(uint32_t from, uint32_t to, PeerMessage message) {
  flights_.push_back(Flight{members_[from - 1], members_[to - 1], At(from).incarnation, std::move(message)});
}

// --- facts ----------------------------------------------------------------------------------------------------------

CoreWorld::BallotFact& CoreWorld::FactOf(LogIndex index, Ballot ballot, const Digest& digest) {
  if (facts_.size() <= index.value) facts_.resize(index.value + 1);
  std::vector<BallotFact>& ballots = facts_[index.value].ballots;
  for (BallotFact& fact : ballots) {
    if (fact.ballot == ballot) return fact;
  }
  ballots.push_back(BallotFact{ballot, digest, 0});
  return ballots.back();
}

void CoreWorld::NoteProposal(LogIndex index, Ballot ballot, const Digest& digest) {
  if (FactOf(index, ballot, digest).digest != digest) {
    Fail(absl::StrCat("two values were proposed at index ", index.value, " and ballot ", BallotName(ballot)));
  }
}

void CoreWorld::NoteVote(uint32_t replica, const RecordWrite& write) {
  BallotFact& fact = FactOf(write.index, write.record.accepted, write.record.digest);
  fact.voters |= 1U << replica;
  if (static_cast<size_t>(std::popcount(fact.voters)) <= nodes_.size() / 2) return;
  std::optional<ChosenFact>& chosen = facts_[write.index.value].chosen;
  if (!chosen.has_value()) {
    chosen = ChosenFact{write.index, fact.ballot, fact.digest, write.value};
    highest_chosen_ = std::max(highest_chosen_, write.index);
    Mix(fact.ballot.packed ^ write.index.value << 40);
  } else if (chosen->digest != fact.digest) {
    Fail(absl::StrCat("two values are chosen at index ", write.index.value, ": at ", BallotName(chosen->at),
                      " and ", BallotName(fact.ballot)));
  }
}

void CoreWorld::NoteApplied(const ChosenEntry& entry) {
  bool voted = entry.index.value < facts_.size() && facts_[entry.index.value].chosen.has_value();
  if (!voted) {
    Fail(absl::StrCat("index ", entry.index.value,
                      " was applied before a majority of durable votes chose it"));
  } else if (facts_[entry.index.value].chosen->digest != entry.digest) {
    Fail(absl::StrCat("another value than the chosen one was applied at index ", entry.index.value));
  }
}

void CoreWorld::CheckRevealed(uint32_t replica, const PaxosMessage& message) {
  if (!message.proposed.none()) NoteProposal(message.index, message.proposed, message.proposed_digest);
  const Row* row = DiskRow(replica, message.index);
  Record durable = row == nullptr ? Record{} : row->record;
  if (message.mine.promised > durable.promised || message.mine.accepted > durable.accepted) {
    Fail(absl::StrCat("replica ", replica, " told of a record at index ", message.index.value,
                      " that is not durable: ", RecordName(message.mine)));
  }
}

std::vector<CoreWorld::ChosenFact> CoreWorld::Chosen() const {
  std::vector<ChosenFact> chosen;
  for (const IndexFacts& facts : facts_) {
    if (facts.chosen.has_value()) chosen.push_back(*facts.chosen);
  }
  return chosen;
}

// --- disk -----------------------------------------------------------------------------------------------------------

const CoreWorld::Row* CoreWorld::DiskRow(uint32_t replica, LogIndex index) const {
  const auto& disk = At(replica).disk;
  auto at = disk.find(index.value);
  return at == disk.end() ? nullptr : &at->second;
}

void CoreWorld::Store(uint32_t replica, const RecordWrite& write) {
  At(replica).disk[write.index.value] = Row{write.record, write.chosen, write.value, write.chosen_through};
  if (!write.chosen && !write.record.accepted.none()) NoteVote(replica, write);
}

void CoreWorld::Sync(uint32_t replica, size_t count) {
  // One group commit: all is on disk before the first of them is reported.
  std::vector<event::Persisted> reports;
  Node& node = At(replica);
  for (; count > 0 && !node.waiting.empty(); --count) {
    Store(replica, node.waiting.front());
    reports.push_back({node.waiting.front().index, node.waiting.front().serial});
    node.waiting.pop_front();
  }
  for (const event::Persisted& report : reports) Step(replica, report);
}

void CoreWorld::Crash(uint32_t replica, size_t writes_kept) {
  Node& node = At(replica);
  for (; writes_kept > 0 && !node.waiting.empty(); --writes_kept) {
    Store(replica, node.waiting.front());
    node.waiting.pop_front();
  }
  node.waiting.clear();
  node.log.reset();
  node.read.reset();
  node.wake_at_us = INT64_MAX;
}

void CoreWorld::Wipe(uint32_t replica) { At(replica).disk.clear(); }

void CoreWorld::Restart(uint32_t replica) {
  Node& node = At(replica);
  if (node.log != nullptr) return;
  ++node.incarnation;
  ShardLogOptions options{.shard = ShardId{},
                          .self = members_[replica - 1],
                          .incarnation = Incarnation{node.incarnation},
                          .members = members_,
                          .genesis = Sha256("genesis"),
                          .silent_below = {}};
  node.log = std::make_unique<ShardLog>(std::move(options), *node.random);
  uint64_t chosen = 0;
  for (const auto& [index, row] : node.disk) {
    chosen = std::max(chosen, row.chosen_through.value);
    if (row.chosen) chosen = std::max(chosen, index);
  }
  if (chosen > 0) {
    auto at = node.disk.find(chosen);
    Check(at != node.disk.end() && at->second.value != nullptr,
          "a replica holds the values that it knows to be chosen");
    node.log->RestoreChosen(LogIndex{chosen}, PeekEnvelope(*at->second.value).owner,
                            Sha256(*at->second.value));
  }
  for (auto at = node.disk.upper_bound(chosen); at != node.disk.end(); ++at) {
    node.log->RestoreRecord(LogIndex{at->first}, at->second.record, at->second.value);
  }
  Step(replica, event::Tick{});
}

// --- what can happen ------------------------------------------------------------------------------------------------

void CoreWorld::Propose(uint32_t replica, std::string_view command) {
  PendingCommand pending;
  pending.bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, command));
  Step(replica, event::Proposed{{std::move(pending)}});
}

void CoreWorld::Deliver(size_t flight) {
  Flight taken = std::move(flights_[flight]);
  flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(flight));
  Receive(taken.to.value, taken);
}

void CoreWorld::Drop(size_t flight) { flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(flight)); }

void CoreWorld::Duplicate(size_t flight) {
  Flight copy = flights_[flight];
  flights_.push_back(std::move(copy));
}

void CoreWorld::Tick(uint32_t replica) { Step(replica, event::Tick{}); }

void CoreWorld::HandOver(uint32_t from, uint32_t to) {
  Step(from, event::HandOver{Owner{members_[to - 1], Incarnation{At(to).incarnation}}});
}

void CoreWorld::Receive(uint32_t replica, const Flight& flight) {
  Node& node = At(replica);
  if (node.log == nullptr) return;
  Mix(uint64_t{flight.from.value} << 32 | replica);
  if (const auto* paxos = std::get_if<PaxosMessage>(&flight.message)) {
    Step(replica, event::Received{flight.from, *paxos});
  } else if (const auto* fetch = std::get_if<FetchRequest>(&flight.message)) {
    FetchAnswer answer;
    for (uint64_t i = fetch->from.value; i <= std::min(fetch->to.value, node.log->chosen().value); ++i) {
      answer.entries.push_back({LogIndex{i}, facts_[i].chosen->value});
    }
    if (!answer.entries.empty()) Send(replica, flight.from.value, std::move(answer));
  } else if (const auto* fetched = std::get_if<FetchAnswer>(&flight.message)) {
    Step(replica, event::Learned{fetched->entries});
  } else if (const auto* asked = std::get_if<BarrierRequest>(&flight.message)) {
    if (!node.log->voting()) return;
    Send(replica, flight.from.value,
         BarrierAnswer{ShardId{}, asked->round, node.log->HighestDurable(), node.log->chosen()});
  } else if (const auto* answered = std::get_if<BarrierAnswer>(&flight.message)) {
    AnswerBarrier(replica, answered->round, flight.from.value, answered->highest);
  } else if (const auto* forwarded = std::get_if<ForwardedCommands>(&flight.message)) {
    event::Proposed proposed;
    for (const SharedBytes& bytes : forwarded->commands) {
      proposed.commands.push_back({bytes, Urgency::kNow, forwarded->hops});
    }
    Step(replica, proposed);
  }
}

void CoreWorld::StartRead(uint32_t replica) {
  Node& node = At(replica);
  if (node.log == nullptr || !node.log->voting()) return;
  node.read = Read{++read_rounds_, std::vector<bool>(nodes_.size() + 1), LogIndex{}, highest_chosen_};
  for (uint32_t peer = 1; peer <= replicas(); ++peer) {
    if (peer != replica) Send(replica, peer, BarrierRequest{ShardId{}, node.read->round});
  }
  AnswerBarrier(replica, node.read->round, replica, node.log->HighestDurable());
}

void CoreWorld::AnswerBarrier(uint32_t replica, uint64_t round, uint32_t from, LogIndex highest) {
  Node& node = At(replica);
  if (!node.read.has_value() || node.read->round != round) return;
  node.read->answered[from] = true;
  node.read->highest = std::max(node.read->highest, highest);
  auto answers = static_cast<size_t>(std::ranges::count(node.read->answered, true));
  if (answers <= nodes_.size() / 2) return;
  if (!node.read->completing && node.log->chosen() < node.read->highest) {
    node.read->completing = true;
    Step(replica, event::CompletionWanted{node.read->highest});
    return;
  }
  MaybeFinishRead(replica);
}

void CoreWorld::MaybeFinishRead(uint32_t replica) {
  Node& node = At(replica);
  if (!node.read.has_value() || node.log == nullptr) return;
  auto answers = static_cast<size_t>(std::ranges::count(node.read->answered, true));
  if (answers <= nodes_.size() / 2 || node.log->chosen() < node.read->highest) return;
  if (node.log->chosen() < node.read->floor) {
    Fail(absl::StrCat("a read at replica ", replica, " answered at index ", node.log->chosen().value,
                      ", but index ", node.read->floor.value, " was chosen before it began"));
  }
  ++reads_done_;
  read_results_.push_back(
      absl::StrCat("read at ", replica, ": everything up to index ", node.log->chosen().value));
  node.read.reset();
}

// --- names ----------------------------------------------------------------------------------------------------------

std::string CoreWorld::ValueName(const SharedBytes& value) {
  if (value == nullptr) return "?";
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(*value);
  if (!envelope.ok()) return "malformed";
  if (envelope->commands.empty()) return "no-op";
  std::string name;
  for (const Command& command : envelope->commands) {
    if (!name.empty()) name += "+";
    name += command.bytes;
  }
  return name;
}

std::string CoreWorld::FlightName(const Flight& flight) {
  std::string name = absl::StrCat(flight.from.value, "->", flight.to.value, " ");
  if (const auto* m = std::get_if<PaxosMessage>(&flight.message)) {
    absl::StrAppend(&name, "index ", m->index.value);
    if (!m->proposed.none()) absl::StrAppend(&name, " proposes at ", BallotName(m->proposed));
    if (!m->mine.promised.none()) absl::StrAppend(&name, " ", RecordName(m->mine));
    if (m->value != nullptr) absl::StrAppend(&name, " value ", ValueName(m->value));
    if (m->chosen.value > 0) absl::StrAppend(&name, " chosen ", m->chosen.value);
    if (m->ask) name += " ask";
  } else if (const auto* fetch = std::get_if<FetchRequest>(&flight.message)) {
    absl::StrAppend(&name, "fetch ", fetch->from.value, "..", fetch->to.value);
  } else if (const auto* fetched = std::get_if<FetchAnswer>(&flight.message)) {
    absl::StrAppend(&name, "fetched ", fetched->entries.size());
  } else if (std::holds_alternative<BarrierRequest>(flight.message)) {
    name += "barrier?";
  } else if (const auto* answer = std::get_if<BarrierAnswer>(&flight.message)) {
    absl::StrAppend(&name, "barrier: ", answer->highest.value);
  } else if (const auto* forwarded = std::get_if<ForwardedCommands>(&flight.message)) {
    absl::StrAppend(&name, "forwards ", forwarded->commands.size());
  }
  return name;
}

}  // namespace paxledger::sim
