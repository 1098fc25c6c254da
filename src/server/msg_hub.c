/* SPDX-License-Identifier: Apache-2.0 */
#include "server/msg_hub.h"

#include "signed/message.h"

#define F(T, m, type, max) TR_FIELD(T, m, TR_F_##type, max, 0)
#define WHY_MAX 256
#define SPKI_MAX 1200

#define T tr_msg_verify_request
static const struct tr_field verify_request_fields[] = { F(T, spki, BYTES, SPKI_MAX), F(T, hub, BYTES, 4096) };
TR_RECORD(tr_msg_verify_request_def, T, verify_request_fields);
#undef T
#define T tr_msg_request_verified
static const struct tr_field request_verified_fields[] = { F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, at, I64, 0) };
TR_RECORD(tr_msg_request_verified_def, T, request_verified_fields);
#undef T
#define T tr_msg_read_prekey
static const struct tr_field read_prekey_fields[] = { F(T, spki, BYTES, SPKI_MAX), F(T, prekey, BYTES, TR_PREKEY_MAX) };
TR_RECORD(tr_msg_read_prekey_def, T, read_prekey_fields);
#undef T
#define T tr_msg_prekey_read
static const struct tr_field prekey_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, fleet, TEXT, 255), F(T, agent, IDENT, 64), F(T, number, U64, 0),
	F(T, not_before, I64, 0), F(T, not_after, I64, 0),
};
TR_RECORD(tr_msg_prekey_read_def, T, prekey_read_fields);
#undef T
#define T tr_msg_read_envelope
static const struct tr_field read_envelope_fields[] = { F(T, envelope, BYTES, TR_MESSAGE_MAX) };
TR_RECORD(tr_msg_read_envelope_def, T, read_envelope_fields);
#undef T
#define T tr_msg_envelope_read
static const struct tr_field envelope_read_fields[] = {
	F(T, code, U64, 0), F(T, why, TEXT, WHY_MAX), F(T, sender, IDENT, 64), F(T, recipient, IDENT, 64),
	F(T, expires, I64, 0),
};
TR_RECORD(tr_msg_envelope_read_def, T, envelope_read_fields);
#undef T
