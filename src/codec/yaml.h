/* SPDX-License-Identifier: Apache-2.0 */
/* The part of YAML that people write policies in, turned into JSON, by libyaml's events; the only includer of its header.
 * One document of mappings, sequences and scalars. Refused, with the line: anchors, aliases and tags (a document that means
 * more than it shows), names that are no text, the same name twice, depth over 16, more than 16384 values, sizes over the
 * caller's. Of plain scalars only true, false, null, ~ and whole numbers in their shortest form are more than text: "yes",
 * "0x10", "1e3" and "007" stay what was typed. Why libyaml, and why JSON comes out: docs/decisions/0023. */
#ifndef TR_CODEC_YAML_H
#define TR_CODEC_YAML_H

#include "codec/json.h"

#define TR_YAML_MAX ((size_t)1 << 20)
#define TR_YAML_VALUES_MAX 16384

/* Appends the document as JSON text. TR_E_INVALID; the detail begins with "line N: " and is about the text alone. */
TR_RC tr_yaml_to_json(struct tr_view text, struct tr_buf *ret, struct tr_err *err);
/* JSON when the first character that is no white space is '{' or '[', else YAML. */
TR_RC tr_yaml_parse(struct tr_view text, struct tr_json **ret, struct tr_err *err);

#endif
