#include "tests/sim/duel_rounds.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "replication/core/envelope.h"
#include "tests/sim/core_facts.h"
#include "tests/sim/core_node.h"

namespace paxledger::sim {
namespace {

constexpr int64_t kWallUs = 1'750'000'000'000'000;
constexpr uint64_t kEventsPerIndexMax = 10'000;

class Duel {
 public:
  explicit Duel(const DuelOptions& options)
      : options_(options), random_(options.seed), facts_(options.replicas) {
    std::vector<ReplicaId> members;
    for (uint32_t r = 1; r <= options.replicas; ++r) members.push_back(ReplicaId{static_cast<uint16_t>(r)});
    for (ReplicaId member : members) {
      randoms_.push_back(std::make_unique<Random>(random_.Next()));
      nodes_.push_back(std::make_unique<CoreNode>(member, members, *randoms_.back()));
    }
  }

  DuelReport Run() {
    for (uint32_t r = 0; r < options_.replicas; ++r) {
      Take(r, [&](CoreNode& node, CoreOutput& out) { node.Start(r + 1, Now(), out); });
    }
    // One while another is on its way.
    for (uint32_t r = 0; r < options_.proposers; ++r) {
      At(now_us_ + random_.Between(0, 2 * options_.round_trip_us), [this, r] { Propose(r, CommandOf(r)); });
    }
    uint64_t events = 0;
    while (report_.failure.empty() && decided_ < options_.indexes) {
      if (events_.empty() || ++events > options_.indexes * kEventsPerIndexMax) {
        report_.failure = absl::StrCat("only ", decided_, " indexes were decided");
        break;
      }
      Event event = events_.top();
      events_.pop();
      now_us_ = std::max(now_us_, event.at_us);
      event.run();
    }
    for (const ChosenFact& fact : facts_.Chosen()) {
      report_.indexes.resize(std::max<size_t>(report_.indexes.size(), fact.at.round() + 1));
      ++report_.indexes[fact.at.round()];
    }
    return std::move(report_);
  }

 private:
  struct Event {
    int64_t at_us;
    uint64_t sequence;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::pair(other.at_us, other.sequence) < std::pair(at_us, sequence);
    }
  };

  Moment Now() const {
    Moment moment;
    moment.now_us = now_us_;
    moment.wall_us = kWallUs + now_us_;
    moment.stamp_max_us = 0;
    moment.round_trip_us = options_.round_trip_us;
    return moment;
  }
  int64_t Jittered(int64_t us) {
    return us + random_.Between(-us * options_.jitter_percent / 100, us * options_.jitter_percent / 100);
  }
  void At(int64_t at_us, std::function<void()> run) { events_.push({at_us, ++sequence_, std::move(run)}); }

  SharedBytes CommandOf(uint32_t proposer) {
    std::string name = absl::StrCat(proposer, "/", ++commands_);
    return std::make_shared<const std::string>(EncodeCommand(MachineId::kTxn, name));
  }
  void Propose(uint32_t r, SharedBytes command) {
    Take(r, [&](CoreNode& node, CoreOutput& out) {
      node.Step(event::Proposed{{PendingCommand{std::move(command)}}}, Now(), out);
    });
  }

  template <class Act>
  void Take(uint32_t r, Act act) {
    CoreOutput out;
    act(*nodes_[r], out);
    Note(r, std::move(out));
    if (nodes_[r]->writes_waiting() > 0 && !syncing_[r]) BeginSync(r);
    ScheduleTick(r);
  }
  // One group commit after another, as the engine does it.
  void BeginSync(uint32_t r) {
    syncing_[r] = true;
    size_t count = nodes_[r]->writes_waiting();
    At(now_us_ + Jittered(options_.sync_us), [this, r, count] {
      syncing_[r] = false;
      Take(r, [&](CoreNode& node, CoreOutput& out) { node.Sync(count, Now(), out); });
    });
  }
  void ScheduleTick(uint32_t r) {
    int64_t wake_us = nodes_[r]->wake_at_us();
    if (wake_us == INT64_MAX || (tick_at_us_[r] > now_us_ && tick_at_us_[r] <= wake_us)) return;
    tick_at_us_[r] = std::max(wake_us, now_us_ + 1);
    At(tick_at_us_[r], [this, r, at_us = tick_at_us_[r]] {
      if (tick_at_us_[r] != at_us) return;  // another was set meanwhile
      tick_at_us_[r] = 0;
      Take(r, [&](CoreNode& node, CoreOutput& out) { node.Tick(Now(), out); });
    });
  }

  void Note(uint32_t r, CoreOutput out) {
    std::string wrong = facts_.Note(ReplicaId{static_cast<uint16_t>(r + 1)}, out);
    if (!wrong.empty() && report_.failure.empty()) report_.failure = std::move(wrong);
    report_.prepares += out.prepares;
    if (facts_.highest_chosen().value > decided_) {
      decided_ = facts_.highest_chosen().value;
      report_.took_us.push_back(now_us_ - std::exchange(decided_at_us_, now_us_));
    }
    for (const ChosenEntry& entry : out.applied) ProposeNext(r, entry);
    for (auto& [to, message] : out.sends) Send(r, to, std::move(message));
    // Who may not propose here tries again: it is a duel, and nobody gives in.
    for (SharedBytes& command : out.dropped) At(now_us_, [this, r, command] { Propose(r, command); });
  }
  // A proposer whose command is chosen has the next one at once.
  void ProposeNext(uint32_t r, const ChosenEntry& entry) {
    absl::StatusOr<Envelope> envelope = DecodeEnvelope(*entry.value);
    if (!envelope.ok()) return;
    for (const Command& command : envelope->commands) {
      if (command.bytes.substr(0, command.bytes.find('/')) != absl::StrCat(r)) continue;
      At(now_us_, [this, r] { Propose(r, CommandOf(r)); });
    }
  }
  void Send(uint32_t r, ReplicaId to, PeerMessage message) {
    if (const auto* forwarded = std::get_if<ForwardedCommands>(&message)) {
      for (const SharedBytes& command : forwarded->commands)
        At(now_us_, [this, r, command] { Propose(r, command); });
      return;
    }
    int64_t late_us =
        random_.Chance(options_.late_percent, 100) ? random_.Between(0, 2 * options_.round_trip_us) : 0;
    At(now_us_ + Jittered(options_.round_trip_us / 2) + late_us, [this, r, to, message = std::move(message)] {
      Take(to.value - 1u, [&](CoreNode& node, CoreOutput& out) {
        node.Handle(ReplicaId{static_cast<uint16_t>(r + 1)}, message, Now(), out);
      });
    });
  }

  DuelOptions options_;
  Random random_;
  CoreFacts facts_;
  std::vector<std::unique_ptr<Random>> randoms_;
  std::vector<std::unique_ptr<CoreNode>> nodes_;
  std::map<uint32_t, bool> syncing_;
  std::map<uint32_t, int64_t> tick_at_us_;
  std::priority_queue<Event> events_;
  int64_t now_us_ = 1'000'000;
  int64_t decided_at_us_ = 1'000'000;
  uint64_t decided_ = 0;
  uint64_t sequence_ = 0;
  uint64_t commands_ = 0;
  DuelReport report_;
};

}  // namespace

uint64_t DuelReport::RoundOf(uint64_t per_thousand) const {
  uint64_t below = 0;
  for (uint64_t round = 0; round < indexes.size(); ++round) {
    below += indexes[round];
    if (below * 1'000 >= decided() * per_thousand) return round;
  }
  return indexes.size();
}

double DuelReport::MeanRound() const {
  double sum = 0;
  for (uint64_t round = 0; round < indexes.size(); ++round) {
    sum += static_cast<double>(round) * static_cast<double>(indexes[round]);
  }
  return sum / static_cast<double>(std::max<uint64_t>(1, decided()));
}

namespace {

void Add(const DuelReport& duel, DuelReport* sum) {
  if (sum->failure.empty()) sum->failure = duel.failure;
  sum->indexes.resize(std::max(sum->indexes.size(), duel.indexes.size()));
  for (size_t round = 0; round < duel.indexes.size(); ++round) sum->indexes[round] += duel.indexes[round];
  sum->prepares += duel.prepares;
  sum->took_us.insert(sum->took_us.end(), duel.took_us.begin(), duel.took_us.end());
}

}  // namespace

DuelReport RunDuel(const DuelOptions& options) {
  DuelReport report;
  switch (options.over) {
    case DuelOptions::Over::kOwnersIndex:
      report = Duel(options).Run();
      break;
    case DuelOptions::Over::kNobodysIndex: {
      DuelOptions one = options;
      one.indexes = 1;
      for (uint64_t i = 0; i < options.indexes && report.failure.empty(); ++i) {
        one.seed = options.seed * 1'000'003 + i;
        Add(Duel(one).Run(), &report);
      }
      break;
    }
  }
  std::ranges::sort(report.took_us);
  return report;
}

}  // namespace paxledger::sim
