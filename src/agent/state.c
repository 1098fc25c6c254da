/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/secret.h"
#include "codec/ident.h"
#include "codec/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CONF_MAX 16384
#define SERVERS_MAX ((TR_URL_MAX + 1) * TR_SERVERS_MAX)

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)

static const struct tr_field conf_fields[] = {
	F(tr_agent_conf, agent_id, IDENT, TR_IDENT_MAX, TR_FIELD_REQUIRED),
	F(tr_agent_conf, key_type, TEXT, 16, 0),
	F(tr_agent_conf, key_id, HEX, 32, TR_FIELD_REQUIRED),
	F(tr_agent_conf, created_at, TIME_MS, 0, 0),
	F(tr_agent_conf, servers, TEXT, SERVERS_MAX, 0),
	F(tr_agent_conf, root, HEX, 32, 0),
	F(tr_agent_conf, trust_domain, TEXT, 255, 0),
	F(tr_agent_conf, partition, IDENT, TR_IDENT_MAX, 0),
	F(tr_agent_conf, agent_type, IDENT, TR_IDENT_MAX, 0),
	F(tr_agent_conf, spiffe_id, TEXT, 256, 0),
	F(tr_agent_conf, version, TEXT, TR_VERSION_MAX, 0),
	F(tr_agent_conf, image, HEX, 32, 0),
	F(tr_agent_conf, heartbeat_interval_s, U64, 0, 0),
	F(tr_agent_conf, enrolled_at, TIME_MS, 0, 0),
	F(tr_agent_conf, bpf_dirs, TEXT, 4096, 0),
	F(tr_agent_conf, bpf_content, TEXT, 4096, 0),
	F(tr_agent_conf, rotate_key_days, U64, 0, 0),
	F(tr_agent_conf, key_since, TIME_MS, 0, 0),
	F(tr_agent_conf, interval_s, U64, 0, 0),
	F(tr_agent_conf, stale_key_hours, U64, 0, 0),
};
/* Lenient: an older agent must start on a newer one's folder, after a rollback. */
TR_RECORD_LENIENT(tr_agent_conf_def, tr_agent_conf, conf_fields);

static const struct tr_field status_fields[] = {
	F(tr_agent_status, state, IDENT, 16, 0),       F(tr_agent_status, pid, U64, 0, 0),
	F(tr_agent_status, started_at, TIME_MS, 0, 0), F(tr_agent_status, last_try_at, TIME_MS, 0, 0),
	F(tr_agent_status, last_ok_at, TIME_MS, 0, 0), F(tr_agent_status, server, TEXT, TR_URL_MAX, 0),
	F(tr_agent_status, beats, U64, 0, 0),	       F(tr_agent_status, failures, U64, 0, 0),
	F(tr_agent_status, interval_s, U64, 0, 0),     F(tr_agent_status, clock_skew_ms, I64, 0, 0),
	F(tr_agent_status, last_error, TEXT, 512, 0),  F(tr_agent_status, seq, U64, 0, 0),
	F(tr_agent_status, resyncs, U64, 0, 0),	       F(tr_agent_status, rtt_us, U64, 0, 0),
	F(tr_agent_status, prev, TEXT, 16, 0),	       F(tr_agent_status, last_code, TEXT, 64, 0),
	F(tr_agent_status, clock_sync, TEXT, 16, 0),   F(tr_agent_status, tls_time, TEXT, 16, 0),
	F(tr_agent_status, bpf, TEXT, 32, 0),	       F(tr_agent_status, bpf_why, TEXT, 256, 0),
	F(tr_agent_status, lsm, TEXT, 32, 0),	       F(tr_agent_status, lsm_why, TEXT, 64, 0),
	F(tr_agent_status, notice, TEXT, 16, 0),       F(tr_agent_status, key_rotating, BOOL, 0, 0),
	F(tr_agent_status, pending, U64, 0, 0),
};
TR_RECORD_LENIENT(tr_agent_status_def, tr_agent_status, status_fields);

void tr_state_done(struct tr_state *s)
{
	s->key = tr_privkey_free(s->key);
	s->doc = tr_json_free(s->doc);
	tr_buf_done(&s->arena);
	s->dir_fd = tr_close(s->dir_fd);
	s->conf = (struct tr_agent_conf){ 0 };
}

void tr_state_path(const struct tr_state *s, const char *name, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s", s->dir, name);
}

TR_RC tr_state_read(const struct tr_state *s, const char *name, size_t max, struct tr_buf *ret,
		    struct tr_err *err)
{
	char path[PATH_MAX];

	tr_state_path(s, name, path);
	return tr_file_read(path, max, ret, err);
}

TR_RC tr_state_write(const struct tr_state *s, const char *name, struct tr_view bytes, struct tr_err *err)
{
	char path[PATH_MAX];

	tr_state_path(s, name, path);
	return tr_file_write(path, bytes, 0600, err);
}

/* A folder that the service's user owns: work as that user, or its own key becomes unreadable to it. */
static TR_RC become_owner(const struct stat *st, const char *dir, struct tr_err *err)
{
	if (geteuid() != 0 || st->st_uid == 0)
		return TR_OK;
	if (setgroups(0, NULL) || setresgid(st->st_gid, st->st_gid, st->st_gid) ||
	    setresuid(st->st_uid, st->st_uid, st->st_uid))
		return tr_err_errno(err, "become the owner of %s", dir);
	return TR_OK;
}

TR_RC tr_state_open(const char *dir, struct tr_state *ret, struct tr_err *err)
{
	struct tr_state s = TR_STATE_INIT;
	struct stat st;
	enum tr_code rc;
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 0 || n >= sizeof(s.dir))
		return tr_err_set(err, TR_E_INVALID, "the path of the state folder is empty or too long",
				  "%s", dir);
	memcpy(s.dir, dir, n);
	if (lstat(s.dir, &st))
		return errno == ENOENT ? tr_err_set(err, TR_E_NOTFOUND,
						    "there is no state folder; run `troth-agent init` first",
						    "%s", s.dir)
				       : tr_err_errno(err, "stat %s", s.dir);
	if (!S_ISDIR(st.st_mode))
		return tr_err_set(err, TR_E_CONFLICT, "the state folder is not a folder", "%s", s.dir);
	rc = become_owner(&st, s.dir, err);
	if (rc)
		return rc;
	if (st.st_uid != geteuid())
		return tr_err_set(err, TR_E_DENIED, "the state folder belongs to another user",
				  "%s is of uid %u, we are %u", s.dir, (unsigned)st.st_uid,
				  (unsigned)geteuid());
	if (st.st_mode & 077)
		return tr_err_set(err, TR_E_DENIED, "the state folder is open to others; chmod 0700 it",
				  "%s has mode %04o", s.dir, (unsigned)(st.st_mode & 07777));
	s.dir_fd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s.dir_fd < 0)
		return tr_err_errno(err, "open %s", s.dir);
	*ret = s;
	return TR_OK;
}

TR_RC tr_state_lock(struct tr_state *s, struct tr_err *err)
{
	/* `status` holds a shared lock for a moment to look: do not mistake it for an agent. */
	for (int i = 0; i < 20; i++) {
		if (flock(s->dir_fd, LOCK_EX | LOCK_NB) == 0)
			return TR_OK;
		if (errno != EWOULDBLOCK)
			return tr_err_errno(err, "lock %s", s->dir);
		(void)usleep(25000);
	}
	return tr_err_set(err, TR_E_BUSY, "another troth-agent is using this state folder; stop it first",
			  "%s", s->dir);
}

bool tr_state_in_use(const struct tr_state *s)
{
	if (flock(s->dir_fd, LOCK_SH | LOCK_NB))
		return errno == EWOULDBLOCK;
	(void)flock(s->dir_fd, LOCK_UN);
	return false;
}

void tr_state_default_id(const char *host, const uint8_t key_id[32], char ret[65])
{
	char name[56] = { 0 }; /* leaves room for '-' and 8 digits in 64 */
	size_t n = 0;

	for (const char *p = host; *p && *p != '.' && n < sizeof(name) - 1; p++) {
		bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		/* The first character must be a letter or digit. */
		if (fine || (n > 0 && (*p == '-' || *p == '_')))
			name[n++] = *p;
	}
	(void)snprintf(ret, 65, "%s-%02x%02x%02x%02x", n ? name : "agent", key_id[0], key_id[1], key_id[2],
		       key_id[3]);
}

static const struct {
	const char *name;
	enum tr_key_type type;
} key_types[] = { { "ed25519", TR_KEY_ED25519 }, { "p256", TR_KEY_P256 }, { "rsa", TR_KEY_RSA } };

const char *tr_state_key_type_name(enum tr_key_type type)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(key_types); i++)
		if (key_types[i].type == type)
			return key_types[i].name;
	return "unknown";
}

static TR_RC key_type_of(const char *name, enum tr_key_type *ret, struct tr_err *err)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(key_types); i++) {
		if (strcmp(name, key_types[i].name) == 0) {
			*ret = key_types[i].type;
			return TR_OK;
		}
	}
	return tr_err_set(err, TR_E_INVALID, "the key type must be ed25519, p256 or rsa", "%s", name);
}

/* Written whole under another name, then linked: a crash leaves either no key or the key, and link(2) never
 * replaces. */
static TR_RC make_key(const struct tr_state *s, enum tr_key_type type, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	struct tr_buf pem = TR_BUF_INIT;
	char path[PATH_MAX], tmp[PATH_MAX];
	enum tr_code rc;

	tr_state_path(s, "device.key", path);
	tr_state_path(s, "device.key.new", tmp);
	rc = tr_privkey_generate(type, &k, err);
	if (!rc)
		rc = tr_privkey_pem(k, &pem, err);
	if (!rc) {
		(void)unlink(tmp);
		rc = tr_file_create(tmp, tr_buf_view(&pem), 0600, err);
	}
	tr_wipe(pem.p, pem.cap);
	tr_buf_done(&pem);
	if (rc)
		return rc;
	if (link(tmp, path))
		rc = errno == EEXIST
			     ? tr_err_set(err, TR_E_CONFLICT, "a device key exists already", "%s", path)
			     : tr_err_errno(err, "link %s", path);
	(void)unlink(tmp);
	if (!rc && fsync(s->dir_fd))
		rc = tr_err_errno(err, "sync %s", s->dir);
	return rc;
}

static TR_RC load_key(struct tr_state *s, struct tr_err *err)
{
	char path[PATH_MAX];
	struct stat st;
	enum tr_code rc;

	tr_state_path(s, "device.key", path);
	if (lstat(path, &st))
		return errno == ENOENT ? tr_err_set(err, TR_E_NOTFOUND,
						    "there is no device key; run `troth-agent init` first",
						    "%s", path)
				       : tr_err_errno(err, "stat %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return tr_err_set(err, TR_E_DENIED, "the device key is not a file of this user",
				  "%s is of uid %u", path, (unsigned)st.st_uid);
	s->key = tr_privkey_free(s->key);
	rc = tr_privkey_load(path, &s->key, err);
	return rc ? tr_err_wrap(err, "device key") : TR_OK;
}

/* device.pub was written when the key was made: a key that was swapped or restored from elsewhere shows here,
 * and not as a puzzling refusal by the server. */
static TR_RC check_pub(struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc = tr_state_read(s, "device.pub", 8192, &pem, err);

	if (!rc)
		rc = tr_pubkey_from_pem(tr_buf_view(&pem), &pub, err);
	if (rc)
		return tr_err_wrap(err, "device.pub");
	if (!tr_view_eq(tr_pubkey_spki(pub), tr_pubkey_spki(tr_privkey_pub(s->key))))
		return tr_err_set(
			err, TR_E_CONFLICT,
			"device.key and device.pub are not one pair: the key was exchanged; restore it, or "
			"start over in a new folder",
			"%s", s->dir);
	return TR_OK;
}

TR_RC tr_state_load_conf(struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, arena = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_agent_conf conf;
	enum tr_code rc = tr_state_read(s, "agent.json", CONF_MAX, &text, err);

	if (rc == TR_E_NOTFOUND)
		return tr_err_set(err, rc, "the state folder is not complete; run `troth-agent init`",
				  "%s/agent.json is missing", s->dir);
	if (!rc)
		rc = tr_json_parse(tr_buf_view(&text), &doc, err);
	if (!rc)
		rc = tr_record_from_json(&tr_agent_conf_def, tr_json_root(doc), &arena, &conf, err);
	if (!rc && (conf.key_id.n != 32 || (conf.root.n && conf.root.n != 32) ||
		    (conf.image.n && conf.image.n != 32)))
		rc = tr_err_set(err, TR_E_INVALID, "agent.json is damaged", "a hash has the wrong length");
	/* Without a bound, one digit too many makes revoked keys good for years. */
	if (!rc && conf.stale_key_hours > TR_STALE_KEY_HOURS_MAX)
		rc = tr_err_set(err, TR_E_INVALID, "stale_key_hours in agent.json must be 1 to 720", "%llu hours",
				(unsigned long long)conf.stale_key_hours);
	if (rc)
		return tr_err_wrap(err, "%s/agent.json", s->dir);
	(void)tr_json_free(s->doc);
	tr_buf_done(&s->arena);
	s->doc = TR_TAKE(doc);
	s->arena = arena;
	arena = TR_BUF_INIT;
	s->conf = conf;
	return TR_OK;
}

TR_RC tr_state_load(struct tr_state *s, struct tr_err *err)
{
	enum tr_code rc = load_key(s, err);

	if (!rc)
		rc = check_pub(s, err);
	if (!rc)
		rc = tr_state_load_conf(s, err);
	if (rc)
		return rc;
	if (memcmp(s->conf.key_id.p, tr_pubkey_id(tr_privkey_pub(s->key)), 32) != 0)
		return tr_err_set(err, TR_E_CONFLICT, "agent.json belongs to another device key", "%s",
				  s->dir);
	return TR_OK;
}

TR_RC tr_state_save(struct tr_state *s, const struct tr_agent_conf *c, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc;

	tr_record_to_json(&tr_agent_conf_def, c, &text);
	tr_buf_add8(&text, '\n');
	rc = tr_buf_check(&text, err);
	if (!rc)
		rc = tr_state_write(s, "agent.json", tr_buf_view(&text), err);
	return rc ? rc : tr_state_load_conf(s, err);
}

static bool has(const struct tr_state *s, const char *name)
{
	char path[PATH_MAX];

	tr_state_path(s, name, path);
	return tr_file_exists(path);
}

static TR_RC make_pub(const struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	char path[PATH_MAX];
	enum tr_code rc;

	tr_pubkey_pem(tr_privkey_pub(s->key), &pem);
	rc = tr_buf_check(&pem, err);
	tr_state_path(s, "device.pub", path);
	return rc ? rc : tr_file_create(path, tr_buf_view(&pem), 0644, err);
}

static TR_RC make_conf(struct tr_state *s, const char *id, struct tr_err *err)
{
	const struct tr_pubkey *pub = tr_privkey_pub(s->key);
	char host[HOST_NAME_MAX + 1] = { 0 }, own[65];
	struct tr_agent_conf c = {
		.key_type = tr_view_str(tr_state_key_type_name(tr_pubkey_type(pub))),
		.key_id = tr_view(tr_pubkey_id(pub), 32),
		.created_at = tr_now_ms(),
	};

	if (!id) {
		(void)gethostname(host, sizeof(host) - 1);
		tr_state_default_id(host, tr_pubkey_id(pub), own);
		id = own;
	}
	c.agent_id = tr_view_str(id);
	return tr_state_save(s, &c, err);
}

/* What exists stays; then it must be what was asked for. */
static TR_RC check_asked(const struct tr_state *s, const char *id, const char *key_type, struct tr_err *err)
{
	const char *have = tr_state_key_type_name(tr_pubkey_type(tr_privkey_pub(s->key)));

	if (key_type && strcmp(key_type, have) != 0)
		return tr_err_set(
			err, TR_E_CONFLICT,
			"this folder has a device key of another type, and keys are never overwritten; use "
			"another --state",
			"%s key exists", have);
	if (id && !tr_view_is(s->conf.agent_id, id))
		return tr_err_set(
			err, TR_E_CONFLICT,
			"this folder belongs to another agent id; use another --state for a second agent",
			"it is %.*s", TR_VIEW_FMT(s->conf.agent_id));
	return TR_OK;
}

TR_RC tr_state_asked_ok(const char *id, const char *key_type, struct tr_err *err)
{
	enum tr_key_type type;

	if (id && !tr_ident_ok(tr_view_str(id)))
		return tr_err_set(
			err, TR_E_INVALID,
			"the agent id must be letters, digits, '.', '_', '-', at most 64, and start with a "
			"letter or digit",
			"%s", id);
	return key_type ? key_type_of(key_type, &type, err) : TR_OK;
}

TR_RC tr_state_make(struct tr_state *s, const char *id, const char *key_type, bool *ret_key_made,
		    struct tr_err *err)
{
	enum tr_key_type type = TR_KEY_ED25519;
	bool key_made = false;
	enum tr_code rc;

	rc = tr_state_asked_ok(id, key_type, err);
	if (!rc)
		rc = key_type_of(key_type ? key_type : "ed25519", &type, err);
	if (rc)
		return rc;
	/* A lost key must show: with agent.json there, a new key would be another agent under the old name.
	 */
	if (!has(s, "device.key") && (has(s, "agent.json") || has(s, "device.pub")))
		return tr_err_set(
			err, TR_E_CONFLICT,
			"the device key is gone but its agent is still here; restore device.key, or start "
			"over in a new folder",
			"%s", s->dir);
	if (!has(s, "device.key")) {
		rc = make_key(s, type, err);
		if (rc)
			return rc;
		key_made = true;
	}
	rc = load_key(s, err);
	/* An earlier init that was cut off between its files is completed. */
	if (!rc && !has(s, "device.pub") && !has(s, "agent.json"))
		rc = make_pub(s, err);
	if (!rc && !has(s, "agent.json"))
		rc = make_conf(s, id, err);
	if (!rc)
		rc = tr_state_load(s, err);
	if (!rc)
		rc = check_asked(s, id, key_type, err);
	if (!rc)
		*ret_key_made = key_made;
	return rc;
}

TR_RC tr_status_save(const struct tr_state *s, const struct tr_agent_status *st, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_close) int fd =
		openat(s->dir_fd, "status.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	enum tr_code rc;

	tr_record_to_json(&tr_agent_status_def, st, &text);
	tr_buf_add8(&text, '\n');
	rc = tr_buf_check(&text, err);
	if (rc)
		return rc;
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n ||
	    renameat(s->dir_fd, "status.json.new", s->dir_fd, "status.json"))
		return tr_err_errno(err, "write %s/status.json", s->dir);
	return TR_OK;
}

TR_RC tr_status_load(const struct tr_state *s, struct tr_json **ret_doc, struct tr_buf *arena,
		     struct tr_agent_status *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	enum tr_code rc = tr_state_read(s, "status.json", CONF_MAX, &text, err);

	if (rc)
		return rc;
	rc = tr_json_parse(tr_buf_view(&text), &doc, err);
	if (!rc)
		rc = tr_record_from_json(&tr_agent_status_def, tr_json_root(doc), arena, ret, err);
	if (rc)
		return tr_err_wrap(err, "%s/status.json", s->dir);
	*ret_doc = TR_TAKE(doc);
	return TR_OK;
}

/* Host name, IPv4, or [IPv6], then an optional port; no user, path, query or fragment. */
static bool url_ok(struct tr_view v)
{
	size_t i = 8, host = 8, colon = 0;
	bool v6;

	if (v.n > TR_URL_MAX || !tr_view_starts(v, "https://") || v.n == 8)
		return false;
	v6 = v.p[8] == '[';
	for (; i < v.n; i++) {
		uint8_t c = v.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (v6 && c == ']') {
			i++;
			break;
		}
		if (!v6 && c == ':')
			break;
		if (!word && !(v6 ? (c == ':' || c == '.' || c == '[' || c == '%')
				  : (c == '.' || c == '-' || c == '_')))
			return false;
	}
	if (i == host || (v6 && v.p[i - 1] != ']'))
		return false;
	if (i == v.n)
		return true;
	colon = i;
	if (v.p[colon] != ':' || v.n - colon - 1 < 1 || v.n - colon - 1 > 5)
		return false;
	for (i = colon + 1; i < v.n; i++)
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	return true;
}

TR_RC tr_servers_check(const char *list, struct tr_buf *ret, struct tr_err *err)
{
	const char *p = list;
	size_t count = 0;

	for (;;) {
		size_t n = strcspn(p, ","), skip = n;
		const char *url = p;

		while (n > 0 && *url == ' ')
			url++, n--;
		while (n > 0 && (url[n - 1] == ' ' || url[n - 1] == '/'))
			n--;
		if (!url_ok(tr_view(url, n)))
			return tr_err_set(err, TR_E_INVALID,
					  "a server is given as https://host or https://host:port, several "
					  "joined by commas",
					  "\"%.*s\"", (int)skip, p);
		if (++count > TR_SERVERS_MAX)
			return tr_err_set(err, TR_E_INVALID, "at most 8 servers can be given", "%zu", count);
		if (count > 1)
			tr_buf_add8(ret, ',');
		tr_buf_add(ret, url, n);
		if (!p[skip])
			return tr_buf_check(ret, err);
		p += skip + 1;
	}
}

bool tr_servers_next(struct tr_view *list, char ret_url[TR_URL_MAX + 1])
{
	struct tr_view rest = *list, url;

	if (!tr_list_next(&rest, &url) || url.n == 0 || url.n > TR_URL_MAX)
		return false;
	memcpy(ret_url, url.p, url.n);
	ret_url[url.n] = 0;
	*list = rest;
	return true;
}
