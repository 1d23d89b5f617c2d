#include "tests/sim/core_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/limits.h"
#include "base/mark.h"
#include "base/planted.h"

namespace paxledger::sim {
namespace {
constexpr int64_t kWallUs = 1'750'000'000'000'000;
constexpr uint64_t kRoundsOfALife = 1'000'000;
}  // namespace

CoreWorld::CoreWorld(uint32_t replicas, uint64_t seed) : facts_(replicas) {
  Random seeds(seed);
  for (uint32_t r = 1; r <= replicas; ++r) members_.push_back(ReplicaId{static_cast<uint16_t>(r)});
  nodes_.reserve(replicas);
  for (ReplicaId member : members_) {
    auto random = std::make_unique<Random>(seeds.Next());
    CoreNode core(member, members_, *random);
    nodes_.push_back(Node{std::move(random), std::move(core), 0, 0, {}, {}, false, false});
  }
  for (uint32_t r = 1; r <= replicas; ++r) Restart(r);
}

Moment CoreWorld::NowAt(uint32_t replica) const {
  std::vector<int64_t> offsets;
  for (const Node& node : nodes_) offsets.push_back(node.clock_offset_us);
  std::ranges::sort(offsets);
  int64_t median_us = offsets[(offsets.size() - 1) / 2];
  Moment moment;
  moment.now_us = now_us_;
  moment.wall_us = kWallUs + now_us_ + At(replica).clock_offset_us;
  moment.stamp_max_us = kWallUs + now_us_ + median_us + limits::kClockSkewMaxUs;
  moment.round_trip_us = 1'000;
  return moment;
}

void CoreWorld::Fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
}

void CoreWorld::Note(uint32_t replica, CoreOutput output) {
  Node& node = At(replica);
  std::string wrong = facts_.Note(members_[replica - 1], output);
  if (!wrong.empty()) Fail(std::move(wrong));
  for (const BallotValue& vote : output.votes) Mix(vote.ballot.packed ^ vote.index.value << 40);
  for (const auto& [ticket, at] : output.answered) FinishRead(replica, ticket, at);
  for (const SharedBytes& command : output.dropped) Excuse(command);
  prepares_ += output.prepares;
  for (auto& [to, message] : output.sends) {
    if (const auto* paxos = std::get_if<PaxosMessage>(&message)) {
      Mix(paxos->mine.promised.packed ^ paxos->proposed.packed << 8 ^ uint64_t{to.value} << 56);
    }
    flights_.push_back(Flight{members_[replica - 1], to, node.life, node.core.incarnation(), node.disk(),
                              std::move(message)});
  }
}

void CoreWorld::FinishRead(uint32_t replica, ReadTicket ticket, LogIndex at) {
  auto read = At(replica).reads.find(ticket);
  if (at < read->second) {
    Fail(absl::StrCat("a read at replica ", replica, " answered at index ", at.value, ", but index ",
                      read->second.value, " was chosen before it began"));
  }
  ++reads_done_;
  read_results_.push_back(absl::StrCat("read at ", replica, ": everything up to index ", at.value));
  At(replica).reads.erase(read);
}

// --- what can happen ------------------------------------------------------------------------------------------------

void CoreWorld::Propose(uint32_t replica, std::string_view command) {
  PendingCommand pending;
  pending.bytes = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, command));
  Hold(replica, pending.bytes);
  if (!up(replica)) return;
  CoreOutput out;
  At(replica).core.Step(event::Proposed{{std::move(pending)}}, NowAt(replica), out);
  Note(replica, std::move(out));
}

void CoreWorld::Deliver(size_t flight) {
  Flight taken = std::move(flights_[flight]);
  flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(flight));
  Receive(taken.to.value, taken);
}

void CoreWorld::Lose(const Flight& flight) {
  if (const auto* forwarded = std::get_if<ForwardedCommands>(&flight.message)) {
    for (const SharedBytes& command : forwarded->commands) Excuse(command);
  }
}

void CoreWorld::Drop(size_t flight) {
  Lose(flights_[flight]);
  flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(flight));
}

void CoreWorld::Duplicate(size_t flight) {
  Flight copy = flights_[flight];
  flights_.push_back(std::move(copy));
}

void CoreWorld::Sync(uint32_t replica, size_t count) {
  if (!up(replica)) return;
  CoreOutput out;
  At(replica).core.Sync(count, NowAt(replica), out);
  Note(replica, std::move(out));
}

void CoreWorld::Crash(uint32_t replica, size_t writes_kept) {
  Node& node = At(replica);
  CoreOutput out;
  node.core.Crash(writes_kept, out);
  Note(replica, std::move(out));
  node.reads.clear();
  for (auto& [bytes, command] : commands_) {
    if (command.replica == replica && command.life == node.life) command.excused = true;
  }
}

void CoreWorld::Wipe(uint32_t replica) {
  Node& node = At(replica);
  node.core.Wipe();
  node.greeted.clear();
  node.wiped = true;
  node.gone = false;
}

bool CoreWorld::KnownToAll(uint32_t replica) const {
  for (uint32_t peer = 1; peer <= replicas(); ++peer) {
    if (peer != replica && !At(peer).greeted.contains(replica)) return false;
  }
  return true;
}

void CoreWorld::Restart(uint32_t replica) {
  Node& node = At(replica);
  if (node.core.up() || node.gone) return;
  node.life = ++lives_;
  CoreOutput out;
  node.core.Start(node.life * kRoundsOfALife, NowAt(replica), out);
  Note(replica, std::move(out));
}

void CoreWorld::Tick(uint32_t replica) {
  if (!up(replica)) return;
  CoreOutput out;
  At(replica).core.Tick(NowAt(replica), out);
  Note(replica, std::move(out));
}

void CoreWorld::StartRead(uint32_t replica) {
  if (!up(replica) || !log(replica).may_vote()) return;
  ReadTicket ticket = ++tickets_;
  At(replica).reads[ticket] = facts_.highest_chosen();
  CoreOutput out;
  At(replica).core.Read(ticket, NowAt(replica), out);
  Note(replica, std::move(out));
}

void CoreWorld::HandOver(uint32_t from, uint32_t to) {
  Owner heir{members_[to - 1], At(to).core.incarnation()};
  facts_.NoteHandOver(heir);
  if (!up(from)) return;
  CoreOutput out;
  At(from).core.Step(event::HandOver{heir}, NowAt(from), out);
  Note(from, std::move(out));
}

// --- messages -------------------------------------------------------------------------------------------------------

// As `Replica::AdmitPeer`: a new process is heard only under a higher incarnation than the one before it had, and from its disk.
bool CoreWorld::Admits(const Flight& flight) {
  Node& node = At(flight.to.value);
  auto [known, first] = node.greeted.try_emplace(flight.from.value);
  if (flight.from_life <= known->second.life) return true;  // an older process: it was admitted then
  bool other_disk = flight.disk != known->second.disk && !Bug("replica.descent_unchecked");
  bool refused = !first && (flight.incarnation <= known->second.incarnation || other_disk);
  if (refused && !Bug("consensus.emptied_disk_votes")) return false;
  known->second =
      Greeted{flight.from_life, std::max(known->second.incarnation, flight.incarnation), flight.disk};
  return true;
}

void CoreWorld::LeaveForGood(uint32_t replica) {
  Mark("core_world.refused");
  At(replica).wiped = true;
  Crash(replica, 0);
  At(replica).gone = true;
}

void CoreWorld::Receive(uint32_t replica, const Flight& flight) {
  Node& node = At(replica);
  // A connection stands between two processes that admit each other.
  bool sender_runs = up(flight.from.value) && At(flight.from.value).life == flight.from_life;
  if (!Admits(flight)) {
    Lose(flight);
    if (sender_runs) LeaveForGood(flight.from.value);
    return;
  }
  if (!node.core.up()) return Lose(flight);
  Flight back{flight.to, flight.from, node.life, node.core.incarnation(), node.disk(), {}};
  if (sender_runs && !Admits(back)) {
    Lose(flight);
    return LeaveForGood(replica);
  }
  Mix(uint64_t{flight.from.value} << 32 | replica);
  if (const auto* forwarded = std::get_if<ForwardedCommands>(&flight.message)) {
    for (const SharedBytes& command : forwarded->commands) Hold(replica, command);
  }
  CoreOutput out;
  node.core.Handle(flight.from, flight.message, NowAt(replica), out);
  Note(replica, std::move(out));
}

// --- commands -------------------------------------------------------------------------------------------------------

void CoreWorld::Hold(uint32_t replica, const SharedBytes& command) {
  CommandFact& fact = commands_[*command];
  fact.replica = replica;
  fact.life = At(replica).life;
  fact.excused = fact.excused || !up(replica);
}

std::vector<std::string> CoreWorld::LostCommands() const {
  std::map<std::string, CommandFact> open = commands_;
  for (const ChosenFact& fact : facts_.Chosen()) {
    if (fact.value == nullptr) continue;
    absl::StatusOr<Envelope> envelope = DecodeEnvelope(*fact.value);
    if (!envelope.ok()) continue;
    for (const Command& command : envelope->commands) {
      open.erase(EncodeCommand(command.machine, command.bytes));
    }
  }
  std::vector<std::string> lost;
  for (const auto& [bytes, fact] : open) {
    const Node& node = At(fact.replica);
    bool holder_lives = node.core.up() && node.life == fact.life;
    if (!fact.excused && holder_lives) lost.push_back(bytes.substr(2));
  }
  return lost;
}

// --- names ----------------------------------------------------------------------------------------------------------

std::string ValueName(const SharedBytes& value) {
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

std::string FlightName(const Flight& flight) {
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
