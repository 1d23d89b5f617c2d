#include "replication/backfill.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/mark.h"
#include "replication/log_row.h"
#include "replication/store/packed_rows.h"

namespace paxledger {
namespace {

constexpr int64_t kTryAgainUs = 300'000;

}  // namespace

PackedPieces VerifyRows(ShardId shard, const std::vector<SharedBytes>& parts, LogIndex last,
                        VerifiedRows* at) {
  PackedPieces pieces;
  for (const SharedBytes& part : parts) {
    std::string out;
    out.reserve(part->size());
    PackedRowReader rows(*part);
    while (at->whole && at->through < last && rows.Next()) {
      std::string key = LogKey(shard, Next(at->through));
      absl::StatusOr<LogRow> row = DecodeLogRow(key, rows.value());
      at->whole = rows.key() == key && row.ok() && !row->value.empty();
      if (!at->whole) break;
      at->through = Next(at->through);
      at->chain = Sha256(at->chain.view(), Sha256(row->value).view());
      // Rule 7: a chosen row carries no ballot. Promises of an index below what is chosen bind nobody.
      AppendPackedRow(&out, key, EncodeLogRow(key, LogRow{Record{}, true, row->value}));
    }
    at->whole = at->whole && rows.ok();
    if (!out.empty()) pieces.push_back(std::move(out));
    if (!at->whole) break;
  }
  return pieces;
}

/// One shard's gap.
class Backfill::Fill : public RowSink {
 public:
  Fill(Backfill& of, ShardId shard, const LogGap& gap) : of_(of), shard_(shard), gap_(gap) {}

  void Tick(Begin begin);
  /// What is under way counts no more, and nothing begins before `Restart`.
  void Pause();
  void Restart(const LogGap& gap);
  /// Pauses for good, and calls `done` when no ingestion is under way.
  void End(std::function<void()> done);
  RowPull* pull() { return pull_.get(); }
  bool running() const { return pull_ != nullptr || !ingesting_.empty(); }

  // RowSink
  void OnHead(const RowsHead&) override { Go(); }
  void OnPart(RowsPart part) override;
  void OnLost(RowsRefusal) override { Stop(); }

 private:
  /// A file on its way to the disk. They may arrive out of order, and count in order.
  struct Ingestion {
    uint64_t epoch;
    VerifiedRows result;  // of the thread that makes the file, until it is done
    bool done = false;
  };
  void Go();
  void Stop();
  void IngestGathered();
  void OnIngested();
  enum class After : uint8_t { kGoesOn, kGone };
  /// It may close the gap, and with it this is gone.
  After Count(const VerifiedRows& result);

  Backfill& of_;
  ShardId shard_;
  LogGap gap_;
  bool paused_ = false;
  uint64_t epoch_ = 0;  // ends the meaning of ingestions that began earlier
  std::function<void()> ended_;
  std::unique_ptr<RowPull> pull_;
  // Where the next file begins. Files are made one after the other, away from the strand, and only their making touches this.
  std::shared_ptr<VerifiedRows> tail_;
  std::vector<SharedBytes> gathered_;
  size_t gathered_bytes_ = 0;
  std::deque<std::shared_ptr<Ingestion>> ingesting_;
  int64_t not_before_us_ = 0;
  int64_t paced_until_us_ = 0;
  uint32_t turn_ = 0;
  std::shared_ptr<Fill*> self_ =
      std::make_shared<Fill*>(this);  // the engine may call back after this is gone
};

void Backfill::Fill::Tick(Begin begin) {
  if (pull_ != nullptr) {
    Go();
    return pull_->Tick();
  }
  int64_t now_us = of_.ports_.clock->MonotonicMicros();
  if (paused_ || !ingesting_.empty() || begin == Begin::kNotYet || now_us < not_before_us_) return;
  std::optional<ReplicaId> source = of_.host_.source(shard_, turn_++);
  not_before_us_ = now_us + kTryAgainUs;
  if (!source.has_value()) return;
  RowPull::Wanted wanted{shard_, RowsKind::kLog, Next(gap_.through), gap_.last};
  pull_ = std::make_unique<RowPull>(of_.ports_, wanted, *source, of_.host_.new_session(), *this);
  tail_ = std::make_shared<VerifiedRows>(VerifiedRows{gap_.through, gap_.chain, true});
  pull_->Start();
  of_.host_.flush_soon();
}

void Backfill::Fill::Go() {
  bool room = ingesting_.size() < limits::kIngestsAhead;
  if (room && of_.ports_.clock->MonotonicMicros() >= paced_until_us_) {
    pull_->Grant(pull_->parts() + limits::kRowsPartsAhead);
  }
}

void Backfill::Fill::Stop() {
  if (pull_ != nullptr) pull_->Close();
  pull_.reset();
  gathered_.clear();
  gathered_bytes_ = 0;
}

void Backfill::Fill::Pause() {
  Stop();
  paused_ = true;
  ++epoch_;
}

void Backfill::Fill::Restart(const LogGap& gap) {
  Pause();
  gap_ = gap;
  paused_ = false;
}

void Backfill::Fill::End(std::function<void()> done) {
  Pause();
  if (ingesting_.empty()) return done();
  ended_ = std::move(done);
}

void Backfill::Fill::OnPart(RowsPart part) {
  bool last = part.next.empty();
  gathered_bytes_ += part.rows->size();
  paced_until_us_ = of_.Pace(part.rows->size());
  gathered_.push_back(std::move(part.rows));
  if (last || gathered_bytes_ >= of_.ingest_bytes_) IngestGathered();
  if (last) {
    Stop();
  } else {
    Go();
  }
}

void Backfill::Fill::IngestGathered() {
  gathered_bytes_ = 0;
  auto ingestion = std::make_shared<Ingestion>(Ingestion{epoch_, {}});
  ingesting_.push_back(ingestion);
  of_.ports_.engine->IngestPacked(
      Table::kLog,
      [shard = shard_, parts = std::exchange(gathered_, {}), last = gap_.last, tail = tail_,
       ingestion]() -> absl::StatusOr<PackedPieces> {
        PackedPieces pieces = VerifyRows(shard, parts, last, tail.get());
        ingestion->result = *tail;
        return pieces;
      },
      [self = std::weak_ptr<Fill*>(self_), ingestion](const absl::Status& status) {
        Check(status.ok(), "verified rows are well formed");
        ingestion->done = true;
        if (std::shared_ptr<Fill*> alive = self.lock()) (*alive)->OnIngested();
      });
}

void Backfill::Fill::OnIngested() {
  while (!ingesting_.empty() && ingesting_.front()->done) {
    std::shared_ptr<Ingestion> first = std::move(ingesting_.front());
    ingesting_.pop_front();
    if (ingesting_.empty() && ended_ != nullptr) return std::exchange(ended_, nullptr)();
    if (first->epoch != epoch_) continue;
    if (Count(first->result) == After::kGone) return;
  }
}

Backfill::Fill::After Backfill::Fill::Count(const VerifiedRows& result) {
  gap_.through = result.through;
  gap_.chain = result.chain;
  if (!result.whole) {
    Mark("backfill.source_damaged");
    Stop();
  }
  bool sound = of_.host_.filled(shard_, gap_);
  if (gap_.through < gap_.last) {
    Tick(Begin::kAllowed);
    return After::kGoesOn;
  }
  if (sound) {
    of_.Erase(shard_);
    return After::kGone;
  }
  // What was filled is not what was chosen: all of it anew, from somebody else.
  Mark("backfill.chain_broken");
  gap_.through = LogIndex{};
  gap_.chain = Digest{};
  of_.host_.filled(shard_, gap_);
  return After::kGoesOn;
}

Backfill::Backfill(const ReplicaPorts& ports, Host host, const CatchUpOptions& options)
    : ports_(ports),
      host_(std::move(host)),
      bytes_per_second_(options.backfill_bytes_per_second),
      ingest_bytes_(options.ingest_bytes) {
  if (ports_.metrics != nullptr) {
    bytes_ = &ports_.metrics->counter("paxledger_backfill_bytes_total");
    shards_ = &ports_.metrics->gauge("paxledger_backfill_shards");
  }
}

Backfill::~Backfill() = default;

void Backfill::Add(ShardId shard, const LogGap& gap) {
  auto it = fills_.find(shard);
  if (it != fills_.end()) return it->second->Restart(gap);
  fills_[shard] = std::make_unique<Fill>(*this, shard, gap);
  if (shards_ != nullptr) shards_->Set(static_cast<int64_t>(fills_.size()));
}

void Backfill::Pause(ShardId shard) {
  auto it = fills_.find(shard);
  if (it != fills_.end()) it->second->Pause();
}

void Backfill::Remove(ShardId shard, std::function<void()> done) {
  auto it = fills_.find(shard);
  if (it == fills_.end()) return done();
  it->second->End([this, shard, done = std::move(done)] {
    Erase(shard);
    done();
  });
}

void Backfill::Erase(ShardId shard) {
  fills_.erase(shard);
  if (shards_ != nullptr) shards_->Set(static_cast<int64_t>(fills_.size()));
}

void Backfill::Tick() {
  size_t running = 0;
  for (const auto& [shard, fill] : fills_) running += fill->running() ? 1 : 0;
  for (const auto& [shard, fill] : fills_) {
    bool room = running < limits::kBackfillShardsMax;
    bool ran = fill->running();
    fill->Tick(room ? Begin::kAllowed : Begin::kNotYet);
    running += !ran && fill->running() ? 1 : 0;
  }
}

RowPull* Backfill::Find(uint64_t session) {
  for (const auto& [shard, fill] : fills_) {
    if (fill->pull() != nullptr && fill->pull()->session() == session) return fill->pull();
  }
  return nullptr;
}

// All shards share the rate: each part moves the time when the next ones may be asked for.
int64_t Backfill::Pace(size_t bytes) {
  if (bytes_ != nullptr) bytes_->Add(bytes);
  int64_t now_us = ports_.clock->MonotonicMicros();
  constexpr int64_t kMicros = 1'000'000;
  int64_t takes_us = static_cast<int64_t>(bytes) * kMicros / static_cast<int64_t>(bytes_per_second_);
  paced_until_us_ = std::max(paced_until_us_, now_us) + takes_us;
  // A burst of what a tick lets wait is no haste.
  constexpr int64_t kBurstUs = 50'000;
  return paced_until_us_ - kBurstUs;
}

}  // namespace paxledger
