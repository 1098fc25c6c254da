/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until agents know a key: who is behind is said by name, on a terminal in one line that changes. */
#include "cli/skey.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/clock.h"

#define POLL_MS 500

static void progress(const struct tr_cli *c, const struct tr_adopted *a, const char *names, char *last, size_t size)
{
	char line[700];
	bool tty = isatty(STDERR_FILENO);
	struct winsize w;

	if (c->quiet)
		return;
	(void)snprintf(line, sizeof(line), "waiting  %lld of %lld agents know it; not yet: %s", (long long)a->adopted,
		       (long long)a->adopted + (long long)a->behind, names);
	/* A line that breaks could not be written over. */
	if (tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
		fprintf(stderr, "\r\033[K%.*s", w.ws_col - 1, line);
	else if (strcmp(line, last) != 0)
		fprintf(stderr, "%s\n", line);
	(void)snprintf(last, size, "%s", line);
}

int tr_skey_wait(struct tr_cli *c, const char *id, uint64_t wait_ms, struct tr_adopted *ret)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	uint64_t began = tr_mono_ms();
	char last[700] = "";

	for (;;) {
		tr_auto(tr_buf_done) struct tr_buf names = TR_BUF_INIT;
		int rc = tr_skey_behind(c, id, ret, &names);

		if (!rc && ret->behind == 0) {
			if (*last && isatty(STDERR_FILENO))
				fputs("\r\033[K", stderr);
			return TR_CLI_EXIT_OK;
		}
		/* A server that restarts meanwhile comes back. */
		if (rc && (rc != TR_CLI_EXIT_UNREACHABLE || !wait_ms))
			return rc;
		if (!rc && tr_cli_opt(c, TR_OPT_FORCE))
			return TR_CLI_EXIT_OK;
		if (!rc && wait_ms)
			progress(c, ret, tr_buf_cstr(&names), last, sizeof(last));
		if (!wait_ms || tr_mono_ms() - began >= wait_ms) {
			if (*last && isatty(STDERR_FILENO))
				fputc('\n', stderr);
			return tr_cli_fail(TR_CLI_EXIT_NOT_YET,
					   "%lld agents that are heard do not know key %.12s yet: %s; go on with troth key rotate --wait",
					   (long long)ret->behind, id, tr_buf_cstr(&names));
		}
		(void)nanosleep(&pause, NULL);
	}
}
