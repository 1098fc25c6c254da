/* SPDX-License-Identifier: Apache-2.0 */
#include "appraise/policy.h"

#include "appraise/check.h"

static const char *const modes[] = { "off", "audit", "enforce" };

bool tr_mode_from_name(struct tr_view v, enum tr_mode *ret)
{
	for (unsigned i = 0; i < TR_ARRAY_LEN(modes); i++) {
		if (tr_view_is(v, modes[i])) {
			*ret = (enum tr_mode)i;
			return true;
		}
	}
	return false;
}

const char *tr_mode_name(enum tr_mode m)
{
	return (unsigned)m < TR_ARRAY_LEN(modes) ? modes[m] : "unknown";
}

/* NULL after having filled ret: not JSON, or too long. */
static struct tr_json *parse_body(const struct tr_policy *p, struct tr_view body, int64_t now_ms, bool native,
				  struct tr_appraisal *ret)
{
	struct tr_json *j = NULL;
	struct tr_err err = { 0 };
	struct tr_run run;

	if (body.n > TR_REGISTRATION_MAX)
		(void)tr_err_set(&err, TR_E_INVALID, "too long", "%zu bytes", body.n);
	else if (tr_json_parse(body, &j, &err) == TR_OK && tr_json_is_object(tr_json_root(j)))
		return j;
	tr_run_begin(&run, p, ret, now_ms, native);
	(void)tr_check_line(&run, "body", err.code == TR_E_INTERNAL ? TR_R_LIMIT : TR_R_MALFORMED,
			    "a JSON object", err.pub ? err.pub : "JSON, but not an object");
	tr_run_end(&run);
	(void)tr_json_free(j);
	return NULL;
}

void tr_appraise_native(const struct tr_policy *p, struct tr_view body, struct tr_view exporter,
			int64_t now_ms, struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, true, ret);

	*ret_key = NULL;
	if (j)
		tr_run_native(p, tr_json_root(j), exporter, now_ms, ret, ret_key);
}

void tr_appraise_original(const struct tr_policy *p, struct tr_view body, int64_t now_ms,
			  struct tr_appraisal *ret)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, false, ret);

	if (j)
		tr_run_original(p, tr_json_root(j), now_ms, ret);
}

void tr_appraise_body(const struct tr_policy *p, struct tr_view body, struct tr_view exporter, int64_t now_ms,
		      struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, false, ret);
	struct tr_run run;
	tr_jnode root;
	bool native, original;

	*ret_key = NULL;
	if (!j)
		return;
	root = tr_json_root(j);
	native = tr_json_get(root, "csr") || tr_json_get(root, "claim");
	original = tr_json_get(root, "attestation") ||
		   (p->mode == TR_MODE_OFF && !native && tr_json_get(root, "node_id"));
	if (native && !original) {
		tr_run_native(p, root, exporter, now_ms, ret, ret_key);
	} else if (original && !native) {
		tr_run_original(p, root, now_ms, ret);
	} else {
		tr_run_begin(&run, p, ret, now_ms, false);
		(void)tr_check_line(&run, "body", TR_R_MALFORMED,
				    "either \"csr\" and \"claim\" (native), or \"node_id\" and "
				    "\"attestation\" (original)",
				    native ? "members of both forms" : "neither form");
		tr_run_end(&run);
	}
}
