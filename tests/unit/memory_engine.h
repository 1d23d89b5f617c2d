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

namespace paxledger {

/// An `Engine` in memory that does one thing per `Pump`, so that a test can stop between any two steps and
/// crash there.
class MemoryEngine : public Engine {
 public:
  void Write(EngineBatch batch, Durability durability, absl::AnyInvocable<void()> done) override {
    pending_.push_back({std::move(batch), durability, Table::kState, {}, Step::kWrite, std::move(done)});
  }
  void Ingest(Table table, std::vector<EngineRow> rows, absl::AnyInvocable<void()> done) override {
    for (size_t i = 1; i < rows.size(); ++i) Check(rows[i - 1].key < rows[i].key, "ingested rows ascend");
    pending_.push_back(
        {EngineBatch(), Durability::kSync, table, std::move(rows), Step::kIngest, std::move(done)});
  }
  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) override {
    ++gets;
    const Rows& rows = visible_[static_cast<size_t>(table)];
    auto found = rows.find(key);
    if (found == rows.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  std::unique_ptr<EngineCursor> Scan(Table table, std::string_view begin, std::string_view end) override {
    const Rows& rows = visible_[static_cast<size_t>(table)];
    auto cursor = std::make_unique<Cursor>();
    for (auto at = rows.lower_bound(begin); at != rows.end() && (end.empty() || at->first < end); ++at) {
      cursor->rows.push_back({at->first, at->second});
    }
    return cursor;
  }

  /// Carries out the oldest request and reports it; false: there is none.
  bool Pump() {
    if (pending_.empty()) return false;
    Request request = std::move(pending_.front());
    pending_.pop_front();
    if (request.step == Step::kIngest) {
      for (const EngineRow& row : request.rows) {
        visible_[static_cast<size_t>(request.table)][row.key] = row.value;
        durable_[static_cast<size_t>(request.table)][row.key] = row.value;
      }
    } else {
      Change(&visible_, request.batch);
      unsynced_.push_back(request.batch);
      if (request.durability == Durability::kSync) {
        for (const EngineBatch& batch : unsynced_) Change(&durable_, batch);
        unsynced_.clear();
      }
    }
    if (request.done) request.done();
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
  enum class Step : uint8_t { kWrite, kIngest };
  struct Request {
    EngineBatch batch;
    Durability durability;
    Table table;
    std::vector<EngineRow> rows;
    Step step;
    absl::AnyInvocable<void()> done;
  };
  struct Cursor : EngineCursor {
    std::vector<EngineRow> rows;
    size_t at = 0;
    bool valid() const override { return at < rows.size(); }
    std::string_view key() const override { return rows[at].key; }
    std::string_view value() const override { return rows[at].value; }
    void Next() override { ++at; }
    absl::Status status() const override { return absl::OkStatus(); }
  };

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
  std::deque<Request> pending_;
  std::vector<EngineBatch> unsynced_;
};

}  // namespace paxledger
