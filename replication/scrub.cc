#include "replication/scrub.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mark.h"
#include "replication/log_row.h"
#include "replication/store/packed_rows.h"

namespace paxledger {
namespace {

constexpr int64_t kFirstAfterUs = 5'000'000;
constexpr int64_t kBetweenPassesUs = 600'000'000;
constexpr int64_t kBetweenShardsUs = 1'000;
constexpr int64_t kRowsComeUs = 20'000;
constexpr int64_t kRepairTakesUs = 500'000;
constexpr uint32_t kRepairWaitsMax = 20;
constexpr size_t kPageBytes = 256 << 10;
constexpr size_t kLookedOneByOneMax = 64;  // in one turn of the strand

std::string ShardBegin(ShardId shard) {
  std::string key;
  AppendBigEndian32(&key, shard.value);
  return key;
}

}  // namespace

Scrub::Scrub(const ReplicaPorts& ports, Host host, uint32_t shards, uint64_t bytes_per_second)
    : ports_(ports), host_(std::move(host)), shards_(shards), bytes_per_second_(bytes_per_second) {
  if (ports_.metrics == nullptr) return;
  rows_seen_ = &ports_.metrics->counter("paxledger_scrub_rows_total");
  bytes_seen_ = &ports_.metrics->counter("paxledger_scrub_bytes_total");
  damaged_ = &ports_.metrics->counter("paxledger_scrub_damaged_total");
  broken_chains_ = &ports_.metrics->counter("paxledger_scrub_broken_chains_total");
  passes_seen_ = &ports_.metrics->counter("paxledger_scrub_passes_total");
}

void Scrub::Start() {
  if (bytes_per_second_ > 0) After(kFirstAfterUs);
}

void Scrub::After(int64_t delay_us) {
  ports_.executor->After(absl::Microseconds(delay_us), [this] { GoOn(); });
}

void Scrub::GoOn() {
  if (!target_.has_value() && !BeginShard()) return EndShard();
  if (!StillHolds()) return EndShard();
  if (at_ < target_->last) return ReadLog();
  ReadState();
}

bool Scrub::BeginShard() {
  target_ = host_.target(shard_);
  at_ = LogIndex{};
  chain_ = Digest{};
  chained_ = true;
  waited_ = 0;
  table_ = 0;
  key_ = ShardBegin(shard_);
  return target_.has_value();
}

// The replica may be dropped, or its state replaced by a snapshot, while the scrub is at work: what it looked at counts no more.
bool Scrub::StillHolds() {
  std::optional<Target> now = host_.target(shard_);
  if (!now.has_value() || now->last < target_->last) return false;
  target_->durable = now->durable;
  if (!now->gap.has_value()) return true;  // there was none, or it was closed
  return target_->gap.has_value() && now->gap->last == target_->gap->last;
}

void Scrub::EndShard() {
  target_.reset();
  rows_.reset();
  shard_ = ShardId{shard_.value + 1};
  if (shard_.value < shards_) return After(kBetweenShardsUs);
  shard_ = ShardId{};
  if (passes_seen_ != nullptr) passes_seen_->Add();
  Mark("scrub.pass");
  After(kBetweenPassesUs);
}

int64_t Scrub::Pace(size_t bytes) {
  if (bytes_seen_ != nullptr) bytes_seen_->Add(bytes);
  return static_cast<int64_t>(bytes * 1'000'000 / bytes_per_second_) + 1;
}

// --- the log --------------------------------------------------------------------------------------------------------

void Scrub::ReadLog() {
  if (target_->gap.has_value() && target_->gap->Contains(Next(at_))) {
    at_ = std::min(target_->gap->last, target_->last);
    chained_ = false;
    return After(kBetweenShardsUs);
  }
  if (at_ >= target_->durable) return After(kRowsComeUs);
  LogIndex last = std::min(target_->last, target_->durable);
  if (target_->gap.has_value() && at_ < target_->gap->through) last = std::min(last, target_->gap->through);
  rows_ = ports_.engine->Snapshot();
  rows_->Read(Table::kLog, LogKey(shard_, Next(at_)), LogKey(shard_, Next(last)), kPageBytes,
              [this](absl::StatusOr<EnginePage> page) { OnLogPage(std::move(page)); });
}

void Scrub::OnLogPage(absl::StatusOr<EnginePage> page) {
  if (!page.ok()) return LookOneByOne();
  PackedRowReader rows(page->rows);
  LogIndex before = at_;
  while (rows.Next()) {
    // Whatever stands between the row that is due and the one that is there is missing.
    if (rows.key() != LogKey(shard_, Next(at_))) return Bad(absl::DataLossError("the row is missing"));
    absl::StatusOr<LogRow> row = DecodeLogRow(rows.key(), rows.value());
    if (!row.ok()) return Bad(row.status());
    if (row->value.empty()) return Bad(absl::DataLossError("the row has no value"));
    Good(row->value);
  }
  if (at_ == before) return Bad(absl::DataLossError("the row is missing"));
  if (at_ >= target_->last) EndLog();
  After(Pace(page->rows.size()));
}

void Scrub::Good(std::string_view value) {
  at_ = Next(at_);
  waited_ = 0;
  if (chained_) chain_ = Sha256(chain_.view(), Sha256(value).view());
  if (rows_seen_ != nullptr) rows_seen_->Add();
}

// Asks for its repair and waits for it, so that the repaired row is held against the chain too.
void Scrub::Bad(const absl::Status& why) {
  if (waited_ == 0) {
    Mark("scrub.damaged");
    if (damaged_ != nullptr) damaged_->Add();
    host_.repair(shard_, Next(at_), why);
  }
  if (++waited_ <= kRepairWaitsMax) return After(kRepairTakesUs);
  // Nobody has it now; the next pass tries again.
  waited_ = 0;
  chained_ = false;
  at_ = Next(at_);
  After(kBetweenShardsUs);
}

// A page that cannot be read has damage somewhere, or in several places.
void Scrub::LookOneByOne() {
  size_t bytes = 0;
  for (size_t i = 0; i < kLookedOneByOneMax && at_ < std::min(target_->last, target_->durable); ++i) {
    if (target_->gap.has_value() && target_->gap->Contains(Next(at_))) break;
    std::string key = LogKey(shard_, Next(at_));
    absl::StatusOr<std::optional<std::string>> row = ports_.engine->Get(Table::kLog, key);
    if (!row.ok()) return Bad(row.status());
    if (!row->has_value()) return Bad(absl::DataLossError("the row is missing"));
    absl::StatusOr<LogRow> decoded = DecodeLogRow(key, **row);
    if (!decoded.ok()) return Bad(decoded.status());
    bytes += (*row)->size();
    Good(decoded->value);
  }
  if (at_ >= target_->last) EndLog();
  After(Pace(bytes));
}

void Scrub::EndLog() {
  if (!chained_ || chain_ == target_->journal) return;
  Mark("scrub.chain_broken");
  if (broken_chains_ != nullptr) broken_chains_->Add();
  Log(LogLevel::kError, "scrub", "the journal on disk is not the one that was applied")
      .With("shard", shard_.value);
}

// --- the machine's rows ---------------------------------------------------------------------------------------------

void Scrub::ReadState() {
  if (table_ == std::size(kMachineTables)) return EndShard();
  rows_ = ports_.engine->Snapshot();
  rows_->Read(kMachineTables[table_], key_, ShardBegin(ShardId{shard_.value + 1}), kPageBytes,
              [this](absl::StatusOr<EnginePage> page) { OnStatePage(std::move(page)); });
}

void Scrub::OnStatePage(absl::StatusOr<EnginePage> page) {
  if (!StillHolds()) return EndShard();
  if (!page.ok()) {
    // Whatever else keeps it from being read is no damage; the next pass looks again.
    if (absl::IsDataLoss(page.status())) host_.state_damaged(shard_, page.status());
    return EndShard();
  }
  key_ = page->next;
  if (key_.empty()) {
    ++table_;
    key_ = ShardBegin(shard_);
  }
  After(Pace(page->rows.size()));
}

}  // namespace paxledger
