# SPDX-License-Identifier: Apache-2.0
"""Messages, pre-keys and signed requests written and read from docs/protocol/message.md and RFC 9180 alone: nothing here uses
the product's code, nor a library's HPKE.

seal(fields, identity, prekey[, ephemeral]) → envelope, read_envelope(bytes) → dict, open_message(envelope, fleet,
prekey_private, sender) → fields, prekey(fields, identity) → bytes, read_prekey(bytes, identity) → fields, Window,
request_text(…), sign_request(…) and verify_request(…). Readers raise Malformed, Denied or InvalidSignature of
cryptography.
"""

import base64
import hashlib
import hmac
import os
import re

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import pulse
from keyset import Denied, deny, is_trust_domain
from pulse import PSS, U63, Malformed, decode, encode, is_bytes, is_name, is_uint, need

MESSAGE, PREKEY = b"troth/message/v1", b"troth/prekey/v1"
BODY_MAX, ENVELOPE_MAX, PREKEY_MAX, PAD, DAY = 65536, 73728, 1024, 256, 86400
FIELDS = {1: "fleet", 2: "sender", 3: "recipient", 4: "id", 5: "line", 6: "seq", 7: "issued", 8: "expires", 9: "type",
          10: "body", 11: "answers"}
PREKEY_FIELDS = {1: "fleet", 2: "agent", 3: "number", 4: "key", 5: "not_before", 6: "not_after"}


# ---- HPKE, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM ----

KEM, SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(suite, salt, label, ikm):
    return mac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)


def expand(suite, prk, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block = b"", b""
    while len(out) < length:
        block = mac(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def raw(public):
    return public.public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)


class Context:
    def __init__(self, dh, enc, recipient, info):
        shared = expand(KEM, extract(KEM, b"", b"eae_prk", dh), b"shared_secret", enc + recipient, 32)
        ctx = b"\0" + extract(SUITE, b"", b"psk_id_hash", b"") + extract(SUITE, b"", b"info_hash", info)
        secret = extract(SUITE, shared, b"secret", b"")
        self.aead = AESGCM(expand(SUITE, secret, b"key", ctx, 32))
        self.nonce = int.from_bytes(expand(SUITE, secret, b"base_nonce", ctx, 12), "big")
        self.exporter = expand(SUITE, secret, b"exp", ctx, 32)
        self.seq = 0

    def next_nonce(self):
        self.seq += 1
        return (self.nonce ^ (self.seq - 1)).to_bytes(12, "big")

    def seal(self, aad, plain):
        return self.aead.encrypt(self.next_nonce(), plain, aad)

    def open(self, aad, sealed):
        try:
            return self.aead.decrypt(self.next_nonce(), sealed, aad)
        except InvalidTag:
            raise Denied("does not open") from None


def sender_context(to, info, ephemeral=None):
    """to: raw public key. → enc, context"""
    ephemeral = ephemeral or x25519.X25519PrivateKey.generate()
    enc = raw(ephemeral.public_key())
    return enc, Context(ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(to)), enc, to, info)


def recipient_context(private, enc, info):
    try:
        dh = private.exchange(x25519.X25519PublicKey.from_public_bytes(enc))
    except ValueError:  # a shared secret of zeros
        raise Denied("small order") from None
    return Context(dh, enc, raw(private.public_key()), info)


# ---- pre-keys ----

def prekey_id(key):
    return hashlib.sha256(key).digest()[:16]


def prekey(fields, identity):
    return pulse.sign1(identity, PREKEY, encode({k: fields[n] for k, n in PREKEY_FIELDS.items()}))


def read_prekey(data, identity):
    m = decode(pulse.check_signature(data, PREKEY_MAX, identity, PREKEY))
    need(isinstance(m, dict) and set(m) == set(PREKEY_FIELDS), "members of the pre-key")
    f = {n: m[k] for k, n in PREKEY_FIELDS.items()}
    need(is_trust_domain(f["fleet"]) and is_name(f["agent"]) and is_bytes(f["key"], 32), "fields of the pre-key")
    need(is_uint(f["number"], U63) and f["number"] >= 1, "number")
    need(all(is_uint(f[n], U63) for n in ("not_before", "not_after")) and f["not_before"] >= 1, "times")
    need(0 < f["not_after"] - f["not_before"] <= 2 * DAY, "life")
    return f


# ---- messages ----

def check(f):
    need(is_trust_domain(f["fleet"]) and is_name(f["sender"]) and is_name(f["recipient"]), "names")
    need(is_bytes(f["id"], 16), "id")
    need(all(is_uint(f[n], U63) and f[n] >= 1 for n in ("line", "seq", "issued", "expires")), "numbers")
    need(0 < f["expires"] - f["issued"] <= DAY, "life")
    need(isinstance(f["type"], str) and re.fullmatch(r"[ -~]{1,127}", f["type"]), "type")
    need(isinstance(f["body"], bytes) and len(f["body"]) <= BODY_MAX, "body")
    need("answers" not in f or is_bytes(f["answers"], 16), "answers")


def info_of(fleet, key_id):
    return MESSAGE + b"\0" + fleet.encode() + b"\0" + key_id


def outside(sender, recipient, expires, key_id):
    return b"".join(encode(x) for x in (1, sender, recipient, expires, key_id))


def pad(inner):
    data = len(inner).to_bytes(4, "big") + inner
    return data + bytes(-len(data) % PAD)


def unpad(data):
    need(len(data) % PAD == 0, "not padded")
    inner = data[4:4 + int.from_bytes(data[:4], "big")]
    need(pad(inner) == data, "padding")
    return inner


def seal_plain(plain, fleet, sender, recipient, expires, to, ephemeral=None):
    """Whatever plain is, as anybody can."""
    key_id = prekey_id(to)
    head = outside(sender, recipient, expires, key_id)
    enc, context = sender_context(to, info_of(fleet, key_id), ephemeral)
    return b"\x87" + head + encode(enc) + encode(context.seal(head, plain))


def inner_object(fields, identity):
    numbers = {n: k for k, n in FIELDS.items()}
    return pulse.sign1(identity, MESSAGE, encode({numbers[n]: v for n, v in fields.items() if n != "answers" or v}))


def seal(fields, identity, to, ephemeral=None):
    return seal_plain(pad(inner_object(fields, identity)), fields["fleet"], fields["sender"], fields["recipient"],
                      fields["expires"], to, ephemeral)


def read_envelope(data):
    need(len(data) <= ENVELOPE_MAX, "too long")
    e = decode(data)
    need(isinstance(e, list) and len(e) == 7 and e[0] == 1 and type(e[0]) is int, "not an envelope of version 1")
    _, sender, recipient, expires, key_id, enc, sealed = e
    need(is_name(sender) and is_name(recipient) and is_uint(expires, U63) and expires >= 1, "names or expiry")
    need(is_bytes(key_id, 16) and is_bytes(enc, 32) and isinstance(sealed, bytes), "keys")
    need(len(sealed) >= PAD + 16 and len(sealed) % PAD == 16, "length")
    return {"sender": sender, "recipient": recipient, "expires": expires, "prekey_id": key_id, "enc": enc, "sealed": sealed}


def unseal(e, fleet, private):
    """→ what is inside, padded."""
    context = recipient_context(private, e["enc"], info_of(fleet, e["prekey_id"]))
    return context.open(outside(e["sender"], e["recipient"], e["expires"], e["prekey_id"]), e["sealed"])


def open_message(data, fleet, private, sender):
    e = read_envelope(data)
    inner = unpad(unseal(e, fleet, private))
    m = decode(pulse.check_signature(inner, ENVELOPE_MAX, sender, MESSAGE))
    need(isinstance(m, dict) and set(m) | {11} == set(FIELDS), "members of the message")
    f = {n: m[k] for k, n in FIELDS.items() if k in m}
    check(f)
    deny(f["fleet"] != fleet, "another fleet")
    deny(any(f[n] != e[n] for n in ("sender", "recipient", "expires")), "other names or expiry than outside")
    return f


class Window:
    """What a recipient remembers of one sender: a set, as slow as it is plain."""

    def __init__(self):
        self.line, self.seen = 0, set()

    def take(self, line, seq):
        high = max(self.seen, default=0)
        if line < self.line:
            return "old_line"
        if line > self.line:
            self.line, self.seen = line, set()
        elif seq <= high and high - seq >= 1024:
            return "too_old"
        elif seq in self.seen:
            return "seen"
        self.seen.add(seq)
        return "new"


# ---- signed requests ----

def request_text(method, target, agent, timestamp, nonce, body=b""):
    return f"troth/request/v1\n{method} {target}\n{agent}\n{timestamp}\n{nonce}\n{hashlib.sha256(body).hexdigest()}\n".encode()


def sign_request(identity, method, target, agent, timestamp, nonce=None, body=b""):
    """→ the four headers"""
    nonce = nonce or base64.urlsafe_b64encode(os.urandom(18)).decode()
    text = request_text(method, target, agent, timestamp, nonce, body)
    if isinstance(identity, ed25519.Ed25519PrivateKey):
        sig = identity.sign(text)
    elif isinstance(identity, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(identity.sign(text, ec.ECDSA(hashes.SHA256())))
        sig = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        sig = identity.sign(text, PSS, hashes.SHA256())
    return {"X-Requesting-Agent": agent, "X-Timestamp": str(timestamp), "X-Nonce": nonce,
            "X-Attestation-Signature": base64.b64encode(sig).decode()}


def verify_request(public, headers, method, target, body=b""):
    """Ed25519 only: what the vectors have."""
    nonce = headers["X-Nonce"]
    need(re.fullmatch(r"[A-Za-z0-9_-]{16,64}", nonce) and re.fullmatch(r"[1-9][0-9]{0,11}", headers["X-Timestamp"]), "grammar")
    text = request_text(method, target, headers["X-Requesting-Agent"], headers["X-Timestamp"], nonce, body)
    public.verify(base64.b64decode(headers["X-Attestation-Signature"], validate=True), text)


__all__ = ["Denied", "InvalidSignature", "Malformed", "Window", "open_message", "prekey", "prekey_id", "read_envelope",
           "read_prekey", "seal", "sign_request", "verify_request"]
