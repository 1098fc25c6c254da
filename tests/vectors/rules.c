/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <string.h>

const struct rule rules[] = {
	{ "json-duplicate-key", STRICTER, "an object that names a member twice has two meanings" },
	{ "json-nul", STRICTER, "no name or text of ours holds U+0000; C libraries would cut it there" },
	{ "json-number-range", STRICTER, "a number that int64 or double cannot hold is not rounded" },
	{ "json-utf8", STRICTER, "JSON between systems is UTF-8 (RFC 8259 section 8.1)" },
	{ "json-surrogate", STRICTER, "half a surrogate pair is no character" },
	{ "json-bom", STRICTER, "a byte order mark must not be sent (RFC 8259 section 8.1)" },
	{ "json-depth", STRICTER, "no document of ours nests more than 16 levels" },
	{ "cbor-profile", STRICTER, "deterministic CBOR without floats, tags where none is asked for, and simple values" },
	{ "cose-profile", STRICTER, "one form of COSE: tagged, algorithm protected, attached payload, four algorithms" },
	{ "rsa-exponent", STRICTER, "RSA keys have e = 65537" },
	{ "rsa-size", STRICTER, "RSA keys have 2048 to 8192 bits" },
	{ "rsa-encoding", STRICTER, "the digest's AlgorithmIdentifier has its NULL (RFC 8017 appendix A.2.4)" },
	{ "key-type", STRICTER, "Ed25519, P-256 and RSA only" },
	{ "svid-key-usage", STRICTER, "a leaf has a critical keyUsage with digitalSignature (X.509-SVID section 4.3)" },
	{ "svid-name", STRICTER, "a client is a SPIFFE id, never a DNS name, an address or a mailbox" },
	{ "leaf-eku", STRICTER, "a leaf says which side of TLS it stands on, and nothing wider" },
	{ "leaf-is-ca", STRICTER, "a CA certificate cannot stand for a party" },
	{ "chain-length", STRICTER, "leaf, at most one intermediate, root" },
	{ "weak-signature", STRICTER, "every signature is of 112 bits or more, a root's on itself too" },
	{ "cert-size", STRICTER, "a certificate has at most 4096 bytes" },
	{ "rfc5280-strict", STRICTER, "what RFC 5280 demands of a conforming CA is demanded here, also where others let it pass" },
	{ "critical-extension", STRICTER, "a critical extension that is not acted upon is refused (RFC 5280 section 4.2)" },
	{ "ca-eku", STRICTER, "a trusted CA carries no extended key usage" },
	{ "http-no-transfer-encoding", STRICTER, "bodies have a Content-Length: nothing to disagree about" },
	{ "http-origin-form", STRICTER, "the target is a path: no authority, no asterisk, no fragment, printable ASCII" },
	{ "http-version", STRICTER, "HTTP/1.1 and HTTP/1.0 only" },
	{ "http-host", STRICTER, "exactly one Host in HTTP/1.1 (RFC 9112 section 3.2)" },
	{ "http-header", STRICTER, "header names are tokens and values hold no line break" },
	{ "http-limits", STRICTER, "heads and bodies have limits" },
	{ "http-obs-fold", STRICTER, "a folded header line is refused (RFC 9112 section 5.2)" },
	{ "http-line-end", STRICTER, "what is no line end of HTTP is refused" },
	{ "http-lenient", STRICTER, "the vector accepts it only with leniency switched on" },
	{ "http-method", LOOSER, "a method that is a token is a method to the parser; it ends at the routes, which have no such one" },
};
const size_t n_rules = sizeof(rules) / sizeof(rules[0]);

const struct rule *rule_named(const char *name)
{
	for (size_t i = 0; name && i < n_rules; i++)
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	return NULL;
}
