# SPDX-License-Identifier: Apache-2.0
"""docs/protocol/vectors/message.json through messages.py, a second implementation on other libraries: each writes the other's
bytes and reads them; nothing passes that was changed in one bit."""

import json
import pathlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

import keyset
import messages

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/protocol/vectors/message.json").read_text())
BINARY, NUMBERS = {"id", "key", "body", "answers"}, {"number", "not_before", "not_after", "line", "seq", "issued", "expires"}
BAD = (messages.Malformed, messages.Denied, InvalidSignature)
FLEET = "fleet.example"


def private(name):
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"][name]["seed"]))


SENDER, RECIPIENT = private("sender"), private("recipient")
PRE = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["prekey"]))
EPHEMERAL = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["ephemeral"]))
PUBLIC = bytes.fromhex(VECTORS["prekey_public"])


def real(fields):
    f = {n: bytes.fromhex(v) if n in BINARY else int(v) if n in NUMBERS else v for n, v in fields.items()}
    return {n: v for n, v in f.items() if n != "answers" or v}


def named(kind):
    return pytest.mark.parametrize("v", VECTORS[kind], ids=[v.get("name", v.get("method")) for v in VECTORS[kind]])


def test_the_seeds_are_the_keys():
    for name, k in VECTORS["keys"].items():
        assert keyset.spki(private(name)).hex() == k["spki"]
    assert messages.raw(PRE.public_key()) == PUBLIC


def test_hpke_is_the_one_of_rfc_9180():
    """The vector for X25519, HKDF-SHA256, AES-256-GCM, base mode, its numbers 0 and 1."""
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(
        bytes.fromhex("179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11"))
    to = bytes.fromhex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c")
    enc, context = messages.sender_context(to, b"Ode on a Grecian Urn", ephemeral)
    assert enc.hex() == "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
    for i, want in enumerate((
            "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
            "2c43aff25343fdbff864506f0818b9d87df84ea01b1a2144d23b4d40c26bf655fdf197fe40297a8aebeed5cc2d")):
        assert context.seal(f"Count-{i}".encode(), b"Beauty is truth, truth beauty").hex() == want


@named("prekeys")
def test_prekey(v):
    f, cose = real(v["fields"]), bytes.fromhex(v["cose"])
    assert messages.prekey(f, RECIPIENT) == cose
    assert messages.read_prekey(cose, RECIPIENT) == f
    assert messages.prekey_id(f["key"]).hex() == v["id"]
    with pytest.raises(InvalidSignature):
        messages.read_prekey(cose, SENDER)


@named("messages")
def test_message(v):
    f, data = real(v["fields"]), bytes.fromhex(v["envelope"])
    assert messages.pad(messages.inner_object(f, SENDER)).hex() == v["padded"]
    assert messages.seal(f, SENDER, PUBLIC, EPHEMERAL) == data
    assert messages.open_message(data, FLEET, PRE, SENDER) == f
    for fleet, pre, sender in (("other.example", PRE, SENDER), (FLEET, EPHEMERAL, SENDER), (FLEET, PRE, RECIPIENT)):
        with pytest.raises(BAD):
            messages.open_message(data, fleet, pre, sender)


@named("invalid")
def test_invalid(v):
    data = bytes.fromhex(v["bytes"])
    with pytest.raises((messages.Denied, InvalidSignature) if v["denied"] else messages.Malformed):
        if v["object"] == "prekey":
            messages.read_prekey(data, RECIPIENT)
        else:
            messages.open_message(data, FLEET, PRE, SENDER)


def test_no_flipped_bit_opens():
    good = bytes.fromhex(VECTORS["messages"][0]["envelope"])
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BAD):
            messages.open_message(bytes(bad), FLEET, PRE, SENDER)


@named("requests")
def test_request(v):
    body = v["body"].encode()
    assert messages.request_text(v["method"], v["target"], v["agent"], v["timestamp"], v["nonce"], body).decode() == v["text"]
    headers = messages.sign_request(SENDER, v["method"], v["target"], v["agent"], v["timestamp"], v["nonce"], body)
    assert headers["X-Attestation-Signature"] == v["signature"]
    messages.verify_request(SENDER.public_key(), headers, v["method"], v["target"], body)
    for change in ({"X-Timestamp": "1795310525"}, {"X-Nonce": "AAECAwQFBgcICQoLDA0ODx"}, {"X-Requesting-Agent": "web-2"}):
        with pytest.raises(InvalidSignature):
            messages.verify_request(SENDER.public_key(), {**headers, **change}, v["method"], v["target"], body)
    with pytest.raises(InvalidSignature):
        messages.verify_request(SENDER.public_key(), headers, "PUT", v["target"], body)
    with pytest.raises(InvalidSignature):
        messages.verify_request(SENDER.public_key(), headers, v["method"], v["target"] + "?", body)
    with pytest.raises(InvalidSignature):
        messages.verify_request(SENDER.public_key(), headers, v["method"], v["target"], body + b" ")


def test_the_window_of_the_page():
    w = messages.Window()
    assert [w.take(*n) for n in ((5, 1), (5, 1), (5, 4), (5, 1028), (5, 4), (5, 5), (4, 2000), (6, 1), (5, 1029))] == [
        "new", "seen", "new", "new", "too_old", "new", "old_line", "new", "old_line"]
