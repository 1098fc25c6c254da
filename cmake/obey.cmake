# SPDX-License-Identifier: Apache-2.0
# What the tests of orders, commands, keysets and messages need besides the rules of a layer.

# Every allocation of our own code in these tests can be made to fail.
target_link_options(signed_message_memory_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
target_link_options(signed_obey_memory_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

# docs/protocol/vectors/*.json are what the product makes, byte for byte, and what a second implementation reads.
foreach(what command receipt keyset message)
	add_executable(${what}_vectors ${CMAKE_SOURCE_DIR}/tests/${what}_vectors.c)
	target_link_libraries(${what}_vectors PRIVATE troth_signed)
	add_test(NAME signed/${what}-vectors COMMAND ${what}_vectors ${CMAKE_SOURCE_DIR}/docs/protocol/vectors/${what}.json)
	set_tests_properties(signed/${what}-vectors PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
