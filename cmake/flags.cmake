# SPDX-License-Identifier: Apache-2.0
# Compiler flags of every target. Options are set by the presets.
option(TROTH_ASAN "address and undefined-behaviour sanitizers, no recovery" OFF)
option(TROTH_FUZZ "libFuzzer targets (clang)" OFF)
option(TROTH_COVERAGE "clang source coverage" OFF)
option(TROTH_WERROR "warnings are errors" ON)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_compile_definitions(_GNU_SOURCE TROTH_VERSION="${PROJECT_VERSION}")
add_compile_options(
	-Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla
	-Wformat=2 -Wundef -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion
	-fno-strict-aliasing -fno-common
	-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
	-include ${CMAKE_SOURCE_DIR}/src/base/banned.h)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	# Error details and log values are cut on purpose; snprintf says so by its result.
	add_compile_options(-Wno-format-truncation)
endif()
if(TROTH_WERROR)
	add_compile_options(-Werror)
endif()

# Hardening belongs in every build that a person may run, not only in releases.
add_compile_options(-fstack-protector-strong)
add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
if(NOT TROTH_ASAN)
	if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
		add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
	endif()
	add_compile_options(-fstack-clash-protection)
	if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
		add_compile_options(-fcf-protection)
	endif()
endif()
if(TROTH_ASAN)
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_link_options(-fsanitize=address,undefined)
	add_compile_definitions(TROTH_SANITIZED=1)
endif()
if(TROTH_FUZZ)
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(TROTH_COVERAGE)
	add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
	add_link_options(-fprofile-instr-generate)
endif()
