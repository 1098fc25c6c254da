/* SPDX-License-Identifier: Apache-2.0 */
/* Performance data of host and agent. Never an error: what cannot be read stays 0. */
#ifndef TR_AGENT_HEALTH_H
#define TR_AGENT_HEALTH_H

#include "signed/pulse.h"

/* dir: a folder of the file system whose space counts. */
void tr_health_read(const char *dir, struct tr_health *ret);

/* The texts of /proc; false when they are not as expected. Pure. */
bool tr_health_load_of(struct tr_view loadavg, uint64_t *ret_milli);
bool tr_health_mem_of(struct tr_view meminfo, uint64_t *ret_total_kib, uint64_t *ret_available_kib);
bool tr_health_rss_of(struct tr_view statm, uint64_t page_size, uint64_t *ret_kib);

#endif
