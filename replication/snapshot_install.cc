#include "replication/snapshot_install.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "replication/core/envelope.h"
#include "replication/row_source.h"
#include "replication/store/packed_rows.h"

namespace paxledger {
namespace {

constexpr int64_t kTryAgainUs = 200'000;

/// Rows of `shard` in order, or they are not ingested. Runs away from the strand.
absl::StatusOr<PackedPieces> CheckedPieces(ShardId shard, const std::vector<SharedBytes>& parts) {
  PackedPieces pieces;
  std::string prefix;
  AppendBigEndian32(&prefix, shard.value);
  std::string_view last;
  for (const SharedBytes& part : parts) {
    PackedRowReader rows(*part);
    while (rows.Next()) {
      if (!rows.key().starts_with(prefix) || rows.key() <= last) {
        return absl::InvalidArgumentError("a snapshot holds rows that are not its own");
      }
      last = rows.key();
    }
    if (!rows.ok()) return absl::InvalidArgumentError("a part of a snapshot is malformed");
    if (!part->empty()) pieces.push_back(*part);
  }
  return pieces;
}

bool IsMachineTable(uint32_t table) {
  return std::any_of(std::begin(kMachineTables), std::end(kMachineTables),
                     [table](Table known) { return static_cast<uint32_t>(known) == table; });
}

}  // namespace

SnapshotInstall::SnapshotInstall(ShardId shard, const ReplicaPorts& ports, Host host, size_t ingest_bytes)
    : shard_(shard), ports_(ports), host_(std::move(host)), ingest_bytes_(ingest_bytes) {
  if (ports_.metrics != nullptr) bytes_ = &ports_.metrics->counter("paxledger_snapshot_bytes_total");
}

void SnapshotInstall::Tick(Begin begin) {
  if (finished_) return;
  if (pull_ != nullptr) return pull_->Tick();
  // A file of an earlier attempt must not come on top of what the next one brings.
  if (ingesting_ > 0 || begin == Begin::kNotYet || ports_.clock->MonotonicMicros() < try_at_us_) return;
  std::optional<ReplicaId> source = host_.source(turn_++);
  if (!source.has_value()) return TryAgain(kTryAgainUs);
  ++attempt_;
  gathered_.clear();
  gathered_bytes_ = 0;
  all_received_ = false;
  pull_ = std::make_unique<RowPull>(ports_, RowPull::Wanted{shard_, RowsKind::kState, {}, {}}, *source,
                                    host_.new_session(), *this);
  pull_->Start();
}

void SnapshotInstall::End(std::function<void()> done) {
  finished_ = true;
  TryAgain(0);
  if (ingesting_ == 0) return done();
  ended_ = std::move(done);
}

void SnapshotInstall::TryAgain(int64_t after_us) {
  if (pull_ != nullptr) pull_->Close();
  pull_.reset();
  try_at_us_ = ports_.clock->MonotonicMicros() + after_us;
}

void SnapshotInstall::OnLost(RowsRefusal refusal) {
  Mark("snapshot.source_lost");
  if (refusal != RowsRefusal::kNone) ++refused_;
  TryAgain(kTryAgainUs);
}

void SnapshotInstall::OnHead(const RowsHead& head) {
  bool sound = head.value != nullptr && head.index > LogIndex{} && !head.members.members.empty() &&
               DecodeEnvelope(*head.value).ok();
  if (!sound || !host_.wanted(head.index)) return TryAgain(kTryAgainUs);
  refused_ = 0;
  at_ = {head.index, head.value, head.members, head.journal};
  host_.clear([self = std::weak_ptr<SnapshotInstall*>(self_), attempt = attempt_] {
    std::shared_ptr<SnapshotInstall*> alive = self.lock();
    if (alive != nullptr && attempt == (*alive)->attempt_ && (*alive)->pull_ != nullptr) (*alive)->Go();
  });
}

// As many parts as may be gathered and on their way to the disk.
void SnapshotInstall::Go() {
  if (ingesting_ >= limits::kIngestsAhead) return;
  pull_->Grant(pull_->parts() + limits::kRowsPartsAhead);
  host_.flush_soon();
}

void SnapshotInstall::OnPart(RowsPart part) {
  if (!IsMachineTable(part.table)) return TryAgain(kTryAgainUs);
  bool last = part.next.empty();
  Gather(std::move(part));
  all_received_ = last;
  if (last || gathered_bytes_ >= ingest_bytes_) IngestGathered();
  if (!last) return Go();
  if (ingesting_ == 0) OnIngested(attempt_, absl::OkStatus());
}

void SnapshotInstall::Gather(RowsPart part) {
  Table table = static_cast<Table>(part.table);
  if (table != table_) IngestGathered();
  table_ = table;
  gathered_bytes_ += part.rows->size();
  if (bytes_ != nullptr) bytes_->Add(part.rows->size());
  if (!part.rows->empty()) gathered_.push_back(std::move(part.rows));
}

void SnapshotInstall::IngestGathered() {
  if (gathered_.empty()) return;
  ++ingesting_;
  gathered_bytes_ = 0;
  ports_.engine->IngestPacked(
      table_, [shard = shard_, parts = std::exchange(gathered_, {})] { return CheckedPieces(shard, parts); },
      [self = std::weak_ptr<SnapshotInstall*>(self_), attempt = attempt_](const absl::Status& status) {
        if (std::shared_ptr<SnapshotInstall*> alive = self.lock()) {
          --(*alive)->ingesting_;
          (*alive)->OnIngested(attempt, status);
        }
      });
}

void SnapshotInstall::OnIngested(uint64_t attempt, const absl::Status& status) {
  if (ended_ != nullptr && ingesting_ == 0) return std::exchange(ended_, nullptr)();
  if (attempt != attempt_ || pull_ == nullptr) return;
  if (!status.ok()) return TryAgain(kTryAgainUs);
  if (!all_received_) return Go();
  if (ingesting_ > 0) return;
  Mark("snapshot.received");
  finished_ = host_.finish(at_);
  if (!finished_) TryAgain(kTryAgainUs);
}

}  // namespace paxledger
