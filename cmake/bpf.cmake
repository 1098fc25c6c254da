# SPDX-License-Identifier: Apache-2.0
# BPF on the kernel that runs: tests that need root and skip, with a reason, without.
add_executable(bpf_kernel_test ${CMAKE_SOURCE_DIR}/tests/bpf/kernel_test.c ${CMAKE_SOURCE_DIR}/tests/bpf/lab.c)
target_link_libraries(bpf_kernel_test PRIVATE troth_bpf troth_fleet PkgConfig::CMOCKA)
target_compile_options(bpf_kernel_test PRIVATE -Wno-conversion -Wno-missing-prototypes)
# The attacker of tests/e2e/test_bpf.py.
add_executable(bpf_tool ${CMAKE_SOURCE_DIR}/tests/bpf/tool.c ${CMAKE_SOURCE_DIR}/tests/bpf/lab.c)

add_test(NAME bpf/kernel COMMAND bpf_kernel_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(bpf/kernel PROPERTIES LABELS "unit;kernel" TIMEOUT 120 SKIP_RETURN_CODE 77)
