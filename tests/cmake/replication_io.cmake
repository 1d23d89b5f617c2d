paxledger_test(rocks_engine_test LAYER integration
  SOURCES integration/asio_executor_test.cc integration/rocks_engine_test.cc
  LIBS replication_store base_io)

paxledger_test(peer_codec_test
  SOURCES unit/peer_codec_test.cc
  LIBS replication_net)

paxledger_test(tls_transport_test LAYER integration
  SOURCES integration/tls_transport_test.cc
  LIBS replication_net base_io OpenSSL::SSL OpenSSL::Crypto)

if(PAXLEDGER_FUZZ)
  add_executable(peer_frame_fuzz fuzz/peer_frame_fuzz.cc)
  target_link_options(peer_frame_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(peer_frame_fuzz PRIVATE paxledger_options replication_net)
endif()
