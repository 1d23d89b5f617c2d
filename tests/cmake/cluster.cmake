paxledger_test(cluster_test
  SOURCES unit/cluster_documents_test.cc unit/log_test.cc
  LIBS cluster_core base_log)
