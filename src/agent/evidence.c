/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/evidence.h"

#include "base/file.h"
#include "signed/release.h"

#include <stdio.h>

void tr_evidence_done(struct tr_evidence *e)
{
	tr_buf_done(&e->statement);
}

static TR_RC read_statement(const char *path, struct tr_evidence *e, struct tr_err *err)
{
	char beside[PATH_MAX + 8];
	enum tr_code rc;

	(void)snprintf(beside, sizeof(beside), "%s.release", e->image.path);
	rc = tr_file_read(path ? path : beside, TR_RELEASE_MAX, &e->statement, err);
	if (rc == TR_E_NOTFOUND && !path)
		return TR_OK;
	return rc ? tr_err_wrap(err, "release statement") : TR_OK;
}

static TR_RC take_version(struct tr_view v, struct tr_evidence *e, struct tr_err *err)
{
	if (!tr_version_ok(v))
		return tr_err_set(err, TR_E_INVALID,
				  "the version must look like 1.2.3 (at most 64 characters)", "\"%.*s\"",
				  (int)(v.n < 80 ? v.n : 80), (const char *)v.p);
	memcpy(e->version, v.p, v.n);
	e->version[v.n] = 0;
	return TR_OK;
}

TR_RC tr_evidence_read(const char *statement, const char *version, const struct tr_agent_conf *conf,
		       struct tr_evidence *ret, struct tr_err *err)
{
	const char *env = getenv("AGENT_VERSION");
	struct tr_release r = { 0 };
	enum tr_code rc;

	memset(ret, 0, sizeof(*ret));
	rc = tr_image_read(getenv("AGENT_BINARY_PATH"), &ret->image, err);
	if (!rc)
		rc = read_statement(statement, ret, err);
	if (rc)
		return rc;
	if (ret->statement.n) {
		rc = tr_release_unverified(tr_buf_view(&ret->statement), &r, err);
		if (rc && statement)
			return tr_err_wrap(err, "%s", statement);
		/* A damaged file that merely lies beside the binary is sent as it is: the server names the
		 * fault. */
		ret->statement_is_of_other_image = rc || memcmp(r.sha256, ret->image.hash, 32) != 0;
	}
	if (version)
		return take_version(tr_view_str(version), ret, err);
	if (env && *env)
		return take_version(tr_view_str(env), ret, err);
	if (conf && conf->version.n && conf->image.n == 32 && memcmp(conf->image.p, ret->image.hash, 32) == 0)
		return take_version(conf->version, ret, err);
	if (ret->statement.n && !ret->statement_is_of_other_image)
		return take_version(r.version, ret, err);
	return take_version(tr_view_str(TROTH_VERSION), ret, err);
}
