/* SPDX-License-Identifier: Apache-2.0 */
/* troth-swarm: many agents, real or simulated, well-behaved or not. */
#include "swarm/sim.h"
#include "swarm/swarm.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "virtual") == 0)
		return tr_swarm_virtual(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "real") == 0)
		return tr_swarm_real(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "garbage") == 0)
		return tr_swarm_garbage(argc - 1, argv + 1);
	(void)fputs("Usage: troth-swarm virtual [OPTION…]   a day of a fleet in virtual time, through the server's own judgement\n"
		    "       troth-swarm real [OPTION…]      agents with real keys and TLS against a running server\n"
		    "       troth-swarm garbage [OPTION…]   pulses that must be refused, in the name of a healthy agent\n"
		    "Each has --help. Exit status: 0 all as it should be, 1 not, 2 usage, 3 could not run.\n",
		    argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
	return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
