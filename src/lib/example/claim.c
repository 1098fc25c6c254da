/* SPDX-License-Identifier: Apache-2.0 */
/* Claims what this very program is, signed with the key file argv[1], and judges the claim as the server
 * would. */
#include <stdio.h>
#include "troth/troth.h"

int main(int argc, char **argv)
{
	static const uint8_t challenge[TROTH_CHALLENGE_LEN] = {
		42
	}; /* from GET /api/v1/challenge in real life */
	struct troth_policy policy = { .size = sizeof(policy),
				       .mode = TROTH_MODE_ENFORCE,
				       .accept_native = true };
	struct troth_claim claim = {
		.size = sizeof(claim), .node_id = "web-1", .version = "1.0.0", .challenge = challenge
	};
	struct troth_verdict verdict = { .size = sizeof(verdict) };
	struct troth_error err = { 0 };
	char hash[TROTH_HASH_TEXT_SIZE];
	troth_signer *signer = NULL;
	troth_verifier *verifier = NULL;
	uint8_t *request = NULL;
	size_t len = 0;
	int ok = argc == 2;

	claim.binary_hash = hash;
	ok = ok && troth_hash_file("/proc/self/exe", hash, &err) == TROTH_OK &&
	     troth_signer_load(argv[1], &signer, &err) == TROTH_OK &&
	     troth_signer_create_request(signer, &claim, &request, &len, &err) == TROTH_OK &&
	     troth_verifier_new(&policy, &verifier, &err) == TROTH_OK &&
	     troth_verifier_allow_hash(verifier, hash, &err) == TROTH_OK &&
	     troth_verifier_verify(verifier, request, len, NULL, 0, &verdict, NULL, &err) == TROTH_OK;
	printf("%s: %s\n", ok ? verdict.node_id : "not admitted", ok ? verdict.binary_hash : err.message);
	troth_free(request);
	troth_verifier_free(verifier);
	troth_signer_free(signer);
	return !ok;
}
