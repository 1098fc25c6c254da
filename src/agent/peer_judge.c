/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of peers, judged by this agent's own policy: what the hub concluded does not matter here. */
#include "agent/peers.h"

#include "appraise/tee.h"
#include "base/file.h"
#include "codec/text.h"
#include "signed/collateral.h"

#include <stdio.h>

struct tr_peer_judge {
	struct tr_tee_policy *policy;
	struct tr_buf bytes;
	struct tr_bundle bundle;
	bool has_bundle;
};

struct tr_peer_judge *tr_peer_judge_free(struct tr_peer_judge *j)
{
	if (j) {
		j->policy = tr_tee_policy_free(j->policy);
		tr_bundle_done(&j->bundle);
		tr_buf_done(&j->bytes);
		free(j);
	}
	return NULL;
}

static TR_RC read_file(struct tr_view name, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.*s", TR_VIEW_FMT(name));
	return tr_file_read(path, max, ret, err);
}

/* The operator of this host put the file there: the bundle itself, or with a signature around it that is not asked again. */
static TR_RC read_bundle(struct tr_peer_judge *j, struct tr_view file, struct tr_err *err)
{
	struct tr_view inside;
	struct tr_cose c;
	enum tr_code rc = read_file(file, TR_COLLATERAL_MAX, &j->bytes, err);

	if (rc)
		return rc;
	inside = tr_buf_view(&j->bytes);
	if (!tr_cose1_parse(inside, TR_COLLATERAL_MAX, &c, err))
		inside = c.payload;
	rc = tr_bundle_get(inside, &j->bundle, err);
	j->has_bundle = rc == TR_OK;
	return rc;
}

TR_RC tr_peer_judge_new(struct tr_view policy_file, struct tr_view collateral_file, struct tr_peer_judge **ret,
			struct tr_err *err)
{
	tr_auto(tr_peer_judge_free) struct tr_peer_judge *j = calloc(1, sizeof(*j));
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc;

	if (!j)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "policy for peers");
	rc = read_file(policy_file, TR_TEE_POLICY_MAX, &text, err);
	if (!rc)
		rc = tr_tee_policy_parse(tr_buf_view(&text), &j->policy, err);
	if (!rc && collateral_file.n)
		rc = read_bundle(j, collateral_file, err);
	if (rc)
		return tr_err_wrap(err, "policy for peers");
	*ret = TR_TAKE(j);
	return TR_OK;
}

static bool bytes_of(tr_jnode object, const char *key, struct tr_buf *out)
{
	struct tr_view text;
	struct tr_err err;

	return tr_json_str(tr_json_get(object, key), &text) && tr_b64_get(text, TR_B64_STD, out, &err) == TR_OK;
}

TR_RC tr_peer_judge_evidence(const struct tr_peer_judge *j, const struct tr_peer_info *p, struct tr_view json,
			     struct tr_view challenge, int64_t now_s, int64_t *ret_expires_s, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf set = { .max = TR_TEE_SET_MAX + 1024 }, given = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_tee_in in = { .bundle = j->has_bundle ? &j->bundle : NULL, .policy = j->policy, .now = now_s,
				.challenge = challenge, .spki = tr_pubkey_spki(p->key) };
	static struct tr_tee_verdict v; /* large, and one at a time */
	tr_jnode root;

	if (tr_json_parse(json, &doc, err))
		return tr_err_wrap(err, "evidence");
	root = tr_json_root(doc);
	if (!bytes_of(root, "evidence", &set) || tr_tee_set_get(tr_buf_view(&set), &in.set, err))
		return tr_err_set(err, TR_E_INVALID, "the answer holds no evidence set", "evidence");
	if (!challenge.n && bytes_of(root, "challenge", &given))
		in.challenge = tr_buf_view(&given);
	tr_tee_appraise(&in, &v);
	if (!v.ok)
		return tr_err_set(err, TR_E_DENIED, "the peer's evidence does not satisfy the policy of this agent", "%s",
				  tr_tee_code_info(v.ev.first)->slug);
	*ret_expires_s = v.expires;
	return TR_OK;
}
