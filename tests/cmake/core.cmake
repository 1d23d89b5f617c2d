paxledger_test(base_test SOURCES unit/base_test.cc LIBS base_core)
paxledger_test(replication_core_test
  SOURCES unit/replication_core_test.cc unit/disk_watch_test.cc unit/membership_core_test.cc unit/routing_test.cc
  LIBS replication_driver)
