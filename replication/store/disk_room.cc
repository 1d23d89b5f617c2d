#include "replication/store/disk_room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace paxledger {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

}  // namespace

absl::StatusOr<DiskSpace> MeasureDiskSpace(const std::string& directory) {
  struct statvfs now{};
  if (::statvfs(directory.c_str(), &now) != 0) {
    return absl::InternalError(
        absl::StrCat("cannot see how much room ", directory, " has: ", std::strerror(errno)));
  }
  DiskSpace space;
  space.bytes = uint64_t{now.f_bavail} * now.f_frsize;
  if (now.f_files != 0) space.inodes = now.f_favail;
  return space;
}

DiskRoom::DiskRoom(DiskRoomOptions options, Metrics& metrics)
    : options_(std::move(options)),
      free_gauge_(metrics.gauge("paxledger_disk_free_bytes")),
      full_gauge_(metrics.gauge("paxledger_disk_full")),
      times_full_(metrics.counter("paxledger_disk_full_total")) {
  metrics.gauge("paxledger_disk_min_free_bytes").Set(static_cast<int64_t>(options_.min_free_bytes));
}

absl::StatusOr<std::unique_ptr<DiskRoom>> DiskRoom::Open(DiskRoomOptions options, Metrics& metrics) {
  std::unique_ptr<DiskRoom> room(new DiskRoom(std::move(options), metrics));
  struct stat found{};
  room->ballast_ = ::stat(room->ballast_path().c_str(), &found) == 0 &&
                   static_cast<uint64_t>(found.st_size) == room->ballast_bytes();
  absl::StatusOr<DiskSpace> space = room->Measure();
  if (!space.ok()) return space.status();
  uint64_t needed = room->ballast_ ? room->options_.min_free_bytes : room->enough_bytes();
  if (space->bytes < needed || space->inodes < kInodesMin) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room on the disk of ", room->options_.directory, ": ", space->bytes / kMiB,
        " MiB are free, starting needs ", needed / kMiB, " (min_free_mib)",
        space->inodes < kInodesMin ? absl::StrCat("; of ", kInodesMin, " inodes there are ", space->inodes)
                                   : ""));
  }
  absl::Status made = room->MakeBallast();
  if (!made.ok()) return made;
  return room;
}

absl::StatusOr<DiskSpace> DiskRoom::Measure() {
  absl::StatusOr<DiskSpace> space = options_.measure(options_.directory);
  if (!space.ok()) return space;
  free_bytes_.store(space->bytes, std::memory_order_relaxed);
  free_gauge_.Set(static_cast<int64_t>(space->bytes));
  return space;
}

bool DiskRoom::Look() {
  absl::StatusOr<DiskSpace> space = Measure();
  if (!space.ok()) return has_room();  // a write will tell
  if (has_room()) {
    if (space->bytes >= options_.min_free_bytes && space->inodes >= kInodesMin) return true;
    has_room_.store(false, std::memory_order_relaxed);
    full_gauge_.Set(1);
    times_full_.Add();
    Log(LogLevel::kWarn, "disk", "no room: nothing is written until space returns")
        .With("free_bytes", space->bytes)
        .With("min_free_bytes", options_.min_free_bytes)
        .With("free_inodes", space->inodes);
    return false;
  }
  if (ballast_ && space->bytes < options_.min_free_bytes / 2) GiveUpBallast();
  uint64_t needed = enough_bytes() + (ballast_ ? 0 : ballast_bytes());
  if (space->bytes < needed || space->inodes < kInodesMin || !MakeBallast().ok()) return false;
  has_room_.store(true, std::memory_order_relaxed);
  full_gauge_.Set(0);
  Log(LogLevel::kInfo, "disk", "space returned: writing goes on").With("free_bytes", space->bytes);
  return true;
}

uint64_t DiskRoom::spare_bytes() const {
  uint64_t kept = options_.min_free_bytes / 2;
  uint64_t free = free_bytes();
  return free > 2 * kept ? free - kept : kept;
}

absl::Status DiskRoom::MakeBallast() {
  if (ballast_) return absl::OkStatus();
  int fd = ::open(ballast_path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    return absl::InternalError(absl::StrCat("cannot create ", ballast_path(), ": ", std::strerror(errno)));
  }
  int error = ::ftruncate(fd, 0) == 0 ? 0 : errno;
  if (error == 0) error = ::posix_fallocate(fd, 0, static_cast<off_t>(ballast_bytes()));
  ::close(fd);
  if (error != 0) {
    ::unlink(ballast_path().c_str());
    std::string text = absl::StrCat("cannot reserve room in ", ballast_path(), ": ", std::strerror(error));
    return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(text)
                                              : absl::InternalError(text);
  }
  ballast_ = true;
  return absl::OkStatus();
}

void DiskRoom::GiveUpBallast() {
  ::unlink(ballast_path().c_str());
  ballast_ = false;
  Log(LogLevel::kWarn, "disk", "the ballast is given up, for what is under way")
      .With("bytes", ballast_bytes());
}

}  // namespace paxledger
