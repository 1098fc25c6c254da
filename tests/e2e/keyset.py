# SPDX-License-Identifier: Apache-2.0
"""Keysets written and read from docs/protocol/keyset.md alone: nothing here uses the product's code.

payload(fields) → bytes, sign(payload, keys) → bytes, add_signature(data, key), fingerprint(fields), digest(data),
verify_pinned(data, pin, now_ms) and verify_next(prev, data, now_ms) → fields, find(fields, role, kid), standing(fields, key,
signed_ms, now_ms). Fields: trust_domain, epoch, issued_ms, expires_ms, threshold, roots, keys ({role, key, not_before_ms,
not_after_ms, no_sign_after_ms}), revocation_number, revoked, prev_digest (b"" in epoch 1).
"""

import hashlib
import re

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

import pulse
from pulse import Malformed, decode, encode, is_bytes, is_uint, need

DOMAIN = b"troth/keyset/v1"
ROLES = ("command", "release", "config", "log", "ca", "operator")
TIME_END = 253402300800000
NAMES = {1: "trust_domain", 2: "epoch", 3: "issued_ms", 4: "expires_ms", 5: "threshold", 6: "roots", 7: "keys",
         8: "revocation_number", 9: "revoked", 10: "prev_digest"}
KEY = ("role", "key", "not_before_ms", "not_after_ms", "no_sign_after_ms")


class Denied(Exception):
    pass


def deny(condition, why):
    if condition:
        raise Denied(why)


def is_trust_domain(v):
    return isinstance(v, str) and re.fullmatch(r"[a-z0-9._-]{1,255}", v) is not None


def spki(key):
    return pulse.public(key).public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo)


def key_id(der):
    return hashlib.sha256(der).digest()


# ---- the payload ----

def payload(f):
    keys = [[k[n] if n in ("role", "key") else k.get(n, 0) for n in KEY] for k in f["keys"]]
    m = {1: f["trust_domain"], 2: f["epoch"], 3: f["issued_ms"], 4: f["expires_ms"], 5: f["threshold"],
         6: sorted(f["roots"]), 7: keys, 8: f.get("revocation_number", 0), 9: sorted(f.get("revoked", []))}
    if f.get("prev_digest"):
        m[10] = f["prev_digest"]
    return encode(m)


def rising(items):
    return all(a < b for a, b in zip(items, items[1:]))


def parse_key(k):
    need(isinstance(k, list) and len(k) == 5 and k[0] in ROLES and isinstance(k[1], bytes) and 0 < len(k[1]) <= 4096, "key")
    need(all(is_uint(t, TIME_END) for t in k[2:]), "times of a key")
    need(k[3] == 0 or k[3] > k[2], "a key that ends before it begins")
    return dict(zip(KEY, k))


def parse(data):
    need(len(data) <= 65536, "too long")
    m = decode(data)
    need(isinstance(m, dict) and set(m) | {10} == set(NAMES), "keys of the keyset")
    need(is_trust_domain(m[1]) and is_uint(m[2], 2**64, 1), "trust domain or epoch")
    need(is_uint(m[3], TIME_END, 1) and is_uint(m[4], TIME_END) and m[4] > m[3], "times")
    need((10 in m) == (m[2] > 1) and is_bytes(m.get(10, bytes(32)), 32), "predecessor")
    need(all(isinstance(m[k], list) for k in (6, 7, 9)), "lists")
    need(1 <= len(m[6]) <= 16 and all(isinstance(r, bytes) and 0 < len(r) <= 2048 for r in m[6]) and rising(m[6]), "roots")
    need(is_uint(m[5], len(m[6]) + 1, 1), "threshold")
    need(len(m[7]) <= 64 and len(m[9]) <= 256 and all(is_bytes(r, 32) for r in m[9]) and rising(m[9]), "revocations")
    need(is_uint(m[8]), "revocation number")
    keys = [parse_key(k) for k in m[7]]
    need(len({k["key"] for k in keys}) == len(keys), "a key twice")
    return {"prev_digest": b"", **{NAMES[k]: v for k, v in m.items()}, "keys": keys}


def fingerprint(f):
    return hashlib.sha256(encode([f["threshold"], sorted(f["roots"])])).digest()


# ---- signatures: COSE_Sign, tag 98 ----

def tbs_of(protected, data):
    return encode(["Signature", b"", protected, DOMAIN, data])


def signature(data, key):
    alg = pulse.ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else pulse.ES256
    protected = encode({1: alg, 4: pulse.kid(key)})
    tbs = tbs_of(protected, data)
    if alg == pulse.ED25519:
        return [protected, {}, key.sign(tbs)]
    r, s = utils.decode_dss_signature(key.sign(tbs, ec.ECDSA(hashes.SHA256())))
    return [protected, {}, r.to_bytes(32, "big") + s.to_bytes(32, "big")]


def sign(data, keys):
    return encode(cbor2.CBORTag(98, [b"", {}, data, [signature(data, k) for k in keys]]))


def open_object(data):
    """→ (payload, [(protected, alg, kid, signature)…])"""
    need(len(data) <= 65536, "too long")
    tag = decode(data)
    need(isinstance(tag, cbor2.CBORTag) and tag.tag == 98 and isinstance(tag.value, list) and len(tag.value) == 4,
         "not a COSE_Sign")
    body, unprotected, inner, sigs = tag.value
    need(body == b"" and unprotected == {} and isinstance(unprotected, dict) and isinstance(inner, bytes), "headers")
    need(isinstance(sigs, list) and 1 <= len(sigs) <= 16, "signatures")
    out = []
    for s in sigs:
        need(isinstance(s, list) and len(s) == 3 and isinstance(s[0], bytes) and s[1] == {} and isinstance(s[1], dict) and
             isinstance(s[2], bytes) and s[2], "signature")
        h = decode(s[0])
        need(isinstance(h, dict) and set(h) == {1, 4} and type(h[1]) is int and isinstance(h[4], bytes), "header")
        out.append((s[0], h[1], h[4], s[2]))
    return inner, out


def add_signature(data, key):
    """data: a draft (the payload) or an object."""
    if data[:2] != b"\xd8\x62":
        return sign(data, [key])
    tag = decode(data)
    body, unprotected, inner, sigs = tag.value
    keep = [s for s in sigs if decode(s[0])[4] != pulse.kid(key)]
    return encode(cbor2.CBORTag(98, [body, unprotected, inner, keep + [signature(inner, key)]]))


def digest(data):
    """Of the payload: the same for a draft and however many have signed it."""
    return hashlib.sha256(open_object(data)[0] if data[:2] == b"\xd8\x62" else data).digest()


def check_one(inner, protected, alg, sig, root):
    key = ser.load_der_public_key(root)
    tbs = tbs_of(protected, inner)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            deny(alg != pulse.ED25519 or len(sig) != 64, "algorithm")
            key.verify(sig, tbs)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            deny(alg != pulse.ES256 or len(sig) != 64, "algorithm")
            key.verify(utils.encode_dss_signature(int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big")), tbs,
                       ec.ECDSA(hashes.SHA256()))
        else:
            deny(alg != pulse.PS256, "algorithm")
            key.verify(sig, tbs, pulse.PSS, hashes.SHA256())
    except InvalidSignature as e:
        raise Denied("a root's signature does not hold") from e


def count(inner, sigs, own, prev, strangers_pass):
    """How many of own's roots and of prev's have signed; every signature of theirs must hold."""
    deny(len({kid for _, _, kid, _ in sigs}) != len(sigs), "two signatures of one root")
    by_own = by_prev = 0
    for protected, alg, kid, sig in sigs:
        in_own = [r for r in own["roots"] if key_id(r)[:16] == kid]
        in_prev = [r for r in prev["roots"] if key_id(r)[:16] == kid] if prev else []
        if not in_own and not in_prev:
            deny(not strangers_pass, "signed by a key that is not one of its roots")
            continue
        check_one(inner, protected, alg, sig, (in_own or in_prev)[0])
        by_own += bool(in_own)
        by_prev += bool(in_prev)
    return by_own, by_prev


def verify_pinned(data, pin, now_ms):
    inner, sigs = open_object(data)
    f = parse(inner)
    deny(fingerprint(f) != pin, "another root set")
    deny(count(inner, sigs, f, None, f["epoch"] > 1)[0] < f["threshold"], "too few roots have signed")
    deny(now_ms >= f["expires_ms"], "expired")
    return f


def verify_next(prev_data, data, now_ms):
    """prev_data was verified before."""
    prev = parse(open_object(prev_data)[0])
    inner, sigs = open_object(data)
    f = parse(inner)
    deny(f["trust_domain"] != prev["trust_domain"], "another trust domain")
    deny(f["epoch"] != prev["epoch"] + 1, "not the next epoch")
    deny(f["prev_digest"] != digest(prev_data), "another predecessor")
    deny(f["issued_ms"] < prev["issued_ms"], "issued earlier")
    deny(f["revocation_number"] < prev["revocation_number"], "a lower revocation number")
    deny(not set(prev["revoked"]) <= set(f["revoked"]), "a revocation taken back")
    deny(len(f["revoked"]) > len(prev["revoked"]) and f["revocation_number"] == prev["revocation_number"],
         "more revocations under the same number")
    by_own, by_prev = count(inner, sigs, f, prev, False)
    deny(by_prev < prev["threshold"], "too few of the present roots have signed")
    deny(by_own < f["threshold"], "too few of its own roots have signed")
    deny(now_ms >= f["expires_ms"], "expired")
    return f


# ---- what it says of a key ----

def find(f, role, kid):
    for k in f["keys"]:
        if k["role"] == role and key_id(k["key"])[:16] == kid:
            return k
    return None


def standing(f, key, signed_ms, now_ms):
    if key_id(key["key"]) in f["revoked"]:
        return "revoked"
    if signed_ms < key["not_before_ms"]:
        return "outside"
    if key["not_after_ms"] and max(signed_ms, now_ms) >= key["not_after_ms"]:
        return "outside"
    if key["no_sign_after_ms"] and signed_ms > key["no_sign_after_ms"]:
        return "outside"
    return "good"


__all__ = ["Denied", "Malformed", "add_signature", "digest", "find", "fingerprint", "key_id", "open_object", "parse", "payload",
           "sign", "spki", "standing", "verify_next", "verify_pinned"]
