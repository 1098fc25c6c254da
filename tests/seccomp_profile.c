/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp-profile PROFILE PROGRAM ARGUMENT…: runs a program under a container engine's seccomp profile (Docker's JSON), as the
 * engine would: what is not listed fails with the profile's errno. Only what our own profile uses is understood; anything else
 * in the file is an error. */
#include <errno.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, const char *detail)
{
	fprintf(stderr, "seccomp-profile: %s: %s\n", what, detail);
	return 125;
}

static int add_rule(scmp_filter_ctx f, const json_t *rule)
{
	const char *action = json_string_value(json_object_get(rule, "action"));
	const json_t *names = json_object_get(rule, "names");

	if (!action || strcmp(action, "SCMP_ACT_ALLOW") != 0 || !json_is_array(names) || json_object_size(rule) != 2)
		return fail("a rule of another form", action ? action : "no action");
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		int nr = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR;

		if (nr == __NR_SCMP_ERROR)
			return fail("no such system call", name ? name : "not a text");
		/* A negative number: a call of another architecture. */
		if (nr >= 0 && seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0))
			return fail("rule", name);
	}
	return 0;
}

int main(int argc, char **argv)
{
	json_error_t e;
	json_t *doc = argc > 2 ? json_load_file(argv[1], JSON_REJECT_DUPLICATES, &e) : NULL;
	const json_t *rules = json_object_get(doc, "syscalls");
	const char *action = json_string_value(json_object_get(doc, "defaultAction"));
	int code = (int)json_integer_value(json_object_get(doc, "defaultErrnoRet"));
	scmp_filter_ctx f;

	if (!doc || !json_is_array(rules) || !action || strcmp(action, "SCMP_ACT_ERRNO") != 0 || code <= 0)
		return fail("usage", "seccomp-profile PROFILE PROGRAM ARGUMENT...");
	f = seccomp_init(SCMP_ACT_ERRNO((uint32_t)code));
	for (size_t i = 0; f && i < json_array_size(rules); i++)
		if (add_rule(f, json_array_get(rules, i)))
			return 125;
	if (!f || seccomp_load(f))
		return fail("seccomp_load", strerror(errno));
	seccomp_release(f);
	json_decref(doc);
	execv(argv[2], argv + 2);
	return fail("execv", strerror(errno));
}
