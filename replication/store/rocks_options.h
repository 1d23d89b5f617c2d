#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace paxledger {

/// How RocksDB is set up: what is bounded, what is checked, and how it recovers. Every non-default has its
/// reason there.
struct RocksSetup {
  rocksdb::DBOptions database;
  std::vector<rocksdb::ColumnFamilyDescriptor>
      families;                           // "default", which stays empty, then in the order of `Table`
  std::shared_ptr<rocksdb::Cache> cache;  // memtables are charged to it too
};

RocksSetup MakeRocksSetup(size_t memory_budget_bytes);

}  // namespace paxledger
