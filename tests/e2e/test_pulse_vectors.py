# SPDX-License-Identifier: Apache-2.0
"""docs/protocol/vectors/pulse.json through tests/e2e/pulse.py, a second implementation on other libraries."""

import hashlib
import hmac
import json
import pathlib

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ed25519

import pulse

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/protocol/vectors/pulse.json").read_text())
BINARY = {"boot_id", "start_id", "prev", "exporter", "ticket", "old_ticket", "binary_hash", "bpf_digest", "bpf_list",
          "tag", "norm", "object", "content"}
PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"]["ed25519"]["seed"]))
PUBLIC = {name: ser.load_der_public_key(bytes.fromhex(k["spki"])) for name, k in VECTORS["keys"].items()}
NONCE = b"\x77" * 16


def real(value, name=""):
    """JSON's form back to values: hex to bytes, the numbers that JSON readers would round to numbers."""
    if isinstance(value, dict):
        return {k: real(v, k) for k, v in value.items()}
    if name in BINARY:
        return bytes.fromhex(value)
    if name in ("time_ns", "boot_ns", "seq", "keyset_epoch", "received_ns", "sent_ns", "loaded_ns", "ns", "run", "issued_ms",
                "revocation"):
        return int(value)
    return value


def named(kind):
    return pytest.mark.parametrize("v", VECTORS[kind], ids=[v.get("name", str(i)) for i, v in enumerate(VECTORS[kind])])


def test_the_seed_is_the_key():
    assert pulse.kid(PRIVATE) == pulse.kid(PUBLIC["ed25519"])


@named("pulses")
def test_pulse(v):
    cose, fields = bytes.fromhex(v["cose"]), real(v["fields"])
    assert pulse.verify(cose, PUBLIC[v["key"]]) == fields
    assert pulse.digest(cose).hex() == v["digest"]
    assert pulse.payload_of(fields).hex() == v["payload"]
    if v["key"] == "ed25519":
        assert pulse.build_pulse(fields, PRIVATE) == cose
    for name, key in PUBLIC.items():
        if name != v["key"]:
            with pytest.raises(InvalidSignature):
                pulse.verify(cose, key)


@named("answers")
def test_answer(v):
    fields = real({k: x for k, x in v.items() if k != "cbor"})
    assert pulse.parse_answer(bytes.fromhex(v["cbor"])) == fields
    keys = {name: k for k, name in pulse.ANSWER.items()}
    assert cbor2.dumps({keys[k]: x for k, x in fields.items()}, canonical=True).hex() == v["cbor"]


@named("tickets")
def test_ticket(v):
    numbers = int(v["run"]).to_bytes(8, "big") + int(v["seq"]).to_bytes(8, "big") + int(v["issued_ms"]).to_bytes(8, "big")
    name = v["agent_id"].encode()
    said = (b"troth/ticket/v1" + bytes([len(name)]) + name + v["epoch"].to_bytes(4, "big") + numbers +
            bytes.fromhex(v["head"]))
    mac = hmac.new(bytes.fromhex(v["key"]), said, hashlib.sha256).digest()[:16]
    assert (numbers + mac).hex() == v["ticket"]


@named("bpf_lists")
def test_bpf_list(v):
    cbor, items = bytes.fromhex(v["cbor"]), [real(i) for i in v["items"]]
    assert pulse.bpf_list(v["kernel"], items) == cbor
    assert hashlib.sha256(cbor).hexdigest() == v["digest"]
    kernel, got = pulse.parse_bpf_list(cbor)
    assert kernel == v["kernel"]
    assert got == [{k: x for k, x in i.items() if x not in (b"", "")} for i in items]


@named("times")
def test_time(v):
    cose, nonce = bytes.fromhex(v["cose"]), bytes.fromhex(v["nonce"])
    assert pulse.verify_time(cose, PUBLIC["ed25519"], nonce) == int(v["ns"])
    assert pulse.sign1(PRIVATE, pulse.TIME, pulse.encode({1: nonce, 2: int(v["ns"])})) == cose


@named("invalid")
def test_invalid(v):
    data, key = bytes.fromhex(v["bytes"]), PUBLIC["ed25519"]
    read = {"pulse": lambda: pulse.verify(data, key), "bpf_list": lambda: pulse.parse_bpf_list(data),
            "answer": lambda: pulse.parse_answer(data), "time": lambda: pulse.verify_time(data, key, NONCE)}
    with pytest.raises(InvalidSignature if v["signature"] else pulse.Malformed):
        read[v["object"]]()


def test_no_flipped_bit_is_accepted():
    good = bytes.fromhex(VECTORS["pulses"][2]["cose"])
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises((InvalidSignature, pulse.Malformed)):
            pulse.verify(bytes(bad), PUBLIC["ed25519"])
