/* SPDX-License-Identifier: Apache-2.0 */
#include "server/backup.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "ipc/sandbox.h"
#include "server/config.h"
#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define DIGEST TR_COPY_OWN "digest"
#define SCHEMA TR_COPY_OWN "schema"
#define MADE TR_COPY_OWN "made_at"

/* ---- rows, compared ---- */

static void feed(void *arg, struct tr_view bytes)
{
	tr_sha256_add(arg, bytes);
}

static TR_RC sum_of(struct tr_store *s, struct tr_copy_count *count, uint8_t digest[32], struct tr_err *err)
{
	tr_auto(tr_sha256_free) struct tr_sha256 *h = tr_sha256_new();

	if (!h)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "digest");
	if (tr_copy_sum(s, feed, h, count, err))
		return err->code;
	tr_sha256_end(h, digest);
	return TR_OK;
}

/* From a transaction for reading into one for writing; what is there then is read again before anything is promised. */
static TR_RC copy_compared(struct tr_store *from, struct tr_store *to, struct tr_copy_count *count, uint8_t digest[32],
			   struct tr_err *err)
{
	tr_auto(tr_sha256_free) struct tr_sha256 *h = tr_sha256_new();
	struct tr_copy_count there = { .all = 0 };
	uint8_t again[32] = { 0 };

	if (!h)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "digest");
	if (tr_copy_rows(from, to, feed, h, count, err))
		return err->code;
	tr_sha256_end(h, digest);
	if (sum_of(to, &there, again, err))
		return err->code;
	if (there.all != count->all || memcmp(again, digest, 32) != 0)
		return tr_err_set(err, TR_E_INTERNAL, "the copy is not what was copied, so it was undone; check both databases",
				  "%llu rows read, %llu rows there", (unsigned long long)count->all,
				  (unsigned long long)there.all);
	return TR_OK;
}

static void print_sum(const struct tr_copy_count *count, const uint8_t digest[32])
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_hex_add(&hex, tr_view(digest, 32));
	(void)printf("  %llu rows, sha256 %s\n", (unsigned long long)count->all, tr_buf_cstr(&hex));
	(void)printf("  %llu agents, %llu commands, %llu audit entries, %llu events\n",
		     (unsigned long long)count->rows[TR_T_AGENT], (unsigned long long)count->rows[TR_T_COMMAND],
		     (unsigned long long)count->rows[TR_T_AUDIT], (unsigned long long)count->rows[TR_T_EVENT]);
}

/* ---- files ---- */

static const char *const sides[] = { "-wal", "-shm", ".lock" };

static void drop_sides(const char *path, bool all)
{
	char side[4200];

	for (size_t i = all ? 0 : 2; i < TR_ARRAY_LEN(sides); i++) {
		(void)snprintf(side, sizeof(side), "%s%s", path, sides[i]);
		(void)unlink(side);
	}
}

static void drop_file(const char *path)
{
	(void)unlink(path);
	drop_sides(path, true);
}

/* What root made belongs to the uid that will use it. */
static TR_RC give(const char *path, unsigned uid, unsigned gid, struct tr_err *err)
{
	char one[4200];

	if (chown(path, uid, gid))
		return tr_err_errno(err, "chown %s", path);
	for (size_t i = 0; i < TR_ARRAY_LEN(sides); i++) {
		(void)snprintf(one, sizeof(one), "%s%s", path, sides[i]);
		if (chown(one, uid, gid) && errno != ENOENT)
			return tr_err_errno(err, "chown %s", one);
	}
	return TR_OK;
}

static const char *file_of(const char *location)
{
	return tr_view_starts(tr_view_str(location), "sqlite:") ? location + strlen("sqlite:") : NULL;
}

static TR_RC give_new(const char *location, struct tr_err *err)
{
	unsigned uid, gid;
	const char *path = file_of(location);

	return path && tr_sandbox_target_ids(&uid, &gid) ? give(path, uid, gid, err) : TR_OK;
}

static TR_RC copy_bytes(const char *from, const char *to, struct tr_err *err)
{
	tr_auto(tr_close) int in = open(from, O_RDONLY | O_CLOEXEC);
	tr_auto(tr_close) int out = -1;
	struct stat st;
	ssize_t n;

	if (in < 0 || fstat(in, &st))
		return errno == ENOENT ? tr_err_set(err, TR_E_NOTFOUND, "there is no such backup; check its name", "%s", from)
				       : tr_err_errno(err, "open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return tr_err_errno(err, "create %s", to);
	while ((n = sendfile(out, in, NULL, 1 << 30)) > 0)
		continue;
	return n < 0 ? tr_err_errno(err, "copy %s", from) : TR_OK;
}

/* ---- backup ---- */

static TR_RC put_setting(struct tr_store *s, const char *name, struct tr_view value, int64_t now, struct tr_err *err)
{
	const struct tr_setting_row row = { .name = tr_view_str(name), .value = value, .updated_at = now,
					    .updated_by = TR_VIEW_LIT("backup") };

	return tr_store_apply(s, TR_OP_PUT, TR_T_SETTING, &row, err);
}

static TR_RC put_own(struct tr_store *s, const uint8_t digest[32], struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	int64_t now = tr_now_ms();
	char schema[16], made[24];

	tr_hex_add(&hex, tr_view(digest, 32));
	(void)snprintf(schema, sizeof(schema), "%u", tr_store_schema(s));
	(void)snprintf(made, sizeof(made), "%lld", (long long)now);
	if (put_setting(s, DIGEST, tr_buf_view(&hex), now, err) || put_setting(s, SCHEMA, tr_view_str(schema), now, err))
		return err->code;
	return put_setting(s, MADE, tr_view_str(made), now, err);
}

static TR_RC backup_into(struct tr_store *from, const char *partial, struct tr_copy_count *count, uint8_t digest[32],
			 struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *to = NULL;
	char location[4200];

	(void)snprintf(location, sizeof(location), "sqlite:%s", partial);
	if (tr_store_open(location, TR_STORE_CREATE, &to, err) || tr_store_begin_read(from, err) || tr_store_begin(to, err) ||
	    copy_compared(from, to, count, digest, err) || put_own(to, digest, err))
		return err->code;
	return tr_store_commit(to, err);
}

static TR_RC open_configured(const struct tr_config *cfg, enum tr_store_open_mode mode, struct tr_store **ret,
			     struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	enum tr_code rc = tr_config_store_location(cfg, &location, err);

	if (!rc)
		rc = tr_store_open(tr_buf_cstr(&location), mode, ret, err);
	tr_wipe(location.p, location.n);
	return rc;
}

TR_RC tr_backup(const char *config, const char *file, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	tr_auto(tr_store_free) struct tr_store *from = NULL;
	struct tr_copy_count count = { .all = 0 };
	uint8_t digest[32] = { 0 };
	char partial[4096];

	if ((size_t)snprintf(partial, sizeof(partial), "%s.partial", file) >= sizeof(partial))
		return tr_err_set(err, TR_E_INVALID, "this path is too long", "%zu bytes", strlen(file));
	if (tr_file_exists(file))
		return tr_err_set(err, TR_E_CONFLICT, "the file exists, and a backup never overwrites one: choose another name", "%s",
				  file);
	if (tr_config_load(config, &cfg, err) || open_configured(cfg, TR_STORE_RO, &from, err))
		return err->code;
	drop_file(partial); /* of an attempt that was cut off */
	if (backup_into(from, partial, &count, digest, err) ||
	    (rename(partial, file) && tr_err_errno(err, "rename %s", partial))) {
		drop_file(partial);
		return tr_err_wrap(err, "backup");
	}
	drop_sides(partial, true);
	(void)printf("The store is in %s, as it was a moment ago:\n", file);
	print_sum(&count, digest);
	(void)printf("It is not the whole installation. Keep with it, from %s:\n"
		     "  trothd.yaml keyset.cose root.pin   configuration and what agents trust; public\n"
		     "  keys/ tls/                         SECRET, and the sealed keys in this backup are worth nothing without them\n"
		     "and, where no server can reach it, the offline root key. Who has this file knows no secret of an agent.\n",
		     cfg->state);
	return TR_OK;
}

/* ---- restore ---- */

struct own {
	char digest[65], schema[16], made[24];
};

static bool read_own(void *arg, const void *row)
{
	struct own *o = arg;
	const struct tr_setting_row *s = row;

	if (tr_view_is(s->name, DIGEST))
		(void)snprintf(o->digest, sizeof(o->digest), "%.*s", TR_VIEW_FMT(s->value));
	if (tr_view_is(s->name, SCHEMA))
		(void)snprintf(o->schema, sizeof(o->schema), "%.*s", TR_VIEW_FMT(s->value));
	if (tr_view_is(s->name, MADE))
		(void)snprintf(o->made, sizeof(o->made), "%.*s", TR_VIEW_FMT(s->value));
	return true;
}

/* A backup says of itself what its rows sum up to; one that an older trothd made has other columns by now. */
static TR_RC check_own(const struct own *o, struct tr_store *to, const uint8_t digest[32], struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	char schema[16];

	(void)snprintf(schema, sizeof(schema), "%u", tr_store_schema(to));
	if (!o->digest[0])
		return tr_err_set(err, TR_E_INVALID,
				  "this is a store and not a backup: move it by trothd store copy, or use what trothd backup made",
				  "no " DIGEST);
	tr_hex_add(&hex, tr_view(digest, 32));
	if (strcmp(schema, o->schema) == 0 && strcmp(tr_buf_cstr(&hex), o->digest) != 0)
		return tr_err_set(err, TR_E_INVALID, "the backup is damaged: it is not what was written; use another one",
				  "sha256 %s, made as %s", tr_buf_cstr(&hex), o->digest);
	return TR_OK;
}

static TR_RC note_restore(struct tr_store *to, const struct own *o, const struct tr_fence *f, int64_t now, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct tr_audit_row row = { .time = now, .actor = TR_VIEW_LIT("system"), .action = TR_VIEW_LIT("store.restore"),
				    .object = TR_VIEW_LIT("store"), .outcome = TR_VIEW_LIT("ok"),
				    .reason = TR_VIEW_LIT("restored") };

	tr_buf_addf(&detail,
		    "{\"made_at_ms\":%s,\"sha256\":\"%s\",\"tokens_revoked\":%llu,\"commands_unsigned\":%llu,"
		    "\"epoch_floor\":%llu,\"outbox_line\":%llu}",
		    o->made, o->digest, (unsigned long long)f->tokens, (unsigned long long)f->commands,
		    (unsigned long long)f->epoch_floor, (unsigned long long)f->line);
	row.detail = tr_buf_view(&detail);
	return tr_buf_check(&detail, err) ? err->code : tr_store_apply(to, TR_OP_APPEND, TR_T_AUDIT, &row, err);
}

static TR_RC not_in_use(struct tr_store *s, struct tr_err *err)
{
	bool used = false;

	if (tr_store_in_use(s, &used, err))
		return err->code;
	return used ? tr_err_set(err, TR_E_BUSY, "a trothd has this database open; stop it first", "application trothd") : TR_OK;
}

/* Rows, the comparison and the fence are one transaction: there is no restored store without a fence. */
static TR_RC restore_rows(struct tr_store *from, struct tr_store *to, struct tr_copy_count *count, uint8_t digest[32],
			  struct tr_fence *fence, struct own *own, struct tr_err *err)
{
	int64_t now = tr_now_ms();

	if (not_in_use(to, err) || tr_store_begin_read(from, err) || tr_store_all(from, TR_T_SETTING, read_own, own, err) ||
	    tr_store_begin(to, err) || copy_compared(from, to, count, digest, err) || check_own(own, to, digest, err) ||
	    tr_copy_fence(to, now, fence, err) || note_restore(to, own, fence, now, err))
		return err->code;
	return tr_store_commit(to, err);
}

static void print_fence(const struct tr_fence *f)
{
	(void)printf("Fenced, because newer things than it knows may have been given out:\n"
		     "  sequence numbers go on %u higher; commands are numbered in a new line (%llu)\n"
		     "  %llu registration tokens are revoked: make new ones\n"
		     "  %llu commands under way are signed and numbered anew; an agent that did them already says so\n"
		     "  the next enrolment generation is %llu\n"
		     "Gone since the backup, and yours to look after: agents enrolled after it (enrol them again), keys and keysets\n"
		     "of after it (publish the newest keyset file again), and REVOCATIONS of after it: repeat those of agents,\n"
		     "operator tokens and keys before you let anybody in.\n",
		     (unsigned)TR_FENCE_SEQ, (unsigned long long)f->line, (unsigned long long)f->tokens,
		     (unsigned long long)f->commands, (unsigned long long)f->epoch_floor);
}

static TR_RC restore_into(const struct tr_config *cfg, const char *temp, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	tr_auto(tr_store_free) struct tr_store *from = NULL;
	tr_auto(tr_store_free) struct tr_store *to = NULL;
	struct tr_copy_count count = { .all = 0 };
	struct tr_fence fence = { .line = 0 };
	struct own own = { .digest = "" };
	uint8_t digest[32] = { 0 };
	char source[4200];

	(void)snprintf(source, sizeof(source), "sqlite:%s", temp);
	if (tr_store_open(source, TR_STORE_RW, &from, err))
		return tr_err_wrap(err, "the backup");
	if (open_configured(cfg, TR_STORE_CREATE, &to, err) || restore_rows(from, to, &count, digest, &fence, &own, err))
		return err->code;
	to = tr_store_free(to);
	if (!tr_config_store_remote(cfg)) {
		if (tr_config_store_location(cfg, &location, err) || give_new(tr_buf_cstr(&location), err))
			return err->code;
	}
	(void)printf("Restored and compared row by row:\n");
	print_sum(&count, digest);
	print_fence(&fence);
	return TR_OK;
}

TR_RC tr_restore(const char *config, const char *file, struct tr_err *err)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	char temp[4096];
	enum tr_code rc;

	if (tr_config_load(config, &cfg, err))
		return err->code;
	/* A copy: an older backup is migrated first, and the file itself stays as it is. */
	tr_config_path(cfg, "restore.partial", temp, sizeof(temp));
	drop_file(temp);
	rc = copy_bytes(file, temp, err);
	if (!rc)
		rc = restore_into(cfg, temp, err);
	drop_file(temp);
	return rc;
}

/* ---- from one kind of database to the other ---- */

static TR_RC open_at(const char *where, const char *password_file, enum tr_store_open_mode mode, struct tr_store **ret,
		     struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	enum tr_code rc = tr_store_location_check(where, err);

	if (!rc)
		rc = tr_store_location(where, password_file, &location, err);
	if (!rc)
		rc = tr_store_open(tr_buf_cstr(&location), mode, ret, err);
	tr_wipe(location.p, location.n);
	return rc;
}

static TR_RC keep_owner(const char *location, struct tr_err *err)
{
	const char *path = file_of(location);
	struct stat st;

	return path && geteuid() == 0 && stat(path, &st) == 0 ? give(path, st.st_uid, st.st_gid, err) : TR_OK;
}

TR_RC tr_move_store(const struct tr_move *m, struct tr_err *err)
{
	tr_auto(tr_store_free) struct tr_store *from = NULL;
	tr_auto(tr_store_free) struct tr_store *to = NULL;
	struct tr_copy_count count = { .all = 0 };
	uint8_t digest[32] = { 0 };

	/* For writing, though nothing is written: nobody else may, meanwhile. */
	if (open_at(m->from, m->from_password_file, TR_STORE_RW, &from, err) || not_in_use(from, err))
		return tr_err_wrap(err, "--from");
	if (open_at(m->to, m->to_password_file, TR_STORE_CREATE, &to, err) || not_in_use(to, err))
		return tr_err_wrap(err, "--to");
	if (tr_store_begin_read(from, err) || tr_store_begin(to, err) || copy_compared(from, to, &count, digest, err) ||
	    tr_store_commit(to, err))
		return err->code;
	from = tr_store_free(from);
	to = tr_store_free(to);
	if (keep_owner(m->from, err) || give_new(m->to, err))
		return err->code;
	(void)printf("Copied and compared row by row:\n");
	print_sum(&count, digest);
	(void)printf("Now set store: in trothd.yaml to the new place and start trothd. Never start it on the old one again: two servers\n"
		     "that go on from the same state give the same numbers twice. Keep it as a backup, or delete it.\n");
	return TR_OK;
}
