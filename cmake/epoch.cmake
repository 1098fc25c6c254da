# SPDX-License-Identifier: Apache-2.0
# When the source was committed: a time that no run of the program precedes. SOURCE_DATE_EPOCH wins, as in any
# reproducible build; a tree without git and without it gets 0, which means "not known".
set(TROTH_SOURCE_EPOCH 0)
if("$ENV{SOURCE_DATE_EPOCH}" MATCHES "^[0-9]+$")
	set(TROTH_SOURCE_EPOCH $ENV{SOURCE_DATE_EPOCH})
else()
	execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 --format=%ct
		OUTPUT_VARIABLE commit_time OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
	if(commit_time MATCHES "^[0-9]+$")
		set(TROTH_SOURCE_EPOCH ${commit_time})
	endif()
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/agent/clock.c PROPERTIES
	COMPILE_DEFINITIONS TROTH_SOURCE_EPOCH=${TROTH_SOURCE_EPOCH})
