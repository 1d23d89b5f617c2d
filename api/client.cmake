# The client library: no Asio or Beast in its headers, both in the one unit client.cc.
add_library(api_client
  client.cc
  client_requests.cc)
target_link_libraries(api_client
  PUBLIC base_core ledger_core api_core
  PRIVATE txn_core Boost::headers Boost::url Boost::json OpenSSL::SSL Threads::Threads)
