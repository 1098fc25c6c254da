# SPDX-License-Identifier: Apache-2.0
# Keys in a token: against SoftHSM, and skipped with a reason where it is not installed.
add_library(p11_lab OBJECT ${CMAKE_SOURCE_DIR}/tests/p11/lab.c)
target_link_libraries(p11_lab PRIVATE PkgConfig::P11KIT)
add_executable(p11_test ${CMAKE_SOURCE_DIR}/tests/p11/p11_test.c)
target_link_libraries(p11_test PRIVATE p11_lab troth_crypto PkgConfig::P11KIT PkgConfig::CMOCKA)
target_compile_options(p11_test PRIVATE -Wno-conversion -Wno-missing-prototypes)
# Fills the token of tests/e2e/test_pkcs11.py.
add_executable(p11_make ${CMAKE_SOURCE_DIR}/tests/p11/make.c)
target_link_libraries(p11_make PRIVATE p11_lab PkgConfig::P11KIT)

add_test(NAME p11/token COMMAND p11_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(p11/token PROPERTIES LABELS unit TIMEOUT 60 SKIP_RETURN_CODE 77)
