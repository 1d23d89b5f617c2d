#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/metrics.h"

namespace paxledger {

/// What is free on a file system.
struct DiskSpace {
  uint64_t bytes = 0;
  uint64_t inodes = UINT64_MAX;  // the most where the file system does not count them
};

/// Errors: kInternal  the file system refused
absl::StatusOr<DiskSpace> MeasureDiskSpace(const std::string& directory);

struct DiskRoomOptions {
  std::string directory;
  /// Below this much free space nothing new is written.
  uint64_t min_free_bytes = uint64_t{512} << 20;
  std::function<absl::StatusOr<DiskSpace>(const std::string&)> measure = MeasureDiskSpace;
};

/// The room on the file system of the data directory. Below a reserve there is none, though some is left: a write that
/// fails for want of space is in doubt and ends the process (consensus.md rule 2), so it must not come to that. What is
/// left is for what is under way already: the write-ahead log, memtables being flushed, compactions.
/// A file of an eighth of the reserve, the ballast, holds room that nobody else on the file system can take. It is given up
/// where free space falls on though nothing is written here, and made again before writing goes on.
/// Owns:    the file `BALLAST` in the directory.
/// Threads: `Look` one caller at a time; the rest any.
class DiskRoom {
 public:
  /// Inodes below which there is no room either; where the file system counts them.
  static constexpr uint64_t kInodesMin = 256;

  /// Errors: kResourceExhausted  there is not enough room to start
  ///         kInternal           the file system refused
  static absl::StatusOr<std::unique_ptr<DiskRoom>> Open(DiskRoomOptions options, Metrics& metrics);

  /// Looks at the file system; true: writing may go on.
  bool Look();
  /// What the last look found.
  bool has_room() const { return has_room_.load(std::memory_order_relaxed); }
  /// `bytes` may be written on top of what goes on by itself.
  bool Fits(uint64_t bytes) const { return has_room() && free_bytes() >= options_.min_free_bytes + bytes; }
  uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }
  /// Of these, what a compaction may take.
  uint64_t spare_bytes() const;

 private:
  DiskRoom(DiskRoomOptions options, Metrics& metrics);
  absl::StatusOr<DiskSpace> Measure();
  uint64_t ballast_bytes() const { return options_.min_free_bytes / 8; }
  /// From when on writing goes on again: enough above where it ended not to go back and forth.
  uint64_t enough_bytes() const { return options_.min_free_bytes + options_.min_free_bytes / 8; }
  std::string ballast_path() const { return options_.directory + "/BALLAST"; }
  absl::Status MakeBallast();
  void GiveUpBallast();

  DiskRoomOptions options_;
  Gauge& free_gauge_;
  Gauge& full_gauge_;
  Counter& times_full_;
  std::atomic<bool> has_room_{true};
  std::atomic<uint64_t> free_bytes_{0};
  bool ballast_ = false;
};

}  // namespace paxledger
