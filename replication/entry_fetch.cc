#include "replication/entry_fetch.h"

namespace paxledger {
namespace {

constexpr int64_t kAskNextAfterUs = 300'000;

}  // namespace

void EntryFetch::Ask(ShardId shard, LogIndex index, int64_t give_up_at_us, Done done) {
  Name name{shard, index};
  auto [it, fresh] = wanted_.try_emplace(name);
  it->second.waiting.push_back({give_up_at_us, std::move(done)});
  if (fresh) AskNext(name, it->second);
}

void EntryFetch::AskNext(const Name& name, Wanted& wanted) {
  wanted.asked_at_us = ports_.clock->MonotonicMicros();
  std::vector<ReplicaId> sources = sources_(name.first);
  if (sources.empty()) return;
  ReplicaId source = sources[wanted.turn++ % sources.size()];
  ports_.transport->Send(source, FetchRequest{name.first, name.second, name.second});
}

void EntryFetch::Handle(const FetchAnswer& answer) {
  if (wanted_.empty()) return;
  if (answer.entries.empty()) {
    auto it = wanted_.find({answer.shard, answer.from});
    // Not there: the next one at once, but not all of them over and over.
    if (it != wanted_.end() && it->second.turn < sources_(answer.shard).size())
      AskNext(it->first, it->second);
    return;
  }
  for (const ChosenValue& entry : answer.entries) {
    auto it = wanted_.find({answer.shard, entry.index});
    if (it == wanted_.end() || entry.value == nullptr) continue;
    std::vector<Waiting> waiting = std::move(it->second.waiting);
    wanted_.erase(it);
    for (Waiting& one : waiting) one.done(entry.value);
  }
}

void EntryFetch::Tick() {
  int64_t now_us = ports_.clock->MonotonicMicros();
  std::vector<Waiting> given_up;
  for (auto& [name, wanted] : wanted_) {
    std::vector<Waiting> left;
    for (Waiting& one : wanted.waiting)
      (one.give_up_at_us > now_us ? left : given_up).push_back(std::move(one));
    wanted.waiting = std::move(left);
    if (!wanted.waiting.empty() && now_us - wanted.asked_at_us > kAskNextAfterUs) AskNext(name, wanted);
  }
  std::erase_if(wanted_, [](const auto& entry) { return entry.second.waiting.empty(); });
  for (Waiting& one : given_up) one.done(absl::UnavailableError("no peer had the entry in time"));
}

}  // namespace paxledger
