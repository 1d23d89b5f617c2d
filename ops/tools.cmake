# What an operator works with: ledgerctl and ledger-bench, both over the client library.
add_library(tools_core
  ledgerctl/arguments.cc
  ledgerctl/audit_quick.cc
  ledgerctl/batch_sender.cc
  ledgerctl/cluster_view.cc
  ledgerctl/column_template.cc
  ledgerctl/connection.cc
  ledgerctl/csv.cc
  ledgerctl/decimal.cc
  ledgerctl/import.cc
  ledgerctl/import_plan.cc
  ledgerctl/json_read.cc
  ledgerctl/node_status.cc
  ledgerctl/progress.cc
  ledgerctl/row_order.cc
  ledgerctl/table.cc)
target_link_libraries(tools_core PUBLIC api_client Boost::json absl::flat_hash_map absl::str_format)

add_executable(ledgerctl
  ledgerctl/account_command.cc
  ledgerctl/audit_command.cc
  ledgerctl/cluster_command.cc
  ledgerctl/events_command.cc
  ledgerctl/import_command.cc
  ledgerctl/main.cc
  ledgerctl/postings_command.cc
  ledgerctl/status_command.cc
  ledgerctl/transfer_command.cc)
target_link_libraries(ledgerctl PRIVATE tools_core)

add_executable(ledger-bench
  bench/event_log.cc
  bench/load.cc
  bench/main.cc)
target_link_libraries(ledger-bench PRIVATE tools_core txn_core)

# What ops/rejoin-bench holds a rejoining node against.
add_executable(bulk-write bench/bulk_write.cc)
target_link_libraries(bulk-write PRIVATE replication_driver replication_store RocksDB::rocksdb-shared)
