#include "tests/sim/explore_core.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"
#include "tests/sim/core_world.h"
#include "tests/sim/explore_names.h"
#include "tests/sim/path_on_abort.h"

namespace paxledger::sim {
namespace {

constexpr int64_t kWallUs = 1'750'000'000'000'000;  // stands still: stamps are not what is looked for
constexpr uint64_t kRoundsOfALife = 1'000;
constexpr uint64_t kCompareOneIn = 16;

enum class EventKind : uint8_t { kDeliver, kPropose, kSync, kTick, kCrash, kRestart, kRead, kHandOver };

/// An event of one replica. `what`: the message, the command, the writes kept, the floor of a read, or the heir.
struct Event {
  EventKind kind;
  uint32_t what = 0;
  uint64_t packed() const { return uint64_t{static_cast<uint8_t>(kind)} << 32 | what; }
};

/// A replica and what belongs to it alone.
struct Local {
  explicit Local(CoreNode node) : core(std::move(node)) {}

  CoreNode core;
  int64_t now_us = kExploreJumpUs;
  uint64_t reads_begun = 0;
  std::map<ReadTicket, LogIndex> reads;

  void WriteState(StateWriter& out) const {
    core.WriteState(out);
    for (const auto& [ticket, floor] : reads) {
      out.Number(ticket);
      out.Number(floor.value);
    }
    out.Number(reads_begun);
  }
};

/// Names objects by small numbers, equal ones by the same.
template <class Object>
class Interned {
 public:
  /// nullopt: new; to be added.
  std::optional<uint32_t> Find(const StateHash& hash) const {
    auto at = by_hash_.find(hash.plain);
    return at == by_hash_.end() ? std::nullopt : std::optional(at->second);
  }
  uint32_t Add(const StateHash& hash, Object object) {
    auto id = static_cast<uint32_t>(entries_.size());
    by_hash_.emplace(hash.plain, id);
    entries_.push_back({std::make_unique<const Object>(std::move(object)), hash});
    return id;
  }
  const Object& operator[](uint32_t id) const { return *entries_[id].object; }
  const StateHash& hash(uint32_t id) const { return entries_[id].hash; }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::unique_ptr<const Object> object;
    StateHash hash;
  };
  std::vector<Entry> entries_;
  absl::flat_hash_map<std::array<uint64_t, 2>, uint32_t> by_hash_;
};

void WriteRecord(const Record& record, NamedState& out) {
  out.Number(record.promised.packed);
  out.Number(record.accepted.packed);
  out.Value(record.digest);
}

void WriteFlight(const Flight& flight, NamedState& out) {
  out.Number(uint64_t{flight.from.value} << 32 | flight.to.value);
  out.Number(flight.message.index());
  if (const auto* paxos = std::get_if<PaxosMessage>(&flight.message)) {
    out.Number(paxos->index.value);
    WriteRecord(paxos->mine, out);
    WriteRecord(paxos->yours, out);
    out.Number(paxos->proposed.packed);
    out.Value(paxos->proposed_digest);
    out.Number((paxos->value != nullptr ? 2U : 0U) | (paxos->ask ? 1U : 0U));
    out.Number(paxos->chosen.value);
    out.Value(paxos->chosen_digest);
  } else if (const auto* fetch = std::get_if<FetchRequest>(&flight.message)) {
    out.Number(fetch->from.value);
    out.Number(fetch->to.value);
  } else if (const auto* fetched = std::get_if<FetchAnswer>(&flight.message)) {
    for (const ChosenValue& entry : fetched->entries) {
      out.Number(entry.index.value);
      out.Value(Sha256(*entry.value));
    }
  } else if (const auto* asked = std::get_if<BarrierRequest>(&flight.message)) {
    out.Number(asked->round);
  } else if (const auto* answer = std::get_if<BarrierAnswer>(&flight.message)) {
    out.Number(answer->round);
    out.Number(answer->highest.value);
    out.Number(answer->chosen.value);
  } else if (const auto* forwarded = std::get_if<ForwardedCommands>(&flight.message)) {
    out.Number(forwarded->hops);
    for (const SharedBytes& command : forwarded->commands) out.Bytes(*command);
  }
}

/// What a replica does on an event: a function of its state and the event alone.
struct Transition {
  uint32_t local = 0;
  std::vector<uint32_t> messages;  // that it sends, ascending
  CoreOutput said;                 // for the facts; without what it sends
  bool beyond = false;             // the bounds: not followed
  bool silent = false;             // nothing is sent, proposed, voted or applied
};

/// What there is only so much of.
struct Spent {
  uint8_t proposed = 0;  // a bit for each command
  uint8_t crashes = 0;
  uint8_t reads = 0;
  uint8_t hand_overs = 0;
};

struct State {
  std::vector<uint32_t> locals;
  std::vector<uint32_t> messages;  // ever sent, ascending: any of them may arrive, any number of times
  uint32_t facts = 0;
  Spent spent;
  uint32_t number = 0;  // in the order of discovery
};

class CoreExplorer {
 public:
  explicit CoreExplorer(const CoreExploreOptions& options) : options_(options) {
    for (uint32_t r = 1; r <= options.replicas; ++r) members_.push_back(ReplicaId{static_cast<uint16_t>(r)});
    commands_ = {std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "a")),
                 std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "b"))};
  }

  ExploreReport Run();
  std::string PathTo(uint32_t state) const;
  /// The events up to the one that is being taken.
  std::string PathToTrying() const { return absl::StrCat(PathTo(trying_.state), EventName(trying_)); }

 private:
  struct Origin {
    uint32_t state = 0;
    uint32_t replica = 0;
    Event event{EventKind::kTick, 0};
  };
  std::string EventName(const Origin& origin) const;

  Moment MomentOf(const Local& local) const;
  uint32_t AddMessage(ReplicaId from, ReplicaId to, PeerMessage message);
  std::vector<uint32_t> AddMessages(uint32_t replica, CoreOutput& out);
  StateHash HashOf(const Local& local, uint32_t replica) const;
  Transition Take(uint32_t local, uint32_t replica, Event event);
  Local Act(const Local& before, uint32_t replica, Event event, CoreOutput& out);
  std::vector<Local> Begin(CoreFacts& facts);
  void ChooseFirst(std::vector<Local>& locals, CoreFacts& facts);
  void DropThird(std::vector<Local>& locals, CoreFacts& facts);
  void Settle(std::vector<Local>& locals, CoreFacts& facts, uint32_t replica, const ShardLogEvent& event,
              std::pair<uint32_t, uint32_t> among);
  bool Beyond(const CoreOutput& out) const;
  bool BallotBeyond(Ballot ballot) const { return !ballot.none() && ballot.round() > options_.rounds; }
  void LearnValues(const CoreOutput& out);
  void Compare(const Local& again, uint32_t local, uint32_t replica);
  const Transition& TransitionOf(uint32_t replica, uint32_t local, Event event);
  std::vector<Event> EventsOf(const State& state, uint32_t replica) const;
  void AddCounted(const State& state, uint32_t replica, std::vector<Event>& events) const;
  void Expand(const State& state);
  void Follow(const State& state, uint32_t replica, Event event);
  StateHash HashOfState(const State& state) const;
  void Reach(State state, Origin origin);
  void Fail(std::string what, Origin last);

  CoreExploreOptions options_;
  std::vector<ReplicaId> members_;
  std::vector<SharedBytes> commands_;
  Random random_{1};  // draws only how long to back off, which is all the same here
  ValueNames names_;
  Interned<Local> locals_;
  Interned<Flight> messages_;
  Interned<CoreFacts> facts_;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, std::unique_ptr<const Transition>>
      taken_;                                     // by local and event
  std::vector<std::vector<Event>> events_taken_;  // by local
  absl::flat_hash_set<std::array<uint64_t, 2>> reached_;
  std::vector<Origin> origins_;
  std::vector<State> next_;
  Origin trying_;
  ExploreReport report_;
  uint64_t begins_after_ = 0;  // the index that is chosen at the start
};

// --- local steps ----------------------------------------------------------------------------------------------------

Moment CoreExplorer::MomentOf(const Local& local) const {
  Moment moment;
  moment.now_us = local.now_us;
  moment.wall_us = kWallUs;
  moment.stamp_max_us = kWallUs + limits::kClockSkewMaxUs;
  return moment;
}

Local CoreExplorer::Act(const Local& before, uint32_t replica, Event event, CoreOutput& out) {
  Local after = before;
  ++report_.steps;
  switch (event.kind) {
    case EventKind::kDeliver: {
      const Flight& flight = messages_[event.what];
      after.core.Handle(flight.from, flight.message, MomentOf(after), out);
      break;
    }
    case EventKind::kPropose:
      after.core.Step(event::Proposed{{PendingCommand{commands_[event.what]}}}, MomentOf(after), out);
      break;
    case EventKind::kSync:
      after.core.Sync(1, MomentOf(after), out);
      break;
    case EventKind::kTick:
      after.now_us += kExploreJumpUs;
      after.core.Tick(MomentOf(after), out);
      break;
    case EventKind::kCrash:
      after.core.Crash(event.what, out);
      after.reads.clear();
      break;
    case EventKind::kRestart:
      after.core.Start((after.core.incarnation().value + 1) * kRoundsOfALife, MomentOf(after), out);
      break;
    case EventKind::kRead:
      after.reads[++after.reads_begun] = LogIndex{event.what};
      after.core.Read(after.reads_begun, MomentOf(after), out);
      break;
    case EventKind::kHandOver: {
      Owner heir{ReplicaId{static_cast<uint16_t>(event.what >> 16)}, Incarnation{event.what & 0xffff}};
      after.core.Step(event::HandOver{heir}, MomentOf(after), out);
      break;
    }
  }
  for (const auto& [ticket, at] : out.answered) {
    auto read = after.reads.find(ticket);
    if (at < read->second) {
      out.failure = absl::StrCat("a read at replica ", replica, " answered at index ", at.value,
                                 ", but index ", read->second.value, " was chosen before it began");
    }
    after.reads.erase(read);
  }
  return after;
}

bool CoreExplorer::Beyond(const CoreOutput& out) const {
  auto beyond = [this](const BallotValue& said) {
    return said.index.value > begins_after_ + options_.indexes || BallotBeyond(said.ballot);
  };
  if (std::ranges::any_of(out.proposals, beyond)) return true;
  return std::ranges::any_of(out.sends, [this](const auto& sent) {
    const auto* paxos = std::get_if<PaxosMessage>(&sent.second);
    if (paxos == nullptr) return false;
    // One beyond the last index only asks.
    return paxos->index.value > begins_after_ + options_.indexes + 1 || BallotBeyond(paxos->mine.promised);
  });
}

void CoreExplorer::LearnValues(const CoreOutput& out) {
  for (const BallotValue& said : out.proposals) {
    if (said.value != nullptr) names_.Learn(said.digest, *said.value);
  }
}

std::vector<uint32_t> CoreExplorer::AddMessages(uint32_t replica, CoreOutput& out) {
  std::vector<uint32_t> ids;
  for (auto& [to, message] : out.sends) {
    Flight flight{members_[replica - 1], to, 0, Incarnation{}, 0, std::move(message)};
    StateHash hash = HashState(names_, 0, [&](NamedState& writer) { WriteFlight(flight, writer); });
    std::optional<uint32_t> known = messages_.Find(hash);
    ids.push_back(known.has_value() ? *known : messages_.Add(hash, std::move(flight)));
  }
  out.sends.clear();
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

StateHash CoreExplorer::HashOf(const Local& local, uint32_t replica) const {
  return HashState(names_, local.now_us, [&](NamedState& writer) {
    writer.Number(replica);
    local.WriteState(writer);
  });
}

Transition CoreExplorer::Take(uint32_t before, uint32_t replica, Event event) {
  Transition taken;
  Local after = Act(locals_[before], replica, event, taken.said);
  LearnValues(taken.said);
  taken.beyond = Beyond(taken.said) && taken.said.failure.empty();
  if (taken.beyond) return taken;
  taken.messages = AddMessages(replica, taken.said);
  const CoreOutput& said = taken.said;
  taken.silent = said.proposals.empty() && said.votes.empty() && said.applied.empty() && said.failure.empty();
  StateHash hash = HashOf(after, replica);
  std::optional<uint32_t> known = locals_.Find(hash);
  if (!known.has_value()) {
    taken.local = locals_.Add(hash, std::move(after));
    events_taken_.emplace_back();
    return taken;
  }
  taken.local = *known;
  if (report_.steps % kCompareOneIn == 0) Compare(after, *known, replica);
  return taken;
}

// Two states that write the same must do the same: else `WriteState` leaves something out, and the search would be blind.
void CoreExplorer::Compare(const Local& again, uint32_t local, uint32_t replica) {
  const std::vector<Event>& events = events_taken_[local];
  if (events.empty()) return;
  Event event = events[report_.compared++ % events.size()];
  const Transition& known = *taken_.at({local, event.packed()});
  CoreOutput out;
  Local after = Act(again, replica, event, out);
  bool beyond = Beyond(out) && out.failure.empty();
  bool same = beyond == known.beyond;
  if (same && !beyond) {
    same = AddMessages(replica, out) == known.messages &&
           HashOf(after, replica).plain == locals_.hash(known.local).plain;
  }
  if (!same)
    Fail("two states that write the same (replication/core/write_state.cc) do not do the same", trying_);
}

const Transition& CoreExplorer::TransitionOf(uint32_t replica, uint32_t local, Event event) {
  auto at = taken_.find({local, event.packed()});
  if (at != taken_.end()) return *at->second;
  auto taken = std::make_unique<const Transition>(Take(local, replica, event));
  const Transition& result = *taken;
  taken_.emplace(std::pair(local, event.packed()), std::move(taken));
  events_taken_[local].push_back(event);
  return result;
}

// --- global states --------------------------------------------------------------------------------------------------

std::vector<Event> CoreExplorer::EventsOf(const State& state, uint32_t replica) const {
  std::vector<Event> events;
  const CoreNode& core = locals_[state.locals[replica - 1]].core;
  if (!core.up()) {
    events.push_back({EventKind::kRestart});
    return events;
  }
  for (uint32_t message : state.messages) {
    if (messages_[message].to == members_[replica - 1]) events.push_back({EventKind::kDeliver, message});
  }
  if (core.writes_waiting() > 0) events.push_back({EventKind::kSync});
  events.push_back({EventKind::kTick});
  AddCounted(state, replica, events);
  return events;
}

void CoreExplorer::AddCounted(const State& state, uint32_t replica, std::vector<Event>& events) const {
  const CoreNode& core = locals_[state.locals[replica - 1]].core;
  if (replica <= options_.proposers) {
    for (uint32_t command = 0; command < 2; ++command) {
      if ((state.spent.proposed >> command & 1) == 0) events.push_back({EventKind::kPropose, command});
    }
  }
  if (state.spent.crashes < options_.crashes) {
    for (uint32_t kept = 0; kept <= core.writes_waiting(); ++kept) {
      events.push_back({EventKind::kCrash, kept});
    }
  }
  if (state.spent.reads < options_.reads && core.log().may_vote()) {
    auto floor = static_cast<uint32_t>(facts_[state.facts].highest_chosen().value);
    events.push_back({EventKind::kRead, floor});
  }
  if (state.spent.hand_overs < options_.hand_overs && core.log().owns_next()) {
    for (uint32_t to = 1; to <= options_.replicas; ++to) {
      const CoreNode& heir = locals_[state.locals[to - 1]].core;
      if (to != replica) {
        events.push_back({EventKind::kHandOver, to << 16 | static_cast<uint32_t>(heir.incarnation().value)});
      }
    }
  }
}

StateHash CoreExplorer::HashOfState(const State& state) const {
  constexpr uint64_t kFactsWeight = 0x9e3779b97f4a7c15;
  constexpr uint64_t kSpentWeight = 0xc2b2ae3d27d4eb4f;
  StateHash hash;
  for (uint32_t local : state.locals) hash.Add(locals_.hash(local), 1);  // each names its replica
  for (uint32_t message : state.messages) hash.Add(messages_.hash(message), 3);
  hash.Add(facts_.hash(state.facts), kFactsWeight);
  const Spent& spent = state.spent;
  uint64_t counted =
      uint64_t{spent.crashes} << 16 | uint64_t{spent.reads} << 24 | uint64_t{spent.hand_overs} << 32;
  auto exchanged = static_cast<uint64_t>((spent.proposed & 1) << 1 | spent.proposed >> 1);
  StateHash rest;
  rest.plain.fill(counted | spent.proposed);
  rest.exchanged.fill(counted | exchanged);
  hash.Add(rest, kSpentWeight);
  return hash;
}

void CoreExplorer::Reach(State state, Origin origin) {
  if (!reached_.insert(HashOfState(state).canonical()).second) return;
  state.number = static_cast<uint32_t>(origins_.size());
  origins_.push_back(origin);
  next_.push_back(std::move(state));
}

void CoreExplorer::Fail(std::string what, Origin last) {
  if (!report_.failure.empty()) return;
  report_.failure = std::move(what);
  report_.path = absl::StrCat(PathTo(last.state), EventName(last));
}

void CoreExplorer::Follow(const State& state, uint32_t replica, Event event) {
  trying_ = Origin{state.number, replica, event};
  ++report_.transitions;
  uint32_t local = state.locals[replica - 1];
  const Transition& taken = TransitionOf(replica, local, event);
  if (taken.beyond) return;
  bool counted = event.kind == EventKind::kPropose || event.kind == EventKind::kRead ||
                 event.kind == EventKind::kCrash || event.kind == EventKind::kHandOver;
  bool told_before = std::ranges::includes(state.messages, taken.messages);
  if (!counted && taken.silent && taken.local == local && told_before) return;
  State after = state;
  after.locals[replica - 1] = taken.local;
  if (!told_before) {
    after.messages.clear();
    std::ranges::set_union(state.messages, taken.messages, std::back_inserter(after.messages));
  }
  if (event.kind == EventKind::kPropose) after.spent.proposed |= static_cast<uint8_t>(1U << event.what);
  after.spent.crashes += event.kind == EventKind::kCrash;
  after.spent.reads += event.kind == EventKind::kRead;
  after.spent.hand_overs += event.kind == EventKind::kHandOver;
  if (!taken.silent || event.kind == EventKind::kHandOver) {
    CoreFacts facts = facts_[state.facts];
    if (event.kind == EventKind::kHandOver) {
      facts.NoteHandOver(
          {ReplicaId{static_cast<uint16_t>(event.what >> 16)}, Incarnation{event.what & 0xffff}});
    }
    std::string wrong = facts.Note(members_[replica - 1], taken.said);
    if (!wrong.empty()) return Fail(std::move(wrong), trying_);
    StateHash hash = HashState(names_, 0, [&](NamedState& writer) { facts.WriteState(writer); });
    std::optional<uint32_t> known = facts_.Find(hash);
    after.facts = known.has_value() ? *known : facts_.Add(hash, std::move(facts));
  }
  Reach(std::move(after), trying_);
}

void CoreExplorer::Expand(const State& state) {
  for (uint32_t replica = 1; replica <= options_.replicas; ++replica) {
    for (Event event : EventsOf(state, replica)) {
      Follow(state, replica, event);
      if (!report_.failure.empty()) return;
    }
  }
}

// --- paths ----------------------------------------------------------------------------------------------------------

std::string CoreExplorer::EventName(const Origin& origin) const {
  std::string name;
  switch (origin.event.kind) {
    case EventKind::kDeliver:
      name = absl::StrCat("deliver ", FlightName(messages_[origin.event.what]));
      break;
    case EventKind::kPropose:
      name = absl::StrCat("propose ", origin.replica, origin.event.what == 0 ? " a" : " b");
      break;
    case EventKind::kSync:
      name = absl::StrCat("sync ", origin.replica);
      break;
    case EventKind::kTick:
      name = absl::StrCat("tick ", origin.replica);
      break;
    case EventKind::kCrash:
      name = absl::StrCat("crash ", origin.replica, " keeping ", origin.event.what, " writes");
      break;
    case EventKind::kRestart:
      name = absl::StrCat("restart ", origin.replica);
      break;
    case EventKind::kRead:
      name = absl::StrCat("read ", origin.replica);
      break;
    case EventKind::kHandOver:
      name = absl::StrCat("hand-over ", origin.replica, " ", origin.event.what >> 16);
      break;
  }
  return absl::StrCat("  ", name, "\n");
}

std::string CoreExplorer::PathTo(uint32_t state) const {
  std::vector<uint32_t> states;
  for (uint32_t at = state; at != 0; at = origins_[at].state) states.push_back(at);
  std::string path;
  for (auto at = states.rbegin(); at != states.rend(); ++at) path += EventName(origins_[*at]);
  return path;
}

// --- the search -----------------------------------------------------------------------------------------------------

std::vector<Local> CoreExplorer::Begin(CoreFacts& facts) {
  std::vector<Local> locals;
  for (ReplicaId member : members_) {
    CoreOutput nothing;
    locals.emplace_back(CoreNode(member, members_, random_));
    locals.back().core.Start(kRoundsOfALife, MomentOf(locals.back()), nothing);
  }
  switch (options_.start) {
    case CoreStart::kEmpty:
      break;
    case CoreStart::kOwned:
      ChooseFirst(locals, facts);
      break;
    case CoreStart::kDropped:
      DropThird(locals, facts);
      break;
  }
  return locals;
}

// After `event`, everything between the replicas of a range arrives and becomes durable at once, until all is quiet.
void CoreExplorer::Settle(std::vector<Local>& locals, CoreFacts& facts, uint32_t replica,
                          const ShardLogEvent& event, std::pair<uint32_t, uint32_t> among) {
  std::deque<Flight> flights;
  auto take = [&](uint32_t at, auto act) {
    Local& local = locals[at - 1];
    CoreOutput out;
    act(local, out);
    while (local.core.writes_waiting() > 0) local.core.Sync(1, MomentOf(local), out);
    LearnValues(out);
    std::string wrong = facts.Note(members_[at - 1], out);
    if (!wrong.empty() && report_.failure.empty()) {
      report_.failure = std::move(wrong);
      report_.path = "  before the first event\n";
    }
    for (auto& [to, message] : out.sends) {
      if (to.value < among.first || to.value > among.second) continue;
      flights.push_back(Flight{members_[at - 1], to, 0, Incarnation{}, 0, std::move(message)});
    }
  };
  take(replica, [&](Local& local, CoreOutput& out) { local.core.Step(event, MomentOf(local), out); });
  while (!flights.empty() && report_.failure.empty()) {
    Flight flight = std::move(flights.front());
    flights.pop_front();
    take(flight.to.value, [&](Local& local, CoreOutput& out) {
      local.core.Handle(flight.from, flight.message, MomentOf(local), out);
    });
  }
  ++begins_after_;
  for (uint32_t at = among.first; at <= among.second; ++at) {
    bool chosen = locals[at - 1].core.log().chosen().value == begins_after_;
    Check(chosen || !report_.failure.empty(), "an index is chosen where nothing interferes");
  }
}

void CoreExplorer::ChooseFirst(std::vector<Local>& locals, CoreFacts& facts) {
  auto command = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "first"));
  Settle(locals, facts, 1, event::Proposed{{PendingCommand{command}}}, {1, options_.replicas});
}

void CoreExplorer::DropThird(std::vector<Local>& locals, CoreFacts& facts) {
  Check(options_.replicas == 3, "two of three choose that the third leaves");
  auto command = std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, "first"));
  Settle(locals, facts, 2, event::Proposed{{PendingCommand{command}}}, {2, 3});
  event::ChangeMembers leave{{LogIndex{}, members_[2], ReplicaId{}}, Owner{members_[1], Incarnation{1}}};
  if (report_.failure.empty()) Settle(locals, facts, 2, leave, {2, 3});
  if (!report_.failure.empty()) return;
  CoreOutput nothing;
  locals[2].core.Drop();
  locals[2].core.Start(2 * kRoundsOfALife, MomentOf(locals[2]), nothing);
}

ExploreReport CoreExplorer::Run() {
  State first;
  CoreFacts facts(options_.replicas);
  std::vector<Local> locals = Begin(facts);
  first.facts =
      facts_.Add(HashState(names_, 0, [&](NamedState& writer) { facts.WriteState(writer); }), facts);
  for (uint32_t replica = 1; replica <= options_.replicas; ++replica) {
    StateHash hash = HashOf(locals[replica - 1], replica);
    first.locals.push_back(locals_.Add(hash, std::move(locals[replica - 1])));
    events_taken_.emplace_back();
  }
  Reach(std::move(first), Origin{});
  while (report_.depth < options_.depth && !next_.empty() && report_.failure.empty()) {
    std::vector<State> level = std::exchange(next_, {});
    for (const State& state : level) {
      Expand(state);
      if (!report_.failure.empty() || origins_.size() > options_.states_max) break;
    }
    if (!report_.failure.empty() || origins_.size() > options_.states_max) break;
    ++report_.depth;
  }
  report_.exhausted = next_.empty() && report_.failure.empty();
  report_.states = origins_.size();
  report_.local_states = locals_.size();
  return report_;
}

}  // namespace

ExploreReport ExploreCore(const CoreExploreOptions& options) {
  CoreExplorer explorer(options);
  PathOnAbort path([&explorer] { return explorer.PathToTrying(); });
  return explorer.Run();
}

}  // namespace paxledger::sim
