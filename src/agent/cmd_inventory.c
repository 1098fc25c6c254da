/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inventory.h"
#include "agent/runner.h"

static struct tr_cmd_end run(void *arg, const struct tr_job *job, const struct tr_order *o,
			     struct tr_buf *result)
{
	(void)arg;
	(void)job;
	(void)o;
	tr_inventory_put(result, TR_RECEIPT_RESULT_MAX);
	return (struct tr_cmd_end){ TR_CS_DONE, NULL };
}

const struct tr_cmd_ops tr_cmd_inventory = { .cmd = TR_CMD_INVENTORY, .run = run };
