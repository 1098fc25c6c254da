# SPDX-License-Identifier: Apache-2.0
# The programs: each is src/<layer>/main.c and the layer's library.
function(tr_program name layer dir)
	if(EXISTS ${CMAKE_SOURCE_DIR}/src/${layer}/main.c)
		add_executable(${name} ${CMAKE_SOURCE_DIR}/src/${layer}/main.c)
		target_link_libraries(${name} PRIVATE troth_${layer})
		target_link_options(${name} PRIVATE -pie)
		set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
		install(TARGETS ${name} RUNTIME DESTINATION ${dir})
	endif()
endfunction()

tr_program(trothd server ${CMAKE_INSTALL_SBINDIR})
tr_program(troth-agent agent ${CMAKE_INSTALL_SBINDIR})
tr_program(troth cli ${CMAKE_INSTALL_BINDIR})
tr_program(troth-swarm swarm ${CMAKE_INSTALL_BINDIR})

add_test(NAME server/documented-codes COMMAND ${CMAKE_SOURCE_DIR}/tests/documented-codes ${CMAKE_SOURCE_DIR})
set_tests_properties(server/documented-codes PROPERTIES LABELS unit TIMEOUT 20)

# Whoever verifies evidence cannot make it.
add_test(NAME server/no-simulation COMMAND ${CMAKE_SOURCE_DIR}/tests/no-simulation ${CMAKE_NM}
	$<TARGET_FILE:cli_quote_simulate_test> $<TARGET_FILE:trothd> $<TARGET_FILE:troth_shared>)
set_tests_properties(server/no-simulation PROPERTIES LABELS unit TIMEOUT 20)
