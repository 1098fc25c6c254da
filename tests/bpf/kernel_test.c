/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot on the kernel that runs: real programs, maps and links are pinned and tampered with, and the judgement of
 * the fleet names what happened at the next look. Runs in a mount namespace of its own with a bpffs of its own, so that it
 * neither sees nor leaves anything; the cgroup is a leaf of its own. Ends with 77, and says why, where it cannot run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bpf/snapshot.h"
#include "crypto/hash.h"
#include "fleet/inner.h"
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ROOT "/sys/fs/bpf"
#define DIR ROOT "/troth"
#define TCX_INGRESS 46

static char cgroup[128];
static pid_t tenant;
static int cgroup_fd = -1, own_net = -1, new_net = -1;
static uint32_t lo_index = 1;

/* ---- what every test starts with ---- */

static struct {
	int cfg, table, xdp, skb, xdp_link, skb_link;
} now_pinned;
static struct tr_bpf_eye *eye;
static struct tr_fleet *fleet;
static uint32_t agent;
static const struct tr_instant now = { .ms = INT64_C(1800000000000), .wall_ns = INT64_C(1800000000000000000) };
static struct tr_buf cbor, items, record;
static struct tr_bpf_list list;

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	(void)e;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	(void)row;
}

static void pin(int fd, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), DIR "/%s", name);
	if (fd < 0 || lab_pin(fd, path) != 0)
		fail_msg("pin %s: %s", name, strerror(errno));
}

static void unpin(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), DIR "/%s", name);
	assert_int_equal(unlink(path), 0);
}

/* XDP belongs to a network namespace: lo of an own one. Elsewhere we stay in the first, where the JIT's settings are. */
static int link_in_own_net(int prog, unsigned attach)
{
	int fd;

	assert_int_equal(setns(new_net, CLONE_NEWNET), 0);
	fd = lab_link(prog, lo_index, attach);
	assert_int_equal(setns(own_net, CLONE_NEWNET), 0);
	return fd;
}

static enum tr_bpf_status look(void)
{
	uint8_t digest[32];
	const char *why;
	struct tr_err err;
	enum tr_bpf_status s = tr_bpf_look(eye, &cbor, digest, &why);

	assert_true((s == TR_BPF_OK) == (why == NULL));
	if (s == TR_BPF_OK)
		assert_int_equal(tr_bpf_list_get(tr_buf_view(&cbor), &items, &list, &err), TR_OK);
	return s;
}

/* One beat: looks, encloses the list, has it judged. */
static enum tr_integrity beat(void)
{
	struct tr_pulse p = { .bpf_status = look() };
	const struct tr_pulse_seen s = { .pulse = &p, .source = TR_VIEW_LIT("192.0.2.7") };

	if (p.bpf_status == TR_BPF_OK) {
		tr_buf_clear(&record);
		tr_record_encode(&tr_bpf_list_def, &list, &record);
		tr_sha256(tr_buf_view(&cbor), p.bpf_digest);
		p.bpf_list = tr_buf_view(&record);
	}
	return tr_bpf_judge(fleet, &now, agent, &s, true);
}

static struct tr_bpf_item item(const char *name)
{
	struct tr_view left = list.items, one;
	struct tr_bpf_item i;
	struct tr_err err;
	char full[160];

	(void)snprintf(full, sizeof(full), "troth/%s", name);
	while (tr_records_next(&left, &one)) {
		assert_int_equal(tr_record_decode(&tr_bpf_item_def, one, &i, &err), TR_OK);
		if (tr_view_is(i.pin, full))
			return i;
	}
	fail_msg("%s is not in the list", full);
	return i;
}

/* "detached xdp_link,replaced xdp" and no more. */
static void assert_found(const char *want)
{
	const struct tr_buf *json = tr_fleet_agent(fleet, agent)->findings;
	char text[4096], got[512] = "", *at = text;

	(void)snprintf(text, sizeof(text), "%.*s", json ? (int)json->n : 0, json ? (const char *)json->p : "");
	while ((at = strstr(at, "{\"finding\":\"")) != NULL) {
		char finding[32] = "", name[128] = "";
		size_t n = strlen(got);

		assert_true(sscanf(at, "{\"finding\":\"%31[^\"]\",\"pin\":\"troth/%127[^\"]\"", finding, name) >= 1);
		(void)snprintf(got + n, sizeof(got) - n, "%s%s%s%s", n ? "," : "", finding, *name ? " " : "", name);
		at++;
	}
	assert_string_equal(got, want);
}

static void assert_tampered(const char *want)
{
	assert_int_equal(beat(), TR_INTEGRITY_BPF_MISMATCH);
	assert_found(want);
}

static int set_up(void **state)
{
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };
	const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = 1, .interval_s = 30, .keyset_epoch = 1, .escalate_s = 900 };
	const uint8_t key[32] = { 9 };
	uint32_t zero = 0, k[] = { 5, 3, 9 }, v = 0x11223344;
	struct tr_err err;

	(void)state;
	assert_int_equal(mkdir(DIR, 0700), 0);
	now_pinned.cfg = lab_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, "cfg");
	assert_int_equal(lab_map_set(now_pinned.cfg, &zero, &v), 0);
	assert_int_equal(lab_map_freeze(now_pinned.cfg), 0);
	now_pinned.table = lab_map(BPF_MAP_TYPE_HASH, 4, 4, 64, 0, "table");
	for (int i = 0; i < 3; i++)
		assert_int_equal(lab_map_set(now_pinned.table, &k[i], &v), 0);
	now_pinned.xdp = lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "xdp", 2, now_pinned.cfg);
	now_pinned.skb = lab_prog(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, "skb", 1, now_pinned.table);
	now_pinned.xdp_link = link_in_own_net(now_pinned.xdp, BPF_XDP);
	now_pinned.skb_link = lab_link(now_pinned.skb, (uint32_t)cgroup_fd, BPF_CGROUP_INET_EGRESS);
	pin(now_pinned.cfg, "cfg");
	pin(now_pinned.table, "table");
	pin(now_pinned.xdp, "xdp");
	pin(now_pinned.skb, "skb");
	pin(now_pinned.xdp_link, "xdp_link");
	pin(now_pinned.skb_link, "skb_link");
	fleet = tr_fleet_new(&c, &sink, &now);
	agent = tr_fleet_add(fleet, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true, NULL);
	assert_int_equal(tr_bpf_eye_new(DIR, "troth/cfg,troth/table", &eye, &err), TR_OK);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
	assert_found("");
	return 0;
}

static int tear_down(void **state)
{
	int *fds = (int *)&now_pinned;

	(void)state;
	eye = tr_bpf_eye_free(eye);
	fleet = tr_fleet_free(fleet);
	/* The kernel frees a link some time after its last pin; lo has one place for XDP. */
	(void)lab_link_detach(now_pinned.xdp_link);
	(void)lab_link_detach(now_pinned.skb_link);
	for (size_t i = 0; i < sizeof(now_pinned) / sizeof(int); i++)
		fds[i] = tr_close(fds[i]);
	/* The mount goes, and with it every pin, whatever the test has done below it. */
	while (umount2(ROOT, MNT_DETACH) == 0)
		;
	return mount("bpf", ROOT, "bpf", 0, NULL);
}

/* ---- what is seen ---- */

static void everything_pinned_is_described(void **state)
{
	/* key size, value size, entries; then key and value, sorted by key bytes. */
	static const uint8_t table[] = { 4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x44, 0x33, 0x22, 0x11,
					 5, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 9, 0, 0, 0, 0x44, 0x33, 0x22, 0x11 };
	uint8_t want[32];
	struct tr_bpf_item i;

	(void)state;
	i = item("xdp");
	assert_int_equal(i.kind, TR_BPF_PROG);
	assert_int_equal(i.type, BPF_PROG_TYPE_XDP);
	assert_true(tr_view_is(i.name, "xdp"));
	assert_int_equal(i.attach, TR_BPF_ATTACHED);
	assert_int_equal(i.tag.n, 8);
	assert_true(i.loaded_ns > 0 && i.id > 0);
	assert_int_equal(item("xdp_link").prog_id, i.id);
	assert_int_equal(item("xdp_link").attach, TR_BPF_ATTACHED);
	assert_int_equal(item("skb").attach, TR_BPF_ATTACHED);
	assert_true(item("cfg").frozen);
	assert_false(item("table").frozen);
	tr_sha256(TR_VIEW_ARRAY(table), want);
	assert_int_equal(item("table").content.n, 32);
	assert_memory_equal(item("table").content.p, want, 32);
}

/* The tag's hole, and what closes it: two loads of one program agree, another constant differs in the hash. */
static void the_hash_is_stable_across_loads(void **state)
{
	struct tr_bpf_item a, b, c;

	(void)state;
	if (item("xdp").norm_status != TR_BPF_NORM_OK) {
		print_message("          no normalised hash here (bpf_jit_harden, kptr_restrict): not compared\n");
		return;
	}
	pin(lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "xdp", 2, now_pinned.table), "again");
	pin(lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "xdp", 1, now_pinned.cfg), "other");
	assert_int_equal(look(), TR_BPF_OK);
	a = item("xdp");
	b = item("again");
	c = item("other");
	assert_memory_equal(a.tag.p, b.tag.p, 8);
	assert_memory_equal(a.norm.p, b.norm.p, 32);
	assert_memory_not_equal(a.norm.p, c.norm.p, 32);
	assert_int_not_equal(a.id, b.id);
	assert_int_equal(b.attach, TR_BPF_ATTACH_UNKNOWN);
}

static void a_look_changes_nothing(void **state)
{
	uint8_t first[32], second[32];
	const char *why;

	(void)state;
	assert_int_equal(tr_bpf_look(eye, &cbor, first, &why), TR_BPF_OK);
	assert_int_equal(tr_bpf_look(eye, &cbor, second, &why), TR_BPF_OK);
	assert_memory_equal(first, second, 32);
}

/* ---- each change, named at the next look ---- */

static void a_detached_xdp_link_is_named(void **state)
{
	(void)state;
	assert_int_equal(lab_link_detach(now_pinned.xdp_link), 0);
	assert_tampered("detached xdp,detached xdp_link");
}

static void a_detached_cgroup_link_is_named(void **state)
{
	(void)state;
	assert_int_equal(lab_link_detach(now_pinned.skb_link), 0);
	assert_tampered("detached skb,detached skb_link");
}

static void a_program_swapped_in_its_link_is_named(void **state)
{
	int evil = lab_prog(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, "skb", 1, now_pinned.table);

	(void)state;
	assert_int_equal(lab_link_update(now_pinned.skb_link, evil), 0);
	assert_tampered("detached skb,replaced skb_link");
	assert_int_equal(lab_link_update(now_pinned.skb_link, now_pinned.skb), 0);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
	(void)close(evil);
}

/* The same code and the same map: only the kernel's numbers tell. */
static void a_replaced_pin_is_named(void **state)
{
	(void)state;
	pin(lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "xdp", 2, now_pinned.cfg), "evil");
	assert_int_equal(rename(DIR "/evil", DIR "/xdp"), 0);
	assert_tampered("replaced xdp");
}

static void an_unpinned_program_is_named(void **state)
{
	(void)state;
	unpin("xdp");
	assert_tampered("missing xdp");
	pin(now_pinned.xdp, "xdp");
	assert_int_equal(beat(), TR_INTEGRITY_OK);
	assert_found("");
}

static void an_unpinned_link_is_named(void **state)
{
	(void)state;
	unpin("xdp_link");
	assert_tampered("detached xdp,missing xdp_link");
}

static void a_foreign_pin_is_named(void **state)
{
	(void)state;
	assert_int_equal(mkdir(DIR "/sub", 0700), 0);
	pin(lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "evil", 1, -1), "sub/evil");
	assert_tampered("foreign sub/evil");
}

static void an_altered_map_is_named(void **state)
{
	uint32_t key = 77, value = 1;

	(void)state;
	assert_int_equal(lab_map_set(now_pinned.table, &key, &value), 0);
	assert_tampered("map_altered table");
	assert_int_equal(lab_map_delete(now_pinned.table, &key), 0);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
	key = 5;
	assert_int_equal(lab_map_set(now_pinned.table, &key, &value), 0);
	assert_tampered("map_altered table");
}

static void a_map_frozen_or_replaced_by_a_thawed_one_is_named(void **state)
{
	uint32_t zero = 0, v = 0x11223344;
	int copy = lab_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, "cfg");

	(void)state;
	assert_int_equal(lab_map_set(now_pinned.cfg, &zero, &v), -1);
	assert_int_equal(lab_map_set(copy, &zero, &v), 0);
	pin(copy, "copy");
	assert_int_equal(rename(DIR "/copy", DIR "/cfg"), 0);
	assert_int_equal(lab_map_freeze(now_pinned.table), 0);
	assert_tampered("replaced cfg,map_altered table");
	(void)close(copy);
}

static void over(const char *target, const char *source, const char *type, unsigned long flags)
{
	if (mount(source, target, type, flags, NULL) != 0)
		fail_msg("mount over %s: %s", target, strerror(errno));
	assert_tampered("hidden");
	assert_int_equal(umount2(target, MNT_DETACH), 0);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
	assert_found("");
}

static void what_is_mounted_over_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(mkdir(ROOT "/decoy", 0700), 0);
	over(DIR, "tmpfs", "tmpfs", 0);
	over(ROOT, "tmpfs", "tmpfs", 0);
	over(ROOT, "bpf", "bpf", 0);
	over("/sys/fs", "tmpfs", "tmpfs", 0);
	/* Of the same bpffs: device and file system tell nothing. */
	over(DIR, ROOT "/decoy", NULL, MS_BIND);
	assert_int_equal(lab_pin(now_pinned.xdp, ROOT "/decoy/xdp"), 0);
	over(DIR "/xdp", ROOT "/decoy/xdp", NULL, MS_BIND);
	/* Moved away, and another in its place. */
	assert_int_equal(rename(DIR, ROOT "/away"), 0);
	assert_tampered("hidden");
	assert_int_equal(mkdir(DIR, 0700), 0);
	assert_tampered("hidden");
	assert_int_equal(rmdir(DIR), 0);
	assert_int_equal(rename(ROOT "/away", DIR), 0);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
}

static void a_folder_deleted_is_missing_not_hidden(void **state)
{
	static const char *const pins[] = { "cfg", "table", "xdp", "skb", "xdp_link", "skb_link" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(pins); i++)
		unpin(pins[i]);
	assert_int_equal(rmdir(DIR), 0);
	assert_tampered("missing cfg,missing skb,missing skb_link,missing table,missing xdp,missing xdp_link");
}

static void a_removed_cgroup_detaches(void **state)
{
	char path[160];
	int fd, link;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/child", cgroup);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	link = lab_link(now_pinned.skb, (uint32_t)fd, BPF_CGROUP_INET_EGRESS);
	pin(link, "child");
	(void)close(fd);
	assert_int_equal(look(), TR_BPF_OK);
	assert_int_equal(item("child").attach, TR_BPF_ATTACHED);
	assert_int_equal(rmdir(path), 0);
	/* The kernel takes it off a moment later. */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(look(), TR_BPF_OK);
		if (item("child").attach == TR_BPF_DETACHED)
			break;
		(void)usleep(10000);
	}
	assert_int_equal(item("child").attach, TR_BPF_DETACHED);
	(void)close(link);
}

/* Links that this kernel may not have: each says what it says, or is left out. */
static void other_links_are_understood(void **state)
{
	int tp = lab_prog(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, "tp", 0, -1);
	int cls = lab_prog(BPF_PROG_TYPE_SCHED_CLS, TCX_INGRESS, "cls", 0, -1);
	int tp_link = tp < 0 ? -1 : lab_raw_tracepoint(tp, "sched_process_exec");
	int tcx = cls < 0 ? -1 : link_in_own_net(cls, TCX_INGRESS);
	int lookup = lab_prog(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, "lookup", 1, -1);
	int netns = lookup < 0 ? -1 : lab_link(lookup, (uint32_t)new_net, BPF_SK_LOOKUP);

	(void)state;
	print_message("          raw_tp %s, tcx %s, netns %s\n", tp_link < 0 ? "left out" : "yes", tcx < 0 ? "left out" : "yes",
		      netns < 0 ? "left out" : "yes");
	if (tp_link >= 0) {
		pin(tp_link, "tp");
		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item("tp").attach, TR_BPF_ATTACHED);
	}
	if (tcx >= 0) {
		pin(tcx, "tcx");
		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item("tcx").attach, TR_BPF_ATTACHED);
		assert_int_equal(lab_link_detach(tcx), 0);
		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item("tcx").attach, TR_BPF_DETACHED);
	}
	if (netns >= 0) {
		pin(netns, "netns");
		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item("netns").attach, TR_BPF_ATTACHED);
		assert_int_equal(lab_link_detach(netns), 0);
		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item("netns").attach, TR_BPF_DETACHED);
	}
	(void)tr_close(tp), (void)tr_close(tp_link), (void)tr_close(cls), (void)tr_close(tcx);
	(void)tr_close(lookup), (void)tr_close(netns);
}

/* ---- excuses and bounds ---- */

static void watch(const char *dirs, const char *content)
{
	struct tr_err err;

	eye = tr_bpf_eye_free(eye);
	assert_int_equal(tr_bpf_eye_new(dirs, content, &eye, &err), TR_OK);
}

static void what_is_not_there_is_no_alarm(void **state)
{
	(void)state;
	watch(ROOT "/nobody-made-this", "");
	assert_int_equal(look(), TR_BPF_OK);
	assert_int_equal(list.items.n, 0);
	watch("/tmp/no-bpffs-here", "");
	assert_int_equal(look(), TR_BPF_NO_BPFFS);
	watch("/tmp", "");
	assert_int_equal(look(), TR_BPF_NO_BPFFS);
	watch("", "");
	assert_int_equal(look(), TR_BPF_OFF);
	/* Made after the start: seen. */
	watch(ROOT "/late", "");
	assert_int_equal(mkdir(ROOT "/late", 0700), 0);
	assert_int_equal(lab_pin(now_pinned.cfg, ROOT "/late/cfg"), 0);
	assert_int_equal(look(), TR_BPF_OK);
	assert_true(list.items.n > 0);
}

static void without_rights_it_says_so(void **state)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(syscall(SYS_capset, &head, none) != 0 ? 99 : (int)look());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), TR_BPF_NO_RIGHTS);
	/* All rights but ours. */
	child = fork();
	if (child == 0) {
		(void)syscall(SYS_capget, &head, none);
		none[1].effective &= ~CAP_TO_MASK(CAP_BPF);
		none[0].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
		_exit(syscall(SYS_capset, &head, none) != 0 ? 99 : (int)look());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), TR_BPF_NO_RIGHTS);
	assert_int_equal(beat(), TR_INTEGRITY_OK);
}

/* As a service that is not root: CAP_BPF alone, and the permissions of the pins (links only open for writing too). */
static enum tr_bpf_status look_as_nobody(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct bpf[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	int status;
	pid_t child = fork();

	if (child == 0) {
		bpf[1].permitted = bpf[1].effective = CAP_TO_MASK(CAP_BPF);
		if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setresgid(65534, 65534, 65534) != 0 ||
		    setresuid(65534, 65534, 65534) != 0 || syscall(SYS_capset, &head, bpf) != 0)
			_exit(99);
		_exit((int)look());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return (enum tr_bpf_status)WEXITSTATUS(status);
}

static void cap_bpf_and_file_permissions_are_enough(void **state)
{
	static const char *const pins[] = { "", "/cfg", "/table", "/xdp", "/skb", "/xdp_link", "/skb_link" };
	char path[256];

	(void)state;
	assert_int_equal(chmod(ROOT, 0755), 0);
	assert_int_equal(look_as_nobody(), TR_BPF_NO_RIGHTS);
	for (size_t i = 0; i < TR_ARRAY_LEN(pins); i++) {
		(void)snprintf(path, sizeof(path), DIR "%s", pins[i]);
		assert_int_equal(chown(path, 0, 65534), 0);
		assert_int_equal(chmod(path, i ? 0660 : 0750), 0);
	}
	assert_int_equal(look_as_nobody(), TR_BPF_OK);
	assert_int_equal(chmod(DIR "/xdp_link", 0640), 0);
	assert_int_equal(look_as_nobody(), TR_BPF_NO_RIGHTS);
}

static void there_are_bounds(void **state)
{
	char path[512] = DIR, name[64];
	int big = lab_map(BPF_MAP_TYPE_HASH, 4, 4, 70000, 0, "big"), wide = lab_map(BPF_MAP_TYPE_ARRAY, 4, 4096, 2000, 0, "wide");
	int queue = lab_map(BPF_MAP_TYPE_QUEUE, 0, 4, 4, 0, "queue");

	(void)state;
	pin(big, "big");
	pin(wide, "wide");
	pin(queue, "queue");
	assert_int_equal(look(), TR_BPF_OK);
	watch(DIR, "troth/big");
	assert_int_equal(look(), TR_BPF_OK);
	for (uint32_t i = 0; i < 65537; i++)
		assert_int_equal(lab_map_set(big, &i, &i), 0);
	assert_int_equal(look(), TR_BPF_TOO_MANY);
	watch(DIR, "troth/wide");
	assert_int_equal(look(), TR_BPF_TOO_MANY);
	watch(DIR, "troth/queue");
	assert_int_equal(look(), TR_BPF_FAILED);
	watch(DIR, "");
	assert_int_equal(look(), TR_BPF_OK);
	for (int i = 0; i < 130; i++) {
		(void)snprintf(name, sizeof(name), "more%d", i);
		pin(now_pinned.cfg, name);
	}
	assert_int_equal(look(), TR_BPF_TOO_MANY);
	for (int i = 0; i < 130; i++) {
		(void)snprintf(name, sizeof(name), "more%d", i);
		unpin(name);
	}
	/* A name that is no text, and a link that is no pin. */
	pin(now_pinned.cfg, "\xff\xfe");
	assert_int_equal(look(), TR_BPF_FAILED);
	unpin("\xff\xfe");
	assert_int_equal(symlink("xdp", DIR "/symlink"), 0);
	assert_int_equal(look(), TR_BPF_OK);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/deep");
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(look(), TR_BPF_TOO_MANY);
	(void)close(big), (void)close(wide), (void)close(queue);
}

static void tries_and_large_maps_are_digested(void **state)
{
	int lpm = lab_map(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4096, BPF_F_NO_PREALLOC, "lpm");
	int large = lab_map(BPF_MAP_TYPE_HASH, 4, 8, 65536, 0, "large");
	uint8_t before[32];

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t key[2] = { 32, i };
		uint64_t value = i;

		assert_int_equal(lab_map_set(lpm, key, &value), 0);
	}
	for (uint32_t i = 0; i < 65536; i++) {
		uint64_t value = i;

		assert_int_equal(lab_map_set(large, &i, &value), 0);
	}
	pin(lpm, "lpm");
	pin(large, "large");
	watch(DIR, "troth/lpm,troth/large");
	for (int round = 0; round < 2; round++) {
		const char *name = round ? "large" : "lpm";
		uint32_t key[2] = { round ? 4711 : 32, 99 };
		uint64_t value = 1;

		assert_int_equal(look(), TR_BPF_OK);
		assert_int_equal(item(name).content.n, 32);
		memcpy(before, item(name).content.p, 32);
		assert_int_equal(lab_map_set(round ? large : lpm, key, &value), 0);
		assert_int_equal(look(), TR_BPF_OK);
		assert_memory_not_equal(item(name).content.p, before, 32);
		value = round ? 4711 : 99;
		assert_int_equal(lab_map_set(round ? large : lpm, key, &value), 0);
		assert_int_equal(look(), TR_BPF_OK);
		assert_memory_equal(item(name).content.p, before, 32);
	}
	(void)close(lpm), (void)close(large);
}

static void malformed_settings_are_refused(void **state)
{
	static const struct {
		const char *dirs, *content;
	} cases[] = { { "relative", "" }, { "/a/../b", "" }, { "/a,", "" }, { ",/a", "" }, { "/a/", "" }, { "/a,/a", "" },
		      { "/a,/a/b", "" }, { "/a//b", "" }, { "/a", "/absolute" }, { "/a", "x," }, { "/a", "../x/.." },
		      { "/1,/2,/3,/4,/5,/6,/7,/8,/9,/10,/11,/12,/13,/14,/15,/16,/17", "" } };
	struct tr_bpf_eye *e = NULL;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		if (tr_bpf_eye_new(cases[i].dirs, cases[i].content, &e, &err) != TR_E_INVALID)
			fail_msg("\"%s\" \"%s\" was taken", cases[i].dirs, cases[i].content);
	}
}

/* ---- where it runs ---- */

static void clean(void)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/child", cgroup);
	(void)rmdir(path);
	if (tenant > 0) {
		(void)kill(tenant, SIGKILL);
		(void)waitpid(tenant, NULL, 0);
	}
	if (*cgroup)
		(void)rmdir(cgroup);
}

/* A manager of cgroups, where one runs, removes empty ones: somebody lives in ours. */
static void move_in(void)
{
	char path[160];
	tr_auto(tr_close) int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	tenant = fork();
	if (tenant == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!dprintf(fd, "%d", (int)tenant);
}

static int leave_out(const char *why)
{
	print_message("kernel_test: skipped: %s%s%s\n", why, errno ? ": " : "", errno ? strerror(errno) : "");
	return 77;
}

static int prepare(void)
{
	static const char *const v2[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;
	int prog;

	errno = 0;
	if (geteuid() != 0)
		return leave_out("needs root, to load BPF programs");
	prog = lab_prog(BPF_PROG_TYPE_XDP, BPF_XDP, "probe", 2, -1);
	if (prog < 0)
		return leave_out("this kernel or container loads no BPF program");
	(void)close(prog);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return leave_out("no mount namespace of its own");
	if (mount("bpf", ROOT, "bpf", 0, NULL) != 0)
		return leave_out("bpffs cannot be mounted on " ROOT);
	own_net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own_net < 0 || unshare(CLONE_NEWNET) != 0)
		return leave_out("no network namespace of its own");
	new_net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (new_net < 0 || setns(own_net, CLONE_NEWNET) != 0)
		return leave_out("cannot leave its network namespace");
	for (size_t i = 0; i < TR_ARRAY_LEN(v2); i++) {
		if (statfs(v2[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			(void)snprintf(cgroup, sizeof(cgroup), "%s/troth-test-%d", v2[i], (int)getpid());
	}
	if (!*cgroup || mkdir(cgroup, 0700) != 0) {
		*cgroup = 0;
		return leave_out("no cgroup v2 to make a leaf in");
	}
	cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	move_in();
	errno = 0;
	return cgroup_fd < 0 ? leave_out("cannot open its cgroup") : 0;
}

#define ON_KERNEL(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_settings_are_refused),
		ON_KERNEL(everything_pinned_is_described),
		ON_KERNEL(the_hash_is_stable_across_loads),
		ON_KERNEL(a_look_changes_nothing),
		ON_KERNEL(a_detached_xdp_link_is_named),
		ON_KERNEL(a_detached_cgroup_link_is_named),
		ON_KERNEL(a_program_swapped_in_its_link_is_named),
		ON_KERNEL(a_replaced_pin_is_named),
		ON_KERNEL(an_unpinned_program_is_named),
		ON_KERNEL(an_unpinned_link_is_named),
		ON_KERNEL(a_foreign_pin_is_named),
		ON_KERNEL(an_altered_map_is_named),
		ON_KERNEL(a_map_frozen_or_replaced_by_a_thawed_one_is_named),
		ON_KERNEL(what_is_mounted_over_is_noticed),
		ON_KERNEL(a_folder_deleted_is_missing_not_hidden),
		ON_KERNEL(a_removed_cgroup_detaches),
		ON_KERNEL(other_links_are_understood),
		ON_KERNEL(what_is_not_there_is_no_alarm),
		ON_KERNEL(without_rights_it_says_so),
		ON_KERNEL(cap_bpf_and_file_permissions_are_enough),
		ON_KERNEL(there_are_bounds),
		ON_KERNEL(tries_and_large_maps_are_digested),
	};
	int rc = prepare();

	(void)atexit(clean);
	return rc ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
