/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed attestation policy, for the files of this folder (tee_policy*.c fill it, tee*.c ask it). */
#ifndef TR_APPRAISE_TEE_POLICY_H
#define TR_APPRAISE_TEE_POLICY_H

#include "appraise/tee.h"
#include "codec/json.h"

#define TR_TEE_TYPES_MAX 32
#define TR_TEE_ROOTS_MAX 16
#define TR_TEE_IMAGES_MAX 512
#define TR_TEE_ALTERNATIVES_MAX 8 /* values of one PCR, or RTMR3 values of one image */
#define TR_TEE_DSTACK_MAX 8
#define TR_TEE_LIFETIME_MAX_S 14400
#define TR_TEE_GRACE_MAX_S (7 * 86400)

struct tr_tee_root {
	char name[65];
	uint8_t spki_sha256[32];
	bool simulated;
};

struct tr_tee_digests { /* any of them */
	size_t n;
	uint8_t v[TR_TEE_ALTERNATIVES_MAX][64];
};
struct tr_tee_pcr_rule {
	unsigned index;
	struct tr_tee_digests values;
};
struct tr_tee_dstack_rule {
	char name[65];
	size_t n;
	uint8_t payload[64];
};

/* What a member of an image says: nothing, any value, or one. */
enum tr_tee_ref { TR_REF_NONE, TR_REF_ANY, TR_REF_VALUE };
struct tr_tee_ref48 {
	enum tr_tee_ref is;
	uint8_t v[64];
};

/* One whole tuple of reference values: all of it must match, never parts of two. */
struct tr_tee_image {
	enum tr_tee_kind kind;
	char name[65];
	/* TDX */
	struct tr_tee_ref48 mrtd, rtmr[3], mrconfigid, mrowner, mrownerconfig;
	bool rtmr3_any;
	struct tr_tee_digests rtmr3; /* a value, or what SecretVM's files extend to */
	size_t n_dstack;
	struct tr_tee_dstack_rule dstack[TR_TEE_DSTACK_MAX];
	/* SGX */
	struct tr_tee_ref48 mrenclave, mrsigner, configid;
	uint16_t isvprodid, min_isvsvn;
	/* SNP */
	struct tr_tee_ref48 measurement, host_data, id_key_digest, author_key_digest, family_id, image_id;
	/* TPM */
	size_t n_pcrs;
	struct tr_tee_pcr_rule *pcrs;
};

struct tr_tee_policy {
	char name[65], description[257];
	uint8_t sha256[32]; /* of the text */
	bool kinds[TR_TEE_KIND_N];
	bool any_type;
	size_t n_types;
	char types[TR_TEE_TYPES_MAX][65];
	bool root_intel, root_amd, root_tpm;
	size_t n_roots;
	struct tr_tee_root roots[TR_TEE_ROOTS_MAX];
	enum tr_rd_scheme scheme;
	unsigned lifetime_s;
	bool measurements_any;
	enum tr_tier min_tier;
	struct {
		bool accept[TR_TCB_N];
		bool advisories_listed;
		size_t n_advisories;
		char advisories[64][24];
		uint64_t min_evaluation_number;
		int64_t grace_s; /* since the matched level's date; -1: none */
		int64_t until;   /* Unix s; 0: none */
	} tcb;
	struct {
		int64_t grace_s, skew_s;
		int64_t max_age_s[TR_BI_N]; /* 0: none */
	} collateral;
	struct {
		bool debug_ok, no_sept_ve_ok, migratable_ok, perfmon_ok, any_service_td;
		size_t n_service_tds;
		uint8_t service_tds[TR_TEE_ALTERNATIVES_MAX][48];
		bool has_xfam;
		uint64_t xfam_mask;
		bool has_min_svn;
		uint8_t min_svn[16];
		size_t n_seams;
		uint8_t seams[TR_TEE_ALTERNATIVES_MAX][48];
	} tdx;
	struct {
		bool debug_ok, provision_ok;
	} sgx;
	struct {
		bool debug_ok, migrate_ok, no_smt, require_crl, masked_refused;
		bool vmpl[4];
		uint64_t platform_info, mitigations; /* bits that must be set */
		uint32_t min_guest_svn;
		bool has_min_tcb[TR_SNP_PRODUCT_N];
		struct tr_snp_tcb min_tcb[TR_SNP_PRODUCT_N];
	} snp;
	struct {
		bool ak[5]; /* by tr_tpm_ak_trust */
		enum tr_raw_hash bank;
		bool need_event_log, need_ima;
		size_t n_pcrs;
		struct tr_tee_pcr_rule pcrs[TR_TPM_PCRS];
	} tpm;
	size_t n_images;
	struct tr_tee_image *images;
};

/* ---- reading (tee_policy_read.c): sticky, the first error names the member's path ---- */

/* Where the reader stands; lives on the stack of whoever descends. */
struct tr_pp {
	const struct tr_pp *up;
	const char *name; /* NULL: an element */
	size_t index;
	tr_jnode node;
	struct tr_pp_run *run;
};
struct tr_pp_run {
	struct tr_err *err;
	bool failed;
	bool tools; /* the built-in policy: report_data may be "none" */
};

void tr_pp_fail(const struct tr_pp *p, const char *fmt, ...) TR_PRINTF(2, 3);
/* An object whose members are all among `words` (joined by blanks); else an error. */
bool tr_pp_object(const struct tr_pp *p, const char *words);
/* Descends; false when the member is absent (or already failed). */
bool tr_pp_member(const struct tr_pp *p, const char *name, struct tr_pp *ret);
bool tr_pp_need(const struct tr_pp *p, const char *name, struct tr_pp *ret); /* absent is an error */
size_t tr_pp_items(const struct tr_pp *p, size_t max); /* 0 and an error when it is no array, or longer */
struct tr_pp tr_pp_item(const struct tr_pp *p, size_t i);
/* Index into the words, or -1 and an error that names them. */
int tr_pp_word(const struct tr_pp *p, const char *words);
/* Optional members: *ret is left alone when absent. */
void tr_pp_choice(const struct tr_pp *p, const char *name, const char *words, int *ret);
void tr_pp_uint(const struct tr_pp *p, const char *name, uint64_t min, uint64_t max, uint64_t *ret);
void tr_pp_bool(const struct tr_pp *p, const char *name, bool *ret);
/* Text of the node itself; printable, at most max bytes. */
void tr_pp_text(const struct tr_pp *p, char *ret, size_t max);
bool tr_pp_hex(const struct tr_pp *p, uint8_t *ret, size_t n);
/* ret[i]: one digest, or an array of them. */
void tr_pp_digests(const struct tr_pp *p, size_t len, struct tr_tee_digests *ret);

/* ---- sections (tee_policy_kinds.c, tee_policy_images.c) ---- */

void tr_tee_read_tdx(const struct tr_pp *p, struct tr_tee_policy *ret);
void tr_tee_read_sgx(const struct tr_pp *p, struct tr_tee_policy *ret);
void tr_tee_read_snp(const struct tr_pp *p, struct tr_tee_policy *ret);
void tr_tee_read_tpm(const struct tr_pp *p, struct tr_tee_policy *ret);
void tr_tee_read_images(const struct tr_pp *section, enum tr_tee_kind kind, struct tr_tee_policy *ret);
/* {0: hex, 7: [hex, hex]} */
void tr_tee_read_pcrs(const struct tr_pp *p, enum tr_raw_hash bank, struct tr_tee_pcr_rule *ret, size_t *ret_n);

#endif
