#include "tests/sim/explore_txn.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "tests/sim/explore_names.h"
#include "tests/sim/explore_shard.h"
#include "tests/sim/path_on_abort.h"
#include "tests/unit/test_shard.h"
#include "txn/tally.h"

namespace paxledger::sim {
namespace {

constexpr uint32_t kGateways = 2;
constexpr uint32_t kRecovery = kGateways;  // the actor after them
constexpr uint32_t kActors = kGateways + 1;
constexpr uint32_t kDrainRoundsMax = 12;

std::vector<Transaction> BodiesOf(TxnScenario scenario) {
  ShardId zero{0};
  ShardId one{1};
  std::string payer = AccountOn(zero, kExploredShards, "payer");
  std::string payee = AccountOn(one, kExploredShards, "payee");
  std::string neighbour = AccountOn(zero, kExploredShards, "neighbour");
  std::string here = PlacedTransactionId("here", zero);
  std::string there = PlacedTransactionId("there", one);
  switch (scenario) {
    case TxnScenario::kRetry:
      return {Pay(here, payer, payee, 60)};
    case TxnScenario::kTwoBodies:
      return {Pay(here, payer, payee, 60), Pay(here, payer, payee, 30)};
    case TxnScenario::kContended:
      return {Pay(here, payer, payee, 60), Pay(there, payer, payee, 70)};
    case TxnScenario::kHomeAway:
      return {Pay(there, payer, neighbour, 60), Pay(there, payer, neighbour, 30)};
    case TxnScenario::kTwice: {
      Transaction twice = Pay(here, payer, payee, 60);
      twice.transfers.push_back(Pay(here, payer, payee, 60).transfers[0]);
      return {twice, Pay(there, payee, payer, 60)};
    }
    case TxnScenario::kRefused: {
      Transaction refused = Pay(here, payer, payee, 60);
      refused.transfers.push_back(Pay(here, payee, payer, 500).transfers[0]);
      return {refused, Pay(there, payer, payee, 70)};
    }
  }
  return {};
}

/// A gateway, or recovery.
struct Actor {
  Tally tally;
  uint32_t body = 0;
  bool begun = false;
  bool gateway = true;
  bool answered = false;
};

/// A command that was sent to a shard.
struct Sent {
  ShardId to;
  TxnCommand command;
  std::string name;
};

/// What a shard said.
struct Said {
  ShardId from;
  Vote vote;
  std::string name;
};

/// Objects by number, equal ones by the same; told apart by their names.
template <class Object>
class Numbered {
 public:
  uint32_t Of(const std::string& name, Object object) {
    auto [at, fresh] = by_name_.try_emplace(name, static_cast<uint32_t>(objects_.size()));
    if (fresh) objects_.push_back(std::move(object));
    return at->second;
  }
  const Object& operator[](uint32_t number) const { return objects_[number]; }
  size_t size() const { return objects_.size(); }

 private:
  std::vector<Object> objects_;
  std::map<std::string, uint32_t> by_name_;
};

/// What became known to somebody, for ever: decisions by try.
using Facts = std::map<std::pair<uint32_t, uint32_t>, Decision>;

enum class EventKind : uint8_t {
  kStart,    // a gateway takes its transaction
  kApply,    // a shard applies a command
  kHear,     // an actor hears a vote
  kNext,     // a gateway begins the next attempt
  kRecover,  // somebody takes up the `what`-th try that is in doubt at shard `who`
};
struct Event {
  EventKind kind = EventKind::kStart;
  uint32_t who = 0;
  uint32_t what = 0;
};

using Numbers = std::vector<uint32_t>;  // ascending, each once

struct State {
  uint32_t shards[kExploredShards] = {};
  uint32_t actors[kActors] = {};
  uint32_t facts = 0;
  uint32_t recoveries = 0;
  Numbers sent;
  Numbers said;
  uint32_t number = 0;
};

bool Insert(Numbers& numbers, uint32_t number) {
  auto at = std::ranges::lower_bound(numbers, number);
  if (at != numbers.end() && *at == number) return false;
  numbers.insert(at, number);
  return true;
}

class TxnExplorer {
 public:
  explicit TxnExplorer(const TxnExploreOptions& options)
      : options_(options), bodies_(BodiesOf(options.scenario)) {
    for (uint32_t shard = 0; shard < kExploredShards; ++shard) {
      shards_.push_back(std::make_unique<ExploredShard>(ShardId{shard}, bodies_, options.attempts));
    }
  }

  ExploreReport Run();
  std::string PathToTrying() const { return absl::StrCat(PathTo(trying_.state), NameOf(trying_.event)); }

 private:
  struct Origin {
    uint32_t state = 0;
    Event event;
  };
  /// Where recovery alone comes to from two states of the shards.
  struct End {
    uint32_t shards[kExploredShards] = {};
    std::string wrong;
  };

  uint32_t BodyOf(uint32_t gateway) const { return bodies_.size() == 1 ? 0 : gateway; }
  uint32_t ActorNumber(const Actor& actor);
  uint32_t SentNumber(ShardId to, TxnCommand command, std::string name);
  void SendBody(const Actor& actor, const std::vector<ShardId>& to, State& state);
  void SendResolve(const Actor& actor, State& state);
  void React(Actor& actor, State& state);
  void NoteDecision(const Actor& actor, State& state);
  bool AllVoted(const Tally& tally, const State& state) const;
  LogTime LastPrepared(const Tally& tally, const State& state) const;
  void Know(const std::optional<Vote>& vote, ShardId shard, Actor& actor) const;

  void Expand(const State& state);
  void Start(State state, Event event);
  void Apply(State state, Event event);
  void Hear(State state, Event event);
  void Next(State state, Event event);
  void Recover(State state, Event event);
  void Reach(State state, Event event);
  std::string NameOfState(const State& state) const;

  void CheckEnd(const State& state);
  const End& EndOf(const State& state);
  End Drain(const State& state);
  std::string DrainOne(End& end, const InDoubt& doubt);
  void ApplyAtEnd(End& end, ShardId shard, const TxnCommand& command, const std::string& name);

  void Fail(std::string what);
  std::string NameOf(const Event& event) const;
  std::string PathTo(uint32_t state) const;

  TxnExploreOptions options_;
  ExploredBodies bodies_;
  std::vector<std::unique_ptr<ExploredShard>> shards_;
  Numbered<Actor> actors_;
  Numbered<Sent> sent_;
  Numbered<Said> said_;
  Numbered<Facts> facts_;
  std::map<std::pair<uint32_t, uint32_t>, End> ends_;
  absl::flat_hash_set<std::array<uint64_t, 2>> reached_;
  std::vector<Origin> origins_;
  std::vector<State> next_;
  Origin trying_;
  ExploreReport report_;
};

// --- actors ---------------------------------------------------------------------------------------------------------

uint32_t TxnExplorer::ActorNumber(const Actor& actor) {
  ValueNames no_values;
  NamedState state(no_values, ValueNames::Naming::kPlain, 0);
  actor.tally.WriteState(state);
  std::string name = absl::StrCat(actor.body, " ", actor.begun ? 1 : 0, actor.gateway ? 1 : 0,
                                  actor.answered ? 1 : 0, " ", ToAbsl(state.text()));
  return actors_.Of(name, actor);
}

uint32_t TxnExplorer::SentNumber(ShardId to, TxnCommand command, std::string name) {
  name = absl::StrCat(name, " at shard ", to.value);
  return sent_.Of(name, Sent{to, std::move(command), name});
}

void TxnExplorer::SendBody(const Actor& actor, const std::vector<ShardId>& to, State& state) {
  const Transaction& body = bodies_[actor.body];
  const Try& of = actor.tally.of();
  bool alone = bodies_.participants(actor.body).size() == 1;
  for (ShardId shard : to) {
    TxnCommand command = alone ? TxnCommand(Execute(body, of.attempt))
                               : TxnCommand(Prepare(body, kExploredShards, of.attempt));
    Insert(state.sent, SentNumber(shard, std::move(command), absl::StrCat("prepare ", bodies_.NameOf(of))));
  }
}

void TxnExplorer::SendResolve(const Actor& actor, State& state) {
  const Try& of = actor.tally.of();
  for (ShardId shard : actor.tally.Missing()) {
    ResolveCommand resolve{of, actor.tally.participants()};
    Insert(state.sent, SentNumber(shard, std::move(resolve), absl::StrCat("resolve ", bodies_.NameOf(of))));
  }
}

// What is done as soon as votes allow it: `Coordinator::Drive` and `Settler::Drive`.
void TxnExplorer::React(Actor& actor, State& state) {
  if (!actor.begun || actor.tally.standing() == Tally::Standing::kOpen) return;
  NoteDecision(actor, state);
  if (actor.gateway && actor.tally.standing() == Tally::Standing::kSuperseded) {
    // Rule 3: the same Prepare joins the later attempt.
    if (actor.tally.superseded_by() > options_.attempts) return;
    actor.tally.Restart(actor.tally.superseded_by());
    SendBody(actor, actor.tally.participants(), state);
    return;
  }
  actor.answered = actor.answered || (actor.gateway && actor.tally.decision().kind != DecisionKind::kAborted);
  FinishCommand finish{actor.tally.decided_try(), actor.tally.decision()};
  std::string name = absl::StrCat("finish ", bodies_.NameOf(finish.of), " ", DecisionName(finish.decision));
  for (ShardId shard : actor.tally.Unfinished()) Insert(state.sent, SentNumber(shard, finish, name));
}

// What a shard recorded, it said.
bool TxnExplorer::AllVoted(const Tally& tally, const State& state) const {
  return std::ranges::all_of(tally.participants(), [&](ShardId shard) {
    return std::ranges::any_of(state.said, [&](uint32_t number) {
      const Said& said = said_[number];
      bool recorded = said.vote.kind != VoteKind::kSuperseded && said.vote.kind != VoteKind::kFinished;
      return recorded && said.from == shard && said.vote.of == tally.of();
    });
  });
}

LogTime TxnExplorer::LastPrepared(const Tally& tally, const State& state) const {
  LogTime last;
  for (uint32_t number : state.said) {
    const Vote& vote = said_[number].vote;
    if (vote.kind == VoteKind::kPrepared && vote.of == tally.of()) last = std::max(last, vote.at);
  }
  return last;
}

void TxnExplorer::NoteDecision(const Actor& actor, State& state) {
  const Tally& tally = actor.tally;
  Try of = tally.decided_try();
  // A home that bound the id to another body may say so without a record (rule 1).
  bool from_votes = tally.standing() == Tally::Standing::kDecided && !tally.was_told() &&
                    tally.decision().kind != DecisionKind::kConflict;
  if (from_votes && !AllVoted(tally, state)) {
    return Fail(absl::StrCat(bodies_.NameOf(of),
                             " was decided before all had voted: ", DecisionName(tally.decision())));
  }
  uint32_t body = bodies_.Find(of.digest);
  Decision decision = tally.decision();
  // A gateway heard exactly what was said, times and all.
  bool heard = from_votes && actor.gateway && decision.kind == DecisionKind::kCommitted;
  if (heard && decision.committed_at != LastPrepared(tally, state)) {
    return Fail(absl::StrCat(bodies_.NameOf(of), " committed at another time than the last of its prepares"));
  }
  decision.committed_at = LogTime{};
  Facts facts = facts_[state.facts];
  auto [known, fresh] = facts.try_emplace({body, of.attempt}, decision);
  if (!fresh && !(known->second == decision)) {
    return Fail(absl::StrCat("two decisions on ", bodies_.NameOf(of), ": ", DecisionName(known->second),
                             " and ", DecisionName(decision)));
  }
  std::string name;
  for (const auto& [of_try, what] : facts) {
    absl::StrAppend(&name, "t", of_try.first, "#", of_try.second, " ", DecisionName(what), "\n");
    bool final = what.kind == DecisionKind::kCommitted || what.kind == DecisionKind::kRefused;
    for (const auto& [other, also] : facts) {
      bool one_id = bodies_[other.first].id == bodies_[of_try.first].id;
      bool also_final = also.kind == DecisionKind::kCommitted || also.kind == DecisionKind::kRefused;
      if (other == of_try || !one_id || !final || !also_final) continue;
      return Fail(absl::StrCat("two outcomes of one id: t", of_try.first, " ", DecisionName(what), ", t",
                               other.first, " ", DecisionName(also)));
    }
  }
  state.facts = facts_.Of(name, std::move(facts));
}

void TxnExplorer::Know(const std::optional<Vote>& vote, ShardId shard, Actor& actor) const {
  if (vote.has_value() && vote->of.digest == actor.tally.of().digest) actor.tally.See(shard, *vote);
}

// --- events ---------------------------------------------------------------------------------------------------------

void TxnExplorer::Expand(const State& state) {
  for (uint32_t gateway = 0; gateway < kGateways; ++gateway) {
    const Actor& actor = actors_[state.actors[gateway]];
    bool begun = actor.begun;
    bool aborted = begun && actor.tally.standing() == Tally::Standing::kDecided &&
                   actor.tally.decision().kind == DecisionKind::kAborted;
    bool again = aborted && actor.tally.decided_try().attempt < options_.attempts;
    // From here on `actor` may have moved.
    if (!begun) Start(state, {EventKind::kStart, gateway, 0});
    if (again) Next(state, {EventKind::kNext, gateway, 0});
  }
  for (uint32_t sent : state.sent) Apply(state, {EventKind::kApply, sent_[sent].to.value, sent});
  for (uint32_t said : state.said) {
    for (uint32_t actor = 0; actor < kActors; ++actor) Hear(state, {EventKind::kHear, actor, said});
  }
  if (state.recoveries == options_.recoveries) return;
  for (uint32_t shard = 0; shard < kExploredShards; ++shard) {
    auto doubts = static_cast<uint32_t>(shards_[shard]->in_doubt(state.shards[shard]).size());
    for (uint32_t i = 0; i < doubts; ++i) Recover(state, {EventKind::kRecover, shard, i});
  }
}

void TxnExplorer::Start(State state, Event event) {
  trying_ = {state.number, event};
  Actor actor = actors_[state.actors[event.who]];
  actor.begun = true;
  SendBody(actor, actor.tally.participants(), state);
  state.actors[event.who] = ActorNumber(actor);
  Reach(std::move(state), event);
}

void TxnExplorer::Apply(State state, Event event) {
  trying_ = {state.number, event};
  ExploredShard& shard = *shards_[event.who];
  uint32_t before = state.shards[event.who];
  uint64_t steps = shard.steps();
  const ExploredShard::Applied& applied = shard.Apply(before, event.what, sent_[event.what].command);
  if (shard.steps() != steps && !shard.wrong().empty()) return Fail(shard.wrong());
  bool changed = applied.after != before;
  for (const Vote& vote : applied.said) {
    std::string name = absl::StrCat("shard ", event.who, ": ", bodies_.NameOf(vote));
    changed |= Insert(state.said, said_.Of(name, Said{ShardId{event.who}, vote, name}));
  }
  ++report_.transitions;
  if (!changed) return;
  state.shards[event.who] = applied.after;
  Reach(std::move(state), event);
}

void TxnExplorer::Hear(State state, Event event) {
  trying_ = {state.number, event};
  Actor actor = actors_[state.actors[event.who]];
  const Said& said = said_[event.what];
  if (!actor.begun || actor.tally.of().digest != said.vote.of.digest) return;
  ++report_.transitions;
  actor.tally.See(said.from, said.vote);
  uint32_t unchanged = ActorNumber(actor);
  if (unchanged == state.actors[event.who]) return;
  React(actor, state);
  state.actors[event.who] = ActorNumber(actor);
  Reach(std::move(state), event);
}

void TxnExplorer::Next(State state, Event event) {
  trying_ = {state.number, event};
  ++report_.transitions;
  Actor actor = actors_[state.actors[event.who]];
  actor.tally.Restart(actor.tally.decided_try().attempt + 1);
  SendBody(actor, actor.tally.participants(), state);
  state.actors[event.who] = ActorNumber(actor);
  Reach(std::move(state), event);
}

// Rule 18: the votes are read first; Resolve goes to participants without one.
void TxnExplorer::Recover(State state, Event event) {
  trying_ = {state.number, event};
  ++report_.transitions;
  const InDoubt& doubt = shards_[event.who]->in_doubt(state.shards[event.who])[event.what];
  if (doubt.vote.of.attempt > options_.attempts) return;
  Actor actor{Tally(doubt.vote.of, doubt.participants), bodies_.Find(doubt.vote.of.digest), true, false,
              false};
  for (uint32_t shard = 0; shard < kExploredShards; ++shard) {
    Know(shards_[shard]->FindVote(state.shards[shard], actor.body, doubt.vote.of.attempt), ShardId{shard},
         actor);
  }
  if (actor.tally.standing() == Tally::Standing::kOpen) SendResolve(actor, state);
  React(actor, state);
  state.actors[kRecovery] = ActorNumber(actor);
  ++state.recoveries;
  Reach(std::move(state), event);
}

std::string TxnExplorer::NameOfState(const State& state) const {
  std::string name;
  for (uint32_t shard : state.shards) AppendBigEndian64(&name, shard);
  uint32_t first = state.actors[0];
  uint32_t second = state.actors[1];
  // Two gateways of one transaction are as good as each other.
  if (bodies_.size() == 1 && second < first) std::swap(first, second);
  for (uint32_t number : {first, second, state.actors[kRecovery], state.facts, state.recoveries}) {
    AppendBigEndian64(&name, number);
  }
  for (const Numbers& numbers : {state.sent, state.said}) {
    AppendBigEndian64(&name, numbers.size());
    for (uint32_t number : numbers) AppendBigEndian64(&name, number);
  }
  return name;
}

void TxnExplorer::Reach(State state, Event event) {
  if (!report_.failure.empty() || !reached_.insert(HashOf(NameOfState(state))).second) return;
  CheckEnd(state);
  state.number = static_cast<uint32_t>(origins_.size());
  origins_.push_back({trying_.state, event});
  next_.push_back(std::move(state));
}

// --- the end that recovery brings ---------------------------------------------------------------------------------------

void TxnExplorer::CheckEnd(const State& state) {
  const End& end = EndOf(state);
  if (!end.wrong.empty()) return Fail(end.wrong);
  for (uint32_t body = 0; body < bodies_.size(); ++body) {
    uint32_t committed = 0;
    for (ShardId shard : bodies_.participants(body)) {
      committed += shards_[shard.value]->Finished(end.shards[shard.value], body) == DecisionKind::kCommitted;
    }
    if (committed != 0 && committed != bodies_.participants(body).size()) {
      return Fail(absl::StrCat("t", body, " ends with an effect on some of its shards only"));
    }
    for (const auto& [of, decision] : facts_[state.facts]) {
      if (of.first != body) continue;
      if (decision.kind == DecisionKind::kCommitted && committed == 0) {
        return Fail(absl::StrCat("t", body, " was known to be committed, and ends without effect"));
      }
      bool never = decision.kind == DecisionKind::kRefused || decision.kind == DecisionKind::kConflict;
      if (never && committed != 0) {
        return Fail(
            absl::StrCat("t", body, " was known to be ", DecisionName(decision), ", and ends committed"));
      }
    }
  }
}

const TxnExplorer::End& TxnExplorer::EndOf(const State& state) {
  auto [at, fresh] = ends_.try_emplace({state.shards[0], state.shards[1]});
  if (fresh) at->second = Drain(state);
  return at->second;
}

TxnExplorer::End TxnExplorer::Drain(const State& state) {
  End end;
  std::ranges::copy(state.shards, end.shards);
  for (uint32_t round = 0; round < kDrainRoundsMax; ++round) {
    bool quiet = true;
    for (uint32_t shard = 0; shard < kExploredShards && end.wrong.empty(); ++shard) {
      const std::vector<InDoubt> doubts = shards_[shard]->in_doubt(end.shards[shard]);
      if (doubts.empty()) continue;
      quiet = false;
      end.wrong = DrainOne(end, doubts.front());
    }
    if (quiet || !end.wrong.empty()) return end;
  }
  end.wrong = "recovery does not bring everything to an end";
  return end;
}

std::string TxnExplorer::DrainOne(End& end, const InDoubt& doubt) {
  if (doubt.vote.of.attempt > options_.attempts) return "an attempt nobody made is in doubt";
  Actor actor{Tally(doubt.vote.of, doubt.participants), bodies_.Find(doubt.vote.of.digest), true, false,
              false};
  auto ask = [&] {
    for (uint32_t shard = 0; shard < kExploredShards; ++shard) {
      Know(shards_[shard]->FindVote(end.shards[shard], actor.body, doubt.vote.of.attempt), ShardId{shard},
           actor);
    }
  };
  ask();
  std::string name = bodies_.NameOf(doubt.vote.of);
  if (actor.tally.standing() == Tally::Standing::kOpen) {
    for (ShardId shard : actor.tally.Missing()) {
      ApplyAtEnd(end, shard, ResolveCommand{doubt.vote.of, doubt.participants},
                 absl::StrCat("resolve ", name));
    }
    ask();
  }
  if (actor.tally.standing() == Tally::Standing::kOpen) {
    return absl::StrCat("recovery resolved ", name, " and still knows no outcome");
  }
  FinishCommand finish{actor.tally.decided_try(), actor.tally.decision()};
  name = absl::StrCat("finish ", bodies_.NameOf(finish.of), " ", DecisionName(finish.decision));
  for (ShardId shard : actor.tally.Unfinished()) ApplyAtEnd(end, shard, finish, name);
  return end.wrong;
}

void TxnExplorer::ApplyAtEnd(End& end, ShardId shard, const TxnCommand& command, const std::string& name) {
  ExploredShard& at = *shards_[shard.value];
  uint64_t steps = at.steps();
  uint32_t number = SentNumber(shard, command, name);
  end.shards[shard.value] = at.Apply(end.shards[shard.value], number, command).after;
  if (at.steps() != steps && !at.wrong().empty() && end.wrong.empty()) {
    end.wrong = absl::StrCat("in recovery, ", at.wrong());
  }
}

// --- the search -----------------------------------------------------------------------------------------------------

void TxnExplorer::Fail(std::string what) {
  if (!report_.failure.empty()) return;
  report_.failure = std::move(what);
  report_.path = PathToTrying();
}

std::string TxnExplorer::NameOf(const Event& event) const {
  switch (event.kind) {
    case EventKind::kStart:
      return absl::StrCat("  gateway ", event.who, " takes t", BodyOf(event.who), "\n");
    case EventKind::kApply:
      return absl::StrCat("  apply ", sent_[event.what].name, "\n");
    case EventKind::kHear:
      return absl::StrCat("  ", event.who == kRecovery ? "recovery" : absl::StrCat("gateway ", event.who),
                          " hears ", said_[event.what].name, "\n");
    case EventKind::kNext:
      return absl::StrCat("  gateway ", event.who, " tries again\n");
    case EventKind::kRecover:
      return absl::StrCat("  recovery of the try in doubt ", event.what, " at shard ", event.who, "\n");
  }
  return {};
}

std::string TxnExplorer::PathTo(uint32_t state) const {
  std::vector<uint32_t> states;
  for (uint32_t at = state; at != 0; at = origins_[at].state) states.push_back(at);
  std::string path;
  for (auto at = states.rbegin(); at != states.rend(); ++at) path += NameOf(origins_[*at].event);
  return path;
}

ExploreReport TxnExplorer::Run() {
  State first;
  first.facts = facts_.Of("", {});
  for (uint32_t actor = 0; actor < kActors; ++actor) {
    uint32_t body = actor == kRecovery ? 0 : BodyOf(actor);
    first.actors[actor] = ActorNumber(Actor{Tally(bodies_.OfTry(body, 1), bodies_.participants(body)), body,
                                            false, actor != kRecovery, false});
  }
  Reach(std::move(first), {});
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
  for (const auto& shard : shards_) {
    report_.local_states += shard->size();
    report_.steps += shard->steps();
    report_.compared += shard->compared();
  }
  return report_;
}

}  // namespace

ExploreReport ExploreTxn(const TxnExploreOptions& options) {
  TxnExplorer explorer(options);
  PathOnAbort path([&explorer] { return explorer.PathToTrying(); });
  return explorer.Run();
}

}  // namespace paxledger::sim
