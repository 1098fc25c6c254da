/* SPDX-License-Identifier: Apache-2.0 */
/* Machines with a TPM for the tests: swtpm, a whole TPM 2.0 in software, each in a process and a folder of its own. */
#ifndef TR_TEE_SWTPM_TEST_H
#define TR_TEE_SWTPM_TEST_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "crypto/hash.h"
#include "tee/tpm.h"
#include "tee/tpm_esys.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

/* One machine: a TPM and a state folder. */
struct machine {
	char dir[32], tcti[80], state[64];
	pid_t pid;
	struct tr_tee_conf conf;
};

static inline bool has_swtpm(void)
{
	if (tr_file_exists("/usr/bin/swtpm") && tr_file_exists("/usr/bin/swtpm_setup"))
		return true;
	print_message("skipped: swtpm is not installed (script/bootstrap test does)\n");
	return false;
}

static inline pid_t spawn(const char *const *argv)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static inline int finish(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void write_text(const char *dir, const char *name, const char *text)
{
	char path[80];
	struct tr_err err;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(tr_file_write(path, tr_view_str(text), 0600, &err), TR_OK);
}

/* What a maker does: an endorsement key and its certificate, by a CA in the folder. */
static inline void manufacture(struct machine *m)
{
	char text[512], conf[64];

	(void)snprintf(text, sizeof(text), "statedir = %s\nsigningkey = %s/sign.pem\nissuercert = %s/issuer.pem\ncertserial = %s/serial\n",
		       m->dir, m->dir, m->dir, m->dir);
	write_text(m->dir, "ca.conf", text);
	write_text(m->dir, "ca.options", "--platform-manufacturer Troth\n--platform-version 1\n--platform-model test\n");
	(void)snprintf(text, sizeof(text),
		       "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s/ca.conf\n"
		       "create_certs_tool_options = %s/ca.options\nactive_pcr_banks = sha256\n", m->dir, m->dir);
	write_text(m->dir, "setup.conf", text);
	(void)snprintf(conf, sizeof(conf), "%s/setup.conf", m->dir);
	assert_int_equal(finish(spawn((const char *const[]){ "/usr/bin/swtpm_setup", "--tpm2", "--tpmstate", m->dir,
							     "--create-ek-cert", "--config", conf, "--overwrite", NULL })), 0);
}

/* A socket's file is there before anybody listens. */
static inline bool listens(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	yes = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
	(void)tr_close(fd);
	return yes;
}

static inline void switch_on(struct machine *m)
{
	char server[80], ctrl[80], state[48], path[64];

	(void)snprintf(path, sizeof(path), "%s/sock", m->dir);
	(void)snprintf(server, sizeof(server), "type=unixio,path=%s", path);
	(void)snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s.ctrl", path);
	(void)snprintf(state, sizeof(state), "dir=%s", m->dir);
	m->pid = spawn((const char *const[]){ "/usr/bin/swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server,
					      "--ctrl", ctrl, "--flags", "not-need-init,startup-clear", NULL });
	for (unsigned i = 0; !listens(path) || !listens(strchr(ctrl, '/')); i++) {
		const struct timespec t = { .tv_nsec = 5000000 };

		if (i == 2000)
			fail_msg("swtpm did not start");
		(void)nanosleep(&t, NULL);
	}
}

static inline void switch_off(struct machine *m)
{
	char path[64];

	if (m->pid <= 0)
		return;
	(void)kill(m->pid, SIGTERM);
	(void)finish(m->pid);
	m->pid = 0;
	(void)snprintf(path, sizeof(path), "%s/sock", m->dir);
	(void)unlink(path);
}

static inline void machine_make(struct machine *m, bool certificate)
{
	*m = (struct machine){ .dir = "/tmp/troth-tpm-XXXXXX" };
	assert_non_null(mkdtemp(m->dir));
	(void)snprintf(m->tcti, sizeof(m->tcti), "swtpm:path=%s/sock", m->dir);
	(void)snprintf(m->state, sizeof(m->state), "%s/state", m->dir);
	assert_int_equal(mkdir(m->state, 0700), 0);
	if (certificate)
		manufacture(m);
	tr_tee_conf_init(&m->conf);
	m->conf.platform = "tpm";
	m->conf.tpm_tcti = m->tcti;
	m->conf.state_dir = m->state;
	switch_on(m);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void machine_done(struct machine *m)
{
	switch_off(m);
	if (*m->dir)
		(void)nftw(m->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
TR_DEFINE_AUTO_DONE(struct machine, machine_done)

/* What another program on the machine does to a PCR. */
static inline void extend_pcr(const struct machine *m, unsigned pcr)
{
	TPML_DIGEST_VALUES v = { .count = 1, .digests = { { .hashAlg = TPM2_ALG_SHA256, .digest.sha256 = { 1, 2, 3 } } } };
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *esys = NULL;

	assert_int_equal(Tss2_TctiLdr_Initialize(m->tcti, &tcti), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_Initialize(&esys, tcti, NULL), TSS2_RC_SUCCESS);
	assert_int_equal(Esys_PCR_Extend(esys, pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &v), TSS2_RC_SUCCESS);
	Esys_Finalize(&esys);
	Tss2_TctiLdr_Finalize(&tcti);
}

static inline struct tr_view sound(enum tr_code rc, struct tr_err *err, const struct tr_buf *b)
{
	if (rc)
		fail_msg("%s", err->detail);
	return tr_buf_view(b);
}

#endif
