# The deterministic simulator: the pure core alone under random steps and scripts, and whole nodes in a world.
add_library(sim_core
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_commands.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_world.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_driver.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_facts.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/core_node.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/duel_rounds.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/explore_core.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/explore_names.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/explore_shard.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/explore_txn.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/path_on_abort.cc)
target_link_libraries(sim_core PUBLIC txn_core)

# Has a main of its own, which takes --rewrite.
paxledger_test(core_trace_test
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/traces/trace_runner.cc ${CMAKE_CURRENT_SOURCE_DIR}/unit/core_random_test.cc
          ${CMAKE_CURRENT_SOURCE_DIR}/unit/duel_test.cc ${CMAKE_CURRENT_SOURCE_DIR}/unit/explore_test.cc
  LIBS sim_core)
target_compile_definitions(core_trace_test PRIVATE
  PAXLEDGER_TRACES="${CMAKE_CURRENT_SOURCE_DIR}/traces")

# The git revision and the names of the marks; one small file, so that a commit does not rebuild more than that.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(build_facts ${CMAKE_BINARY_DIR}/gen/tests/sim/build_facts.cc)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/gen/tests/sim)
add_custom_target(sim_build_facts_now
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/sim/build_facts.py ${CMAKE_SOURCE_DIR} ${build_facts}
  BYPRODUCTS ${build_facts})
add_library(sim_build_facts ${build_facts})
target_link_libraries(sim_build_facts PRIVATE paxledger_options)
add_dependencies(sim_build_facts sim_build_facts_now)

add_library(sim_world
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/barrier_probe.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/client_calls.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/faults.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/feed_checker.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/history.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/http_words.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/journal_fold.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/log_checker.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/order_graph.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/plan.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/runner.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/scheduler.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/serializability.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_api.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_cluster.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_engine.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/sim_network.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/summary.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/workload.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/sim/world.cc)
target_link_libraries(sim_world PUBLIC txn_shell api_handlers replication_codec sim_build_facts)

add_executable(ledger-sim ${CMAKE_CURRENT_SOURCE_DIR}/sim/main.cc)
target_link_libraries(ledger-sim PRIVATE sim_world sim_core)
# As ledgerd; a fifth of the simulator's time was glibc's allocator. The sanitizers bring their own.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  target_link_libraries(ledger-sim PRIVATE jemalloc)
endif()

# Every interleaving of so many events over three real shard logs, or over two real shards and their gateways; some 30 s of CPU in
# all.
if("integration" IN_LIST PAXLEDGER_LAYERS)
  function(paxledger_exploration name)
    add_test(NAME Explorer.${name} COMMAND ledger-sim --explore ${ARGN})
    set_tests_properties(Explorer.${name} PROPERTIES LABELS integration TIMEOUT 300)
  endfunction()
  paxledger_exploration(ConsensusFromTheEmptyLog consensus --depth 13)
  paxledger_exploration(ConsensusWithAnOwner consensus --start 1 --depth 11)
  paxledger_exploration(ConsensusWithAReader consensus --start 1 --reads 1 --depth 9)
  paxledger_exploration(ConsensusWithAHandOver consensus --start 1 --hand-overs 1 --depth 9)
  paxledger_exploration(ConsensusWithADroppedReplica consensus --start 2 --depth 12)
  foreach(scenario RANGE 5)
    paxledger_exploration(TransactionsOfScenario${scenario} txn --scenario ${scenario} --depth 16)
  endforeach()
endif()

# Two jobs in each, since integration tests run one at a time.
if("integration" IN_LIST PAXLEDGER_LAYERS)
  foreach(dcs 3 5)
    add_test(NAME Simulator.FixedSeedsOf${dcs}DataCentres COMMAND ledger-sim --seeds 1..200 --dcs ${dcs} --jobs 2)
    add_test(NAME Simulator.FreshSeedsOf${dcs}DataCentres COMMAND ledger-sim --fresh 200 --dcs ${dcs} --jobs 2)
    set_tests_properties(Simulator.FixedSeedsOf${dcs}DataCentres Simulator.FreshSeedsOf${dcs}DataCentres
      PROPERTIES LABELS integration TIMEOUT 600 PROCESSORS 2)
  endforeach()
  # Shards move between the nodes of a data centre while all else happens.
  add_test(NAME Simulator.FreshSeedsOfTwoNodesInEach COMMAND ledger-sim --fresh 100 --nodes-per-dc 2 --jobs 2)
  set_tests_properties(Simulator.FreshSeedsOfTwoNodesInEach PROPERTIES LABELS integration TIMEOUT 600 PROCESSORS 2)
endif()

paxledger_test(sim_test LAYER integration
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/integration/sim_test.cc
  LIBS sim_world)

paxledger_test(sim_ports_test
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/unit/sim_ports_test.cc ${CMAKE_CURRENT_SOURCE_DIR}/unit/sim_checkers_test.cc
  LIBS sim_world)
