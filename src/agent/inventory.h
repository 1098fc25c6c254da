/* SPDX-License-Identifier: Apache-2.0 */
/* The host in at most TR_RECEIPT_RESULT_MAX bytes of JSON: what does not fit is left out and counted. */
#ifndef TR_AGENT_INVENTORY_H
#define TR_AGENT_INVENTORY_H

#include "base/buf.h"

void tr_inventory_put(struct tr_buf *b, size_t max);

/* ---- pure, for tests ---- */
/* The value of KEY= of an os-release file, quotes taken off; empty: none. */
struct tr_view tr_inventory_os(struct tr_view text, const char *key);
/* The first "name : value" of /proc/cpuinfo. */
struct tr_view tr_inventory_cpu(struct tr_view text, const char *name);
/* Takes the next mount that is worth telling (a device, or a network's) off the front of /proc/self/mounts. */
bool tr_inventory_mount(struct tr_view *text, struct tr_view *ret_what, struct tr_view *ret_where, struct tr_view *ret_type);

#endif
