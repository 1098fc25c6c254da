/* SPDX-License-Identifier: Apache-2.0 */
/* `trothd init`: makes an installation of its own keys: root (1 of 1, to be moved offline), CA, TLS, keyset epoch 1 in
 * the final format, store, first operator token, configuration. Never overwrites anything. */
#ifndef TR_SERVER_INIT_H
#define TR_SERVER_INIT_H

#include "crypto/key.h"

struct tr_config_pkcs11;

struct tr_init {
	const char *dir;
	const char *trust_domain;
	const char *const *hosts;     /* DNS names or addresses of the server certificate, NULL-terminated */
	const char *agents, *operators; /* listen addresses */
	const char *const *urls;      /* NULL-terminated; what agents are told */
	const char *store;            /* "postgresql://…"; NULL: a file in the folder */
	const char *store_password_file; /* NULL, or absolute */
	const struct tr_config_pkcs11 *pkcs11; /* NULL: no key is in a token; pin_file absolute */
};
TR_RC tr_init(const struct tr_init *i, struct tr_err *err);
/* A fresh server key and its certificate by this CA, for these names. */
TR_RC tr_server_cert_issue(const struct tr_privkey *ca, struct tr_view ca_der, const char *const *hosts, int64_t now,
			   struct tr_privkey **ret_key, struct tr_buf *ret_der, struct tr_err *err);
/* A new server certificate by the CA key of the installation; replaces tls/server.{key,crt}. hosts NULL or empty: the same
 * names as the present one. Prints the names. */
TR_RC tr_init_renew_tls(const char *config, const char *const *hosts, struct tr_err *err);

#endif
