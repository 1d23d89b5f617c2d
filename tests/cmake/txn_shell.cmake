# The shell of `txn` on three nodes over the simulator's ports, in virtual time.
paxledger_test(txn_shell_test
  SOURCES
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/recovery_token_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/tally_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_shell_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_shell_cluster.cc
  LIBS sim_world)
