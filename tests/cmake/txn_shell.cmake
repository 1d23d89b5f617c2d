# The shell of `txn` on whole nodes over the simulator's ports, in virtual time.
paxledger_test(txn_shell_test
  SOURCES
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/catch_up_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/identity_shell_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/membership_shell_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/read_cost_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/reads_shell_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/recovery_token_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/tally_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_node_messages_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_remote_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_routing_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_feeds_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_shell_test.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/txn_shell_cluster.cc
  LIBS sim_world txn_proto)

if(PAXLEDGER_FUZZ)
  add_executable(txn_node_message_fuzz fuzz/txn_node_message_fuzz.cc)
  target_link_options(txn_node_message_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(txn_node_message_fuzz PRIVATE paxledger_options txn_messages)
endif()
