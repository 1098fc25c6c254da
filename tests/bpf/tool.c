/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, pins and tampers with BPF objects, one command per call, for tests/e2e/test_bpf.py. Needs root. */
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static int prog(char **a)
{
	int map = strcmp(a[3], "-") == 0 ? -1 : lab_get(a[3]);

	return lab_pin(lab_prog(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, a[1], number(a[2]), map), a[0]);
}

static int set_to(int map, const char *value)
{
	uint32_t key = 0, v = (uint32_t)number(value);

	return lab_map_set(map, &key, &v);
}

static int map(char **a)
{
	int fd = lab_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, a[1]);

	return set_to(fd, a[2]) || lab_pin(fd, a[0]);
}

static int set(char **a)
{
	return set_to(lab_get(a[0]), a[1]);
}

static int freeze(char **a)
{
	return lab_map_freeze(lab_get(a[0]));
}

static int link_to(char **a)
{
	int cgroup = open(a[2], O_RDONLY | O_DIRECTORY);

	return lab_pin(lab_link(lab_get(a[1]), (uint32_t)cgroup, BPF_CGROUP_INET_EGRESS), a[0]);
}

static int update(char **a)
{
	return lab_link_update(lab_get(a[0]), lab_get(a[1]));
}

static int detach(char **a)
{
	return lab_link_detach(lab_get(a[0]));
}

static const struct {
	const char *name, *arguments;
	int n;
	int (*run)(char **a);
} commands[] = {
	{ "prog", "PIN NAME VERDICT MAP-PIN|-", 4, prog }, { "map", "PIN NAME VALUE", 3, map },
	{ "set", "MAP-PIN VALUE", 2, set },		     { "freeze", "MAP-PIN", 1, freeze },
	{ "link", "PIN PROG-PIN CGROUP", 3, link_to },     { "update", "LINK-PIN PROG-PIN", 2, update },
	{ "detach", "LINK-PIN", 1, detach },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (argc < 2 || strcmp(argv[1], commands[i].name) != 0 || argc - 2 != commands[i].n)
			continue;
		if (commands[i].run(argv + 2) == 0)
			return 0;
		(void)fprintf(stderr, "bpf_tool %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		(void)fprintf(stderr, "usage: bpf_tool %s %s\n", commands[i].name, commands[i].arguments);
	return 2;
}
