# SPDX-License-Identifier: Apache-2.0
# Every allocation of our own code in these tests can be made to fail.
foreach(test evidence_tpm_memory_test evidence_dcap_memory_test evidence_snp_memory_test agent_attest_memory_test appraise_tee_memory_test)
	if(TARGET ${test})
		target_link_options(${test} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
	endif()
endforeach()
