# SPDX-License-Identifier: Apache-2.0
# The programs of script/bench: `ninja bench_programs`. No other target needs them.
function(tr_bench name)
	add_executable(bench_${name} EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/bench/${name}.c)
	target_link_libraries(bench_${name} PRIVATE ${ARGN})
	set_target_properties(bench_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()

tr_bench(load troth_swarm PkgConfig::SSL PkgConfig::OPENSSL)
tr_bench(bare PkgConfig::MHD PkgConfig::GNUTLS)
tr_bench(crypto troth_signed PkgConfig::GNUTLS)
tr_bench(pulse troth_signed)
target_link_options(bench_pulse PRIVATE -Wl,--wrap=tr_verify)
tr_bench(sweep troth_fleet)
tr_bench(registry troth_server)
tr_bench(snapshot troth_bpf)
target_sources(bench_snapshot PRIVATE ${CMAKE_SOURCE_DIR}/tests/bpf/lab.c)
target_include_directories(bench_snapshot PRIVATE ${CMAKE_SOURCE_DIR}/tests/bpf)
add_custom_target(bench_programs DEPENDS bench_load bench_bare bench_crypto bench_pulse bench_snapshot bench_sweep bench_registry trothd troth-agent)
