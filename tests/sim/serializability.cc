#include "tests/sim/serializability.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/amounts.h"
#include "tests/sim/order_graph.h"

namespace paxledger::sim {
namespace {

using Effect = SerialHistory::Effect;

struct Sums {
  Amount debits = 0;
  Amount credits = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
};

/// Finds which effects on an account add up to what a read shows. A replica shows what is posted up to some place of the
/// log, and those in doubt there that it counted.
class Explanations {
 public:
  explicit Explanations(const std::vector<Effect>& effects) : effects_(effects), prefix_(effects.size() + 1) {
    for (size_t i = 0; i < effects.size(); ++i) {
      prefix_[i + 1] = {prefix_[i].debits + effects[i].debits, prefix_[i].credits + effects[i].credits};
    }
  }

  /// A set: the first `count` effects, and `extras` beyond them, ascending and not beginning with `count` itself.
  struct Set {
    size_t count = 0;
    std::vector<size_t> extras;
    friend bool operator==(const Set&, const Set&) = default;
  };
  /// All sets that explain `seen`; complete only if `exhausted()` is false.
  const std::vector<Set>& Find(const Sums& seen) {
    found_.clear();
    steps_ = 0;
    for (size_t count = effects_.size() + 1; count-- > 0;) {
      const Sums& base = prefix_[count];
      if (base.debits > seen.debits || base.credits > seen.credits) continue;
      candidates_.clear();
      for (size_t i = count; i < effects_.size(); ++i) {
        // In doubt somewhere after the first `count` were posted and before the next one was.
        if (effects_[i].voted < effects_[count].done) candidates_.push_back(i);
      }
      chosen_.clear();
      if (!Reachable(base, seen)) break;
      Search(count, 0, {seen.debits - base.debits, seen.credits - base.credits});
      if (exhausted()) break;
    }
    return found_;
  }
  bool exhausted() const { return steps_ > kStepsMax; }

 private:
  static constexpr uint64_t kStepsMax = 20'000;

  /// The candidates together could still make up for what is missing; a shorter prefix has no more of them.
  bool Reachable(const Sums& base, const Sums& seen) const {
    Sums most = base;
    for (size_t i : candidates_) {
      most.debits += effects_[i].debits;
      most.credits += effects_[i].credits;
    }
    return most.debits >= seen.debits && most.credits >= seen.credits;
  }

  void Search(size_t count, size_t next, Sums missing) {
    if (++steps_ > kStepsMax) return;
    if (missing == Sums{}) {
      Note(count);
      return;
    }
    for (size_t c = next; c < candidates_.size(); ++c) {
      const Effect& effect = effects_[candidates_[c]];
      if (effect.debits > missing.debits || effect.credits > missing.credits) continue;
      chosen_.push_back(candidates_[c]);
      Search(count, c + 1, {missing.debits - effect.debits, missing.credits - effect.credits});
      chosen_.pop_back();
    }
  }

  void Note(size_t count) {
    Set set{count, chosen_};
    while (!set.extras.empty() && set.extras.front() == set.count) {
      set.extras.erase(set.extras.begin());
      ++set.count;
    }
    if (std::find(found_.begin(), found_.end(), set) == found_.end()) found_.push_back(std::move(set));
  }

  const std::vector<Effect>& effects_;
  std::vector<Sums> prefix_;
  std::vector<size_t> candidates_;
  std::vector<size_t> chosen_;
  std::vector<Set> found_;
  uint64_t steps_ = 0;
};

/// The part of the graph that belongs to one account.
class AccountOrder {
 public:
  AccountOrder(OrderGraph& graph, const std::string& account, const std::vector<Effect>& effects,
               const std::vector<OrderGraph::Node>& operations)
      : graph_(graph), effects_(effects), operations_(operations), explanations_(effects) {
    IntervalLine log(absl::StrCat("log of ", account));
    for (const Effect& effect : effects) {
      log.Begins(operations[effect.operation], effect.voted);
      log.Ends(operations[effect.operation], effect.done);
    }
    log.AddTo(graph);
    // after_[k]: the first k effects are all before it; before_[k]: before all effects from k on.
    for (size_t k = 0; k <= effects.size(); ++k) {
      after_.push_back(graph.AddJoint(absl::StrCat("seen on ", account)));
      before_.push_back(graph.AddJoint(absl::StrCat("not seen on ", account)));
      if (k == 0) continue;
      graph.Before(after_[k - 1], after_[k]);
      graph.Before(before_[k - 1], before_[k]);
      graph.Before(operations[effects[k - 1].operation], after_[k]);
      graph.Before(before_[k - 1], operations[effects[k - 1].operation]);
    }
  }

  /// Places the read; not OK in words where nothing explains it.
  std::string Place(OrderGraph::Node read, const Sums& seen, SerialVerdict* verdict) {
    const std::vector<Explanations::Set>& sets = explanations_.Find(seen);
    if (explanations_.exhausted()) {
      ++verdict->reads_ambiguous;
      return "";
    }
    if (sets.empty()) {
      return absl::StrCat("debits ", ShowAmount(seen.debits), " and credits ", ShowAmount(seen.credits),
                          ", which no effects add up to");
    }
    ++(sets.size() == 1 ? verdict->reads_placed : verdict->reads_ambiguous);
    // What all explanations share. Beyond `last` none of them saw anything.
    size_t first = sets.front().count;
    size_t last = 0;
    for (const Explanations::Set& set : sets) {
      first = std::min(first, set.count);
      last = std::max(last, set.extras.empty() ? set.count : set.extras.back() + 1);
    }
    graph_.Before(after_[first], read);
    graph_.Before(read, before_[last]);
    for (size_t i = first; i < last; ++i) {
      auto saw = [i](const Explanations::Set& set) {
        return i < set.count || std::binary_search(set.extras.begin(), set.extras.end(), i);
      };
      OrderGraph::Node effect = operations_[effects_[i].operation];
      if (std::all_of(sets.begin(), sets.end(), saw)) {
        graph_.Before(effect, read);
      } else if (std::none_of(sets.begin(), sets.end(), saw)) {
        graph_.Before(read, effect);
      }
    }
    return "";
  }

 private:
  OrderGraph& graph_;
  const std::vector<Effect>& effects_;
  const std::vector<OrderGraph::Node>& operations_;
  Explanations explanations_;
  std::vector<OrderGraph::Node> after_;
  std::vector<OrderGraph::Node> before_;
};

}  // namespace

SerialVerdict CheckSerializable(const SerialHistory& history) {
  SerialVerdict verdict;
  OrderGraph graph;
  std::vector<OrderGraph::Node> operations;
  IntervalLine time("real time");
  for (const SerialHistory::Operation& operation : history.operations) {
    OrderGraph::Node node = graph.AddOperation(operation.name);
    operations.push_back(node);
    time.Begins(node, operation.invoked_us);
    if (operation.responded_us.has_value()) time.Ends(node, *operation.responded_us);
  }
  time.AddTo(graph);

  static const std::vector<Effect> kNoEffects;
  std::map<std::string, std::vector<const SerialHistory::Read*>> reads;
  for (const auto& [account, effects] : history.effects) reads[account];
  for (const SerialHistory::Read& read : history.reads) reads[read.account].push_back(&read);
  for (const auto& [account, of_account] : reads) {
    auto effects = history.effects.find(account);
    AccountOrder order(graph, account, effects == history.effects.end() ? kNoEffects : effects->second,
                       operations);
    for (const SerialHistory::Read* read : of_account) {
      std::string unexplained =
          order.Place(operations[read->operation], {read->debits, read->credits}, &verdict);
      if (unexplained.empty()) continue;
      verdict.failure =
          absl::StrCat(history.operations[read->operation].name, " of ", account, " shows ", unexplained);
      return verdict;
    }
  }
  std::string cycle = graph.FindCycle();
  if (!cycle.empty()) verdict.failure = absl::StrCat("no order explains what was seen: ", cycle);
  return verdict;
}

}  // namespace paxledger::sim
