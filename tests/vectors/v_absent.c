/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that are recognised and that no product code reads yet: counted as skipped, with the reason. */
#include "vectors.h"

#include <ctype.h>
#include <stdio.h>

#define NO_MERKLE "no product code before the release with the transparency log (Merkle proofs)"
#define NO_TLOG "no product code before the release with the transparency log (checkpoints, tiles)"
#define NO_TUF "no product code before the release with signed updates (TUF metadata)"
#define NO_DSSE "no product code before the release with signed updates (DSSE)"
#define NO_BUNDLE "the product's trust bundle is its signed keyset; it reads no SPIFFE bundle document"
#define NO_EAT_JSON "EAT and EAR are read and written as CBOR only, from the release with their profile on"
#define NO_DIAG "diagnostic notation and CDDL are texts for people: the product reads CBOR itself"

static void one(struct run *r, const struct item *it, const char *kind, const char *why)
{
	skip(set_of(r, it, kind, true), 1, why);
}

bool no_product_json(struct run *r, const struct item *it, const json_t *j)
{
	static const char *const eat[] = { "eat_nonce", "eat_profile", "ueid", "submods", "hwmodel", "measres",
					   "ear.verifier-id", "oemid", "bootseed", "dbgstat", "swname", "intuse",
					   "security-level", "measurements", "manifests", "BUNDLE" };
	const json_t *first = json_is_array(j) ? json_array_get(j, 0) : j;

	if (json_object_get(j, "wantErr") && (json_object_get(j, "leafIdx") || json_object_get(j, "size1"))) {
		one(r, it, "RFC 6962 proofs", NO_MERKLE);
	} else if (jstr(json_object_get(j, "signed"), "_type").p) {
		one(r, it, "TUF metadata", NO_TUF);
	} else if (has_text(jstr(j, "mediaType"), "sigstore")) {
		one(r, it, "Sigstore bundles with checkpoints", NO_TLOG);
	} else if (jstr(j, "payloadType").p && json_object_get(j, "signatures")) {
		one(r, it, "DSSE", NO_DSSE);
	} else if (json_is_array(json_object_get(j, "keys"))) {
		one(r, it, "SPIFFE bundles", NO_BUNDLE);
	} else if (json_object_get(j, "spiffe_sequence") || json_object_get(j, "keys")) {
		one(r, it, "SPIFFE bundles", NO_BUNDLE);
	} else {
		for (size_t i = 0; i < TR_ARRAY_LEN(eat); i++) {
			if (json_object_get(first, eat[i])) {
				one(r, it, "RATS claims in JSON", NO_EAT_JSON);
				return true;
			}
		}
		return false;
	}
	return true;
}

static bool is_text(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 9)
			return false;
	return v.n > 0;
}

/* name+8 hex digits+base64 */
static bool is_verifier_key(struct tr_view v)
{
	const uint8_t *plus = v.n ? memchr(v.p, '+', v.n) : NULL;
	size_t at = plus ? (size_t)(plus - v.p) : 0;

	if (!at || v.n < at + 12 || v.n > 300 || v.p[at + 9] != '+')
		return false;
	for (size_t i = at + 1; i < at + 9; i++)
		if (!strchr("0123456789abcdef", v.p[i]) || !v.p[i])
			return false;
	return true;
}

/* A rule "name = …" or "name => …" at the start of a line, and no Markdown. */
static bool is_cddl(struct tr_view v)
{
	size_t line = 0;

	if (has_text(v, "```"))
		return false;
	while (line < v.n) {
		const uint8_t *nl = memchr(v.p + line, '\n', v.n - line);
		size_t end = nl ? (size_t)(nl - v.p) : v.n, i = line;

		while (i < end && (strchr("$@_-.", v.p[i]) || isalnum(v.p[i])))
			i++;
		if (i > line && i < end && v.p[i] == '<')
			while (i < end && v.p[i] != '>')
				i++;
		while (i > line && i < end && strchr(" \t>", v.p[i]))
			i++;
		if (i > line && i < end && (v.p[i] == '=' || (v.p[i] == '/' && i + 1 < end && strchr("/=", v.p[i + 1]))))
			return true;
		line = end + 1;
	}
	return false;
}

/* Diagnostic notation: h'…', or a bracket or comment that JSON does not have. */
static bool is_diag(struct tr_view v)
{
	size_t i = 0;

	while (i < v.n && strchr(" \t\r\n", v.p[i]))
		i++;
	return i < v.n && (strchr("{[/<", v.p[i]) || (v.p[i] >= '0' && v.p[i] <= '9')) &&
	       (has_text(v, " h'") || has_text(v, "'h") || has_text(v, ": ") || has_text(v, "(")) &&
	       !has_text(v, "<html") && !has_text(v, "<!");
}

bool no_product_text(struct run *r, const struct item *it)
{
	struct tr_view v = tr_buf_view(&it->bytes);
	const char *tile = strstr(it->name, "tile/");

	if (tile && tile[5] && strstr(tile, ".p/")) {
		one(r, it, "tlog tiles", NO_TLOG);
	} else if (!is_text(v)) {
		return false;
	} else if (has_text(v, "\n\n\xe2\x80\x94 ")) {
		one(r, it, "tlog checkpoints and notes", NO_TLOG);
	} else if (is_verifier_key(v)) {
		one(r, it, "tlog checkpoints and notes", NO_TLOG);
	} else if (has_text(v, "DSSEv1 ") && has_text(v, "payloadType")) {
		one(r, it, "DSSE", NO_DSSE);
	} else if (is_cddl(v) || is_diag(v)) {
		one(r, it, "CBOR diagnostic notation and CDDL", NO_DIAG);
	} else {
		return false;
	}
	return true;
}

/* A TUF repository or a recording of one is a folder of files that mean something only together. */
void tuf_archives(struct run *r)
{
	for (size_t i = 0; i < run_items(r); i++) {
		struct item *first = run_item(r, i);
		const char *archive = first->where;
		size_t metadata = 0;

		if (!first->member || first->taken || (i && strcmp(run_item(r, i - 1)->where, archive) == 0))
			continue;
		for (size_t k = i; k < run_items(r) && strcmp(run_item(r, k)->where, archive) == 0; k++)
			metadata += has_text(tr_buf_view(&run_item(r, k)->bytes), "\"_type\"") &&
				    has_text(tr_buf_view(&run_item(r, k)->bytes), "\"spec_version\"");
		if (metadata < 3)
			continue;
		for (size_t k = i; k < run_items(r) && strcmp(run_item(r, k)->where, archive) == 0; k++)
			run_item(r, k)->taken = true;
		skip(set_of(r, first, "TUF repository", true), metadata, NO_TUF);
	}
}
