add_library(txn_shell
  node.cc)
target_link_libraries(txn_shell PUBLIC txn_core replication_driver)
