/* SPDX-License-Identifier: Apache-2.0 */
/* Release statements as files: no server is asked. */
#ifndef TR_CLI_STATEMENT_H
#define TR_CLI_STATEMENT_H

#include "cli/api.h"

int tr_statement_sign(struct tr_cli *c);
int tr_statement_show(struct tr_cli *c);

/* "linux-amd64": the system's name and the machine's, as builds of other languages name it too. */
void tr_statement_platform(const char *os, const char *machine, char *ret, size_t size);

#endif
