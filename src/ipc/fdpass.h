/* SPDX-License-Identifier: Apache-2.0 */
/* Handing a descriptor from the supervisor to core: one byte of meaning and one descriptor per message (SCM_RIGHTS).
 * The only way by which core ever gets a descriptor after its start. */
#ifndef TR_IPC_FDPASS_H
#define TR_IPC_FDPASS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

TR_RC tr_fd_send(int sock, uint8_t tag, int fd, struct tr_err *err);
/* One message: TR_OK; *ret_fd is -1 for a message without a descriptor. TR_E_BUSY when nothing is there now,
 * TR_E_UNAVAIL at the end of the stream. */
TR_RC tr_fd_recv(int sock, uint8_t *ret_tag, int *ret_fd, struct tr_err *err);
/* A bare tag, without descriptor. */
TR_RC tr_fd_tell(int sock, uint8_t tag, struct tr_err *err);

#endif
