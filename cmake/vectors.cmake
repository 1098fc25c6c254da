# SPDX-License-Identifier: Apache-2.0
# The vector runner: third-party test data through the product's own code (docs/vectors.md). zlib, jansson and the TLS
# client are the runner's own tools; libtroth and the programs do not get them from here.
pkg_check_modules(ZLIB QUIET IMPORTED_TARGET zlib)
if(NOT ZLIB_FOUND)
	message(STATUS "zlib is not here: the vector runner is left out (script/bootstrap test installs it)")
	return()
endif()

file(GLOB vectors_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/vectors/*.c)
add_executable(vectors ${vectors_sources})
target_include_directories(vectors PRIVATE ${CMAKE_SOURCE_DIR}/tests/vectors)
target_compile_definitions(vectors PRIVATE TROTH_VECTORS_DEFAULT="${CMAKE_SOURCE_DIR}/../shared/vectors")
target_link_libraries(vectors PRIVATE troth_http troth_crypto troth_codec troth_base PkgConfig::JANSSON PkgConfig::OPENSSL
	PkgConfig::GNUTLS PkgConfig::ZLIB)
set_target_properties(vectors PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

add_test(NAME vectors/third-party COMMAND vectors)
set_tests_properties(vectors/third-party PROPERTIES LABELS vectors TIMEOUT 300 SKIP_RETURN_CODE 77)
add_test(NAME vectors/rules COMMAND ${CMAKE_SOURCE_DIR}/tests/vectors/check-rules $<TARGET_FILE:vectors>
	${CMAKE_SOURCE_DIR}/docs/vectors.md)
set_tests_properties(vectors/rules PROPERTIES LABELS vectors TIMEOUT 60)
add_test(NAME vectors/runner COMMAND ${CMAKE_SOURCE_DIR}/tests/vectors/check-runner $<TARGET_FILE:vectors>)
set_tests_properties(vectors/runner PROPERTIES LABELS vectors TIMEOUT 120)
