# SPDX-License-Identifier: Apache-2.0
# What the tests of the pulse need besides the rules of a layer.

# Every allocation of our own code in this test can be made to fail.
target_link_options(signed_pulse_memory_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

# docs/protocol/vectors/pulse.json is what the product makes, byte for byte, and what a second implementation reads.
add_executable(pulse_vectors ${CMAKE_SOURCE_DIR}/tests/pulse_vectors.c)
target_link_libraries(pulse_vectors PRIVATE troth_signed)
add_test(NAME signed/pulse-vectors COMMAND pulse_vectors ${CMAKE_SOURCE_DIR}/docs/protocol/vectors/pulse.json)
set_tests_properties(signed/pulse-vectors PROPERTIES LABELS unit TIMEOUT 60)
