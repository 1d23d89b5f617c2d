paxledger_test(client_tools_test SOURCES unit/client_tools_test.cc LIBS tools_core)
