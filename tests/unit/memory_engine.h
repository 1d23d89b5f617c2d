#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "replication/store/engine.h"
#include "replication/store/packed_rows.h"

namespace paxledger {

/// An `Engine` in memory that does one thing per `Pump`, so that a test can stop between any two steps and
/// crash there.
class MemoryEngine : public Engine {
 public:
  void Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) override {
    pending_.push_back([this, batch = std::move(batch), durability, done = std::move(done)]() mutable {
      Change(&visible_, batch);
      unsynced_.push_back(std::move(batch));
      if (durability == Durability::kSync) {
        for (const EngineBatch& synced : unsynced_) Change(&durable_, synced);
        unsynced_.clear();
      }
      if (done) done();
    });
  }
  void Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) override {
    for (size_t i = 1; i < rows.size(); ++i) Check(rows[i - 1].key < rows[i].key, "ingested rows ascend");
    pending_.push_back([this, table, rows = std::move(rows), done = std::move(done)]() mutable {
      for (const EngineRow& row : rows) AddDurable(table, row.key, row.value);
      if (done) done();
    });
  }
  void IngestPacked(Table table, absl::AnyInvocable<absl::StatusOr<PackedPieces>()> make,
                    absl::AnyInvocable<void(absl::Status)> done) override {
    pending_.push_back([this, table, make = std::move(make), done = std::move(done)]() mutable {
      absl::StatusOr<PackedPieces> pieces = make();
      std::string last;
      for (const std::string& piece : pieces.ok() ? *pieces : PackedPieces()) {
        PackedRowReader rows(piece);
        while (rows.Next()) {
          Check(rows.key() > last, "ingested rows ascend");
          last = rows.key();
          AddDurable(table, rows.key(), rows.value());
        }
        Check(rows.ok(), "packed rows are well formed");
      }
      done(pieces.status());
    });
  }
  std::unique_ptr<EngineSnapshot> Snapshot() override {
    return std::make_unique<MemorySnapshot>(*this, visible_);
  }
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override {
    ++gets;
    return GetIn(visible_, table, key);
  }
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override {
    return ScanIn(visible_, table, begin, end);
  }

  DiskUse disk_use() const override {
    DiskUse use;
    for (size_t i = 0; i < use.tables.size(); ++i) {
      for (const auto& [key, value] : visible_[i]) use.tables[i].rows += key.size() + value.size();
    }
    return use;
  }

  /// Carries out the oldest request and reports it; false: there is none.
  bool Pump() {
    if (pending_.empty()) return false;
    absl::AnyInvocable<void()> request = std::move(pending_.front());
    pending_.pop_front();
    request();
    return true;
  }
  void PumpAll() {
    while (Pump()) {
    }
  }
  /// Loses what is not durable: requests that were not carried out, and unsynced batches.
  void Crash() {
    pending_.clear();
    unsynced_.clear();
    visible_ = durable_;
  }
  size_t pending() const { return pending_.size(); }
  /// To damage a row as a disk would.
  std::map<std::string, std::string, std::less<>>& rows(Table table) {
    return visible_[static_cast<size_t>(table)];
  }

  size_t gets = 0;

 private:
  using Rows = std::map<std::string, std::string, std::less<>>;
  using Tables = std::vector<Rows>;
  struct Cursor : EngineCursor {
    std::vector<EngineRow> rows;
    size_t at = 0;
    bool valid() const override { return at < rows.size(); }
    std::string_view key() const override { return rows[at].key; }
    std::string_view value() const override { return rows[at].value; }
    void Next() override { ++at; }
    absl::Status status() const override { return absl::OkStatus(); }
  };

  struct MemorySnapshot : EngineSnapshot {
    MemorySnapshot(MemoryEngine& of, Tables as_of)
        : engine(of), tables(std::make_shared<const Tables>(std::move(as_of))) {}
    absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override {
      return GetIn(*tables, table, key);
    }
    std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override {
      return ScanIn(*tables, table, begin, end);
    }
    void Read(Table table, std::string begin, std::string end, size_t bytes,
              absl::AnyInvocable<void(absl::StatusOr<EnginePage>)> done) override {
      engine.pending_.push_back([kept = tables, table, begin = std::move(begin), end = std::move(end), bytes,
                                 done = std::move(done)]() mutable {
        EnginePage page;
        std::unique_ptr<EngineCursor> rows = ScanIn(*kept, table, begin, end);
        for (; rows->valid() && page.rows.size() < bytes; rows->Next()) {
          AppendPackedRow(&page.rows, rows->key(), rows->value());
        }
        if (rows->valid()) page.next = rows->key();
        done(std::move(page));
      });
    }
    MemoryEngine& engine;
    std::shared_ptr<const Tables> tables;
  };

  static absl::StatusOr<std::optional<std::string>> GetIn(const Tables& tables, Table table,
                                                          std::string_view key) {
    const Rows& rows = tables[static_cast<size_t>(table)];
    auto found = rows.find(key);
    if (found == rows.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  static std::unique_ptr<EngineCursor> ScanIn(const Tables& tables, Table table, std::string_view begin,
                                              std::string_view end) {
    const Rows& rows = tables[static_cast<size_t>(table)];
    auto cursor = std::make_unique<Cursor>();
    for (auto at = rows.lower_bound(begin); at != rows.end() && (end.empty() || at->first < end); ++at) {
      cursor->rows.push_back({at->first, at->second});
    }
    return cursor;
  }
  void AddDurable(Table table, std::string_view key, std::string_view value) {
    visible_[static_cast<size_t>(table)].insert_or_assign(std::string(key), value);
    durable_[static_cast<size_t>(table)].insert_or_assign(std::string(key), value);
  }
  static void Change(Tables* tables, const EngineBatch& batch) {
    for (const EngineBatch::Change& change : batch.changes()) {
      if (const auto* put = std::get_if<EngineBatch::Put>(&change)) {
        (*tables)[static_cast<size_t>(put->table)][put->key] = put->value;
      } else if (const auto* gone = std::get_if<EngineBatch::Delete>(&change)) {
        (*tables)[static_cast<size_t>(gone->table)].erase(gone->key);
      } else if (const auto* range = std::get_if<EngineBatch::DeleteRange>(&change)) {
        Rows& rows = (*tables)[static_cast<size_t>(range->table)];
        rows.erase(rows.lower_bound(range->begin), rows.lower_bound(range->end));
      }
    }
  }

  Tables visible_{kTableCount};
  Tables durable_{kTableCount};
  std::deque<absl::AnyInvocable<void()>> pending_;
  std::vector<EngineBatch> unsynced_;
};

}  // namespace paxledger
