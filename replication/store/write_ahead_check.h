#pragma once

#include <string>

#include "absl/status/status.h"

namespace paxledger {

/// Looks through RocksDB's write-ahead logs, before it opens them, for damage that its recovery would take
/// for the torn tail of an unfinished write, and so lose synced records in silence (consensus.md rule 19): a
/// damaged length in the last block, a type byte turned into that of a recycled log, a page of zeros, a log
/// that ends early before another one. What carries a wrong checksum RocksDB refuses itself. Reads headers,
/// and one block of each log in full.
/// Errors: kDataLoss  names the file and the place
///         kInternal  the file system refused
absl::Status CheckWriteAheadLogs(const std::string& database);

}  // namespace paxledger
