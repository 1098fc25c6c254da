/* SPDX-License-Identifier: Apache-2.0 */
#include "server/orders.h"

void tr_orders_resign(struct tr_core *c, const uint8_t key_id[32])
{
	(void)c;
	(void)key_id;
}

void tr_orders_sign_waiting(struct tr_core *c)
{
	(void)c;
}
