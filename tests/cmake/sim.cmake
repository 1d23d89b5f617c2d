# The deterministic simulator: the pure core alone under random steps and scripts, and whole nodes in a world.
add_library(sim_core
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_commands.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_world.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_driver.cc)
target_link_libraries(sim_core PUBLIC replication_core)

# Has a main of its own, which takes --rewrite.
paxledger_test(core_trace_test
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/traces/trace_runner.cc ${CMAKE_CURRENT_SOURCE_DIR}/unit/core_random_test.cc
  LIBS sim_core)
target_compile_definitions(core_trace_test PRIVATE
  PAXLEDGER_TRACES="${CMAKE_CURRENT_SOURCE_DIR}/traces")

add_library(sim_world
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/barrier_probe.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/faults.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/history.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/journal_fold.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/log_checker.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/order_graph.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/plan.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/scheduler.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/serializability.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_cluster.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_engine.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_network.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/workload.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/world.cc)
target_link_libraries(sim_world PUBLIC txn_shell replication_net)

add_executable(ledger-sim ${CMAKE_CURRENT_SOURCE_DIR}/sim/main.cc)
target_link_libraries(ledger-sim PRIVATE sim_world sim_core)

paxledger_test(sim_test LAYER integration
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/integration/sim_test.cc
  LIBS sim_world)

paxledger_test(sim_ports_test
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/unit/sim_ports_test.cc ${CMAKE_CURRENT_SOURCE_DIR}/unit/sim_checkers_test.cc
  LIBS sim_world)
