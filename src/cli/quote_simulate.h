/* SPDX-License-Identifier: Apache-2.0 */
/* `troth quote simulate`: evidence of a vendor that nobody trusts, for tests and for trying policies. */
#ifndef TR_CLI_QUOTE_SIMULATE_H
#define TR_CLI_QUOTE_SIMULATE_H

#include "cli/cli.h"

#define TR_QUOTE_SIMULATE_DOC                                                                                     \
	"make evidence of a simulated TEE, with what verifies it, in the folder DIR\v"                            \
	"DIR holds the quote, its collateral, the root (root_ca.pem, ark.pem) and case.json, which says what a "  \
	"verification ends with: `troth quote verify --case DIR` compares. The same --root-seed gives the same "  \
	"root; a policy that should accept it has to list the fingerprint that is printed. `--fault list` shows " \
	"the faults that can be built in."

extern const struct argp_option tr_quote_simulate_options[];
int tr_quote_simulate(struct tr_cli *c); /* one argument: DIR (none with --fault list) */

#endif
