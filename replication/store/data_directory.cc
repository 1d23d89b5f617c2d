#include "replication/store/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace paxledger {
namespace {

namespace fs = std::filesystem;
constexpr char kFormatHead[] = "paxledger-data ";

absl::Status Failed(std::string_view what, const std::string& path, int error) {
  std::string text = absl::StrCat("data directory: cannot ", absl::string_view(what.data(), what.size()), " ",
                                  path, ": ", std::strerror(error));
  bool no_room = error == ENOSPC || error == EDQUOT;
  return no_room ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

absl::Status SyncDirectory(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path, errno);
  int result = ::fsync(fd);
  int error = errno;
  ::close(fd);
  return result == 0 ? absl::OkStatus() : Failed("sync", path, error);
}

absl::Status WriteSynced(const std::string& path, std::string_view text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return Failed("create", path, errno);
  bool written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  int error = errno;
  ::close(fd);
  return written ? absl::OkStatus() : Failed("write", path, error);
}

absl::Status MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return absl::OkStatus();
  return Failed("create", path, errno);
}

absl::Status CheckFormat(const std::string& path) {
  std::string file = path + "/FORMAT";
  std::ifstream in(file);
  std::string line;
  if (!in.is_open()) {
    std::error_code error;
    if (fs::exists(path + "/db", error)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "data directory ", path, " holds a database but no FORMAT file: not one of ours, or damaged"));
    }
    // Durable under its name before there is anything to describe.
    std::string fresh = file + ".new";
    absl::Status status = WriteSynced(fresh, absl::StrCat(kFormatHead, DataDirectory::kFormat, "\n"));
    if (!status.ok()) return status;
    if (::rename(fresh.c_str(), file.c_str()) != 0) return Failed("rename", fresh, errno);
    return SyncDirectory(path);
  }
  std::getline(in, line);
  absl::string_view version = line;
  int found = 0;
  if (!absl::ConsumePrefix(&version, kFormatHead) || !absl::SimpleAtoi(version, &found) || found < 1) {
    return absl::DataLossError(absl::StrCat(file, " is damaged: it does not name a format"));
  }
  if (found > DataDirectory::kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", path, " has format ", found,
                                                      "; this program knows formats up to ",
                                                      DataDirectory::kFormat, ": run a newer one"));
  }
  if (found < DataDirectory::kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", path, " has format ", found,
                                                      " of an early development version; this program reads ",
                                                      "format ", DataDirectory::kFormat,
                                                      " only: start the cluster anew"));
  }
  return absl::OkStatus();
}

/// Files here were never ingested, or are the second name of one that was.
absl::Status EmptyIngest(const std::string& path) {
  absl::Status made = MakeDirectory(path);
  if (!made.ok()) return made;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    std::error_code removed;
    fs::remove(entry.path(), removed);
    if (removed) return Failed("remove", entry.path().string(), removed.value());
  }
  return error ? Failed("list", path, error.value()) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(std::string path) {
  absl::Status status = MakeDirectory(path);
  if (!status.ok()) return status;
  std::string lock = path + "/LOCK";
  int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return Failed("open", lock, errno);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK) {
      return absl::UnavailableError(absl::StrCat("data directory is in use by another process: ", path));
    }
    return Failed("lock", lock, error);
  }
  std::unique_ptr<DataDirectory> directory(new DataDirectory(std::move(path), fd));
  status = CheckFormat(directory->path_);
  if (status.ok()) status = EmptyIngest(directory->ingest());
  if (!status.ok()) return status;
  return directory;
}

DataDirectory::~DataDirectory() { ::close(lock_fd_); }

}  // namespace paxledger
