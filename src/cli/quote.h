/* SPDX-License-Identifier: Apache-2.0 */
/* `troth quote`: evidence shown and verified without any server. */
#ifndef TR_CLI_QUOTE_H
#define TR_CLI_QUOTE_H

#include "appraise/tee.h"
#include "cli/cli.h"

int tr_quote_show(struct tr_cli *c);   /* quote.c */
int tr_quote_verify(struct tr_cli *c); /* quote_verify.c */
int tr_quote_case(struct tr_cli *c, const char *dir); /* quote_case.c */

/* ---- files (quote_files.c) ---- */

#define TR_QUOTE_FILE_MAX ((size_t)4 << 20)
/* A file as it is, or, when all of it is hex or base64 text, what that text says. */
int tr_quote_read(const char *path, struct tr_buf *ret);
/* The bytes of an option's hex text. */
int tr_quote_hex(const char *option, const char *text, struct tr_buf *ret);
/* pcrs.json: {bank: {index: hex}} into at most max values whose bytes lie in ret_values. */
TR_RC tr_quote_pcrs(struct tr_view json, struct tr_tpm_pcr *ret, uint8_t (*ret_values)[64], size_t max, size_t *ret_n,
		    struct tr_err *err);

/* A bundle file (signed or not), a vendor's file, or a folder of them. */
struct tr_quote_bundle {
	struct tr_bundle bundle;
	struct tr_buf file;       /* behind the items of a bundle file */
	struct tr_buf *stores;    /* behind those of imported files, n of them */
	size_t n_stores, files, passed_over;
};
void tr_quote_bundle_done(struct tr_quote_bundle *b);
TR_DEFINE_AUTO_DONE(struct tr_quote_bundle, tr_quote_bundle_done)
/* key: public key (PEM) that must have signed it; NULL: the signature is not looked at. Files that are no collateral are
 * named on stderr and passed over; a single one is an error. */
int tr_quote_collateral(const char *path, const char *key, struct tr_quote_bundle *ret);

/* ---- output (quote_print.c) ---- */

void tr_quote_print(struct tr_buf *b, const struct tr_tee_verdict *v, bool all, bool colour);
/* Which of the four was not asked, or not compared: "fresh (no --report-data)"; "" when all were. */
void tr_quote_not_asked(struct tr_buf *b, const struct tr_tee_verdict *v);
/* All fields of a quote and of its PCK certificate into r; store keeps what they borrow from (quote_fields.c). */
void tr_quote_fields(const struct tr_quote *q, struct tr_view pck_chain, struct tr_buf *store, struct tr_tee_result *r);
void tr_quote_print_fields(struct tr_buf *b, const struct tr_tee_result *r);

/* The policy of a tool that was given none: the vendors' roots, or one given root instead. */
TR_RC tr_quote_policy(struct tr_view root_spki, bool any_status, struct tr_tee_policy **ret, struct tr_err *err);
/* The SPKI of the one certificate in a PEM or DER file. */
TR_RC tr_quote_root(struct tr_view file, struct tr_buf *ret_spki, struct tr_err *err);

#endif
