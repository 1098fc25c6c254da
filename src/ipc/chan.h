/* SPDX-License-Identifier: Apache-2.0 */
/* A channel between two roles: typed, bounded frames over a socketpair, on the role's one event loop. The peer is
 * not trusted to be sane: a frame over its type's limit, of an unknown type or with a wrong header ends the channel.
 *
 *   header, little endian: u32 payload length | u16 type | u16 protocol version | u64 id
 *
 * Payloads are tr_records. Writes are buffered and flushed once per loop round, so a burst is one system call. */
#ifndef TR_IPC_CHAN_H
#define TR_IPC_CHAN_H

#include "base/buf.h"
#include "codec/record.h"
#include "ipc/loop.h"

#define TR_FRAME_HEAD 16
#define TR_IPC_VERSION 1
#define TR_FRAME_TYPE_MAX 128

struct tr_chan;

struct tr_frame {
	uint16_t type;
	uint64_t id;          /* chosen by the asker, echoed in the answer */
	struct tr_view payload; /* borrowed until the callback returns */
};

/* What may arrive on a channel: a table indexed by frame type. A NULL fn refuses the type. */
typedef void (*tr_frame_fn)(void *arg, struct tr_chan *c, const struct tr_frame *f);
struct tr_frame_rule {
	tr_frame_fn fn;
	uint32_t max;      /* payload bytes */
};

/* Called once when the peer closed or broke the protocol (why is static text). The channel is still valid until the
 * callback frees it. */
typedef void (*tr_chan_end_fn)(void *arg, struct tr_chan *c, const char *why);

/* Takes fd. rules has TR_FRAME_TYPE_MAX entries and must outlive the channel. */
TR_RC tr_chan_new(struct tr_loop *loop, int fd, const struct tr_frame_rule *rules, tr_chan_end_fn end, void *arg,
		  struct tr_chan **ret, struct tr_err *err);
struct tr_chan *tr_chan_free(struct tr_chan *c);
TR_DEFINE_AUTO(struct tr_chan *, tr_chan_free)

void tr_chan_send(struct tr_chan *c, uint16_t type, uint64_t id, struct tr_view payload);
void tr_chan_send_record(struct tr_chan *c, uint16_t type, uint64_t id, const struct tr_record *def, const void *rec);
size_t tr_chan_queued(const struct tr_chan *c); /* bytes not yet taken by the kernel: for back-pressure */
/* Writes out everything now, blocking up to timeout_ms: for the last words of a role. */
void tr_chan_flush(struct tr_chan *c, unsigned timeout_ms);
/* Stops and resumes reading: back-pressure on a peer. */
void tr_chan_pause(struct tr_chan *c, bool paused);

/* The pure part, for fuzzing: length of the next frame in bytes, 0 when more is needed, or an error. */
TR_RC tr_frame_parse(struct tr_view in, const struct tr_frame_rule *rules, struct tr_frame *ret, size_t *ret_used,
		     struct tr_err *err);
/* Writes the header of a frame. */
void tr_frame_head(uint8_t ret[TR_FRAME_HEAD], uint16_t type, uint64_t id, uint32_t payload_n);

#endif
