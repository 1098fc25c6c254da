/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/clock.h"

#include "base/file.h"
#include "codec/text.h"

#include <sys/timex.h>

#ifndef TROTH_SOURCE_EPOCH
#define TROTH_SOURCE_EPOCH 0
#endif

int64_t tr_clock_build_ns(void)
{
	return INT64_C(1000000000) * TROTH_SOURCE_EPOCH;
}

int64_t tr_clock_known_ns(const struct tr_known_time *k, uint64_t boot_ns)
{
	uint64_t since = boot_ns > k->boot_ns ? boot_ns - k->boot_ns : 0;

	if (k->server_ns <= 0)
		return 0;
	return since > (uint64_t)(INT64_MAX - k->server_ns) ? INT64_MAX : k->server_ns + (int64_t)since;
}

int64_t tr_clock_effective_ns(int64_t wall_ns, const struct tr_known_time *k, uint64_t boot_ns,
			      int64_t build_ns)
{
	int64_t known = tr_clock_known_ns(k, boot_ns), t = wall_ns > known ? wall_ns : known;

	return t > build_ns ? t : build_ns;
}

void tr_clock_learn(struct tr_known_time *k, int64_t server_ns, uint64_t boot_ns)
{
	if (server_ns > tr_clock_known_ns(k, boot_ns))
		*k = (struct tr_known_time){ .server_ns = server_ns, .boot_ns = boot_ns };
}

bool tr_clock_is_near(int64_t server_ns, int64_t wall_ns, const struct tr_known_time *anchor, uint64_t boot_ns)
{
	int64_t known = tr_clock_known_ns(anchor, boot_ns), t = wall_ns > known ? wall_ns : known;

	return server_ns - TR_CLOCK_NEAR_NS <= t;
}

void tr_clock_rebooted(struct tr_known_time *k)
{
	/* The word was given before this boot: at least the machine's uptime has passed since. */
	k->boot_ns = 0;
}

enum tr_sync tr_clock_sync_of(int result, int status)
{
	if (result < 0)
		return TR_SYNC_UNKNOWN;
	return result == TIME_ERROR || (status & STA_UNSYNC) ? TR_SYNC_NO : TR_SYNC_YES;
}

enum tr_sync tr_clock_sync(void)
{
	struct timex t = { .modes = 0 };
	int result = adjtimex(&t);

	return tr_clock_sync_of(result, t.status);
}

bool tr_boot_id_of(struct tr_view text, uint8_t ret[16])
{
	char hex[32];
	size_t n = 0;

	memset(ret, 0, 16);
	if (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	if (text.n != 36)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (text.p[i] == '-'))
			return false;
		if (!dash)
			hex[n++] = (char)text.p[i];
	}
	if (tr_hex_get(tr_view(hex, n), ret, 16))
		return true;
	memset(ret, 0, 16);
	return false;
}

bool tr_boot_id(uint8_t ret[16])
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_err err;

	memset(ret, 0, 16);
	return !tr_file_read("/proc/sys/kernel/random/boot_id", 64, &text, &err) &&
	       tr_boot_id_of(tr_buf_view(&text), ret);
}
