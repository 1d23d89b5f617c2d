#include "replication/disk_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace paxledger {
namespace {

constexpr int64_t kTellEveryUs = 500'000;
constexpr int64_t kBelievedForUs = 2'000'000;
constexpr int64_t kHandOverAfterUs = 1'000'000;

}  // namespace

DiskWatch::DiskWatch(ReplicaId self, std::vector<ReplicaId> peers, Engine& engine, Transport& transport,
                     Metrics* metrics)
    : self_(self), peers_(std::move(peers)), engine_(engine), transport_(transport) {
  if (metrics != nullptr) refusals_ = &metrics->counter("paxledger_disk_refusals_total");
}

bool DiskWatch::Look(const std::vector<ReplicaId>& members, int64_t now_us) {
  now_us_ = now_us;
  bool full = engine_.pressure().no_room;
  bool changed = std::exchange(full_, full) != full;
  if (changed || (full && now_us - told_at_us_ >= kTellEveryUs)) {
    told_at_us_ = now_us;
    for (ReplicaId peer : peers_) transport_.Send(peer, DiskNotice{full});
  }
  if (changed) {
    hand_over_ = full;
    full_since_us_ = now_us;
  }
  if (!hand_over_ || now_us - full_since_us_ < kHandOverAfterUs || !MayBegin(members).ok()) return false;
  hand_over_ = false;
  return true;
}

void DiskWatch::Heard(ReplicaId from, const DiskNotice& notice, int64_t now_us) {
  full_until_us_[from] = notice.full ? now_us + kBelievedForUs : 0;
}

bool DiskWatch::HasRoom(ReplicaId replica) const {
  if (replica == self_) return !full_;
  auto it = full_until_us_.find(replica);
  return it == full_until_us_.end() || it->second < now_us_;
}

absl::Status DiskWatch::MayBegin(const std::vector<ReplicaId>& members) const {
  auto full = std::count_if(members.begin(), members.end(), [this](ReplicaId m) { return !HasRoom(m); });
  if (static_cast<size_t>(full) > (members.size() - 1) / 2) {
    return absl::UnavailableError(absl::StrCat("the disks of ", full, " of ", members.size(),
                                               " data centres are full; nothing was proposed"));
  }
  EnginePressure own = engine_.pressure();
  if (!own.backlogged) return absl::OkStatus();
  return absl::UnavailableError(own.no_room
                                    ? "the disk of this data centre is full; nothing was proposed"
                                    : "the disk of this data centre is too slow; nothing was proposed");
}

absl::Status DiskWatch::Begin(const std::vector<ReplicaId>& members) {
  absl::Status may = MayBegin(members);
  if (!may.ok() && refusals_ != nullptr) refusals_->Add();
  return may;
}

}  // namespace paxledger
