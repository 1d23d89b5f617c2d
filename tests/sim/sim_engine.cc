#include "tests/sim/sim_engine.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "replication/store/packed_rows.h"

namespace paxledger::sim {

/// Reads the live rows for as long as nothing changes, and a copy after that.
class SimCursor : public EngineCursor {
 public:
  SimCursor(SimDisk& disk, Table table, std::string_view begin, std::string_view end)
      : disk_(disk), rows_(&disk.tables_[static_cast<size_t>(table)]), end_(end) {
    at_ = rows_->lower_bound(std::string(begin));
    disk_.open_cursors_.push_back(this);
  }
  ~SimCursor() override { Forget(); }

  bool valid() const override { return at_ != rows_->end() && (end_.empty() || at_->first < end_); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  void Next() override { ++at_; }
  absl::Status status() const override { return absl::OkStatus(); }

  /// Keeps the rows that are left as they stand now.
  void Copy() {
    for (; valid(); ++at_) copy_.insert(copy_.end(), {at_->first, at_->second});
    rows_ = &copy_;
    at_ = copy_.begin();
  }

 private:
  void Forget() { std::erase(disk_.open_cursors_, this); }

  SimDisk& disk_;
  const Rows* rows_;
  Rows copy_;
  std::string end_;
  Rows::const_iterator at_;
};

/// The rows as they stood when it was made: what changed since is kept here, the rest is read from the disk.
class SimView {
 public:
  explicit SimView(SimDisk& disk) : disk_(&disk) { disk_->open_views_.push_back(this); }
  SimView(const SimView&) = delete;
  SimView& operator=(const SimView&) = delete;
  ~SimView() {
    if (disk_ != nullptr) std::erase(disk_->open_views_, this);
  }
  /// The world ends; whoever still holds this will not read it.
  void DiskGone() { disk_ = nullptr; }

  void BeforeChange(Table table, const std::string& key, const std::string* value) {
    auto& old = old_[static_cast<size_t>(table)];
    if (!old.contains(key)) old.emplace(key, value == nullptr ? std::nullopt : std::optional(*value));
  }
  std::optional<std::string> Get(Table table, std::string_view key) const {
    const auto& old = old_[static_cast<size_t>(table)];
    auto changed = old.find(ToAbsl(key));
    if (changed != old.end()) return changed->second;
    const Rows& rows = disk_->rows(table);
    auto at = rows.find(ToAbsl(key));
    return at == rows.end() ? std::nullopt : std::optional(at->second);
  }
  /// Calls `row(key, value)` in order until it returns false.
  template <class F>
  void ForEach(Table table, const std::string& begin, const std::string& end, F row) const {
    const Rows& rows = disk_->rows(table);
    const auto& old = old_[static_cast<size_t>(table)];
    auto live = rows.lower_bound(begin);
    auto changed = old.lower_bound(begin);
    auto more = [&end](const auto& at, const auto& map) {
      return at != map.end() && (end.empty() || at->first < end);
    };
    for (;;) {
      bool has_live = more(live, rows);
      bool has_changed = more(changed, old);
      if (!has_live && !has_changed) return;
      if (has_changed && (!has_live || changed->first <= live->first)) {
        if (has_live && live->first == changed->first) ++live;
        if (changed->second.has_value() && !row(changed->first, *changed->second)) return;
        ++changed;
      } else {
        if (!row(live->first, live->second)) return;
        ++live;
      }
    }
  }

 private:
  SimDisk* disk_;
  absl::btree_map<std::string, std::optional<std::string>> old_[kTableCount];
};

/// Rows that were read already.
class SimRowsCursor : public EngineCursor {
 public:
  explicit SimRowsCursor(std::vector<EngineRow> rows) : rows_(std::move(rows)) {}
  bool valid() const override { return at_ < rows_.size(); }
  std::string_view key() const override { return rows_[at_].key; }
  std::string_view value() const override { return rows_[at_].value; }
  void Next() override { ++at_; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  std::vector<EngineRow> rows_;
  size_t at_ = 0;
};

class SimSnapshot : public EngineSnapshot {
 public:
  SimSnapshot(SimEngine& engine, SimDisk& disk) : engine_(engine), view_(std::make_shared<SimView>(disk)) {}
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override {
    return view_->Get(table, key);
  }
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override {
    std::vector<EngineRow> rows;
    view_->ForEach(table, std::string(begin), std::string(end), [&rows](const auto& key, const auto& value) {
      rows.push_back({key, value});
      return true;
    });
    return std::make_unique<SimRowsCursor>(std::move(rows));
  }
  void Read(Table table, std::string begin, std::string end, size_t bytes,
            absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done) override {
    engine_.Read(view_, table, std::move(begin), std::move(end), bytes, std::move(done));
  }

 private:
  SimEngine& engine_;
  std::shared_ptr<SimView> view_;
};

SimDisk::~SimDisk() {
  for (SimView* view : open_views_) view->DiskGone();
}

void SimDisk::BeforeChange() {
  for (SimCursor* cursor : open_cursors_) cursor->Copy();
  open_cursors_.clear();
}

void SimDisk::Set(Table table, const std::string& key, std::optional<std::string> value,
                  std::vector<Old>* undo) {
  Rows& rows = tables_[static_cast<size_t>(table)];
  auto at = rows.find(key);
  for (SimView* view : open_views_) view->BeforeChange(table, key, at == rows.end() ? nullptr : &at->second);
  if (undo != nullptr) {
    undo->push_back(Old{table, key, at == rows.end() ? std::nullopt : std::optional(std::move(at->second))});
  }
  if (!value.has_value()) {
    if (at != rows.end()) rows.erase(at);
  } else if (at != rows.end()) {
    at->second = *std::move(value);
  } else {
    rows.emplace(key, *std::move(value));
  }
}

void SimDisk::Apply(Pending& pending) {
  BeforeChange();
  for (const EngineBatch::Change& change : pending.batch.changes()) {
    if (const auto* put = std::get_if<EngineBatch::Put>(&change)) {
      Set(put->table, put->key, put->value, &pending.undo);
    } else if (const auto* erase = std::get_if<EngineBatch::Delete>(&change)) {
      Set(erase->table, erase->key, std::nullopt, &pending.undo);
    } else if (const auto* range = std::get_if<EngineBatch::DeleteRange>(&change)) {
      const Rows& rows = tables_[static_cast<size_t>(range->table)];
      std::vector<std::string> keys;
      for (auto at = rows.lower_bound(range->begin); at != rows.end() && at->first < range->end; ++at) {
        keys.push_back(at->first);
      }
      for (const std::string& key : keys) Set(range->table, key, std::nullopt, &pending.undo);
    }
  }
  pending.readable = true;
}

void SimDisk::Undo(Pending& pending) {
  BeforeChange();
  for (auto old = pending.undo.rbegin(); old != pending.undo.rend(); ++old) {
    Set(old->table, old->key, std::move(old->value), nullptr);
  }
}

void SimDisk::MakeReadable(size_t count) {
  for (Pending& pending : unsynced_) {
    if (count == 0) break;
    if (pending.readable) continue;
    Apply(pending);
    --count;
  }
}

void SimDisk::MakeDurable(size_t count) {
  Check(count <= unsynced_.size(), "only what was written is synced");
  for (size_t i = 0; i < count; ++i) {
    Check(unsynced_.front().readable, "a durable batch is readable");
    unsynced_.pop_front();
  }
  ++syncs_;
}

void SimDisk::AddRows(Table table, std::vector<EngineRow> rows) {
  BeforeChange();
  for (EngineRow& row : rows) Set(table, row.key, std::move(row.value), nullptr);
}

bool SimDisk::FlipBit(Random& random) {
  constexpr uint64_t kOf = 40;
  uint64_t drawn = random.Below(kOf);
  // Of the machines' rows only the first of a shard, its head: damage to others stops the process once something meets it.
  Table table = drawn == 0 ? Table::kState : drawn < kOf / 10 ? Table::kMeta : Table::kLog;
  Rows& rows = tables_[static_cast<size_t>(table)];
  if (rows.empty()) return false;
  BeforeChange();
  auto at = std::next(rows.begin(), static_cast<std::ptrdiff_t>(random.Below(rows.size())));
  constexpr size_t kShardBytes = 4;
  if (table == Table::kState) at = rows.lower_bound(at->first.substr(0, kShardBytes));
  if (at->second.empty()) return false;
  char& byte = at->second[random.Below(at->second.size())];
  byte = static_cast<char>(byte ^ (1 << random.Below(8)));
  return true;
}

void SimDisk::Crash(Random& random) {
  size_t kept = random.Below(unsynced_.size() + 1);
  while (unsynced_.size() > kept) {
    if (unsynced_.back().readable) Undo(unsynced_.back());
    unsynced_.pop_back();
    ++batches_lost_;
  }
  for (Pending& pending : unsynced_) {
    if (!pending.readable) Apply(pending);
  }
  unsynced_.clear();
}

void SimEngine::Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) {
  disk_.Append(std::move(batch));
  waiting_.push_back({durability, std::move(done)});
  if (!writing_) StartWriter();
}

void SimEngine::StartWriter() {
  writing_ = true;
  // The writer starts a moment later, so that it collects what the strand writes in one go.
  scheduler_.After(1, EventKind::kDisk, nullptr, [this] {
    if (crashed_) return;
    size_t count = waiting_.size();
    bool sync =
        std::ranges::any_of(waiting_, [](const Waiting& w) { return w.durability == Durability::kSync; });
    int64_t delay = profile_.lazy_us;
    if (sync) {
      delay = random_.Between(profile_.sync_us_min, profile_.sync_us_max);
      if (random_.Chance(profile_.slow_per_thousand, 1000)) delay += random_.Between(0, profile_.slow_us_max);
      const DiskTrouble& trouble = disk_.trouble();
      if (scheduler_.now_us() < trouble.slow_until_us) delay += random_.Between(0, trouble.slow_us_max);
    }
    Durability durability = sync ? Durability::kSync : Durability::kLazy;
    scheduler_.After(delay, EventKind::kDisk, nullptr, [this, count, durability] {
      if (crashed_) return;
      if (WriteFails()) {
        on_failed_write();
      } else {
        WriterDone(count, durability);
      }
    });
  });
}

bool SimEngine::WriteFails() {
  DiskTrouble& trouble = disk_.trouble();
  return std::exchange(trouble.next_write_fails, false) || scheduler_.now_us() < trouble.full_until_us;
}

void SimEngine::WriterDone(size_t count, Durability durability) {
  disk_.MakeReadable(count);
  if (durability == Durability::kSync) disk_.MakeDurable(disk_.unsynced() - (waiting_.size() - count));
  for (size_t i = 0; i < count; ++i) {
    absl::AnyInvocable<void()> done = std::move(waiting_.front().done);
    waiting_.pop_front();
    if (done) strand_.Post(std::move(done));
  }
  writing_ = false;
  if (!waiting_.empty()) StartWriter();
}

void SimEngine::Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) {
  auto file = std::make_shared<File>(File{table, std::move(rows), std::move(done)});
  files_.push_back(file);
  int64_t delay = random_.Between(100, profile_.ingest_us_max);
  scheduler_.After(delay, EventKind::kDisk, nullptr, [this, file] {
    if (!crashed_ && WriteFails()) {
      on_failed_write();
      return;
    }
    if (!crashed_) {
      disk_.AddRows(file->table, std::move(file->rows));
      std::erase(files_, file);
    }
    if (file->done) strand_.Post(std::move(file->done));
  });
}

void SimEngine::IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                             absl::AnyInvocable<void(absl::Status)> done) {
  absl::StatusOr<PackedPieces> pieces = make();
  std::vector<EngineRow> rows;
  for (const std::string& piece : pieces.ok() ? *pieces : PackedPieces()) {
    PackedRowReader reader(piece);
    while (reader.Next()) rows.push_back({std::string(reader.key()), std::string(reader.value())});
    Check(reader.ok(), "packed rows are well formed");
  }
  for (size_t i = 1; i < rows.size(); ++i) Check(rows[i - 1].key < rows[i].key, "ingested rows ascend");
  Ingest(table, std::move(rows),
         [done = std::move(done), status = pieces.status()]() mutable { done(status); });
}

std::unique_ptr<EngineSnapshot> SimEngine::Snapshot() { return std::make_unique<SimSnapshot>(*this, disk_); }

void SimEngine::Read(std::shared_ptr<SimView> view, Table table, std::string begin, std::string end,
                     size_t bytes, absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done) {
  scheduler_.After(
      random_.Between(50, profile_.page_us_max), EventKind::kDisk, nullptr,
      [this, view = std::move(view), table, begin = std::move(begin), end = std::move(end), bytes,
       done = std::move(done)]() mutable {
        if (crashed_) return;
        EnginePage page;
        view->ForEach(table, begin, end, [&page, bytes](const auto& key, const auto& value) {
          if (page.rows.size() >= bytes) {
            page.next = key;
            return false;
          }
          AppendPackedRow(&page.rows, key, value);
          return true;
        });
        strand_.Post([done = std::move(done), page = std::move(page)]() mutable { done(std::move(page)); });
      });
}

absl::StatusOr<std::optional<std::string>> SimEngine::Get(Table table, std::string_view key) {
  const Rows& rows = disk_.rows(table);
  auto at = rows.find(ToAbsl(key));
  if (at == rows.end()) return std::optional<std::string>();
  bool misdirected = table == Table::kLog && profile_.misdirected_per_million > 0 && disk_.trouble().rots &&
                     random_.Chance(profile_.misdirected_per_million, 1'000'000);
  if (misdirected) at = std::next(at) != rows.end() ? std::next(at) : rows.begin();
  return std::optional<std::string>(at->second);
}

std::unique_ptr<EngineCursor> SimEngine::Scan(Table table, std::string_view begin, std::string_view end) {
  return std::make_unique<SimCursor>(disk_, table, begin, end);
}

DiskUse SimEngine::disk_use() const {
  DiskUse use;
  for (size_t i = 0; i < use.tables.size(); ++i) {
    for (const auto& [key, value] : disk_.rows(static_cast<Table>(i)))
      use.tables[i].rows += key.size() + value.size();
  }
  return use;
}

void SimEngine::Crash(Random& random) {
  crashed_ = true;
  disk_.Crash(random);
  for (const std::shared_ptr<File>& file : files_) {
    // A file that was linked just before the end is there, one that was not is not.
    if (random.Chance(1, 2)) disk_.AddRows(file->table, std::move(file->rows));
  }
  files_.clear();
}

}  // namespace paxledger::sim
