/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's sources of TEE evidence: each is asked for evidence over the verifier's value and answers with an evidence set
 * (evidence/set.h). Paths, devices and calls into the kernel are arguments, so that tests put a double in their place.
 * Nothing here judges evidence; what is looked at is only whether the answer is to our question. */
#ifndef TR_TEE_TEE_H
#define TR_TEE_TEE_H

#include "evidence/set.h"
#include "evidence/snp.h"

#include <sys/types.h>

/* Calls into the kernel. As in libc they return -1 and set errno. */
struct tr_tee_ops {
	int (*open)(void *arg, const char *path, int flags); /* CLOEXEC is added */
	ssize_t (*read)(void *arg, int fd, void *to, size_t n);
	ssize_t (*write)(void *arg, int fd, const void *from, size_t n);
	int (*close)(void *arg, int fd);
	int (*mkdir)(void *arg, const char *path, mode_t mode);
	int (*rmdir)(void *arg, const char *path);
	int (*access)(void *arg, const char *path);
	int (*ioctl)(void *arg, int fd, unsigned long request, void *p);
	void (*sleep_ms)(void *arg, unsigned ms);
	void *arg;
};
const struct tr_tee_ops *tr_tee_system(void);

/* Fetches a text over HTTPS (src/agent gives it: HTTP is not of this layer). path: "/cpu". */
typedef enum tr_code (*tr_tee_fetch_fn)(void *arg, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err);

#define TR_TEE_VMPL_ANY UINT32_MAX

struct tr_tee_conf {
	const struct tr_tee_ops *ops;
	const char *platform;     /* TEE_PLATFORM: "auto", "tdx", "snp", "tpm", "secretvm", "simulated", "none" */
	const char *configfs;     /* folder of configfs-tsm's reports */
	const char *tdx_device;
	const char *sev_device;
	const char *event_log;    /* CCEL data beside a TDX quote; NULL: none is sent */
	uint32_t vmpl;            /* SNP: the level to ask at; ANY: the lowest that may be asked */
	const char *sim_seed;     /* file of 32 bytes, 0600 (tr_tee_simulate_root) */
	const char *sim_kind;     /* "tdx", "sgx" or "snp" */
	const char *sim_program;  /* 48 bytes as hex: the simulated TEE's measurement; NULL: zero */
	bool sim_debug;
	tr_tee_fetch_fn fetch;    /* SecretVM; NULL: none */
	void *fetch_arg;
	const char *secretvm_scheme; /* what its quote is bound to: "sha256-spki-der", "sha256-cert-der", "raw-ed25519" */
	const char *secretvm_quote;  /* file with the quote of a key (docker_attestation_ed25519.txt); NULL: fetched */
	const char *state_dir;    /* TPM: where the attestation key's files are */
	const char *tpm_tcti;     /* TPM: NULL is the device of the kernel */
	const char *tpm_event_log, *tpm_ima_log; /* TPM: NULL: the kernel's, beside the kernel's device */
};
/* The system's own paths; "auto". */
void tr_tee_conf_init(struct tr_tee_conf *c);

/* What evidence is asked to speak for, computed by both sides (appraise/tee.h). */
struct tr_tee_ask {
	uint8_t report_data[64]; /* SGX, TDX, SNP */
	uint8_t qualifying[32];  /* TPM: extraData of the quote */
};

struct tr_tee_source {
	const char *name;         /* stable: shown in status and logs */
	const char *platforms;    /* words of TEE_PLATFORM that mean it, with blanks around each; " auto " is one of them */
	bool is_static;           /* its quote was made before and does not answer the ask: freshness is by possession */
	/* Whether it looks as if it were there; why_not gets a sentence. */
	bool (*present)(const struct tr_tee_conf *c, char why_not[160]);
	/* One quote as an encoded evidence set, appended. TR_E_UNAVAIL: it is not there or does not answer; TR_E_BUSY: try
	 * later; TR_E_DENIED: it answers something else than was asked. */
	TR_RC (*quote)(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set,
		       struct tr_err *err);
};
extern const struct tr_tee_source tr_tee_configfs, tr_tee_sev_guest, tr_tee_tdx_guest, tr_tee_secretvm, tr_tee_simulated;

/* The source for c->platform. *ret is NULL for "none", and for "auto" where there is nothing. TR_E_UNAVAIL with the reason of
 * each candidate when the platform was named and is not there; TR_E_INVALID for a word that nobody knows. Nothing is ever
 * taken in place of what was named. */
TR_RC tr_tee_choose(const struct tr_tee_conf *c, const struct tr_tee_source **ret, struct tr_err *err);

/* A new root of a simulated vendor: DIR/seed (0600), DIR/root.pem, and what a server needs to verify quotes of it: DIR/ as the
 * files of evidence cases. Never overwrites. ret_sha256: of the root's SPKI, which a policy must list. */
TR_RC tr_tee_simulate_root(const char *dir, enum tr_tee_kind kind, uint8_t ret_sha256[32], struct tr_err *err);

/* SecretVM's texts, whoever fetched them. The quote at /cpu is hex (TDX) or base64 (SNP), white space around it allowed.
 * *ret_kind by its length and first bytes, which are then checked by the layout: never believed by itself. */
TR_RC tr_secretvm_quote(struct tr_view text, struct tr_buf *ret, enum tr_tee_kind *ret_kind, struct tr_err *err);
/* Its signing service: POST /sign {"key_type":"ed25519","payload":…} and the answer's 64 bytes. payload must be UTF-8. */
TR_RC tr_secretvm_sign_body(struct tr_view payload, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_secretvm_sign_answer(struct tr_view json, uint8_t ret_sig[64], struct tr_err *err);

/* /dev/tdx_guest: a TDREPORT, good on this machine only (its MAC is the CPU's): measurements for people, never evidence. */
#define TR_TDREPORT_LEN 1024
struct tr_tdreport { struct tr_view report_data, attributes, xfam, mrtd, mrconfigid, mrowner, mrownerconfig, rtmr[4]; };
TR_RC tr_tdx_report(const struct tr_tee_conf *c, const uint8_t report_data[64], uint8_t ret[TR_TDREPORT_LEN],
		    struct tr_err *err);
TR_RC tr_tdreport_parse(struct tr_view in, struct tr_tdreport *ret, struct tr_err *err);

#endif
