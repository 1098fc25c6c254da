/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/collateral.h"

TR_RC tr_collateral_sign(struct tr_view bundle, const struct tr_privkey *config, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;

	tr_buf_addv(&payload, bundle);
	return tr_cose1_seal(config, tr_privkey_alg(config), TR_COLLATERAL_DOMAIN, &payload, TR_COLLATERAL_MAX,
			     "the collateral bundle is too long; leave out what no machine of the fleet needs", ret, err);
}

TR_RC tr_collateral_verify(struct tr_view in, const struct tr_pubkey *config, struct tr_view *ret_bundle, struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_COLLATERAL_MAX, &c, err);

	if (!rc)
		rc = tr_cose1_verify(&c, config, TR_COLLATERAL_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "signed bundle");
	*ret_bundle = c.payload;
	return TR_OK;
}

TR_RC tr_collateral_kid(struct tr_view in, struct tr_view *ret, struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_COLLATERAL_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "signed bundle");
	*ret = c.sigs[0].kid;
	return TR_OK;
}
