/* SPDX-License-Identifier: Apache-2.0 */
/* A registration with evidence as a stranger sends it: what is read keeps every rule that core relies on. */
#include "server/appraise_tee.h"
#include "server/msg_tee.h"

#include "codec/ident.h"
#include "crypto/key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                            \
	do {                                                                                                                  \
		if (!(cond))                                                                                                  \
			abort();                                                                                              \
	} while (0)

static void look(void *arg, const struct tr_msg_registration_read *m)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_msg_registration_read again;
	struct tr_tee_set set;
	uint8_t id[32];
	struct tr_err err;

	(void)arg;
	/* What cannot be sent would leave its asker without an answer. */
	tr_record_encode(&tr_msg_registration_read_def, m, &b);
	MUST(tr_buf_ok(&b) && !tr_record_decode(&tr_msg_registration_read_def, tr_buf_view(&b), &again, &err));
	if (m->code) {
		MUST(m->slug.n && m->why.n);
		return;
	}
	MUST(tr_ident_ok(m->agent_id) && tr_ident_ok(m->agent_type));
	MUST(tr_pubkey_from_spki(m->spki, &key, &err) == TR_OK);
	tr_sha256(m->spki, id);
	MUST(tr_view_eq(m->key_id, TR_VIEW_ARRAY(id)));
	MUST((m->quote.n > 0) != (m->set.n > 0));
	MUST(!m->set.n || (tr_tee_set_get(m->set, &set, &err) == TR_OK && set.kind != TR_TEE_NONE));
	MUST(m->challenge.n == 0 || m->challenge.n == 32);
	MUST(!m->is_signed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf q = TR_BUF_INIT;
	struct tr_msg_read_registration m = { .body = tr_view(data, size) };

	(void)tr_is_registration_with_evidence(m.body);
	tr_record_encode(&tr_msg_read_registration_def, &m, &q);
	if (tr_buf_ok(&q))
		tr_registration_read(tr_buf_view(&q), look, NULL);
	return 0;
}
