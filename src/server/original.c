/* SPDX-License-Identifier: Apache-2.0 */
/* A command's answer with the member "original": the same order in the original's form v3, for programs that know no other
 * (compat.original_commands: sign). */
#include "server/original.h"

struct asking {
	struct tr_req *r;
	struct tr_buf json; /* the answer without its closing brace */
};

static void on_original(void *arg, const void *answer)
{
	struct asking *a = arg;
	const struct tr_msg_original_signed *m = answer;

	tr_buf_adds(&a->json, ",\"original\":");
	if (m && !m->code) {
		tr_buf_addv(&a->json, m->original);
	} else {
		tr_buf_adds(&a->json, "null,\"original_problem\":");
		tr_json_put_str(&a->json, m ? m->why : TR_VIEW_LIT("the role that signs is restarting; try again in a moment"));
	}
	tr_buf_adds(&a->json, "}");
	tr_req_answer_json(a->r, &a->json);
	a->r = tr_req_free(a->r);
	tr_buf_done(&a->json);
	free(a);
}

void tr_original_answer(struct tr_core *c, struct tr_req *r, const struct tr_command_row *row, struct tr_buf *json)
{
	struct asking *a = NULL;

	if (tr_config_signs_original(c->cfg) && row->command.n && !row->ended_at && tr_buf_ok(json) && json->n > 1) {
		a = calloc(1, sizeof(*a));
		if (!a) {
			tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
			return;
		}
	}
	if (!a) {
		tr_req_answer_json(r, json);
		return;
	}
	a->r = tr_req_keep(r);
	if (!a->r) {
		free(a);
		return;
	}
	a->json = *json;
	a->json.n--; /* the closing brace */
	*json = TR_BUF_INIT;
	tr_core_ask(c, c->keys, TR_M_SIGN_ORIGINAL, &tr_msg_sign_original_def,
		    &(struct tr_msg_sign_original){ .key_id = row->key_id, .command = row->command }, on_original, a);
}
