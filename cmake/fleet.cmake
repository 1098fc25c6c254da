# SPDX-License-Identifier: Apache-2.0
# Every allocation of our own code in this test can be made to fail.
target_link_options(fleet_memory_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
