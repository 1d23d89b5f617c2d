# The data models over the engine port: 2-D table and FIFO queue.
add_library(replication_models
  ${CMAKE_CURRENT_SOURCE_DIR}/store/fifo_queue.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/table_2d.cc)
target_link_libraries(replication_models PUBLIC base_core)

# The engine on disk.
add_library(replication_store
  ${CMAKE_CURRENT_SOURCE_DIR}/store/data_directory.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/disk_room.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/rocks_engine.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/rocks_options.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/rocks_reader.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/store/write_ahead_check.cc)
target_link_libraries(replication_store PUBLIC base_core base_log PRIVATE RocksDB::rocksdb-shared)
