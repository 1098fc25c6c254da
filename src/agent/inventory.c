/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inventory.h"

#include "base/file.h"
#include "codec/json.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define TAIL 160 /* what must fit behind the last list */

static struct tr_view line_of(struct tr_view *text)
{
	const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	struct tr_view line = tr_view(text->p, end ? (size_t)(end - text->p) : text->n);

	*text = end ? tr_view(end + 1, text->n - line.n - 1) : tr_view(NULL, 0);
	return line;
}

struct tr_view tr_inventory_os(struct tr_view text, const char *key)
{
	size_t n = strlen(key);

	while (text.n) {
		struct tr_view l = line_of(&text);

		if (!tr_view_starts(l, key) || l.n <= n || l.p[n] != '=')
			continue;
		l = tr_view(l.p + n + 1, l.n - n - 1);
		if (l.n >= 2 && (l.p[0] == '"' || l.p[0] == '\'') && l.p[l.n - 1] == l.p[0])
			l = tr_view(l.p + 1, l.n - 2);
		return l;
	}
	return tr_view(NULL, 0);
}

struct tr_view tr_inventory_cpu(struct tr_view text, const char *name)
{
	while (text.n) {
		struct tr_view l = line_of(&text);
		const uint8_t *colon = l.n ? memchr(l.p, ':', l.n) : NULL;
		size_t key = colon ? (size_t)(colon - l.p) : 0;

		while (key && (l.p[key - 1] == ' ' || l.p[key - 1] == '\t'))
			key--;
		if (!colon || !tr_view_is(tr_view(l.p, key), name))
			continue;
		l = tr_view(colon + 1, l.n - (size_t)(colon - l.p) - 1);
		while (l.n && l.p[0] == ' ')
			l = tr_view(l.p + 1, l.n - 1);
		return l;
	}
	return tr_view(NULL, 0);
}

static struct tr_view word(struct tr_view *l)
{
	const uint8_t *end = l->n ? memchr(l->p, ' ', l->n) : NULL;
	struct tr_view w = tr_view(l->p, end ? (size_t)(end - l->p) : l->n);

	*l = end ? tr_view(end + 1, l->n - w.n - 1) : tr_view(NULL, 0);
	return w;
}

bool tr_inventory_mount(struct tr_view *text, struct tr_view *ret_what, struct tr_view *ret_where,
			struct tr_view *ret_type)
{
	while (text->n) {
		struct tr_view l = line_of(text), what = word(&l), where = word(&l), type = word(&l);

		if (!type.n || (what.p[0] != '/' && !memchr(what.p, ':', what.n) && !tr_view_is(where, "/")))
			continue;
		*ret_what = what;
		*ret_where = where;
		*ret_type = type;
		return true;
	}
	return false;
}

static void text_member(struct tr_buf *b, const char *name, struct tr_view v)
{
	tr_buf_addf(b, "%s\"%s\":", b->n && b->p[b->n - 1] != '{' ? "," : "", name);
	tr_json_put_str(b, tr_view(v.p, v.n < 256 ? v.n : 256));
}

static void put_system(struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf os = TR_BUF_INIT, cpu = TR_BUF_INIT;
	struct utsname u;
	struct sysinfo s;
	struct tr_err err;

	if (uname(&u) == 0) {
		text_member(b, "host", tr_view_str(u.nodename));
		text_member(b, "kernel", tr_view_str(u.release));
		text_member(b, "kernel_build", tr_view_str(u.version));
		text_member(b, "machine", tr_view_str(u.machine));
	}
	if (!tr_file_read("/etc/os-release", 16384, &os, &err)) {
		text_member(b, "os", tr_inventory_os(tr_buf_view(&os), "PRETTY_NAME"));
		text_member(b, "os_id", tr_inventory_os(tr_buf_view(&os), "ID"));
		text_member(b, "os_version", tr_inventory_os(tr_buf_view(&os), "VERSION_ID"));
	}
	/* A machine of many cores has a megabyte of it, and the first core says it all. */
	if (!tr_file_read("/proc/cpuinfo", 4 << 20, &cpu, &err))
		text_member(b, "cpu", tr_inventory_cpu(tr_buf_view(&cpu), "model name"));
	tr_buf_addf(b, ",\"cpus\":%ld", sysconf(_SC_NPROCESSORS_ONLN));
	if (sysinfo(&s) == 0)
		tr_buf_addf(b, ",\"memory_kib\":%llu,\"swap_kib\":%llu,\"uptime_s\":%ld",
			    (unsigned long long)s.totalram * s.mem_unit / 1024,
			    (unsigned long long)s.totalswap * s.mem_unit / 1024, s.uptime);
}

/* Adds `item` to a list, if it still fits. */
static bool put_item(struct tr_buf *b, size_t max, const struct tr_buf *item, bool first)
{
	if (b->n + item->n + TAIL > max)
		return false;
	if (!first)
		tr_buf_add8(b, ',');
	tr_buf_addv(b, tr_buf_view(item));
	return true;
}

static void put_mounts(struct tr_buf *b, size_t max)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_view in, what, where, type;
	size_t n = 0, left_out = 0;
	struct tr_err err;

	tr_buf_adds(b, ",\"mounts\":[");
	if (tr_file_read("/proc/self/mounts", 1 << 20, &text, &err))
		tr_buf_clear(&text);
	in = tr_buf_view(&text);
	while (tr_inventory_mount(&in, &what, &where, &type)) {
		tr_auto(tr_buf_done) struct tr_buf item = TR_BUF_INIT;
		char path[4096];
		struct statvfs fs;

		tr_buf_adds(&item, "{");
		text_member(&item, "what", what);
		text_member(&item, "on", where);
		text_member(&item, "type", type);
		(void)snprintf(path, sizeof(path), "%.*s", TR_VIEW_FMT(where));
		/* Not of a network's: a server that is away would keep us waiting. */
		if (what.p[0] == '/' && statvfs(path, &fs) == 0)
			tr_buf_addf(&item, ",\"mib\":%llu,\"free_mib\":%llu",
				    (unsigned long long)fs.f_blocks * fs.f_frsize >> 20,
				    (unsigned long long)fs.f_bavail * fs.f_frsize >> 20);
		tr_buf_adds(&item, "}");
		/* The addresses want room, too. */
		if (put_item(b, max - max / 3, &item, n == 0))
			n++;
		else
			left_out++;
	}
	tr_buf_addf(b, "],\"mounts_left_out\":%zu", left_out);
}

static void put_addresses(struct tr_buf *b, size_t max)
{
	struct ifaddrs *all = NULL;
	size_t n = 0, left_out = 0;

	if (getifaddrs(&all)) {
		/* A unit may forbid the family of sockets that tells. */
		tr_buf_adds(b, ",\"addresses\":null,\"addresses_left_out\":0");
		return;
	}
	tr_buf_adds(b, ",\"addresses\":[");
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		tr_auto(tr_buf_done) struct tr_buf item = TR_BUF_INIT;
		char text[INET6_ADDRSTRLEN];
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;

		if ((i->ifa_flags & IFF_LOOPBACK) || (family != AF_INET && family != AF_INET6))
			continue;
		memcpy(&v4, i->ifa_addr, sizeof(v4));
		if (family == AF_INET6)
			memcpy(&v6, i->ifa_addr, sizeof(v6));
		if (!inet_ntop(family,
			       family == AF_INET ? (const void *)&v4.sin_addr : (const void *)&v6.sin6_addr,
			       text, sizeof(text)))
			continue;
		tr_buf_adds(&item, "{");
		text_member(&item, "interface", tr_view_str(i->ifa_name));
		text_member(&item, "address", tr_view_str(text));
		tr_buf_adds(&item, "}");
		if (put_item(b, max, &item, n == 0))
			n++;
		else
			left_out++;
	}
	freeifaddrs(all);
	tr_buf_addf(b, "],\"addresses_left_out\":%zu", left_out);
}

void tr_inventory_put(struct tr_buf *b, size_t max)
{
	tr_buf_adds(b, "{");
	put_system(b);
	put_mounts(b, max);
	put_addresses(b, max);
	tr_buf_adds(b, "}");
}
