/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health.h"

#include "base/clock.h"
#include "base/own.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

/* Digits off the front; false without one, or past 2^53, which no machine has of anything here. */
static bool number(struct tr_view *v, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < v->n && v->p[i] >= '0' && v->p[i] <= '9'; i++) {
		n = n * 10 + (uint64_t)(v->p[i] - '0');
		if (n >> 53)
			return false;
	}
	*v = tr_view(v->p + i, v->n - i);
	*ret = n;
	return i > 0;
}

bool tr_health_load_of(struct tr_view v, uint64_t *ret_milli)
{
	uint64_t whole, cents;
	size_t before;

	if (!number(&v, &whole) || !v.n || v.p[0] != '.')
		return false;
	v = tr_view(v.p + 1, v.n - 1);
	before = v.n;
	/* The kernel writes two places. */
	if (!number(&v, &cents) || before - v.n != 2)
		return false;
	*ret_milli = whole * 1000 + cents * 10;
	return true;
}

static bool mem_line(struct tr_view text, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);

	while (text.n) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		size_t line = end ? (size_t)(end - text.p) : text.n;
		struct tr_view v = tr_view(text.p, line);

		if (line > n && memcmp(v.p, name, n) == 0) {
			v = tr_view(v.p + n, v.n - n);
			while (v.n && v.p[0] == ' ')
				v = tr_view(v.p + 1, v.n - 1);
			return number(&v, ret) && tr_view_is(v, " kB");
		}
		if (!end)
			break;
		text = tr_view(end + 1, text.n - line - 1);
	}
	return false;
}

bool tr_health_mem_of(struct tr_view v, uint64_t *ret_total_kib, uint64_t *ret_available_kib)
{
	uint64_t total, available;

	if (!mem_line(v, "MemTotal:", &total) || !mem_line(v, "MemAvailable:", &available))
		return false;
	*ret_total_kib = total;
	*ret_available_kib = available;
	return true;
}

bool tr_health_rss_of(struct tr_view v, uint64_t page_size, uint64_t *ret_kib)
{
	uint64_t size, pages;

	if (!number(&v, &size) || !v.n || v.p[0] != ' ')
		return false;
	v = tr_view(v.p + 1, v.n - 1);
	if (!number(&v, &pages) || pages >> 40)
		return false;
	*ret_kib = pages * page_size / 1024;
	return true;
}

/* One read of a file in /proc: what does not fit is not looked at. */
static struct tr_view look(const char *path, char *to, size_t size)
{
	tr_auto(tr_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size);

	return tr_view(to, n > 0 ? (size_t)n : 0);
}

/* Where /proc shows processes only (a hardened unit), the kernel still tells by a call. It knows no
 * MemAvailable. */
static void by_call(struct tr_health *h)
{
	struct sysinfo s;

	if (sysinfo(&s))
		return;
	h->load_milli = (uint64_t)s.loads[0] * 1000 / 65536;
	h->mem_total_kib = (uint64_t)s.totalram * s.mem_unit / 1024;
	h->mem_free_kib = ((uint64_t)s.freeram + s.bufferram) * s.mem_unit / 1024;
}

static uint64_t ms_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_usec / 1000;
}

void tr_health_read(const char *dir, struct tr_health *ret)
{
	struct tr_health h = { 0 };
	char text[2048];
	struct statvfs fs;
	struct rusage own;

	by_call(&h);
	(void)tr_health_load_of(look("/proc/loadavg", text, sizeof(text)), &h.load_milli);
	(void)tr_health_mem_of(look("/proc/meminfo", text, sizeof(text)), &h.mem_total_kib, &h.mem_free_kib);
	(void)tr_health_rss_of(look("/proc/self/statm", text, sizeof(text)), (uint64_t)getpagesize(),
			       &h.agent_rss_kib);
	h.uptime_s = tr_mono_ms() / 1000;
	if (getrusage(RUSAGE_SELF, &own) == 0)
		h.agent_cpu_ms = ms_of(own.ru_utime) + ms_of(own.ru_stime);
	if (statvfs(dir, &fs) == 0) {
		h.disk_total_mib = (uint64_t)fs.f_blocks * fs.f_frsize >> 20;
		h.disk_free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	}
	*ret = h;
}
