# What of base needs Asio: the real Executor and Clock.
add_library(base_io
  asio_executor.cc)
target_link_libraries(base_io PUBLIC base_core absl::btree Boost::headers)
