# What nodes say to each other about transactions.
set(node_proto ${CMAKE_BINARY_DIR}/gen/txn/node.pb)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/gen)
add_custom_command(
  OUTPUT ${node_proto}.cc ${node_proto}.h
  COMMAND protobuf::protoc --cpp_out ${CMAKE_BINARY_DIR}/gen -I ${CMAKE_SOURCE_DIR} txn/node.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/node.proto
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  VERBATIM)
add_library(txn_proto ${node_proto}.cc ${node_proto}.h)
target_link_libraries(txn_proto PUBLIC protobuf::libprotobuf)
target_include_directories(txn_proto PUBLIC ${CMAKE_BINARY_DIR}/gen)

add_library(txn_messages ${CMAKE_CURRENT_SOURCE_DIR}/node_messages.cc)
target_link_libraries(txn_messages PUBLIC txn_core PRIVATE txn_proto)

add_library(txn_shell
  account_opener.cc
  body_reader.cc
  coordinator.cc
  event_reader.cc
  node.cc
  node_cluster.cc
  node_context.cc
  node_mail.cc
  reader.cc
  recovery_token.cc
  remote_shards.cc
  settler.cc
  shard_host.cc
  statement_reader.cc
  transaction_reader.cc
  vote_board.cc
  wakeup.cc)
target_link_libraries(txn_shell PUBLIC txn_core txn_messages replication_driver cluster_shell)
