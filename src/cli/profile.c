/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/profile.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/secret.h"
#include "codec/record.h"

#define PROFILE_MAX 131072

static const struct tr_field fields[] = {
	TR_FIELD(tr_profile, url, TR_F_TEXT, 512, TR_FIELD_REQUIRED),
	TR_FIELD(tr_profile, token, TR_F_TEXT, 128, TR_FIELD_REQUIRED),
	TR_FIELD(tr_profile, root, TR_F_HEX, 32, TR_FIELD_REQUIRED),
	TR_FIELD(tr_profile, ca, TR_F_TEXT, 65536, TR_FIELD_REQUIRED),
};
/* Lenient: an older program may read what a newer one wrote. */
static TR_RECORD_LENIENT(profile_def, tr_profile, fields);

static void wipe(struct tr_buf *b)
{
	if (b->p)
		tr_wipe(b->p, b->cap);
	tr_buf_done(b);
}

void tr_profile_done(struct tr_profile *p)
{
	wipe(&p->bytes);
	wipe(&p->arena);
	*p = (struct tr_profile){ 0 };
}

TR_RC tr_profile_path(const char *option, struct tr_buf *ret, struct tr_err *err)
{
	const char *named = option ? option : getenv("TROTH_PROFILE");
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (named && *named)
		tr_buf_adds(ret, named);
	else if (config && *config == '/')
		tr_buf_addf(ret, "%s/troth/profile.json", config);
	else if (home && *home == '/')
		tr_buf_addf(ret, "%s/.config/troth/profile.json", home);
	else
		return tr_err_set(err, TR_E_INVALID, "HOME is not set: name a file with --profile", "no home folder");
	return tr_buf_check(ret, err);
}

TR_RC tr_profile_load(const char *path, struct tr_profile *ret, struct tr_err *err)
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_buf bytes = TR_BUF_INIT;
	enum tr_code rc = tr_file_read_secret(path, PROFILE_MAX, &bytes, err);

	if (!rc)
		rc = tr_json_parse(tr_buf_view(&bytes), &doc, err);
	wipe(&bytes);
	if (!rc)
		rc = tr_record_from_json(&profile_def, tr_json_root(doc), &arena, &p, err);
	if (!rc && p.root.n != 32)
		rc = tr_err_set(err, TR_E_INVALID, "the saved login is damaged: log in again", "root of %zu bytes",
				p.root.n);
	/* Again through a record, so that the views outlive the document. */
	if (!rc) {
		struct tr_profile again = { 0 };

		tr_record_encode(&profile_def, &p, &bytes);
		rc = tr_record_decode(&profile_def, tr_buf_view(&bytes), &again, err);
		again.bytes = bytes;
		if (!rc)
			*ret = again;
		else
			tr_profile_done(&again);
	}
	return rc;
}

/* Every missing folder on the way, for us alone. */
static TR_RC make_parents(const char *path, struct tr_err *err)
{
	tr_auto(tr_free) char *copy = strdup(path);

	if (!copy)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "path");
	for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(copy, 0700) && errno != EEXIST)
			return tr_err_errno(err, "mkdir %s", copy);
		*slash = '/';
	}
	return TR_OK;
}

TR_RC tr_profile_save(const char *path, const struct tr_profile *p, struct tr_err *err)
{
	struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc = make_parents(path, err);

	tr_record_to_json(&profile_def, p, &text);
	tr_buf_adds(&text, "\n");
	if (!rc)
		rc = tr_buf_check(&text, err);
	if (!rc)
		rc = tr_file_write(path, tr_buf_view(&text), 0600, err);
	wipe(&text);
	return rc;
}
