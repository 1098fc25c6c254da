/* SPDX-License-Identifier: Apache-2.0 */
/* A state folder for the unit tests of what the role `peer` keeps. */
#ifndef TR_AGENT_PEER_TEST_H
#define TR_AGENT_PEER_TEST_H

#include "agent/state.h"
#include "base/file.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795310523)

static char folder[] = "/tmp/troth-peer-XXXXXX";
static struct tr_state state = { .dir_fd = -1 };
static struct tr_err err;

static inline int make_state(void **unused)
{
	struct tr_agent_conf c;
	bool made;

	(void)unused;
	if (!mkdtemp(folder) || tr_state_open(folder, &state, &err) || tr_state_make(&state, "web-1", NULL, &made, &err))
		return 1;
	c = state.conf;
	c.trust_domain = TR_VIEW_LIT("fleet.example");
	return tr_state_save(&state, &c, &err) != TR_OK;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline int drop_state(void **unused)
{
	(void)unused;
	tr_state_done(&state);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void put_file(const char *name, struct tr_view bytes)
{
	char path[PATH_MAX];

	tr_state_path(&state, name, path);
	assert_int_equal(tr_file_write(path, bytes, 0600, &err), TR_OK);
}

#endif
