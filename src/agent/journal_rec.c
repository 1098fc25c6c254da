/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/journal_rec.h"

#include "agent/crc32c.h"

#define HEAD_LEN 12
#define END 0xa5

#define F(T, m, type, max) TR_FIELD(tr_jr_##T, m, TR_F_##type, max, 0)

static const struct tr_field head_fields[] = {
	F(head, version, U64, 0),
	F(head, position, U64, 0),
	F(head, line, U64, 0),
	F(head, high, U64, 0),
	F(head, not_before_ms, I64, 0),
	F(head, reset, BOOL, 0),
	F(head, window, BYTES, TR_JR_WINDOW / 8),
};
static const struct tr_field command_fields[] = {
	F(command, position, U64, 0),
	F(command, cmd_id, BYTES, TR_CMD_ID_LEN),
	F(command, order_digest, BYTES, 32),
	F(command, digest, BYTES, 32),
	F(command, kid, BYTES, TR_KID_LEN),
	F(command, line, U64, 0),
	F(command, seq, U64, 0),
	F(command, cmd, U64, 0),
	F(command, kind, U64, 0),
	F(command, issued_ms, I64, 0),
	F(command, expires_ms, I64, 0),
	F(command, not_before_ms, I64, 0),
	F(command, order_expires_ms, I64, 0),
	F(command, at_ns, I64, 0),
	F(command, order, BYTES, TR_ORDER_MAX),
};
static const struct tr_field state_fields[] = {
	F(state, position, U64, 0),
	F(state, cmd_id, BYTES, TR_CMD_ID_LEN),
	F(state, state, U64, 0),
	F(state, code, TEXT, TR_JR_CODE_MAX),
	F(state, note, BYTES, TR_JR_NOTE_MAX),
	F(state, result, BYTES, TR_RECEIPT_RESULT_MAX),
	F(state, at_ns, I64, 0),
};
static const struct tr_field seen_fields[] = {
	F(seen, position, U64, 0),  F(seen, cmd_id, BYTES, TR_CMD_ID_LEN),
	F(seen, digest, BYTES, 32), F(seen, line, U64, 0),
	F(seen, seq, U64, 0),
};
static const struct tr_field cancel_fields[] = {
	F(cancel, position, U64, 0),
	F(cancel, cmd_id, BYTES, TR_CMD_ID_LEN),
	F(cancel, until_ms, I64, 0),
	F(cancel, at_ns, I64, 0),
};
static const struct tr_field refused_fields[] = {
	F(refused, position, U64, 0),
	F(refused, cmd_id, BYTES, TR_CMD_ID_LEN),
	F(refused, digest, BYTES, 32),
	F(refused, kid, BYTES, TR_KID_LEN),
	F(refused, code, TEXT, TR_JR_CODE_MAX),
	F(refused, line, U64, 0),
	F(refused, seq, U64, 0),
	F(refused, authentic, BOOL, 0),
	F(refused, at_ns, I64, 0),
};
static const struct tr_field ack_fields[] = { F(ack, position, U64, 0), F(ack, of, U64, 0) };

static TR_RECORD(head_def, tr_jr_head, head_fields);
static TR_RECORD(command_def, tr_jr_command, command_fields);
static TR_RECORD(state_def, tr_jr_state, state_fields);
static TR_RECORD(seen_def, tr_jr_seen, seen_fields);
static TR_RECORD(cancel_def, tr_jr_cancel, cancel_fields);
static TR_RECORD(refused_def, tr_jr_refused, refused_fields);
static TR_RECORD(ack_def, tr_jr_ack, ack_fields);

const struct tr_record *tr_jr_def(uint8_t type)
{
	static const struct tr_record *const all[TR_JR_N] = {
		[TR_JR_HEAD] = &head_def, [TR_JR_COMMAND] = &command_def, [TR_JR_STATE] = &state_def,
		[TR_JR_SEEN] = &seen_def, [TR_JR_CANCEL] = &cancel_def,	  [TR_JR_REFUSED] = &refused_def,
		[TR_JR_ACK] = &ack_def,
	};

	return type < TR_JR_N ? all[type] : NULL;
}

static void put32(uint8_t *to, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void tr_jr_put(struct tr_buf *b, enum tr_jr_type type, const void *rec)
{
	size_t start = b->n, n;

	(void)tr_buf_space(b, HEAD_LEN);
	tr_buf_add8(b, (uint8_t)type);
	tr_record_encode(tr_jr_def((uint8_t)type), rec, b);
	tr_buf_add8(b, END);
	if (!tr_buf_ok(b))
		return;
	n = b->n - start - HEAD_LEN;
	if (n > TR_JR_MAX) {
		b->failed = true;
		return;
	}
	put32(b->p + start, (uint32_t)n);
	put32(b->p + start + 4, ~(uint32_t)n);
	put32(b->p + start + 8, tr_crc32c(tr_view(b->p + start + HEAD_LEN, n)));
}

/* The payload of the record at the front of in. */
static enum tr_jr_next frame(struct tr_view in, struct tr_view *ret)
{
	uint32_t n;

	if (in.n < 8)
		return TR_JR_TORN;
	n = get32(in.p);
	if (get32(in.p + 4) != (uint32_t)~n || n < 2 || n > TR_JR_MAX)
		return TR_JR_DAMAGED;
	if (in.n < HEAD_LEN || in.n - HEAD_LEN < n)
		return TR_JR_TORN;
	*ret = tr_view(in.p + HEAD_LEN, n);
	return tr_crc32c(*ret) == get32(in.p + 8) && ret->p[n - 1] == END && tr_jr_def(ret->p[0])
		       ? TR_JR_OK
		       : TR_JR_DAMAGED;
}

static bool any_later(struct tr_view in)
{
	struct tr_view payload;

	for (size_t i = 1; i + HEAD_LEN < in.n; i++)
		if (frame(tr_view(in.p + i, in.n - i), &payload) == TR_JR_OK)
			return true;
	return false;
}

enum tr_jr_next tr_jr_get(struct tr_view *in, uint8_t *ret_type, struct tr_view *ret_fields)
{
	struct tr_view payload;
	enum tr_jr_next next;

	if (!in->n)
		return TR_JR_END;
	next = frame(*in, &payload);
	if (next != TR_JR_OK) {
		/* Each record is synced before the next is written: what is torn is the last. Zeros at the
		 * end are space that the file system gave and nothing was written to. */
		bool cut = next == TR_JR_TORN || in->p[in->n - 1] == 0;

		return cut && !any_later(*in) ? TR_JR_TORN : TR_JR_DAMAGED;
	}
	*ret_type = payload.p[0];
	*ret_fields = tr_view(payload.p + 1, payload.n - 2);
	*in = tr_view(payload.p + payload.n, in->n - HEAD_LEN - payload.n);
	return TR_JR_OK;
}
