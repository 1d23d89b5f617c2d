# Frames between nodes, and the transport over mutual TLS that carries them.
set(peer_proto ${CMAKE_BINARY_DIR}/gen/replication/net/peer.pb)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/gen)
add_custom_command(
  OUTPUT ${peer_proto}.cc ${peer_proto}.h
  COMMAND protobuf::protoc --cpp_out ${CMAKE_BINARY_DIR}/gen -I ${CMAKE_SOURCE_DIR} replication/net/peer.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/net/peer.proto
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  VERBATIM)
add_library(replication_net_proto ${peer_proto}.cc ${peer_proto}.h)
target_link_libraries(replication_net_proto PUBLIC protobuf::libprotobuf)
target_include_directories(replication_net_proto PUBLIC ${CMAKE_BINARY_DIR}/gen)

add_library(replication_codec ${CMAKE_CURRENT_SOURCE_DIR}/net/peer_codec.cc)
target_link_libraries(replication_codec PUBLIC base_core PRIVATE replication_net_proto)

add_library(replication_net
  ${CMAKE_CURRENT_SOURCE_DIR}/net/guest.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/net/tls_greeting.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/net/tls_setup.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/net/tls_transport.cc)
target_link_libraries(replication_net PUBLIC base_core base_log replication_codec
  PRIVATE Boost::headers OpenSSL::SSL OpenSSL::Crypto)
