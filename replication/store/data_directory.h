#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace paxledger {

/// A node's directory on disk, locked while this lives: LOCK, FORMAT, `db` (RocksDB), `ingest` (files on
/// their way in).
/// Format:  docs/formats.md#data-directory
class DataDirectory {
 public:
  static constexpr int kFormat = 3;

  /// Makes the directory where it is missing, locks it, checks its format and removes what a crash left in
  /// `ingest`.
  /// Errors: kUnavailable         another process uses the directory
  ///         kFailedPrecondition  a newer format, or a database without one
  ///         kDataLoss            FORMAT is damaged
  ///         kResourceExhausted   no space
  ///         kInternal            the file system refused
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(std::string path);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/db"; }
  std::string ingest() const { return path_ + "/ingest"; }

 private:
  DataDirectory(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_;
};

}  // namespace paxledger
