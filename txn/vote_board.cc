#include "txn/vote_board.h"

#include <utility>

namespace paxledger {

namespace {

/// Takes `watch` out of the list that begins at `first`.
template <class Watch>
void Unlink(Watch** first, Watch* watch, Watch* Watch::* next) {
  while (*first != watch) first = &((*first)->*next);
  *first = watch->*next;
}

/// Whether the outcome was told by a shard, and was there before the entry that made it tell. An Execute
/// decides and tells at once: where it commits, its timestamp is above the clock that the shard had.
bool IsReplay(const Tally& tally, LogTime clock_before) {
  if (!tally.was_told()) return false;
  const Decision& decision = tally.decision();
  if (decision.kind == DecisionKind::kAborted) return false;  // no outcome of the id
  if (tally.participants().size() > 1) return true;
  return decision.kind == DecisionKind::kCommitted && decision.committed_at <= clock_before;
}

}  // namespace

void VoteBoard::OnVote(ShardId shard, const Vote& vote) {
  if (relay_ != nullptr) relay_->OnVote(shard, vote, clocks_[shard.value]);
  if (tallies_.empty()) return;
  auto it = tallies_.find(vote.of.digest);
  if (it == tallies_.end()) return;
  LogTime clock_before = clocks_[shard.value];
  for (TallyWatch* watch = it->second; watch != nullptr; watch = watch->next_) {
    watch->See(shard, vote, clock_before);
  }
}

void VoteBoard::OnOpened(ShardId, const LedgerKey& key, const AccountSpec& asked, OpenStatus status) {
  if (opens_.empty()) return;
  auto it = opens_.find(key);
  if (it == opens_.end()) return;
  for (OpenWatch* watch = it->second; watch != nullptr; watch = watch->next_) {
    if (watch->status_.has_value() || watch->spec_ != asked) continue;
    watch->status_ = status;
    if (--watch->open_count_ == 0) watch->wakeup_.Set();
  }
}

void VoteBoard::OnApplied(ShardId shard, LogIndex, LogTime at) {
  clocks_[shard.value] = at;
  for (ClockWatch* watch = clock_watches_[shard.value]; watch != nullptr; watch = watch->next_) {
    if (at >= watch->at_) watch->wakeup_.Set();
  }
  for (EntryWatch* watch = entry_watches_; watch != nullptr; watch = watch->next_) watch->wakeup_.Set();
}

VoteBoard::TallyWatch::TallyWatch(VoteBoard& board, WakeQueue& wakes, Try of,
                                  std::vector<ShardId> participants)
    : board_(board), tally_(std::move(of), std::move(participants)), wakeup_(wakes) {
  next_ = std::exchange(board_.tallies_[tally_.of().digest], this);
}

VoteBoard::TallyWatch::~TallyWatch() {
  EndRemote();
  auto it = board_.tallies_.find(tally_.of().digest);
  Unlink(&it->second, this, &TallyWatch::next_);
  if (it->second == nullptr) board_.tallies_.erase(it);
}

void VoteBoard::TallyWatch::See(ShardId shard, const Vote& vote, LogTime clock_before) {
  if (!tally_.See(shard, vote)) return;
  replayed_ = IsReplay(tally_, clock_before);
  wakeup_.Set();
}

void VoteBoard::TallyWatch::EndRemote() {
  for (uint64_t id : remote_) board_.source_.EndWatch(id);
  remote_.clear();
  unheard_ = 0;
}

void VoteBoard::TallyWatch::AskHosts(Whom whom) {
  EndRemote();
  if (whom == Whom::kOthers) ++round_;
  for (ShardId shard : tally_.participants()) {
    if (board_.source_.Hosts(shard)) continue;
    ++unheard_;
    remote_.push_back(board_.source_.Watch(*this, shard, round_));
  }
}

void VoteBoard::TallyWatch::DoubtUnheard() {
  for (uint64_t id : remote_) board_.source_.DoubtUnheard(id);
}

void VoteBoard::TallyWatch::Hear(ShardId shard, const std::optional<Vote>& vote, LogTime clock_before,
                                 Hearing hearing) {
  if (vote.has_value()) See(shard, *vote, clock_before);
  if (hearing == Hearing::kFirst && --unheard_ == 0) wakeup_.Set();
}

VoteBoard::OpenWatch::OpenWatch(VoteBoard& board, const LedgerKey& key, const AccountSpec& spec,
                                size_t& open_count, Wakeup& wakeup)
    : board_(board), key_(key), spec_(spec), open_count_(open_count), wakeup_(wakeup) {
  ++open_count_;
  next_ = std::exchange(board_.opens_[key_], this);
}

VoteBoard::OpenWatch::~OpenWatch() {
  auto it = board_.opens_.find(key_);
  Unlink(&it->second, this, &OpenWatch::next_);
  if (it->second == nullptr) board_.opens_.erase(it);
}

VoteBoard::ClockWatch::ClockWatch(VoteBoard& board, ShardId shard, LogTime at, Wakeup& wakeup)
    : board_(board), shard_(shard), at_(at), wakeup_(wakeup) {
  next_ = std::exchange(board_.clock_watches_[shard_.value], this);
}

VoteBoard::ClockWatch::~ClockWatch() {
  Unlink(&board_.clock_watches_[shard_.value], this, &ClockWatch::next_);
}

VoteBoard::EntryWatch::~EntryWatch() { Unlink(&board_.entry_watches_, this, &EntryWatch::next_); }

}  // namespace paxledger
