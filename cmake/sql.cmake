# SPDX-License-Identifier: Apache-2.0
# Embeds src/store/sql/NNN_*.sql into troth_store. Included by CMakeLists.txt after the store layer, and run
# by its own custom command as a script that writes the C file.
if(CMAKE_SCRIPT_MODE_FILE)
	file(GLOB scripts ${DIR}/*.sql)
	list(SORT scripts)
	set(n 0)
	set(texts "")
	set(rows "")
	foreach(script ${scripts})
		get_filename_component(name ${script} NAME_WE)
		math(EXPR n "${n} + 1")
		string(LENGTH "${n}" digits)
		string(SUBSTRING "000" ${digits} -1 pad)
		if(NOT name MATCHES "^${pad}${n}_[a-z_]+$")
			message(FATAL_ERROR "${name}.sql: migrations are numbered 001_name.sql without gaps")
		endif()
		file(READ ${script} hex HEX)
		string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
		string(REPEAT "." 80 line)
		string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
		string(APPEND texts "static const char text_${n}[] = {\n${bytes}0x00\n};\n")
		string(APPEND rows "\t{ \"${name}\", text_${n} },\n")
	endforeach()
	file(WRITE ${OUT} "/* Written by cmake/sql.cmake. */\n#include \"store/sql.h\"\n\n${texts}\n"
		"const struct tr_migration tr_migrations[] = {\n${rows}};\nconst size_t tr_migrations_n = ${n};\n")
	return()
endif()

file(GLOB sql_scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/store/sql/*.sql)
set(sql_out ${CMAKE_BINARY_DIR}/generated/store_sql.c)
add_custom_command(OUTPUT ${sql_out}
	COMMAND ${CMAKE_COMMAND} -DDIR=${CMAKE_SOURCE_DIR}/src/store/sql -DOUT=${sql_out}
		-P ${CMAKE_SOURCE_DIR}/cmake/sql.cmake
	DEPENDS ${sql_scripts} ${CMAKE_SOURCE_DIR}/cmake/sql.cmake
	COMMENT "Embedding the store's migrations"
	VERBATIM)
target_sources(troth_store PRIVATE ${sql_out})
