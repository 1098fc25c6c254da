# SPDX-License-Identifier: Apache-2.0
"""Orders, approvals, commands, receipts and deliveries written and read from docs/protocol/command.md alone: nothing here uses
the product's code. Keysets: keyset.py.

order(fields), approval(key, fields), command(key, fields), receipt(key, fields), delivery(fields) → bytes; read_* → fields;
verify_approval, verify_command and verify_receipt do what an agent or a server does. Readers raise Malformed, Denied or
InvalidSignature of cryptography.
"""

import hashlib
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as ser

import keyset
import pulse
from keyset import Denied, deny, is_trust_domain, rising
from pulse import Malformed, U63, decode, encode, is_bytes, is_name, is_uint, need

ORDER, APPROVAL, COMMAND, RECEIPT = b"troth/order/v1", b"troth/approval/v1", b"troth/command/v1", b"troth/receipt/v1"
READ, CHANGE, DANGEROUS = range(3)
MIN, HOUR, WEEK = 60_000, 3_600_000, 604_800_000
# name → number, class, kind, longest life in ms, parameter
TYPES = {"status": (1, READ, "query", 5 * MIN, None), "collect-inventory": (2, READ, "query", 5 * MIN, None),
         "reattest": (3, READ, "idempotent", 15 * MIN, None), "refresh-keyset": (4, READ, "idempotent", 15 * MIN, None),
         "cancel": (5, READ, "idempotent", 4 * HOUR, "target"), "note": (6, CHANGE, "once", 4 * HOUR, "text"),
         "set-interval": (7, CHANGE, "idempotent", 4 * HOUR, "seconds"),
         "restart-agent": (8, CHANGE, "once", 4 * HOUR, None), "rotate-agent-key": (9, CHANGE, "once", 4 * HOUR, None),
         "quarantine": (10, DANGEROUS, "idempotent", 4 * HOUR, None),
         "release": (11, DANGEROUS, "idempotent", 4 * HOUR, None)}
BY_NUMBER = {t[0]: (name, *t[1:]) for name, t in TYPES.items()}
ORDER_KEYS = {1: "trust_domain", 2: "agent_id", 3: "cmd_id", 4: "cmd", 5: "ordered_ms", 6: "expires_ms", 7: "not_before_ms",
              8: "image", 9: "seconds", 10: "text", 11: "target"}
APPROVAL_KEYS = {1: "trust_domain", 2: "issued_ms", 3: "expires_ms", 4: "text", 5: "orders"}
COMMAND_KEYS = {1: "order", 2: "epoch", 3: "line", 4: "seq", 5: "issued_ms", 6: "expires_ms", 7: "keyset_epoch",
                8: "revocation", 9: "approvals"}
RECEIPT_KEYS = {1: "agent_id", 2: "cmd_id", 3: "command", 4: "line", 5: "seq", 6: "state", 7: "at_ns", 8: "position",
                9: "keyset_epoch", 10: "high", 11: "missing", 12: "code", 13: "result"}
DELIVERY_KEYS = {1: "keyset_epoch", 2: "wait_s", 3: "commands"}
STATES = (None, "received", "started", "done", "failed", "unknown", "refused", "cancelled")
HIDDEN = ((0, 0x1f), (0x7f, 0xa0), (0xad, 0xad), (0x61c, 0x61c), (0x180b, 0x180f), (0x200b, 0x200f), (0x2028, 0x202f),
          (0x2060, 0x206f), (0xfe00, 0xfe0f), (0xfeff, 0xfeff), (0xfff0, 0xfffb), (0xe0000, 0xe0fff))


def is_line(v):
    return isinstance(v, str) and not any(a <= ord(c) <= b for c in v for a, b in HIDDEN)


def put(names, fields):
    """The map with the numbers of names; what is None, empty text or empty bytes is left out."""
    numbers = {name: key for key, name in names.items()}
    return encode({numbers[n]: v for n, v in fields.items() if v is not None and v != "" and v != b""})


def get(names, required, data, what, may_grow=False):
    m = decode(data)
    if may_grow and isinstance(m, dict):
        m = {k: v for k, v in m.items() if k in names}
    need(isinstance(m, dict) and set(required) <= set(m) <= set(names), f"keys of the {what}")
    return {names[k]: v for k, v in m.items()}


# ---- the order ----

def order(f):
    """f: names of ORDER_KEYS; cmd as a name. Nothing is checked: tests make bad ones, too."""
    f = {**f, "cmd": TYPES[f["cmd"]][0] if isinstance(f["cmd"], str) else f["cmd"]}
    return put(ORDER_KEYS, {k: v for k, v in f.items() if k != "not_before_ms" or v})


def order_digest(data):
    return hashlib.sha256(ORDER + b"\0" + data).digest()


def check_order(f):
    need(is_trust_domain(f["trust_domain"]) and is_name(f["agent_id"]), "trust domain or agent")
    need(is_bytes(f["cmd_id"], 16) and any(f["cmd_id"]), "id")
    need(is_uint(f["ordered_ms"], keyset.TIME_END, 1) and is_uint(f["expires_ms"], keyset.TIME_END, 1), "times")
    start = f.get("not_before_ms", f["ordered_ms"])
    need(is_uint(start, keyset.TIME_END, 1) and f["ordered_ms"] <= start <= f["ordered_ms"] + WEEK, "start")
    need(f["expires_ms"] > start, "ends before it begins")
    need(is_bytes(f.get("image", bytes(32)), 32) and is_bytes(f.get("target", bytes(16)), 16), "image or target")
    need(is_line(f.get("text", "")) and len(f.get("text", "").encode()) <= 256 and f.get("text") != "", "text")
    return start


def read_order(data):
    """→ fields; cmd_name None: a command that is not on the list, whose further keys are passed over."""
    need(len(data) <= 2048, "too long")
    m = decode(data)
    need(isinstance(m, dict) and set(range(1, 7)) <= set(m) and all(type(k) is int for k in m), "keys of the order")
    need(is_uint(m[4]), "command")
    known = BY_NUMBER.get(m[4])
    f = {ORDER_KEYS[k]: v for k, v in m.items() if k in ORDER_KEYS}
    start = check_order(f)
    f["cmd_name"] = known and known[0]
    if known:
        need(set(m) <= set(ORDER_KEYS), "unknown key")
        need({n for n in ("seconds", "text", "target") if n in f} == ({known[4]} if known[4] else set()), "parameters")
        need(is_uint(f.get("seconds", 0), 86401), "seconds")
        need(f.get("target") != f["cmd_id"], "about itself")
        need(f["expires_ms"] - start <= known[3], "lives too long")
    return f


# ---- the approval ----

def approval(key, f):
    return pulse.sign1(key, APPROVAL, put(APPROVAL_KEYS, {**f, "orders": sorted(f["orders"])}))


def read_approval(payload):
    f = get(APPROVAL_KEYS, APPROVAL_KEYS, payload, "approval")
    need(is_trust_domain(f["trust_domain"]), "trust domain")
    need(is_uint(f["issued_ms"], keyset.TIME_END, 1) and is_uint(f["expires_ms"], keyset.TIME_END) and
         0 < f["expires_ms"] - f["issued_ms"] <= 4 * HOUR, "times")
    need(isinstance(f["text"], str) and 1 <= len(f["text"].encode()) <= 4096 and all(map(is_line, f["text"].split("\n"))),
         "text")
    need(isinstance(f["orders"], list) and 1 <= len(f["orders"]) <= 64 and all(is_bytes(o, 32) for o in f["orders"]) and
         rising(f["orders"]), "orders")
    return f


def verify_approval(data, ks, cls, digest, now_ms):
    """→ SHA-256 of the operator's key. ks: the keyset's fields."""
    kid = pulse.open1(data, 8192)[2]
    key = keyset.find(ks, "operator", kid)
    deny(not key, "no operator's key")
    f = read_approval(pulse.check_signature(data, 8192, ser.load_der_public_key(key["key"]), APPROVAL))
    deny(keyset.standing(ks, key, f["issued_ms"], now_ms) != "good", "standing")
    deny(f["trust_domain"] != ks["trust_domain"], "trust domain")
    deny(digest not in f["orders"], "another order")
    deny(f["issued_ms"] > now_ms + 5 * MIN, "in the future")
    deny(f["expires_ms"] - f["issued_ms"] > (HOUR if cls == DANGEROUS else 4 * HOUR), "lives too long")
    deny(now_ms >= f["expires_ms"], "expired")
    return keyset.key_id(key["key"])


# ---- the command ----

def command(key, f):
    """f: names of COMMAND_KEYS; approvals: COSE bytes."""
    return pulse.sign1(key, COMMAND, put(COMMAND_KEYS, {"approvals": [], **f}))


def read_command(payload):
    """→ fields, the order's fields"""
    f = get(COMMAND_KEYS, COMMAND_KEYS, payload, "command")
    need(isinstance(f["order"], bytes) and isinstance(f["approvals"], list) and len(f["approvals"]) <= 2, "members")
    need(all(isinstance(a, bytes) and 0 < len(a) <= 8192 for a in f["approvals"]), "approvals")
    o = read_order(f["order"])
    need(is_uint(f["epoch"], U63) and is_uint(f["line"], U63, 1) and is_uint(f["seq"], U63, 1), "line or number")
    need(is_uint(f["keyset_epoch"], U63, 1) and is_uint(f["revocation"], U63), "keyset")
    need(is_uint(f["issued_ms"], keyset.TIME_END, 1) and is_uint(f["expires_ms"], keyset.TIME_END) and
         f["issued_ms"] < f["expires_ms"] <= o["expires_ms"], "times")
    return f, o


def digest(data, domain=COMMAND, limit=24576):
    """SHA-256 of the signed bytes: what a receipt names."""
    protected, _, _, payload, _ = pulse.open1(data, limit)
    return hashlib.sha256(pulse.tbs_of(protected, domain, payload)).digest()


def check_approvals(f, ks, cls, now_ms):
    of = order_digest(f["order"])
    try:
        by = {verify_approval(a, ks, cls, of, now_ms) for a in f["approvals"]}
    except (Malformed, Denied, InvalidSignature):
        return "approval_invalid"
    return "approval_missing" if len(by) < cls else None


def verify_command(data, s):
    """What an agent does. s: trust_domain, agent_id, epoch, keyset (fields), now_ms, grace_over.
    → (slug or None, authentic, fields or None, the order's fields or None)"""
    ks, now = s["keyset"], s["now_ms"]
    try:
        kid = pulse.open1(data, 24576)[2]
    except Malformed:
        return "malformed", False, None, None
    key = keyset.find(ks, "command", kid)
    if not key:
        return "unknown_key", False, None, None
    if keyset.key_id(key["key"]) in ks["revoked"]:
        return "revoked_key", False, None, None
    try:
        payload = pulse.check_signature(data, 24576, ser.load_der_public_key(key["key"]), COMMAND)
    except InvalidSignature:
        return "bad_signature", False, None, None
    try:
        f, o = read_command(payload)
    except Malformed:
        return "malformed", False, None, None
    if keyset.standing(ks, key, f["issued_ms"], now) != "good" or (
            key["no_sign_after_ms"] and now > key["no_sign_after_ms"] + 4 * HOUR):
        return "retired_key", False, None, None
    return why_not(f, o, s), True, f, o


def why_not(f, o, s):
    now = s["now_ms"]
    if (o["trust_domain"], o["agent_id"]) != (s["trust_domain"], s["agent_id"]) or s.get("epoch", 0) not in (0, f["epoch"]):
        return "wrong_agent"
    if not o["cmd_name"]:
        return "unsupported"
    cls = TYPES[o["cmd_name"]][1]
    if max(f["issued_ms"], f["line"]) > now + 5 * MIN:
        return "not_yet"
    if now >= f["expires_ms"]:
        return "expired"
    if "not_before_ms" not in o and now - f["issued_ms"] > 4 * HOUR:
        return "too_old"
    return check_approvals(f, s["keyset"], cls, now) or (
        "stale_keyset" if s.get("grace_over") and cls != READ else None)


# ---- the receipt ----

def receipt(key, f):
    """f: names of RECEIPT_KEYS; state as a name or a number; result as text."""
    state = STATES.index(f["state"]) if isinstance(f["state"], str) else f["state"]
    return pulse.sign1(key, RECEIPT, put(RECEIPT_KEYS, {"missing": [], **f, "state": state}))


def once(pairs):
    need(len({k for k, _ in pairs}) == len(pairs), "a member twice")
    return dict(pairs)


def refuse(_):
    raise Malformed("not JSON")


def is_result(v):
    if not (isinstance(v, str) and 2 <= len(v.encode()) <= 8192 and v[0] == "{" and v[-1] == "}"):
        return False
    try:
        return isinstance(json.loads(v, object_pairs_hook=once, parse_constant=refuse), dict)
    except ValueError:
        return False


def is_slug(v):
    return isinstance(v, str) and 1 <= len(v) <= 64 and all(c in "abcdefghijklmnopqrstuvwxyz0123456789_" for c in v)


def read_receipt(payload):
    f = get(RECEIPT_KEYS, range(1, 12), payload, "receipt")
    need(is_name(f["agent_id"]) and is_bytes(f["cmd_id"], 16) and is_bytes(f["command"], 32), "names")
    need(all(is_uint(f[n], U63) for n in ("line", "seq", "position", "keyset_epoch", "high")), "numbers")
    need(is_uint(f["state"], len(STATES), 1) and is_uint(f["at_ns"], U63, 1), "state or time")
    need(isinstance(f["missing"], list) and len(f["missing"]) <= 16 and all(is_uint(n, f["high"], 1) for n in f["missing"]) and
         rising(f["missing"]), "missing")
    need(is_slug(f.get("code", "x")) and is_result(f.get("result", "{}")), "code or result")
    state = STATES[f["state"]]
    need("code" in f or state not in ("failed", "refused"), "no reason")
    need("code" not in f or state != "done", "a reason of success")
    return {"code": "", "result": "", **f, "state": state}


def verify_receipt(data, key):
    return read_receipt(pulse.check_signature(data, 12288, key, RECEIPT))


# ---- the delivery ----

def delivery(f):
    return put(DELIVERY_KEYS, f)


def read_delivery(data):
    f = get(DELIVERY_KEYS, DELIVERY_KEYS, data, "delivery", may_grow=True)
    need(is_uint(f["keyset_epoch"], U63) and is_uint(f["wait_s"], 61) and isinstance(f["commands"], list) and
         len(f["commands"]) <= 16 and all(isinstance(c, bytes) and 0 < len(c) <= 24576 for c in f["commands"]), "delivery")
    return f
