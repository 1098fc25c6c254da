/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/axes.h"

/* What is wrong comes first, then what is silent, then what is merely odd; green is what remains when every axis that can
 * speak has spoken. */
enum tr_verdict tr_verdict_fold(const struct tr_axes *a)
{
	if (a->auth == TR_AUTH_REVOKED)
		return TR_V_REVOKED;
	if (a->auth == TR_AUTH_FORKED)
		return TR_V_FORKED;
	if (a->integrity == TR_INTEGRITY_UNKNOWN_BINARY)
		return TR_V_UNKNOWN_BINARY;
	if (a->integrity == TR_INTEGRITY_BPF_MISMATCH)
		return TR_V_BPF_MISMATCH;
	if (a->integrity == TR_INTEGRITY_LSM_DOWN)
		return TR_V_LSM_DOWN;
	if (a->auth == TR_AUTH_RESTORED)
		return TR_V_RESTORED;
	if (a->auth == TR_AUTH_CONFLICT)
		return TR_V_CONFLICT;
	if (a->reach == TR_REACH_NEVER)
		return TR_V_PENDING;
	if (a->reach == TR_REACH_LOST)
		return TR_V_LOST;
	if (a->reach == TR_REACH_MISSED)
		return TR_V_MISSED;
	if (a->clock == TR_CLOCK_DESYNC)
		return TR_V_CLOCK_DESYNC;
	if (a->clock == TR_CLOCK_UNSTABLE)
		return TR_V_CLOCK_UNSTABLE;
	if (a->reach == TR_REACH_LATE)
		return TR_V_LATE;
	if (a->reach == TR_REACH_ANNOUNCED)
		return TR_V_ANNOUNCED;
	if (a->integrity == TR_INTEGRITY_EXPECTED_UPDATE)
		return TR_V_EXPECTED_UPDATE;
	if (a->auth != TR_AUTH_OK || a->integrity != TR_INTEGRITY_OK || a->reach != TR_REACH_LIVE)
		return TR_V_UNKNOWN;
	return TR_V_OK;
}

bool tr_verdict_is_security(enum tr_verdict v)
{
	return v <= TR_V_CONFLICT;
}

static const char *at(const char *const *names, size_t n, unsigned i)
{
	return i < n ? names[i] : "unknown";
}

const char *tr_verdict_name(enum tr_verdict v)
{
	static const char *const names[TR_V_N] = {
		"revoked",      "forked", "isolated", "unknown_binary", "bpf_mismatch",   "lsm_down", "restored", "conflict", "lost",
		"missed",       "clock_desync", "clock_unstable", "late", "expected_update", "announced", "pending", "unknown", "ok",
	};

	return at(names, TR_V_N, v);
}

const char *tr_reach_name(enum tr_reach v)
{
	static const char *const names[TR_REACH_N] = { "never", "live", "late", "missed", "lost", "announced" };

	return at(names, TR_REACH_N, v);
}

const char *tr_authenticity_name(enum tr_authenticity v)
{
	static const char *const names[TR_AUTH_N] = { "unknown", "ok", "conflict", "restored", "forked", "revoked" };

	return at(names, TR_AUTH_N, v);
}

const char *tr_clock_name(enum tr_clock_state v)
{
	static const char *const names[TR_CLOCK_N] = { "unknown", "ok", "desync", "unstable" };

	return at(names, TR_CLOCK_N, v);
}

const char *tr_integrity_name(enum tr_integrity v)
{
	static const char *const names[TR_INTEGRITY_N] = { "unknown",  "ok",           "expected_update",
							   "lsm_down", "bpf_mismatch", "unknown_binary" };

	return at(names, TR_INTEGRITY_N, v);
}

const char *tr_config_state_name(enum tr_config_state v)
{
	static const char *const names[TR_CONFIG_N] = { "unknown", "current", "behind" };

	return at(names, TR_CONFIG_N, v);
}

const char *tr_updating_name(enum tr_updating v)
{
	static const char *const names[TR_UPDATING_N] = { "none", "ordered", "running" };

	return at(names, TR_UPDATING_N, v);
}
