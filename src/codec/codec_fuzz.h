/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of this layer share. An oracle that fails must stop the run in every build. */
#ifndef TR_CODEC_CODEC_FUZZ_H
#define TR_CODEC_CODEC_FUZZ_H

#include <stdio.h>

#include "base/buf.h"

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			(void)fprintf(stderr, "%s:%d: oracle failed: %s\n", __FILE__, __LINE__, #cond);      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline bool is_inside(struct tr_view part, struct tr_view whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

#endif
