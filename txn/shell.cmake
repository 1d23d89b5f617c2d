add_library(txn_shell
  account_opener.cc
  coordinator.cc
  node.cc
  node_context.cc
  reader.cc
  recovery_token.cc
  settler.cc
  tally.cc
  transaction_reader.cc
  vote_board.cc
  wakeup.cc)
target_link_libraries(txn_shell PUBLIC txn_core replication_driver)
