/* SPDX-License-Identifier: Apache-2.0 */
/* Posting to strangers' HTTP servers from a role's loop, without waiting: libcurl's multi interface. Unlike
 * http/client.h this trusts the system's CAs (or a file that the operator names), because the receiver is not ours;
 * agents and the command line never come through here. Certificates are always verified, redirects and proxies never
 * followed. Names are resolved by the caller. */
#ifndef TR_HTTP_POST_H
#define TR_HTTP_POST_H

#include "base/buf.h"
#include "ipc/loop.h"

/* scheme://host[:port][/path]; a user, a password, a fragment or anything relative is refused. */
struct tr_url {
	char scheme[8], host[256]; /* host without brackets */
	unsigned port;             /* the scheme's own when the text has none: http, https, udp 514, tcp 601 */
	bool path;                 /* there is one, or a query */
};
bool tr_url_split(const char *text, struct tr_url *ret);
/* localhost, 127.0.0.0/8 or ::1, as written. */
bool tr_url_is_loopback(const struct tr_url *u);

struct tr_poster;

struct tr_post_config {
	struct tr_view ca_pem; /* whom https:// is trusted by; the caller reads it before its filter */
	unsigned timeout_s;    /* whole exchange */
};
/* Before the role's filter; tr_poster_start with its loop before the first post. */
TR_RC tr_poster_new(const struct tr_post_config *c, struct tr_poster **ret, struct tr_err *err);
TR_RC tr_poster_start(struct tr_poster *p, struct tr_loop *loop, struct tr_err *err);
struct tr_poster *tr_poster_free(struct tr_poster *p); /* what is under way is forgotten, and nobody told */
TR_DEFINE_AUTO(struct tr_poster *, tr_poster_free)

struct tr_post {
	const char *url;
	const char *addresses;      /* "192.0.2.1,[2001:db8::1]": where url's host is */
	const char *const *headers; /* "Name: value", NULL-terminated */
	struct tr_view body;
};
struct tr_post_answer {
	int status;             /* 0: no answer, and why says why */
	unsigned retry_after_s; /* 0: not said */
	const char *why;
};
typedef void (*tr_post_fn)(void *arg, const struct tr_post_answer *a);

/* Copies everything. fn is called once, never before this returns. */
TR_RC tr_poster_send(struct tr_poster *p, const struct tr_post *post, tr_post_fn fn, void *arg, struct tr_err *err);
/* Where this libcurl looks for the system's CA certificates; NULL: nowhere. */
const char *tr_post_system_ca(void);

#endif
