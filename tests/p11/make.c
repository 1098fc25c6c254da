/* SPDX-License-Identifier: Apache-2.0 */
/* p11_make TOKEN PIN [LABEL ed25519|p256|rsa|ed25519-private]...: a token with these keys, for the end-to-end tests. Prints
 * the library's path. Exit code 77: SoftHSM is not installed. */
#include "lab.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	const char *module = lab_module();

	if (argc < 3 || argc % 2 == 0)
		return 64;
	if (!module)
		return 77;
	if (!lab_make_token(module, argv[1], argv[2]))
		return 1;
	for (int i = 3; i + 1 < argc; i += 2)
		if (!lab_make_key(module, argv[1], argv[2], argv[i], argv[i + 1]))
			return 1;
	(void)printf("%s\n", module);
	return 0;
}
