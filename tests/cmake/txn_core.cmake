paxledger_test(txn_core_test
  SOURCES unit/ledger_test.cc unit/txn_core_test.cc unit/id_filter_test.cc unit/txn_core_checkpoint_test.cc
          unit/txn_core_random_test.cc unit/statement_test.cc unit/store_models_test.cc
  LIBS txn_core)

if(PAXLEDGER_FUZZ)
  add_executable(txn_command_fuzz fuzz/txn_command_fuzz.cc)
  target_link_options(txn_command_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(txn_command_fuzz PRIVATE paxledger_options txn_core)
endif()
