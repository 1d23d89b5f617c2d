#include "replication/store/rocks_options.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"

namespace paxledger {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr double kFilterBitsPerKey = 10;

/// RocksDB's warnings go to our log; it keeps no file of its own, whose writing fails, by an assertion, on a full disk.
class Warnings : public rocksdb::Logger {
 public:
  Warnings() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char text[1024];
    if (std::vsnprintf(text, sizeof text, format, arguments) < 0) return;
    Log(LogLevel::kWarn, "rocksdb", text);
  }
};

rocksdb::CompressionType FastCompression() {
  std::vector<rocksdb::CompressionType> known = rocksdb::GetSupportedCompressions();
  bool lz4 = std::find(known.begin(), known.end(), rocksdb::kLZ4Compression) != known.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

rocksdb::BlockBasedTableOptions TableOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.format_version = 5;
  // Index and filters live in the cache, in parts: outside it they would grow with the data, whatever the
  // budget.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_top_level_index_and_filter = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 4096;
  return table;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::ColumnFamilyOptions family;
  family.max_write_buffer_number = 2;
  family.compression = FastCompression();
  family.force_consistency_checks = true;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

/// Values of the log are written once and must not be rewritten by every compaction of their small keys: long ones lie in blob
/// files. What a sync promises is the write-ahead log's; a flush moves a value to its blob file, synced, before that log may go.
/// Blob files are collected, since a row is written again where its index is decided anew: a blob goes only when no row names it,
/// and the row of a chosen entry stays for ever.
rocksdb::ColumnFamilyOptions LogFamily(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family = FamilyOptions(TableOptions(cache));
  family.enable_blob_files = true;
  family.min_blob_size = 1024;
  family.blob_file_size = 64 * kMiB;
  family.blob_compression_type = FastCompression();
  family.enable_blob_garbage_collection = true;
  return family;
}

rocksdb::ColumnFamilyOptions FilteredFamily(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table = TableOptions(cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  table.whole_key_filtering = true;
  return FamilyOptions(table);
}

/// Rows at random keys that come as ingested files and are never changed: universal compaction rewrites each
/// a few times only, and the filter answers for the files that do not hold a key. Ids and amounts hardly compress: LZ4 took 5 %
/// of a busy node's time here.
rocksdb::ColumnFamilyOptions TablesFamily(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family = FilteredFamily(cache);
  family.compaction_style = rocksdb::kCompactionStyleUniversal;
  family.compression = rocksdb::kNoCompression;
  // More files to look at (most are ruled out by shard or filter) against a third of the rewriting.
  family.level0_file_num_compaction_trigger = 12;
  return family;
}

}  // namespace

RocksSetup MakeRocksSetup(size_t memory_budget_bytes) {
  RocksSetup setup;
  setup.cache =
      rocksdb::NewLRUCache(memory_budget_bytes, /*num_shard_bits=*/2, /*strict_capacity_limit=*/false,
                           /*high_pri_pool_ratio=*/0.5);
  rocksdb::DBOptions& db = setup.database;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  // Memtables get a third of the budget. Near it the oldest is flushed, at it the writer waits for the flush.
  size_t memtables = std::max(memory_budget_bytes / 3, 4 * kMiB);
  db.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(memtables, setup.cache, /*allow_stall=*/true);
  // Each open file keeps memory outside the cache.
  db.max_open_files = 512;
  db.max_total_wal_size = 64 * kMiB;
  db.max_background_jobs = 2;
  db.bytes_per_sync = kMiB;
  db.info_log = std::make_shared<Warnings>();
  // One writer: nothing to hand over between, or insert concurrently.
  db.allow_concurrent_memtable_write = false;
  db.enable_write_thread_adaptive_yield = false;
  // Only an unsynced torn tail may be dropped (consensus.md rule 19). The default would cut the log at the
  // first damaged record and lose the synced ones after it in silence. A log that ends too early, and is not
  // the last, is found by the sizes in the manifest.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.track_and_verify_wals_in_manifest = true;
  // What recovery reads from the write-ahead log is written anew and synced before anything is said: after a sync that
  // failed, the page cache may show what the disk does not hold.
  db.avoid_flush_during_recovery = false;
  db.paranoid_checks = true;
  // Refuses to begin a compaction that would not fit; the engine tells it how much that is.
  db.sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
  // Rule 2: never retried.
  db.max_bgerror_resume_count = 0;

  rocksdb::ColumnFamilyOptions plain = FamilyOptions(TableOptions(setup.cache));
  setup.families = {{rocksdb::kDefaultColumnFamilyName, plain},
                    {"log", LogFamily(setup.cache)},
                    {"meta", plain},
                    {"state", FilteredFamily(setup.cache)},
                    {"queues", plain},
                    {"tables", TablesFamily(setup.cache)}};
  for (rocksdb::ColumnFamilyDescriptor& family : setup.families)
    family.options.write_buffer_size = memtables / 4;
  return setup;
}

}  // namespace paxledger
