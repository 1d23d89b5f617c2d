paxledger_test(txn_core_test
  SOURCES unit/ledger_test.cc unit/txn_core_test.cc unit/txn_core_checkpoint_test.cc
          unit/txn_core_random_test.cc
  LIBS txn_core)
