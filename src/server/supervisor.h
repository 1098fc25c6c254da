/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of trothd: opens the listening sockets, starts one process per role, puts back what dies, replaces
 * fronts one by one on SIGHUP, ends everything in order on SIGTERM. It talks to nobody from outside. */
#ifndef TR_SERVER_SUPERVISOR_H
#define TR_SERVER_SUPERVISOR_H

#include "base/err.h"

/* `trothd run`: returns when told to end. */
TR_RC tr_supervisor_run(const char *config, struct tr_err *err);
/* `trothd check-config`: everything that run would refuse at its start, without starting. */
TR_RC tr_supervisor_check(const char *config, struct tr_err *err);
/* `trothd check-sandbox`: each role, entered as usual, commits a forbidden call. Prints a line per role; TR_E_INTERNAL when
 * one survived. */
TR_RC tr_supervisor_probe(const char *config, struct tr_err *err);

#endif
