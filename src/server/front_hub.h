/* SPDX-License-Identifier: Apache-2.0 */
/* In role `front`: the headers of requests to the hub, bounded and hashed, on their way to core. */
#ifndef TR_SERVER_FRONT_HUB_H
#define TR_SERVER_FRONT_HUB_H

#include "http/server.h"

/* Appends an encoded tr_msg_hub. TR_E_INVALID names the header that is too long or breaks its grammar. */
TR_RC tr_front_hub(struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body, struct tr_buf *ret,
		   struct tr_err *err);

#endif
