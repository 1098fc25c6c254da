# SPDX-License-Identifier: Apache-2.0
# The public library: the layers below src/lib in one shared object that exports what libtroth.map lists.
# (The target is not named "troth": that is the command.)
set(TROTH_LIB_MAP ${CMAKE_SOURCE_DIR}/src/lib/libtroth.map)
add_library(troth_shared SHARED ${CMAKE_SOURCE_DIR}/src/lib/troth.c ${CMAKE_SOURCE_DIR}/src/lib/commands.c
	${CMAKE_SOURCE_DIR}/src/lib/evidence.c)
target_link_libraries(troth_shared PRIVATE troth_lib)
target_link_options(troth_shared PRIVATE -Wl,--version-script=${TROTH_LIB_MAP})
# clang leaves the sanitizer's runtime to the program.
if(NOT TROTH_ASAN)
	target_link_options(troth_shared PRIVATE -Wl,--no-undefined)
endif()
set_target_properties(troth_shared PROPERTIES OUTPUT_NAME troth VERSION 0.${PROJECT_VERSION_MINOR}.${PROJECT_VERSION_PATCH}
	SOVERSION 0 LINK_DEPENDS ${TROTH_LIB_MAP})

configure_file(${CMAKE_SOURCE_DIR}/packaging/troth.pc.in ${CMAKE_BINARY_DIR}/troth.pc @ONLY)
install(TARGETS troth_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/troth/troth.h ${CMAKE_SOURCE_DIR}/include/troth/evidence.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/troth)
install(FILES ${CMAKE_BINARY_DIR}/troth.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# As a stranger would use it: installed into a staging folder, compiled with what pkg-config says, run. The sanitized
# build cannot: its library needs the sanitizer's runtime first in every program.
if(NOT TROTH_ASAN)
	add_test(NAME lib/installed COMMAND ${CMAKE_SOURCE_DIR}/tests/lib-installed ${CMAKE_BINARY_DIR}
		${CMAKE_C_COMPILER} ${CMAKE_SOURCE_DIR} $<TARGET_FILE:troth_shared>)
	set_tests_properties(lib/installed PROPERTIES LABELS unit TIMEOUT 120)
endif()

# docs/protocol is enough to write a client: one in Python, on other libraries, meets ours in both directions.
if(NOT TROTH_ASAN)
	add_test(NAME lib/independent COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/independent_claim.py
		$<TARGET_FILE:troth_shared>)
	set_tests_properties(lib/independent PROPERTIES LABELS unit TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()
