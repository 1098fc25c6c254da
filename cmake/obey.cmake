# SPDX-License-Identifier: Apache-2.0
# What the tests of orders, commands and keysets need besides the rules of a layer.

# Every allocation of our own code in this test can be made to fail.
target_link_options(signed_obey_memory_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
