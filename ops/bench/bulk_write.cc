// Writes rows of the log's shape into a fresh RocksDB, in bulk, and prints how long that took: what a rejoining node is held
// against (ops/rejoin-bench). The set-up is that of a node's `log` table; batches of 1 MiB, no write-ahead log, flushed at
// the end.
// usage: bulk-write DIRECTORY BYTES VALUE_BYTES
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "replication/log_row.h"
#include "replication/store/engine.h"
#include "replication/store/rocks_options.h"
#include "rocksdb/db.h"

namespace paxledger {
namespace {

constexpr size_t kMemoryBytes = size_t{256} << 20;
constexpr size_t kBatchBytes = size_t{1} << 20;
constexpr size_t kValues = 256;

// As log values are: compressible by about a third.
std::string ValueOf(Random& random, size_t bytes) {
  std::string value;
  while (value.size() < bytes) {
    AppendBigEndian64(&value, random.Next());
    value.append("acct");
  }
  value.resize(bytes);
  return value;
}

/// Made before the clock runs, and used in turn.
std::vector<std::string> SomeValues(size_t value_bytes) {
  Random random(1);
  std::vector<std::string> values;
  while (values.size() < kValues) values.push_back(ValueOf(random, value_bytes));
  return values;
}

rocksdb::Status WriteAll(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* log, uint64_t bytes,
                         const std::vector<std::string>& values) {
  rocksdb::WriteOptions no_log;
  no_log.disableWAL = true;
  uint64_t written = 0;
  for (uint64_t index = 1; written < bytes;) {
    rocksdb::WriteBatch batch;
    for (; batch.GetDataSize() < kBatchBytes && written < bytes; ++index) {
      std::string key = LogKey(ShardId{0}, LogIndex{index});
      const std::string& value = values[index % kValues];
      written += key.size() + value.size();
      rocksdb::Status put = batch.Put(log, key, value);
      if (!put.ok()) return put;
    }
    rocksdb::Status status = db.Write(no_log, &batch);
    if (!status.ok()) return status;
  }
  return db.Flush(rocksdb::FlushOptions(), log);
}

int Run(const std::string& directory, uint64_t bytes, size_t value_bytes) {
  RocksSetup setup = MakeRocksSetup(kMemoryBytes);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(setup.database, directory, setup.families, &handles, &opened);
  std::unique_ptr<rocksdb::DB> db(opened);
  const std::vector<std::string> values = SomeValues(value_bytes);
  auto begun = std::chrono::steady_clock::now();
  if (status.ok()) status = WriteAll(*db, handles[1 + static_cast<size_t>(Table::kLog)], bytes, values);
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  for (rocksdb::ColumnFamilyHandle* handle : handles)
    db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  if (!status.ok()) {
    std::fprintf(stderr, "bulk-write: %s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("{\"bytes\": %llu, \"seconds\": %.3f}\n", static_cast<unsigned long long>(bytes), took.count());
  return 0;
}

}  // namespace
}  // namespace paxledger

int main(int argc, char** argv) {
  uint64_t bytes = 0;
  uint64_t value_bytes = 0;
  bool right = argc == 4 && absl::SimpleAtoi(argv[2], &bytes) && absl::SimpleAtoi(argv[3], &value_bytes) &&
               value_bytes > 0;
  if (!right) {
    std::fprintf(stderr, "usage: bulk-write DIRECTORY BYTES VALUE_BYTES\n");
    return 2;
  }
  return paxledger::Run(argv[1], bytes, value_bytes);
}
