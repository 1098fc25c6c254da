/* SPDX-License-Identifier: Apache-2.0 */
/* configfs-tsm (Linux 6.7): one folder per report, attributes in it. Whoever may write there can write into ours as well;
 * `generation` counts the writes, so that an answer to somebody else's question is told from one to ours. */
#include "tee/tee_inner.h"

#include "base/file.h"
#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define OUT_MAX 65536
#define AUX_MAX 65536
#define LOG_MAX 49152 /* a longer event log is not sent: the set must fit into a registration */
#define RACES 5

struct entry {
	const struct tr_tee_conf *c;
	char path[300];
	bool made;
	uint64_t writes; /* ours, since the generation was read */
	bool raced;      /* somebody else wrote meanwhile: asking again may help at once */
};

static void entry_done(struct entry *e)
{
	if (e->made)
		(void)e->c->ops->rmdir(e->c->ops->arg, e->path);
	e->made = false;
}
TR_DEFINE_AUTO_DONE(struct entry, entry_done)

static void attribute(const struct entry *e, const char *name, char path[360])
{
	(void)snprintf(path, 360, "%s/%s", e->path, name);
}

/* To the end, whatever stat says: the size of an attribute is not known before it is read. */
static int read_all(const struct tr_tee_ops *o, int fd, size_t max, struct tr_buf *ret)
{
	tr_buf_clear(ret);
	while (true) {
		uint8_t piece[4096];
		ssize_t n = o->read(o->arg, fd, piece, sizeof(piece));

		if (n < 0)
			return errno;
		if (!n)
			return 0;
		if (ret->n + (size_t)n > max)
			return EFBIG;
		tr_buf_add(ret, piece, (size_t)n);
		if (!tr_buf_ok(ret))
			return ENOMEM;
	}
}

static int read_once(const struct entry *e, const char *name, size_t max, struct tr_buf *ret)
{
	const struct tr_tee_ops *o = e->c->ops;
	char path[360];
	int fd, rc;

	attribute(e, name, path);
	fd = o->open(o->arg, path, O_RDONLY);
	if (fd < 0)
		return errno;
	rc = read_all(o, fd, max, ret);
	(void)o->close(o->arg, fd);
	return rc;
}

static bool passes_by(int error)
{
	return error == EBUSY || error == EINTR || error == ETIMEDOUT;
}

/* A read of outblob asks the hardware, or a daemon of the host: it may be busy for seconds. */
static int read_patiently(const struct entry *e, const char *name, size_t max, struct tr_buf *ret)
{
	unsigned wait = TR_TEE_FIRST_WAIT_MS;
	int rc = 0;

	for (unsigned i = 0; i < TR_TEE_TRIES; i++) {
		rc = read_once(e, name, max, ret);
		if (!passes_by(rc))
			return rc;
		e->c->ops->sleep_ms(e->c->ops->arg, wait);
		wait *= 2;
	}
	return rc;
}

static TR_RC refused(int error, const char *what, struct tr_err *err)
{
	const char *pub = "The kernel gave no TEE report.";
	enum tr_code rc = TR_E_UNAVAIL;

	if (error == EACCES || error == EPERM)
		pub = "The kernel gives TEE reports to root only: run the agent with CAP_DAC_OVERRIDE, or as root.";
	else if (error == ENOENT || error == ENXIO)
		pub = "No TEE provider: this is no confidential guest, or its kernel module (tdx_guest, sev-guest) is not loaded.";
	else if (passes_by(error) || error == EWOULDBLOCK)
		rc = TR_E_BUSY;
	return tr_err_set(err, rc, pub, "%s: %s", what, strerror(error));
}

/* One write(2) and the close that commits a binary attribute. Its result is not told there: a write that did not count shows
 * in the generation. */
static TR_RC write_all(struct entry *e, const char *name, struct tr_view bytes, struct tr_err *err)
{
	const struct tr_tee_ops *o = e->c->ops;
	char path[360];
	ssize_t n;
	int fd, error;

	attribute(e, name, path);
	fd = o->open(o->arg, path, O_WRONLY);
	if (fd < 0)
		return refused(errno, path, err);
	n = o->write(o->arg, fd, bytes.p, bytes.n);
	error = n < 0 ? errno : EIO;
	if (o->close(o->arg, fd) < 0 && n == (ssize_t)bytes.n)
		return refused(errno, path, err);
	if (n != (ssize_t)bytes.n)
		return refused(error, path, err);
	e->writes++;
	return TR_OK;
}

static TR_RC read_number(const struct entry *e, const char *name, uint64_t *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t n = 0;
	size_t i = 0;
	int rc = read_patiently(e, name, 32, &b);

	if (rc)
		return refused(rc, name, err);
	for (; i < b.n && i < 19 && b.p[i] >= '0' && b.p[i] <= '9'; i++)
		n = n * 10 + (b.p[i] - '0');
	if (!i || (i < b.n && b.p[i] != '\n'))
		return tr_err_set(err, TR_E_UNAVAIL, "The kernel gave no TEE report.", "%s is no number", name);
	*ret = n;
	return TR_OK;
}

/* A name of our own each time: nobody else has a reason to write there. */
static int try_entry(struct entry *e)
{
	const struct tr_tee_ops *o = e->c->ops;
	uint8_t id[6];

	tr_random(id, sizeof(id));
	(void)snprintf(e->path, sizeof(e->path), "%.200s/troth-%02x%02x%02x%02x%02x%02x", e->c->configfs, id[0], id[1], id[2],
		       id[3], id[4], id[5]);
	if (o->mkdir(o->arg, e->path, 0700))
		return errno;
	e->made = true;
	return 0;
}

static TR_RC make_entry(struct entry *e, struct tr_err *err)
{
	unsigned wait = TR_TEE_FIRST_WAIT_MS;
	int error = 0;

	for (unsigned i = 0; i < TR_TEE_TRIES; i++) {
		error = try_entry(e);
		if (!error)
			return TR_OK;
		if (error != EEXIST && !passes_by(error))
			break;
		e->c->ops->sleep_ms(e->c->ops->arg, wait);
		wait *= 2;
	}
	return refused(error, e->path, err);
}

static TR_RC provider(const struct entry *e, enum tr_tee_kind *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const char *platform = e->c->platform;
	int rc = read_patiently(e, "provider", 64, &b);
	enum tr_tee_kind kind;

	if (rc)
		return refused(rc, "provider", err);
	if (b.n && b.p[b.n - 1] == '\n')
		b.n--;
	if (tr_view_is(tr_buf_view(&b), "tdx_guest"))
		kind = TR_TEE_TDX;
	else if (tr_view_is(tr_buf_view(&b), "sev_guest"))
		kind = TR_TEE_SNP;
	else
		return tr_err_set(err, TR_E_UNAVAIL, "The kernel's TEE is of a kind that is not verified.",
				  "provider %.*s", TR_VIEW_FMT(tr_buf_view(&b)));
	/* Named is named: an administrator who asked for one kind does not get the other. */
	if (platform && strcmp(platform, "auto") != 0 && strcmp(platform, tr_tee_kind_name(kind)) != 0)
		return tr_err_set(err, TR_E_UNAVAIL, "This machine has another TEE than TEE_PLATFORM names.",
				  "asked for %s, the kernel has %s", platform, tr_tee_kind_name(kind));
	*ret = kind;
	return TR_OK;
}

/* SNP: a guest under an SVSM runs at level 2 or so, and may not ask for a report of a more privileged one. */
static TR_RC set_level(struct entry *e, struct tr_err *err)
{
	uint64_t floor;
	char text[16];
	int n;

	if (e->c->vmpl == TR_TEE_VMPL_ANY)
		return TR_OK;
	if (e->c->vmpl > 3)
		return tr_err_set(err, TR_E_INVALID, "A VMPL is 0 to 3.", "vmpl %u", e->c->vmpl);
	if (!read_number(e, "privlevel_floor", &floor, err) && e->c->vmpl < floor)
		return tr_err_set(err, TR_E_UNAVAIL, "This guest may not ask for a report of that VMPL.",
				  "vmpl %u, the floor is %llu", e->c->vmpl, (unsigned long long)floor);
	n = snprintf(text, sizeof(text), "%u", e->c->vmpl);
	return write_all(e, "privlevel", tr_view(text, (size_t)n), err);
}

/* One question and its answer. e->raced: somebody else wrote meanwhile. */
static TR_RC ask_once(struct entry *e, enum tr_tee_kind kind, const struct tr_tee_ask *ask, struct tr_buf *out,
		      struct tr_buf *aux, struct tr_err *err)
{
	uint64_t before, after;
	int rc;

	e->writes = 0;
	e->raced = false;
	if (read_number(e, "generation", &before, err))
		return err->code;
	if (kind == TR_TEE_SNP && set_level(e, err))
		return err->code;
	if (write_all(e, "inblob", TR_VIEW_ARRAY(ask->report_data), err))
		return err->code;
	rc = read_patiently(e, "outblob", OUT_MAX, out);
	e->raced = rc == EWOULDBLOCK;
	if (rc)
		return refused(rc, "outblob", err);
	if (kind == TR_TEE_SNP) {
		/* May be absent or empty: then the certificates come from elsewhere. */
		rc = read_patiently(e, "auxblob", AUX_MAX, aux);
		if (rc && rc != ENOENT)
			return refused(rc, "auxblob", err);
	}
	if (read_number(e, "generation", &after, err))
		return err->code;
	e->raced = after != before + e->writes;
	if (e->raced)
		return tr_err_set(err, TR_E_BUSY, "Somebody else writes into the kernel's TEE interface.",
				  "generation %llu after %llu and %llu writes of ours", (unsigned long long)after,
				  (unsigned long long)before, (unsigned long long)e->writes);
	return TR_OK;
}

static void read_event_log(const struct tr_tee_conf *c, struct tr_buf *ret)
{
	const struct tr_tee_ops *o = c->ops;
	int fd;

	if (!c->event_log)
		return;
	fd = o->open(o->arg, c->event_log, O_RDONLY);
	if (fd < 0)
		return;
	/* The area of the log is filled up with ones. */
	if (read_all(o, fd, TR_TEE_SET_MAX * 4, ret))
		tr_buf_clear(ret);
	while (ret->n && ret->p[ret->n - 1] == 0xff)
		ret->n--;
	if (ret->n > LOG_MAX)
		tr_buf_clear(ret);
	(void)o->close(o->arg, fd);
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT, aux = TR_BUF_INIT, log = TR_BUF_INIT;
	tr_auto(entry_done) struct entry e = { .c = c };
	struct tr_tee_set set = { 0 };
	enum tr_code rc = TR_E_BUSY;

	if (make_entry(&e, err) || provider(&e, &set.kind, err))
		return err->code;
	for (unsigned i = 0; i < RACES && rc && (!i || e.raced); i++)
		rc = ask_once(&e, set.kind, ask, &out, &aux, err);
	if (rc)
		return rc;
	set.quote = tr_buf_view(&out);
	if (tr_tee_answers(set.kind, set.quote, ask, err))
		return err->code;
	if (set.kind == TR_TEE_SNP)
		set.certs = tr_tee_table(tr_buf_view(&aux));
	else
		read_event_log(c, &log);
	set.event_log = tr_buf_view(&log);
	return tr_tee_emit(&set, ret_set, err);
}

/* The folder is there on any kernel that was built for it; only with a provider can anything be made in it. Not being
 * allowed to is no absence: it is told when a quote is asked for. */
static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	tr_auto(entry_done) struct entry e = { .c = c };
	int error;

	if (c->ops->access(c->ops->arg, c->configfs) != 0) {
		(void)snprintf(why_not, 160, "no %.100s (Linux 6.7, configfs mounted)", c->configfs);
		return false;
	}
	error = try_entry(&e);
	if (error != ENXIO && error != ENOENT)
		return true;
	(void)snprintf(why_not, 160, "no TEE behind %.100s", c->configfs);
	return false;
}

const struct tr_tee_source tr_tee_configfs = {
	.name = "configfs-tsm", .platforms = " auto tdx snp ", .present = present, .quote = quote,
};
