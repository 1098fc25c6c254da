/* SPDX-License-Identifier: Apache-2.0 */
#include "http/post.h"

#include "http/strict.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#define ANSWER_MAX 65536 /* read for politeness, and thrown away */

struct post {
	struct tr_poster *owner;
	struct post *next;
	CURL *curl;
	struct curl_slist *headers, *resolve;
	struct tr_buf body;
	char error[CURL_ERROR_SIZE];
	size_t got;
	tr_post_fn fn;
	void *arg;
};

struct tr_poster {
	struct tr_loop *loop;
	CURLM *multi;
	struct tr_watch *timer;
	struct tr_buf ca;
	long timeout_s;
	struct post *posts;
};

/* A descriptor that libcurl wants watched. */
struct sock {
	struct tr_poster *owner;
	curl_socket_t fd;
	struct tr_watch *watch;
};

/* ---- addresses ---- */

static bool url_part(CURLU *u, CURLUPart what, unsigned flags, char *out, size_t len)
{
	char *text = NULL;
	bool ok = curl_url_get(u, what, &text, flags) == CURLUE_OK && strlen(text) < len;

	if (ok)
		memcpy(out, text, strlen(text) + 1);
	curl_free(text);
	return ok;
}

static unsigned own_port(const char *scheme)
{
	static const struct {
		const char *scheme;
		unsigned port;
	} known[] = { { "https", 443 }, { "http", 80 }, { "udp", 514 }, { "tcp", 601 } };

	for (size_t i = 0; i < TR_ARRAY_LEN(known); i++)
		if (strcmp(scheme, known[i].scheme) == 0)
			return known[i].port;
	return 0;
}

/* Brackets are of the URL, not of the address. */
static void strip_brackets(char *host)
{
	size_t n = strlen(host);

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	}
}

static bool split(CURLU *u, const char *text, struct tr_url *out)
{
	char port[8], more[2048];

	if (curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER) != CURLUE_OK ||
	    !url_part(u, CURLUPART_SCHEME, 0, out->scheme, sizeof(out->scheme)) ||
	    !url_part(u, CURLUPART_HOST, 0, out->host, sizeof(out->host)) || !out->host[0] ||
	    url_part(u, CURLUPART_FRAGMENT, 0, more, sizeof(more)))
		return false;
	strip_brackets(out->host);
	out->port = url_part(u, CURLUPART_PORT, 0, port, sizeof(port)) ? (unsigned)strtoul(port, NULL, 10)
									: own_port(out->scheme);
	out->path = url_part(u, CURLUPART_QUERY, 0, more, sizeof(more)) ||
		    (url_part(u, CURLUPART_PATH, 0, more, sizeof(more)) && strcmp(more, "/") != 0 && more[0]);
	return out->port != 0;
}

bool tr_url_split(const char *text, struct tr_url *ret)
{
	CURLU *u = curl_url();
	struct tr_url out = { .port = 0 };
	/* libcurl would encode what is not a URL's. */
	bool ok = u && tr_http_is_value(tr_view_str(text)) && !strchr(text, ' ') && strstr(text, "://") &&
		  !strstr(text, ":///") && split(u, text, &out);

	curl_url_cleanup(u);
	if (ok)
		*ret = out;
	return ok;
}

bool tr_url_is_loopback(const struct tr_url *u)
{
	struct in_addr a4;
	struct in6_addr a6;

	if (inet_pton(AF_INET, u->host, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, u->host, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6);
	return strcmp(u->host, "localhost") == 0;
}

/* ---- one exchange ---- */

static void post_free(struct post *p)
{
	curl_easy_cleanup(p->curl);
	curl_slist_free_all(p->headers);
	curl_slist_free_all(p->resolve);
	tr_buf_done(&p->body);
	free(p);
}

static void unlink_post(struct post *p)
{
	for (struct post **at = &p->owner->posts; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	(void)curl_multi_remove_handle(p->owner->multi, p->curl);
}

static void finish(struct post *p, CURLcode rc)
{
	struct tr_post_answer a = { .why = p->error[0] ? p->error : curl_easy_strerror(rc) };
	long status = 0;
	curl_off_t retry = 0;

	(void)curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
	/* A status whose body was too long to our taste is an answer all the same. */
	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && p->got > ANSWER_MAX)) {
		a.status = (int)status;
		(void)curl_easy_getinfo(p->curl, CURLINFO_RETRY_AFTER, &retry);
		a.retry_after_s = retry <= 0 ? 0 : retry > UINT32_MAX ? UINT32_MAX : (unsigned)retry;
	}
	unlink_post(p);
	p->fn(p->arg, &a);
	post_free(p);
}

static void collect(struct tr_poster *p)
{
	const CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left)) != NULL) {
		struct post *post = NULL;
		CURLcode rc = m->data.result; /* m is gone with its handle */

		if (m->msg == CURLMSG_DONE &&
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &post) == CURLE_OK && post)
			finish(post, rc);
	}
}

static size_t on_write(char *data, size_t one, size_t n, void *arg)
{
	struct post *p = arg;

	(void)data;
	(void)one;
	p->got += n;
	return p->got > ANSWER_MAX ? 0 : n;
}

static bool add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *l = curl_slist_append(*list, line);

	if (l)
		*list = l;
	return l != NULL;
}

static bool set_headers(struct post *p, const char *const *headers)
{
	bool ok = add_line(&p->headers, "Expect:") && add_line(&p->headers, "Accept:");

	for (; ok && *headers; headers++) {
		const char *colon = strchr(*headers, ':');

		ok = colon && tr_http_is_token(tr_view(*headers, (size_t)(colon - *headers))) &&
		     tr_http_is_value(tr_view_str(colon + 1)) && add_line(&p->headers, *headers);
	}
	return ok;
}

/* The first line takes back what an earlier post said of this name: its addresses may have changed. */
static bool set_addresses(struct post *p, const struct tr_url *u, const char *addresses)
{
	tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT;
	struct in6_addr unused;

	if (inet_pton(AF_INET, u->host, &unused) == 1 || inet_pton(AF_INET6, u->host, &unused) == 1)
		return true; /* is one itself */
	tr_buf_addf(&line, "-%s:%u", u->host, u->port);
	if (!add_line(&p->resolve, tr_buf_cstr(&line)))
		return false;
	tr_buf_clear(&line);
	tr_buf_addf(&line, "%s:%u:%s", u->host, u->port, addresses);
	return add_line(&p->resolve, tr_buf_cstr(&line));
}

static bool configure(struct post *p, const struct tr_post *what, const struct tr_url *u)
{
	struct curl_blob ca = { .data = p->owner->ca.p, .len = p->owner->ca.n, .flags = CURL_BLOB_NOCOPY };
	CURL *h = p->curl;
	bool ok = set_headers(p, what->headers) && set_addresses(p, u, what->addresses);

#define SET(option, value) (ok = ok && curl_easy_setopt(h, option, value) == CURLE_OK)
	SET(CURLOPT_PRIVATE, p);
	SET(CURLOPT_ERRORBUFFER, p->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_URL, what->url);
	SET(CURLOPT_PROTOCOLS_STR, u->scheme); /* no other, whatever the answer says */
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CAINFO, NULL);
	if (ca.len)
		SET(CURLOPT_CAINFO_BLOB, &ca);
	SET(CURLOPT_RESOLVE, p->resolve);
	SET(CURLOPT_CONNECTTIMEOUT, p->owner->timeout_s);
	SET(CURLOPT_TIMEOUT, p->owner->timeout_s);
	SET(CURLOPT_USERAGENT, "trothd/" TROTH_VERSION);
	SET(CURLOPT_HTTPHEADER, p->headers);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDS, p->body.n ? (const char *)p->body.p : "");
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.n);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, p);
#undef SET
	return ok;
}

TR_RC tr_poster_send(struct tr_poster *owner, const struct tr_post *what, tr_post_fn fn, void *arg, struct tr_err *err)
{
	struct post *p = calloc(1, sizeof(*p));
	struct tr_url u;

	if (!p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "post");
	p->owner = owner;
	p->fn = fn;
	p->arg = arg;
	p->curl = curl_easy_init();
	tr_buf_addv(&p->body, what->body);
	if (!p->curl || !tr_buf_ok(&p->body) || !tr_url_split(what->url, &u) || !configure(p, what, &u) ||
	    curl_multi_add_handle(owner->multi, p->curl) != CURLM_OK) {
		post_free(p);
		return tr_err_set(err, TR_E_INTERNAL, "the request could not be built", "post to %s", what->url);
	}
	p->next = owner->posts;
	owner->posts = p;
	return TR_OK;
}

/* ---- the loop ---- */

static void on_ready(void *arg)
{
	struct sock *s = arg;
	struct tr_poster *p = s->owner; /* s may be gone after this */
	int running;

	/* 0: libcurl looks for itself what there is to do. */
	(void)curl_multi_socket_action(p->multi, s->fd, 0, &running);
	collect(p);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct tr_poster *p = arg;
	struct sock *s = of_socket;
	struct tr_err err = { 0 };
	unsigned flags = what == CURL_POLL_OUT ? TR_WATCH_WRITE : what == CURL_POLL_IN ? TR_WATCH_READ
										      : TR_WATCH_READ | TR_WATCH_WRITE;

	(void)easy;
	if (s)
		s->watch = tr_watch_free(s->watch);
	if (what == CURL_POLL_REMOVE) {
		(void)curl_multi_assign(p->multi, fd, NULL);
		free(s);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->owner = p;
		s->fd = fd;
		(void)curl_multi_assign(p->multi, fd, s);
	}
	return tr_watch_fd(p->loop, fd, flags, on_ready, s, &s->watch, &err) ? -1 : 0;
}

static void on_time(void *arg)
{
	struct tr_poster *p = arg;
	int running;

	(void)curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(p);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct tr_poster *p = arg;

	(void)multi;
	if (ms < 0)
		tr_timer_stop(p->timer);
	else
		tr_timer_arm(p->timer, (uint64_t)ms);
	return 0;
}

TR_RC tr_poster_new(const struct tr_post_config *c, struct tr_poster **ret, struct tr_err *err)
{
	tr_auto(tr_poster_free) struct tr_poster *p = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "libcurl does not start");
	p = calloc(1, sizeof(*p));
	if (!p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "poster");
	p->multi = curl_multi_init();
	p->timeout_s = (long)c->timeout_s;
	tr_buf_addv(&p->ca, c->ca_pem);
	if (!p->multi || !tr_buf_ok(&p->ca) ||
	    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p) != CURLM_OK ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p) != CURLM_OK ||
	    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, 2L) != CURLM_OK)
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "libcurl does not take our settings");
	*ret = TR_TAKE(p);
	return TR_OK;
}

TR_RC tr_poster_start(struct tr_poster *p, struct tr_loop *loop, struct tr_err *err)
{
	p->loop = loop;
	return tr_watch_timer(loop, on_time, p, &p->timer, err);
}

struct tr_poster *tr_poster_free(struct tr_poster *p)
{
	if (!p)
		return NULL;
	while (p->posts) {
		struct post *post = p->posts;

		unlink_post(post);
		post_free(post);
	}
	if (p->multi)
		(void)curl_multi_cleanup(p->multi); /* calls on_socket for what is still open */
	(void)tr_watch_free(p->timer);
	tr_buf_done(&p->ca);
	free(p);
	return NULL;
}

const char *tr_post_system_ca(void)
{
	return curl_version_info(CURLVERSION_NOW)->cainfo;
}
