# SPDX-License-Identifier: Apache-2.0
"""Pulses written and read from docs/protocol/pulse.md alone: nothing here uses the product's code.

build_pulse(fields, private_key) → bytes, verify(bytes, public_key) → fields, digest(bytes), parse_answer(bytes) → dict,
bpf_list(kernel, items) → bytes, parse_bpf_list(bytes), verify_time(bytes, public_key, nonce) → ns. Every reader raises
Malformed, or InvalidSignature of cryptography.
"""

import hashlib
import re

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

PULSE, TIME = b"troth/pulse/v1", b"troth/time/v1"
CONTENT_TYPE = "application/eat+cwt"
PROFILE = "tag:troth,2026:pulse/1"
ED25519, ES256, PS256, RS256 = -8, -7, -37, -257
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
SECOND = 10**9
SYNC = ("unknown", "yes", "no")
BPF_STATUS = ("unknown", "ok", "no_kernel", "no_bpffs", "no_rights", "off", "hidden", "too_many", "failed")
LSM = ("unknown", "unavailable", "permissive", "active", "degraded", "released", "expired")
NOTICE = ("none", "shutdown", "reboot", "update", "restart")
HEALTH = ("load_milli", "mem_total_kib", "mem_free_kib", "disk_total_mib", "disk_free_mib", "agent_rss_kib",
          "agent_cpu_ms")
PRIVATE = {1: "agent_id", 2: "partition", 3: "nanos", 4: "boot_ns", 5: "rtt_us", 6: "sync", 7: "seq", 8: "keyset_epoch",
           9: "boot_id", 10: "start_id", 11: "prev", 12: "exporter", 13: "binary_hash", 14: "bpf_status", 15: "lsm",
           16: "health", 17: "bpf_digest", 18: "lsm_reason", 19: "notice", 20: "old_ticket", 21: "bpf_list"}
ANSWER = {1: "ticket", 2: "resync", 3: "interval_s", 4: "received_ns", 5: "sent_ns", 6: "renew", 7: "want_bpf_list",
          8: "pending", 9: "keyset_epoch", 10: "wait_s",
          11: "revocation"}
ITEM = {1: "pin", 2: "name", 3: "kind", 4: "type", 5: "id", 6: "loaded_ns", 7: "tag", 8: "norm_status", 9: "norm",
        10: "object", 11: "attach", 12: "prog_id", 13: "content", 14: "frozen"}
PROG, MAP, LINK = 1, 2, 3
U32, U63, EXACT = 2**32, 2**63, 2**53


class Malformed(ValueError):
    pass


def need(condition, why):
    if not condition:
        raise Malformed(why)


# ---- COSE ----

def public(key):
    return key.public_key() if hasattr(key, "public_key") else key


def kid(key):
    der = public(key).public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:16]


def encode(value):
    return cbor2.dumps(value, canonical=True)


def decode(data):
    """One deterministic item. What encodes to other bytes than it came in was not deterministic."""
    try:
        value = cbor2.loads(data)
        again = encode(value)
    except Exception as e:
        raise Malformed(f"CBOR: {e}") from e
    need(again == data, "CBOR is not deterministic")
    return value


def tbs_of(protected, domain, payload):
    return encode(["Signature1", protected, domain, payload])


def sign1(key, domain, payload, alg=None):
    if alg is None:
        alg = ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else (
            ES256 if isinstance(key, ec.EllipticCurvePrivateKey) else PS256)
    protected = encode({1: alg, 4: kid(key)})
    tbs = tbs_of(protected, domain, payload)
    if alg == ED25519:
        signature = key.sign(tbs)
    elif alg == ES256:
        r, s = utils.decode_dss_signature(key.sign(tbs, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        signature = key.sign(tbs, PSS if alg == PS256 else padding.PKCS1v15(), hashes.SHA256())
    return encode(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def open1(data, limit):
    """The parts of a COSE_Sign1 of our one form: protected, alg, kid, payload, signature."""
    need(len(data) <= limit, "too long")
    tag = decode(data)
    need(isinstance(tag, cbor2.CBORTag) and tag.tag == 18 and isinstance(tag.value, list) and len(tag.value) == 4,
         "not a COSE_Sign1")
    protected, unprotected, payload, signature = tag.value
    need(unprotected == {} and isinstance(unprotected, dict), "unprotected headers")
    need(all(isinstance(x, bytes) for x in (protected, payload, signature)) and signature, "not byte strings")
    headers = decode(protected)
    need(isinstance(headers, dict) and set(headers) == {1, 4}, "headers other than alg and kid")
    need(type(headers[1]) is int and isinstance(headers[4], bytes) and len(headers[4]) == 16, "alg or kid")
    return protected, headers[1], headers[4], payload, signature


def check_signature(data, limit, key, domain):
    """Verifies; returns the payload."""
    protected, alg, named, payload, signature = open1(data, limit)
    tbs = tbs_of(protected, domain, payload)
    key = public(key)
    if named != kid(key):
        raise InvalidSignature("another key")
    if isinstance(key, ed25519.Ed25519PublicKey):
        if alg != ED25519 or len(signature) != 64:
            raise InvalidSignature("alg")
        key.verify(signature, tbs)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if alg != ES256 or len(signature) != 64:
            raise InvalidSignature("alg")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(utils.encode_dss_signature(r, s), tbs, ec.ECDSA(hashes.SHA256()))
    elif alg in (PS256, RS256):
        key.verify(signature, tbs, PSS if alg == PS256 else padding.PKCS1v15(), hashes.SHA256())
    else:
        raise InvalidSignature("alg")
    return payload


# ---- values ----

def is_uint(v, below=2**64, least=0):
    return type(v) is int and least <= v < below


def is_name(v):
    return isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", v) is not None


def is_version(v):
    return isinstance(v, str) and len(v) <= 64 and re.fullmatch(
        r"v?[0-9]{1,9}([.][0-9]{1,9}){0,3}([-+][0-9A-Za-z.-]+)?", v) is not None


def is_bytes(v, n):
    return isinstance(v, bytes) and len(v) == n


def is_text(v, least, most):
    return isinstance(v, str) and least <= len(v.encode()) <= most and "\0" not in v


# ---- the pulse ----

def payload_of(f):
    """The payload's bytes. f: the members of struct-like fields; optional ones may be missing or empty."""
    h = f["health"]
    private = {1: f["agent_id"], 2: f["partition"], 3: f["time_ns"] % SECOND, 4: f["boot_ns"], 5: f.get("rtt_us", 0),
               6: f.get("sync", 0), 7: f["seq"], 8: f.get("keyset_epoch", 0), 9: f["boot_id"], 10: f["start_id"],
               11: f.get("prev") or bytes(32), 12: f["exporter"], 13: f["binary_hash"], 14: f.get("bpf_status", 0),
               15: f.get("lsm", 0), 16: [h.get(name, 0) for name in HEALTH]}
    if private[14] == 1:
        private[17] = f["bpf_digest"] if f.get("bpf_digest") else hashlib.sha256(f["bpf_list"]).digest()
    for key, name in ((18, "lsm_reason"), (20, "old_ticket"), (21, "bpf_list")):
        if f.get(name):
            private[key] = f[name]
    if f.get("notice"):
        private[19] = [f["notice"], f.get("notice_s", 0)]
    payload = {6: f["time_ns"] // SECOND, 261: h.get("uptime_s", 0), 265: PROFILE, 267: f.get("bootcount", 0),
               271: [f["version"]], -65537: private}
    if f.get("ticket"):
        payload[10] = f["ticket"]
    return encode(payload)


def build_pulse(fields, private_key, alg=None):
    return sign1(private_key, PULSE, payload_of(fields), alg)


def digest(data):
    """What the next pulse names as prev: SHA-256 of the signed bytes."""
    protected, _, _, payload, _ = open1(data, 65536)
    return hashlib.sha256(tbs_of(protected, PULSE, payload)).digest()


def parse(payload):
    m = decode(payload)
    need(isinstance(m, dict) and set(m) | {10} == {6, 10, 261, 265, 267, 271, -65537}, "keys of the pulse")
    p = m[-65537]
    need(isinstance(p, dict) and set(range(1, 17)) <= set(p) <= set(PRIVATE), "keys of the pulse")
    need(m[265] == PROFILE, "profile")
    need(is_uint(m[6], (U63 - 1) // SECOND) and is_uint(p[3], SECOND) and m[6] + p[3] > 0, "time")
    need(isinstance(m[271], list) and len(m[271]) == 1 and is_version(m[271][0]), "version")
    need(is_name(p[1]) and is_name(p[2]), "names")
    need(is_uint(p[4], U63) and is_uint(p[5], U32) and is_uint(p[6], len(SYNC)) and is_uint(p[7], U63, 1), "numbers")
    need(is_uint(p[8], U63) and is_uint(m[267], U32), "numbers")
    need(all(is_bytes(p[k], n) for k, n in ((9, 16), (10, 16), (11, 32), (12, 32), (13, 32))), "byte strings")
    need(is_uint(p[14], len(BPF_STATUS)) and is_uint(p[15], len(LSM)), "states")
    need(isinstance(p[16], list) and len(p[16]) == 7 and all(is_uint(v, EXACT + 1) for v in (*p[16], m[261])), "health")
    need((17 in p) == (p[14] == 1) and is_bytes(p.get(17, bytes(32)), 32), "BPF digest")
    for ticket in (m.get(10, bytes(40)), p.get(20, bytes(40))):
        need(is_bytes(ticket, 40), "ticket")
    if 18 in p:
        need(isinstance(p[18], str) and re.fullmatch(r"[ -~]{1,64}", p[18]) and p[15] != 3, "LSM reason")
    if 19 in p:
        need(isinstance(p[19], list) and len(p[19]) == 2 and is_uint(p[19][0], len(NOTICE), 1) and
             is_uint(p[19][1], 604801), "notice")
    if 21 in p:
        need(p[14] == 1 and isinstance(p[21], bytes) and hashlib.sha256(p[21]).digest() == p[17], "BPF list")
        parse_bpf_list(p[21])
    f = {PRIVATE[k]: v for k, v in p.items() if k not in (3, 16, 19)}
    f.update(time_ns=m[6] * SECOND + p[3], ticket=m.get(10, b""), version=m[271][0], bootcount=m[267],
             health={**dict(zip(HEALTH, p[16])), "uptime_s": m[261]})
    f["notice"], f["notice_s"] = p.get(19, (0, 0))
    return {"old_ticket": b"", "bpf_list": b"", "lsm_reason": "", "bpf_digest": bytes(32), **f}


def verify(data, key):
    """The signature first, then the fields."""
    return parse(check_signature(data, 65536, key, PULSE))


def parse_answer(data):
    m = decode(data)
    need(isinstance(m, dict) and set(ANSWER) - {10, 11} <= set(m), "keys of the answer")
    m = {10: 0, 11: 0, **{k: v for k, v in m.items() if k in ANSWER}}  # an older server's, a newer one's
    need(is_bytes(m[1], 40) and all(type(m[k]) is bool for k in (2, 6, 7)), "answer")
    need(is_uint(m[3], 86401, 1) and is_uint(m[4], U63, 1) and is_uint(m[5], U63, 1) and is_uint(m[8], U32) and
         is_uint(m[9], U63) and is_uint(m[11], U63) and is_uint(m[10], 61), "numbers of the answer")
    return {ANSWER[k]: v for k, v in m.items()}


# ---- the BPF list ----

def bpf_list(kernel, items):
    """items: maps with the names of ITEM; those without a value are left out."""
    named = {name: key for key, name in ITEM.items()}
    return encode([kernel, [{named[n]: v for n, v in i.items() if v not in (None, b"", "")}
                            for i in sorted(items, key=lambda i: i["pin"].encode())]])


def parse_item(m):
    need(isinstance(m, dict) and {1, 3, 4, 5} <= set(m) and m[3] in (PROG, MAP, LINK) and type(m[3]) is int, "BPF item")
    need(is_text(m[1], 1, 128) and is_text(m.get(2, "x"), 1, 15), "pin or name")
    need(is_uint(m[4], U32) and is_uint(m[5], U32), "type or id")
    for key in (9, 10, 13):
        need(is_bytes(m.get(key, bytes(32)), 32), "hash of a BPF item")
    rest = set(m) - {1, 2, 3, 4, 5, 10}
    if m[3] == PROG:
        need(rest - {9} == {6, 7, 8, 11} and (9 in m) == (m[8] == 0), "members of a program")
        need(is_uint(m[6], U63) and is_bytes(m[7], 8) and is_uint(m[8], 3) and is_uint(m[11], 3), "program")
    elif m[3] == MAP:
        need(rest - {13} == {14} and type(m[14]) is bool, "members of a map")
    else:
        need(rest == {11, 12} and is_uint(m[11], 3) and is_uint(m[12], U32), "members of a link")
    return {ITEM[k]: v for k, v in m.items()}


def parse_bpf_list(data):
    """→ (kernel, items)"""
    top = decode(data)
    need(isinstance(top, list) and len(top) == 2 and is_text(top[0], 1, 128) and isinstance(top[1], list) and
         len(top[1]) <= 128, "BPF list")
    items = [parse_item(m) for m in top[1]]
    pins = [i["pin"].encode() for i in items]
    need(all(a < b for a, b in zip(pins, pins[1:])), "order of the pins")
    return top[0], items


# ---- signed time ----

def verify_time(data, ca_key, nonce):
    m = decode(check_signature(data, 2048, ca_key, TIME))
    need(isinstance(m, dict) and set(m) == {1, 2} and isinstance(m[1], bytes) and 16 <= len(m[1]) <= 64 and
         is_uint(m[2], U63, 1), "signed time")
    need(m[1] == nonce, "an answer to another question")
    return m[2]
