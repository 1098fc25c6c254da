/* SPDX-License-Identifier: Apache-2.0 */
/* Verifies a TDX quote: evidence QUOTE BUNDLE POLICY UNIX_TIME. Prints the four answers, and every check when asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "troth/evidence.h"

static char *read_file(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "rb");
	char *p = f ? malloc(1 << 20) : NULL;

	*ret_n = p ? fread(p, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
	return p;
}

int main(int argc, char **argv)
{
	struct troth_evidence_check check = { .size = sizeof(check), .kind = "tdx" };
	struct troth_evidence_verdict v = { .size = sizeof(v) };
	struct troth_error err = { 0 };
	enum troth_code code;
	char *quote, *bundle, *policy, *json = NULL;

	if (argc < 5)
		return 2;
	quote = read_file(argv[1], &check.evidence_len);
	bundle = read_file(argv[2], &check.bundle_len);
	policy = read_file(argv[3], &check.policy_len);
	check.evidence = quote;
	check.bundle = bundle;
	check.policy = policy;
	check.now_s = strtoll(argv[4], NULL, 10);
	code = troth_evidence_verify(&check, &v, &json, &err);
	if (code == TROTH_OK || code == TROTH_E_REFUSED)
		printf("authentic %s, current %s, software %s, fresh %s: %s\n", v.authentic, v.current, v.software, v.fresh, v.code);
	else
		fprintf(stderr, "%s\n", err.message);
	if (argc > 5 && strcmp(argv[5], "--checks") == 0 && json)
		puts(json);
	troth_free(json);
	free(quote);
	free(bundle);
	free(policy);
	return (int)code;
}
