/* SPDX-License-Identifier: Apache-2.0 */
/* Heads as lines of text: "METHOD\nTARGET\nVERSION\nName:value\n…". The oracle: an accepted head, written out and cut
 * into lines again by another way of reading, has exactly one length at most, one host, no coding, and no byte that
 * could end a line early. */
#include "http/strict.h"

#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES 40

static struct tr_view cut(struct tr_view *rest, uint8_t at)
{
	const uint8_t *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
	struct tr_view v = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

	rest->p += v.n + (end ? 1 : 0);
	rest->n -= v.n + (end ? 1 : 0);
	return v;
}

static void must(bool fact)
{
	if (!fact)
		abort();
}

static bool named(struct tr_view name, const char *what)
{
	return strlen(what) == name.n && strncasecmp(what, (const char *)name.p, name.n) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view rest = { data, size }, method = cut(&rest, '\n'), target = cut(&rest, '\n'),
		       version = cut(&rest, '\n'), names[LINES], values[LINES];
	unsigned n = 0, hosts = 0, lengths = 0;
	struct tr_strict s;

	tr_strict_begin(&s, method, target, version, LINES - 8);
	while (rest.n && n < LINES) {
		values[n] = cut(&rest, '\n');
		names[n] = cut(&values[n], ':');
		tr_strict_header(&s, names[n], values[n]);
		n++;
	}
	if (!tr_strict_end(&s)) {
		must(s.status == 400 || s.status == 431);
		must(s.slug && s.why);
		return 0;
	}
	must(n <= LINES - 8);
	must(method.n && !memchr(method.p, ' ', method.n) && target.n && target.p[0] == '/');
	for (size_t i = 0; i < target.n; i++)
		must(target.p[i] > ' ' && target.p[i] < 127);
	for (unsigned i = 0; i < n; i++) {
		must(names[i].n && !memchr(names[i].p, ' ', names[i].n) && !memchr(names[i].p, '\t', names[i].n));
		must(!memchr(values[i].p, 0, values[i].n) && !memchr(values[i].p, '\r', values[i].n));
		must(!named(names[i], "transfer-encoding"));
		hosts += named(names[i], "host");
		if (named(names[i], "content-length")) {
			char text[32] = "", *end = NULL;

			lengths++;
			must(values[i].n && values[i].n < sizeof(text));
			memcpy(text, values[i].p, values[i].n);
			must(strtoull(text, &end, 10) == s.content_length && *end == '\0' && text[0] >= '0');
		}
	}
	must(lengths <= 1 && hosts <= 1 && (hosts == 1 || s.http_1_0));
	must(s.has_length == (lengths == 1));
	return 0;
}
