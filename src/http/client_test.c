/* SPDX-License-Identifier: Apache-2.0 */
/* The client against our server, and against what is not our server. */
#include "http/http_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct tr_client *client(const char *host, const struct identity *trust, const struct identity *me)
{
	char url[64];
	struct tr_client *c = NULL;
	struct tr_err err;

	(void)snprintf(url, sizeof(url), "https://%s:%u/", host, port);
	assert_int_equal(tr_client_new(&(struct tr_client_config){
					       .base_url = url,
					       .ca_pem = trust ? tr_view_str(trust->cert) : (struct tr_view){ 0 },
					       .cert_pem = me ? tr_view_str(me->cert) : (struct tr_view){ 0 },
					       .key_pem = me ? tr_view_str(me->key) : (struct tr_view){ 0 },
					       .timeout_s = 2,
					       .max_answer = 4096,
				       },
				       &c, &err),
			 TR_OK);
	return c;
}

struct build {
	unsigned calls;
	uint8_t exporter[32];
	bool refuse;
};

static bool build_body(void *arg, const uint8_t exporter[32], struct tr_buf *b)
{
	struct build *s = arg;

	s->calls++;
	memcpy(s->exporter, exporter, 32);
	tr_buf_addf(b, "body %u", s->calls);
	return !s->refuse;
}

static void requests_and_answers(void **state)
{
	static const char *const headers[] = { "X-A: b", NULL };
	struct tr_client_answer a;
	struct tr_client *c;
	struct tr_err err;
	uint8_t sha[32];

	(void)state;
	start(&roomy);
	c = client("127.0.0.1", &ca, NULL);
	assert_false(tr_client_peer_sha256(c, sha));
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/query?a=b" }, &a, &err),
			 TR_OK);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.content_type, "text/plain");
	assert_string_equal(tr_buf_cstr(&a.body), "a=b");
	assert_true(tr_client_peer_sha256(c, sha));
	tr_client_answer_done(&a);
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "POST", .path = "/echo",
								      .content_type = "text/plain",
								      .body = TR_VIEW_LIT("hi\0you"),
								      .bearer = "secret", .headers = headers },
				      &a, &err),
			 TR_OK);
	assert_int_equal(a.body.n, 6);
	tr_client_answer_done(&a);
	/* Other methods, with and without a body. */
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "DELETE", .path = "/" }, &a, &err), TR_OK);
	assert_int_equal(a.body.n, 0);
	tr_client_answer_done(&a);
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "PUT", .path = "/",
								      .body = TR_VIEW_LIT("x") }, &a, &err), TR_OK);
	assert_int_equal(a.body.n, 1);
	tr_client_answer_done(&a);
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "POST", .path = "/" }, &a, &err), TR_OK);
	assert_int_equal(a.body.n, 0);
	tr_client_answer_done(&a);
	/* A refusal is an answer. */
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/refused" }, &a, &err),
			 TR_OK);
	assert_int_equal(a.status, 403);
	assert_int_equal(a.retry_after_s, 7);
	assert_string_equal(a.content_type, "application/problem+json");
	tr_client_answer_done(&a);
	/* One connection carried all of it. */
	assert_int_equal(seen->opens, 1);
	c = tr_client_free(c);
	stop();
}

static void exporter_is_known_before_the_body(void **state)
{
	struct tr_client_answer a;
	struct build s = { 0 };
	const struct tr_client_request r = { .method = "POST", .path = "/echo", .content_type = "application/cbor",
					     .body_fn = build_body, .arg = &s };
	struct tr_client *c;
	struct tr_err err;

	(void)state;
	start(&roomy);
	c = client("127.0.0.1", &ca, &client_ed);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(tr_client_do(c, &r, &a, &err), TR_OK);
		assert_int_equal(a.status, 200);
		assert_int_equal(s.calls, i);
		assert_memory_equal(s.exporter, seen->exporter, 32);
		assert_int_equal(a.body.n, 6);
		assert_int_equal(a.body.p[5], '0' + i);
		tr_client_answer_done(&a);
	}
	assert_int_equal(seen->opens, 1);
	assert_int_equal(seen->last_der_n, client_ed.der_n);
	assert_memory_equal(seen->der, client_ed.der, client_ed.der_n);
	s.refuse = true;
	assert_int_equal(tr_client_do(c, &r, &a, &err), TR_E_INTERNAL);
	s.refuse = false;
	/* On a new connection the exporter is another. */
	{
		uint8_t before[32];

		memcpy(before, s.exporter, 32);
		assert_int_equal(tr_client_do(c, &r, &a, &err), TR_OK);
		assert_int_equal(seen->opens, 2);
		assert_memory_equal(s.exporter, seen->exporter, 32);
		assert_memory_not_equal(s.exporter, before, 32);
		tr_client_answer_done(&a);
	}
	c = tr_client_free(c);
	stop();
}

/* A kept-alive connection that the server has closed meanwhile is replaced without an error. */
static void dead_connection_is_replaced(void **state)
{
	struct tr_http_limits l = roomy;
	struct tr_client_answer a;
	struct build s = { 0 };
	const struct tr_client_request r = { .method = "POST", .path = "/echo", .body_fn = build_body, .arg = &s };
	struct tr_client *c;
	struct tr_err err;

	(void)state;
	l.idle_s = 1;
	start(&l);
	c = client("127.0.0.1", &ca, NULL);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(tr_client_do(c, &r, &a, &err), TR_OK);
		assert_int_equal(a.status, 200);
		assert_memory_equal(s.exporter, seen->exporter, 32);
		tr_client_answer_done(&a);
		if (i == 1)
			assert_true(wait_for(&seen->closes, 1));
	}
	assert_int_equal(seen->opens, 2);
	c = tr_client_free(c);
	stop();
}

static void errors_say_what_to_check(void **state)
{
	const struct tr_client_request get = { .method = "GET", .path = "/" };
	struct tr_client_answer a;
	struct tr_client *c;
	struct tr_err err;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);
	int deaf, on = 1;

	(void)state;
	start(&roomy);
	/* another CA */
	c = client("127.0.0.1", &other_ca, NULL);
	assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAUTH);
	assert_non_null(strstr(err.pub, "not signed by the CA"));
	c = tr_client_free(c);
	/* another name */
	c = client("localhost", &ca, NULL);
	assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAUTH);
	if (!strstr(err.pub, "for another name"))
		fail_msg("%s: %s", err.pub, err.detail);
	c = tr_client_free(c);
	/* no trust yet: bootstrap */
	c = client("localhost", NULL, NULL);
	assert_int_equal(tr_client_do(c, &get, &a, &err), TR_OK);
	tr_client_answer_done(&a);
	c = tr_client_free(c);
	/* too slow */
	c = client("127.0.0.1", &ca, NULL);
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/never" }, &a, &err),
			 TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "in time"));
	c = tr_client_free(c);
	/* too long */
	{
		static uint8_t big[8192];

		c = client("127.0.0.1", &ca, NULL);
		assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "POST", .path = "/big",
									      .body = TR_VIEW_ARRAY(big) }, &a, &err),
				 TR_E_INVALID);
		assert_non_null(strstr(err.pub, "too long"));
		c = tr_client_free(c);
	}
	/* header injection */
	c = client("127.0.0.1", &ca, NULL);
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/",
								      .bearer = "a\r\nX-Evil: 1" }, &a, &err),
			 TR_E_INVALID);
	c = tr_client_free(c);
	stop();
	/* nobody */
	c = client("127.0.0.1", &ca, NULL);
	assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "nothing listens"));
	assert_non_null(strstr(err.detail, "https://127.0.0.1:"));
	c = tr_client_free(c);
	/* something else that never speaks */
	deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(deaf, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(deaf, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(deaf, 4), 0);
	assert_int_equal(getsockname(deaf, (struct sockaddr *)&in, &n), 0);
	port = ntohs(in.sin_port);
	c = client("127.0.0.1", &ca, NULL);
	assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAVAIL);
	c = tr_client_free(c);
	(void)close(deaf);
	/* no HTTPS address */
	assert_int_equal(tr_client_new(&(struct tr_client_config){ .base_url = "http://127.0.0.1" }, &c, &err),
			 TR_E_INVALID);
}

/* The certificates of the fixture are good now; the request says which "now" counts. */
static void a_server_is_judged_at_the_time_that_is_told(void **state)
{
	static const int64_t year = INT64_C(365) * 86400000;
	static const struct {
		int64_t off;
		bool ignore, ok;
	} cases[] = {
		{ 0, false, true },	      { -100 * year, false, false }, { 100 * year, false, false },
		{ -100 * year, true, true },  { 100 * year, true, true },
	};

	(void)state;
	start(&roomy);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tr_client_request get = {
			.method = "GET", .path = "/", .verify_time_ms = tr_now_ms() + cases[i].off
		};
		struct tr_client_config config = { .ca_pem = tr_view_str(ca.cert), .timeout_s = 2, .max_answer = 4096,
						   .ignore_dates = cases[i].ignore };
		struct tr_client_answer a = { 0 };
		struct tr_client *c = NULL;
		struct tr_err err;
		char url[64];
		enum tr_code rc;

		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", port);
		config.base_url = url;
		assert_int_equal(tr_client_new(&config, &c, &err), TR_OK);
		rc = tr_client_do(c, &get, &a, &err);
		if ((rc == TR_OK) != cases[i].ok || tr_client_failed_by_date(c) == cases[i].ok)
			fail_msg("case %zu: %s", i, err.detail);
		tr_client_answer_done(&a);
		/* What the one exchange needed, the next one does not inherit. */
		if (!cases[i].ok) {
			assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/" }, &a,
						      &err),
					 TR_OK);
			assert_false(tr_client_failed_by_date(c));
			tr_client_answer_done(&a);
		}
		c = tr_client_free(c);
		/* Without dates, it is still the CA that counts. */
		config.ca_pem = tr_view_str(other_ca.cert);
		assert_int_equal(tr_client_new(&config, &c, &err), TR_OK);
		assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAUTH);
		assert_false(tr_client_failed_by_date(c));
		c = tr_client_free(c);
		/* And the name. */
		config.ca_pem = tr_view_str(ca.cert);
		(void)snprintf(url, sizeof(url), "https://localhost:%u", port);
		assert_int_equal(tr_client_new(&config, &c, &err), TR_OK);
		assert_int_equal(tr_client_do(c, &get, &a, &err), TR_E_UNAUTH);
		c = tr_client_free(c);
	}
	stop();
}

static volatile sig_atomic_t cancelled;

static void on_alarm(int sig)
{
	cancelled = sig;
}

static void an_exchange_can_be_cancelled_and_shortened(void **state)
{
	const struct sigaction act = { .sa_handler = on_alarm };
	struct tr_client_config config = { .ca_pem = tr_view_str(ca.cert), .timeout_s = 20, .max_answer = 4096,
					   .cancel = &cancelled };
	struct tr_client_answer a = { 0 };
	struct tr_client *c = NULL;
	struct tr_err err;
	char url[64];
	uint64_t began;

	(void)state;
	start(&roomy);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", port);
	config.base_url = url;
	assert_int_equal(tr_client_new(&config, &c, &err), TR_OK);
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	(void)alarm(1);
	began = tr_mono_ms();
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/never" }, &a, &err),
			 TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "cancelled"));
	assert_in_range(tr_mono_ms() - began, 900, 2900);
	cancelled = 0;
	began = tr_mono_ms();
	assert_int_equal(tr_client_do(c, &(struct tr_client_request){ .method = "GET", .path = "/never", .timeout_ms = 300 },
				      &a, &err),
			 TR_E_UNAVAIL);
	assert_non_null(strstr(err.pub, "in time"));
	assert_in_range(tr_mono_ms() - began, 250, 2000);
	c = tr_client_free(c);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(requests_and_answers, clean),
		cmocka_unit_test_teardown(exporter_is_known_before_the_body, clean),
		cmocka_unit_test_teardown(dead_connection_is_replaced, clean),
		cmocka_unit_test_teardown(errors_say_what_to_check, clean),
		cmocka_unit_test_teardown(a_server_is_judged_at_the_time_that_is_told, clean),
		cmocka_unit_test_teardown(an_exchange_can_be_cancelled_and_shortened, clean),
	};

	return cmocka_run_group_tests(tests, make_pki, NULL);
}
