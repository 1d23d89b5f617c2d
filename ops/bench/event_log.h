#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace paxledger {

/// What became of one transfer, from where its client stood.
struct TransferEvent {
  int64_t sent_us = 0;  // monotonic clock of this machine, microseconds; due in the open loop
  int64_t done_us = 0;
  uint64_t client = 0;
  uint64_t endpoint = 0;  // which answered last
  uint32_t attempts = 0;
  uint32_t debit = 0;  // numbers of the accounts
  uint32_t credit = 0;
  uint32_t debit_shard = 0;
  uint32_t credit_shard = 0;
  uint64_t amount = 0;
  std::string_view outcome;  // "posted", "refused:<code>", "failed", "unknown"
};

/// Writes every transfer of a run down, one line of CSV each, so that whatever is claimed of the run can be computed again.
/// Owns:    the file.
/// Threads: one.
class EventLog {
 public:
  /// Errors: kUnavailable  the file cannot be written
  static absl::StatusOr<std::unique_ptr<EventLog>> Create(const std::string& path);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  void Write(const TransferEvent& event);
  /// Nothing may be written after it.
  /// Errors: kUnavailable  not everything that was written is in the file
  [[nodiscard]] absl::Status Close();

 private:
  explicit EventLog(std::FILE* file) : file_(file) {}
  std::FILE* file_;
};

}  // namespace paxledger
