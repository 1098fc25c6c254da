# SPDX-License-Identifier: Apache-2.0
# Runs the agent under the container example's seccomp profile, where there is no container engine (tests/e2e/test_container.py).
add_executable(seccomp-profile ${CMAKE_SOURCE_DIR}/tests/seccomp_profile.c)
target_link_libraries(seccomp-profile PRIVATE PkgConfig::JANSSON PkgConfig::SECCOMP)
