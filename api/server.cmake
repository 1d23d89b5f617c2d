# Pure: parses, renders, judges. No sockets, no threads.
add_library(api_core
  admission.cc
  auth.cc
  cluster_wish.cc
  cursors.cc
  fields.cc
  json.cc
  parse.cc
  problem.cc
  query.cc
  render.cc
  render_cluster.cc
  render_feeds.cc
  render_reports.cc
  render_results.cc
  router.cc
  tokens.cc)
target_link_libraries(api_core PUBLIC base_core ledger_core txn_core)

# The contract, embedded as the JSON that /openapi.json answers.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_custom_command(
  OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/openapi_json.cc
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/openapi_to_cc.py
          ${CMAKE_CURRENT_SOURCE_DIR}/openapi.yaml ${CMAKE_CURRENT_BINARY_DIR}/openapi_json.cc
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/openapi_to_cc.py ${CMAKE_CURRENT_SOURCE_DIR}/openapi.yaml)

# What the calls do, without sockets.
add_library(api_handlers
  handlers.cc
  handlers_accounts.cc
  handlers_cluster.cc
  handlers_feeds.cc
  handlers_reports.cc
  handlers_transfers.cc
  ${CMAKE_CURRENT_BINARY_DIR}/openapi_json.cc)
target_link_libraries(api_handlers PUBLIC api_core)

# The server. Beast and Asio are in http_connection.cc and server.cc alone.
add_library(api_server http_connection.cc server.cc)
target_link_libraries(api_server PUBLIC api_handlers PRIVATE Boost::headers OpenSSL::SSL Threads::Threads)
