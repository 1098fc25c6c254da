# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts in place besides the programs and the library: units, accounts, man pages,
# completions, the licence.
include(GNUInstallDirs)

# Under another prefix (a staging folder, /usr/local) nothing outside the prefix is touched.
set(TROTH_UNIT_DIR lib/systemd/system CACHE STRING "folder of the systemd units, under the prefix")
set(TROTH_SYSUSERS_DIR lib/sysusers.d CACHE STRING "folder of the systemd-sysusers files, under the prefix")

# The units name the programs by their full path, which is known when the prefix is: at installation.
foreach(unit trothd troth-agent)
	install(CODE "
		file(READ \"${CMAKE_SOURCE_DIR}/packaging/systemd/${unit}.service\" text)
		string(REPLACE \"/usr/sbin/\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}/\" text \"\${text}\")
		file(WRITE \"${CMAKE_BINARY_DIR}/packaging/${unit}.service\" \"\${text}\")")
	install(FILES ${CMAKE_BINARY_DIR}/packaging/${unit}.service DESTINATION ${TROTH_UNIT_DIR})
endforeach()
install(FILES packaging/sysusers/troth.conf DESTINATION ${TROTH_SYSUSERS_DIR})

foreach(section 1 3 5 8)
	file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
	if(pages)
		install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
	endif()
endforeach()

install(FILES packaging/completions/troth.bash
	DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME troth)
install(FILES packaging/completions/troth-agent.bash
	DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME troth-agent)
install(FILES packaging/completions/_troth packaging/completions/_troth-agent DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)

install(FILES LICENSE NOTICE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES packaging/systemd/troth-agent-tee.conf packaging/systemd/troth-agent-peer.conf DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
add_test(NAME cli/completions COMMAND ${CMAKE_SOURCE_DIR}/tests/completions $<TARGET_FILE:troth>
	${CMAKE_SOURCE_DIR}/packaging/completions)
add_test(NAME agent/completions COMMAND ${CMAKE_SOURCE_DIR}/tests/agent-completions $<TARGET_FILE:troth-agent>
	${CMAKE_SOURCE_DIR}/packaging/completions)
set_tests_properties(cli/completions agent/completions PROPERTIES LABELS unit TIMEOUT 20)
