/* SPDX-License-Identifier: Apache-2.0 */
/* reattest and refresh-keyset: say, and learn, now what would be said and learned later. */
#include "agent/runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

static struct tr_cmd_end reattest(void *arg, const struct tr_job *job, const struct tr_order *o,
				  struct tr_buf *b)
{
	struct tr_runner *r = arg;
	struct tr_image im;
	struct tr_err err = { 0 };

	(void)job;
	(void)o;
	if (tr_image_read(getenv("AGENT_BINARY_PATH"), &im, &err)) {
		tr_log_err(TR_LOG_ERROR, "image_not_read", &err, NULL);
		return (struct tr_cmd_end){ TR_CS_FAILED, "image_not_read" };
	}
	r->evidence.image = im;
	/* The whole list, and at once: the pulse is what proves it. */
	r->pulser.bpf_list_told = false;
	r->pulse_now = true;
	r->attesting.asked = true;
	tr_buf_adds(b, "{\"image\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(im.hash));
	tr_buf_addf(b, "\",\"image_on_disk_differs\":%s,\"image_on_disk_missing\":%s,\"after_pulse\":%llu}",
		    im.disk_differs ? "true" : "false", im.disk_missing ? "true" : "false",
		    (unsigned long long)r->pulser.chain.seq);
	return (struct tr_cmd_end){ TR_CS_DONE, NULL };
}

static struct tr_cmd_end refresh(void *arg, const struct tr_job *job, const struct tr_order *o,
				 struct tr_buf *b)
{
	struct tr_runner *r = arg;
	uint64_t before = r->pulser.keyset_epoch;
	struct tr_err err = { 0 };

	(void)job;
	(void)o;
	if (tr_run_refresh(r, true, &err)) {
		tr_log_err(TR_LOG_WARN, "keyset_not_refreshed", &err, NULL);
		return (struct tr_cmd_end){ TR_CS_FAILED, err.code == TR_E_DENIED ? "keyset_refused"
										  : "keyset_unreachable" };
	}
	tr_run_set_scope(r);
	tr_buf_addf(b, "{\"keyset_epoch\":%llu,\"before\":%llu}", (unsigned long long)r->pulser.keyset_epoch,
		    (unsigned long long)before);
	return (struct tr_cmd_end){ TR_CS_DONE, NULL };
}

const struct tr_cmd_ops tr_cmd_reattest = { .cmd = TR_CMD_REATTEST, .run = reattest };
const struct tr_cmd_ops tr_cmd_refresh_keyset = { .cmd = TR_CMD_REFRESH_KEYSET, .run = refresh };
