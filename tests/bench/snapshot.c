/* SPDX-License-Identifier: Apache-2.0 */
/* What a look at 20 pinned programs costs the agent: thread CPU, user and kernel. Programs of about the size of a real
 * packet filter, each with a map. One line of JSON; null and the reason where BPF cannot be had. */
#include "bpf/snapshot.h"

#include "lab.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define PROGRAMS 20
#define PAD 436 /* 440 instructions */
#define LOOKS 2000
#define ROOT "/sys/fs/bpf"

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int without(const char *why)
{
	printf("{\"snapshot_us_20\": null, \"reason\": \"%s (%s)\"}\n", why, strerror(errno));
	return 0;
}

int main(void)
{
	static int64_t spent[LOOKS];
	tr_auto(tr_bpf_eye_free) struct tr_bpf_eye *eye = NULL;
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	uint8_t digest[32];
	const char *why;
	struct tr_err err;
	double sum = 0;

	/* A mount namespace and a bpffs of its own: nothing is left behind. */
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return without("needs root, to load BPF programs");
	if (mount("bpf", ROOT, "bpf", 0, NULL) != 0 || mkdir(ROOT "/troth", 0700) != 0)
		return without("no bpffs can be mounted");
	for (int i = 0; i < PROGRAMS; i++) {
		char path[64];
		int map = lab_map(BPF_MAP_TYPE_ARRAY, 4, 8, 16, 0, "bench");
		int prog = lab_prog_padded(BPF_PROG_TYPE_XDP, BPF_XDP, "bench", 2, map, PAD);

		(void)snprintf(path, sizeof(path), ROOT "/troth/prog%02d", i);
		if (prog < 0 || lab_pin(prog, path) != 0)
			return without("this kernel loads no BPF program");
		(void)close(map);
		(void)close(prog);
	}
	if (tr_bpf_eye_new(ROOT "/troth", "", &eye, &err)) {
		(void)fprintf(stderr, "bench_snapshot: %s\n", err.detail);
		return 1;
	}
	for (int i = -10; i < LOOKS; i++) {
		int64_t start = cpu_ns();

		if (tr_bpf_look(eye, &list, digest, &why) != TR_BPF_OK) {
			(void)fprintf(stderr, "bench_snapshot: %s\n", why);
			return 1;
		}
		if (i >= 0)
			sum += (double)(spent[i] = cpu_ns() - start) / 1e3;
	}
	qsort(spent, LOOKS, sizeof(*spent), by_size);
	printf("{\"snapshot_us_20\": %.1f, \"median\": %.1f, \"insns\": %d}\n", sum / LOOKS, (double)spent[LOOKS / 2] / 1e3, PAD + 4);
	return 0;
}
