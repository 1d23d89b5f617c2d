paxledger_test(api_core_test
  SOURCES unit/api_core_test.cc unit/api_contract_test.cc
  LIBS api_core)

paxledger_test(api_server_test LAYER integration
  SOURCES integration/api_server_test.cc integration/client_failover_test.cc
  LIBS api_server api_client base_io OpenSSL::SSL OpenSSL::Crypto)

if("unit" IN_LIST PAXLEDGER_LAYERS)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  add_test(NAME OpenApi COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/openapi_check.py)
  set_tests_properties(OpenApi PROPERTIES LABELS unit TIMEOUT 60)
endif()

if(PAXLEDGER_FUZZ)
  add_executable(api_request_fuzz fuzz/api_request_fuzz.cc)
  target_link_options(api_request_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(api_request_fuzz PRIVATE paxledger_options api_core Boost::json)
endif()
