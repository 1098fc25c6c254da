/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TR_SWARM_SWARM_H
#define TR_SWARM_SWARM_H

/* The commands of troth-swarm; they return the exit status. */
int tr_swarm_virtual(int argc, char **argv);
int tr_swarm_real(int argc, char **argv);
int tr_swarm_garbage(int argc, char **argv);

#endif
