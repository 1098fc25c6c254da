/* SPDX-License-Identifier: Apache-2.0 */
/* The grammars of names that people type and machines sign. Narrow on purpose: no ':' (the original claim
 * joins fields with it), no '/' (SPIFFE paths), no '%', no white space, nothing that needs escaping in a log,
 * a URL, a shell or a file name. */
#ifndef TR_CODEC_IDENT_H
#define TR_CODEC_IDENT_H

#include "base/view.h"

#define TR_IDENT_MAX 64   /* bytes */
#define TR_VERSION_MAX 64 /* bytes */

/* [A-Za-z0-9] then [A-Za-z0-9._-]*, 1..64 bytes, not "." or "..": agent ids, partitions, agent types. */
bool tr_ident_ok(struct tr_view v);
/* An optional 'v', then 1..4 decimal numbers of at most 9 digits joined by '.', then optionally '-' or '+' and
 * [0-9A-Za-z.-]+. 1..64 bytes in all. */
bool tr_version_ok(struct tr_view v);
/* <0, 0, >0. Missing numbers count as 0, a leading 'v' is ignored; a "-pre" suffix sorts before none and
 * otherwise by SemVer 2.0 §11 (numeric identifiers by value, then ASCII); "+build" is ignored. */
int tr_version_cmp(struct tr_view a, struct tr_view b);
/* "sha256:" and exactly 64 lower-case hex digits into out[32]. */
bool tr_sha256_name_ok(struct tr_view v, uint8_t out[32]);

#endif
