/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as in RFC 3720 B.4: tells a damaged record from a whole one, and nothing about who wrote it. */
#ifndef TR_AGENT_CRC32C_H
#define TR_AGENT_CRC32C_H

#include "base/view.h"

uint32_t tr_crc32c(struct tr_view in);

#endif
