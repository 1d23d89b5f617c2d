paxledger_test(rocks_engine_test
  SOURCES integration/rocks_engine_test.cc
  LIBS replication_store base_io)
