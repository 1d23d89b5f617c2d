paxledger_test(cluster_test
  SOURCES unit/clock_alarm_test.cc unit/cluster_directory_test.cc unit/cluster_documents_test.cc
          unit/cluster_mover_test.cc unit/log_test.cc
          ${CMAKE_SOURCE_DIR}/ops/ledgerd/clock_alarm.cc
  LIBS cluster_core base_log sim_world)

if(PAXLEDGER_FUZZ)
  add_executable(cluster_directory_fuzz fuzz/cluster_directory_fuzz.cc)
  target_link_options(cluster_directory_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(cluster_directory_fuzz PRIVATE paxledger_options cluster_directory)
endif()

# paxledger_process_test(FILE): each test method of a Python unittest file that starts our programs, as a test of its own.
function(paxledger_process_test file)
  if(NOT "integration" IN_LIST PAXLEDGER_LAYERS)
    return()
  endif()
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  get_filename_component(module ${file} NAME_WE)
  file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/${file} lines REGEX "^class [A-Za-z]+\\(|^    def test_")
  foreach(line ${lines})
    if(line MATCHES "^class ([A-Za-z]+)")
      set(class ${CMAKE_MATCH_1})
    elseif(line MATCHES "def (test_[a-z0-9_]+)")
      set(name ${module}.${class}.${CMAKE_MATCH_1})
      add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${class}.${CMAKE_MATCH_1})
      set_tests_properties(${name} PROPERTIES LABELS integration TIMEOUT 900
        SKIP_REGULAR_EXPRESSION "OK \\(skipped="
        ENVIRONMENT "PAXLEDGER_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
    endif()
  endforeach()
endfunction()

paxledger_process_test(integration/cluster_test.py)
paxledger_process_test(integration/operator_errors_test.py)
paxledger_process_test(integration/import_test.py)
paxledger_process_test(integration/membership_test.py)
paxledger_process_test(integration/drill_test.py)
paxledger_process_test(integration/rejoin_test.py)
