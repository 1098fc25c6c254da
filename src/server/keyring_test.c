/* SPDX-License-Identifier: Apache-2.0 */
/* What a stolen core cannot have signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/cbor.h"
#include "server/keyring.h"
#include "signed/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)

static char domain[] = "keys.example";
static struct tr_config cfg = { .trust_domain = domain };
static struct tr_keyring ring = { .cfg = &cfg };
static struct tr_privkey *key;
static int64_t now;

static int begin(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	now = tr_now_ms();
	return tr_privkey_generate(TR_KEY_ED25519, &key, &err) ? 1 : 0;
}

static int end(void **state)
{
	(void)state;
	key = tr_privkey_free(key);
	return 0;
}

static struct tr_order order_of(enum tr_cmd cmd)
{
	struct tr_order o = { .trust_domain = tr_view_str(domain), .agent_id = TR_VIEW_LIT("web-1"), .cmd = cmd,
			      .ordered_ms = now };

	memset(o.cmd_id, 7, sizeof(o.cmd_id));
	o.expires_ms = now + tr_cmd_type(cmd)->lifetime_s * 1000LL;
	return o;
}

static enum tr_code sign(const struct tr_order *o, struct tr_msg_to_sign m, unsigned approvals, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, list = TR_BUF_INIT, bytes = TR_BUF_INIT;
	const struct tr_msg_sign_commands q = { .keyset_epoch = 3, .revocation = 1 };
	struct tr_err err = { 0 };
	enum tr_code rc;

	if (o) {
		assert_int_equal(tr_order_encode(o, &order, &err), TR_OK);
		m.order = tr_buf_view(&order);
	}
	if (approvals) {
		tr_cbor_put_array(&list, approvals);
		for (unsigned i = 0; i < approvals; i++)
			tr_cbor_put_bytes(&list, TR_VIEW_LIT("an approval"));
		m.approvals = tr_buf_view(&list);
	}
	tr_record_encode(&tr_msg_to_sign_def, &m, &bytes);
	assert_true(tr_buf_ok(&bytes));
	rc = tr_keyring_sign(&ring, key, &q, tr_buf_view(&bytes), ret, &err);
	assert_true(rc == TR_OK || (err.code == rc && err.pub && ret->n == 0));
	return rc;
}

static struct tr_msg_to_sign usual(const struct tr_order *o)
{
	int64_t longest = now + TR_COMMAND_AGE_MAX_S * 1000LL;

	return (struct tr_msg_to_sign){ .epoch = 1, .line = 1, .seq = 1, .issued = now,
					.expires = o->not_before_ms || o->expires_ms < longest ? o->expires_ms : longest };
}

static void what_is_right_is_signed(void **state)
{
	(void)state;
	for (enum tr_cmd cmd = TR_CMD_STATUS; cmd < TR_CMD_N; cmd++) {
		const struct tr_cmd_type *t = tr_cmd_type(cmd);
		struct tr_order o = order_of(cmd), back;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_command c;
		struct tr_view kid;
		struct tr_err err = { 0 };
		uint8_t target[TR_CMD_ID_LEN] = { 9 };

		o.seconds = t->seconds ? t->seconds_max : 0;
		o.text = t->text ? TR_VIEW_LIT("hello") : tr_view(NULL, 0);
		o.target = t->target ? TR_VIEW_ARRAY(target) : tr_view(NULL, 0);
		assert_int_equal(sign(&o, usual(&o), tr_cmd_approvals(t->class), &b), TR_OK);
		assert_int_equal(tr_command_read(tr_buf_view(&b), &c, &back, &kid, &err), TR_OK);
		assert_int_equal(c.keyset_epoch, 3);
		assert_int_equal(c.n_approvals, tr_cmd_approvals(t->class));
		assert_memory_equal(kid.p, tr_pubkey_id(tr_privkey_pub(key)), 16);
		/* One approval less, and it is not. */
		tr_buf_clear(&b);
		if (tr_cmd_approvals(t->class))
			assert_int_equal(sign(&o, usual(&o), tr_cmd_approvals(t->class) - 1, &b), TR_E_DENIED);
	}
}

static void what_breaks_a_bound_is_not(void **state)
{
	static const struct {
		const char *label;
		int64_t issued, expires, order_expires; /* from now; the ends: 0 as usual */
		uint64_t line, seq;
		enum tr_code want;
	} rows[] = {
		{ "as usual", 0, 0, 0, 1, 1, TR_OK },
		{ "a minute old", -MINUTE, 0, 0, 1, 1, TR_OK },
		{ "issued an hour ago", -HOUR, 0, 0, 1, 1, TR_E_DENIED },
		{ "issued in an hour", HOUR, 2 * HOUR, 0, 1, 1, TR_E_DENIED },
		{ "it outlives its order", 0, 2 * MINUTE, MINUTE, 1, 1, TR_E_DENIED },
		{ "no number", 0, 0, 0, 1, 0, TR_E_INVALID },
		{ "no line", 0, 0, 0, 0, 1, TR_E_INVALID },
		{ "it ends before it begins", 0, -1, 0, 1, 1, TR_E_INVALID },
	};
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_order o = order_of(TR_CMD_STATUS);
		struct tr_msg_to_sign m;
		enum tr_code rc;

		if (rows[i].order_expires)
			o.expires_ms = now + rows[i].order_expires;
		m = usual(&o);
		m.issued = now + rows[i].issued;
		m.expires = rows[i].expires ? now + rows[i].expires : m.expires;
		m.line = rows[i].line;
		m.seq = rows[i].seq;
		rc = sign(&o, m, 0, &b);
		if (rc != rows[i].want)
			fail_msg("%s: %s", rows[i].label, tr_code_name(rc));
	}
}

static void the_longest_life(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_order o = order_of(TR_CMD_RESTART_AGENT); /* lives for four hours */
	struct tr_msg_to_sign m = usual(&o);

	(void)state;
	assert_int_equal(o.expires_ms - o.ordered_ms, TR_COMMAND_AGE_MAX_S * 1000LL);
	assert_int_equal(sign(&o, m, 1, &b), TR_OK);
	tr_buf_clear(&b);
	m.issued--;
	assert_int_equal(sign(&o, m, 1, &b), TR_E_DENIED);
	/* One that waits for its time lives until the end of that. */
	o.not_before_ms = now + HOUR;
	o.expires_ms += HOUR;
	assert_int_equal(sign(&o, usual(&o), 1, &b), TR_OK);
}

static void orders_of_others(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_order o = order_of(TR_CMD_STATUS);
	struct tr_msg_to_sign m = usual(&o);

	(void)state;
	o.trust_domain = TR_VIEW_LIT("other.example");
	assert_int_equal(sign(&o, m, 0, &b), TR_E_DENIED);
	m.order = TR_VIEW_LIT("no order at all");
	assert_int_equal(sign(NULL, m, 0, &b), TR_E_INVALID);
	m.order = tr_view(NULL, 0);
	assert_int_equal(sign(NULL, m, 0, &b), TR_E_INVALID);
	o = order_of(TR_CMD_STATUS);
	assert_int_equal(sign(&o, m, 3, &b), TR_E_INVALID);
	assert_int_equal(sign(&o, m, 2, &b), TR_OK);
}

static void not_too_many(void **state)
{
	struct tr_order o = order_of(TR_CMD_STATUS);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	ring.second = tr_mono_ms() / 1000;
	ring.commands = 1000000;
	/* Unless the second has just changed. */
	if (sign(&o, usual(&o), 0, &b) == TR_OK) {
		tr_buf_clear(&b);
		ring.commands = 1000000;
		assert_int_equal(sign(&o, usual(&o), 0, &b), TR_E_BUSY);
	}
	ring.commands = 0;
	tr_buf_clear(&b);
	assert_int_equal(sign(&o, usual(&o), 0, &b), TR_OK);
}

static void seal_key_of_a_node(void **state)
{
	char dir[] = "/tmp/troth-keyring-XXXXXX", path[128], keys[128];
	struct tr_config c = { .trust_domain = domain };
	struct tr_keyring one = { 0 }, two = { 0 };
	struct tr_err err = { 0 };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(keys, sizeof(keys), "%s/keys", dir);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, TR_SEAL_KEY);
	assert_int_equal(mkdir(keys, 0700), 0);
	c.state = dir;
	/* Made once, and then it stays. */
	assert_int_equal(tr_keyring_open(&one, &c, &err), TR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tr_keyring_open(&two, &c, &err), TR_OK);
	assert_memory_equal(one.seal, two.seal, sizeof(one.seal));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(tr_keyring_open(&two, &c, &err), TR_E_DENIED);
	assert_int_equal(tr_file_write(path, TR_VIEW_LIT("short"), 0600, &err), TR_OK);
	assert_int_equal(tr_keyring_open(&two, &c, &err), TR_E_INVALID);
	tr_keyring_done(&one);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(keys), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void only_under_its_role(void **state)
{
	struct tr_keyring r = { .cfg = &cfg };
	struct tr_err err = { 0 };
	struct tr_privkey *ca;
	struct tr_view id;

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &ca, &err), TR_OK);
	id = tr_view(tr_pubkey_id(tr_privkey_pub(ca)), 32);
	assert_int_equal(tr_keyring_add(&r, TR_ROLE_CA, ca, false, &err), TR_OK);
	/* The CA's key signs no commands, whoever asks for it by its id. */
	assert_null(tr_keyring_find(&r, TR_ROLE_COMMAND, id));
	assert_ptr_equal(tr_keyring_find(&r, TR_ROLE_CA, id), ca);
	assert_null(tr_keyring_find(&r, TR_ROLE_CA, tr_view(id.p, 31)));
	tr_keyring_done(&r);
	assert_int_equal(r.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_right_is_signed), cmocka_unit_test(what_breaks_a_bound_is_not),
		cmocka_unit_test(the_longest_life),	   cmocka_unit_test(orders_of_others),
		cmocka_unit_test(not_too_many),		   cmocka_unit_test(seal_key_of_a_node),
		cmocka_unit_test(only_under_its_role),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
