# SPDX-License-Identifier: Apache-2.0
"""docs/protocol/vectors/{command,receipt,keyset}.json through obey.py and keyset.py, a second implementation on other
libraries; and that nothing passes there either that was changed in one bit."""

import json
import pathlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import keyset
import obey
import pulse

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs/protocol/vectors"
COMMAND, RECEIPT, KEYSET = (json.loads((FOLDER / f"{n}.json").read_text()) for n in ("command", "receipt", "keyset"))
BINARY = {"cmd_id", "image", "target", "order", "orders", "approvals", "command", "commands", "prev_digest", "roots", "key",
          "revoked"}
NUMBERS = {"ordered_ms", "expires_ms", "not_before_ms", "issued_ms", "line", "seq", "at_ns", "position", "keyset_epoch", "high",
           "missing", "now_ms", "not_after_ms", "no_sign_after_ms"}
BAD = (obey.Malformed, obey.Denied, InvalidSignature)


def real(value, name=""):
    """JSON's form back to values: hex to bytes, the numbers that JSON readers would round to numbers."""
    if isinstance(value, dict):
        return {k: real(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [real(v, name) for v in value]
    if name in BINARY and isinstance(value, str):
        return bytes.fromhex(value)
    return int(value) if name in NUMBERS else value


def named(vectors, kind):
    return pytest.mark.parametrize("v", vectors[kind], ids=[v.get("name", str(i)) for i, v in enumerate(vectors[kind])])


def private(vectors, name):
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vectors["keys"][name]["seed"]))


@pytest.mark.parametrize("vectors", (COMMAND, RECEIPT, KEYSET))
def test_the_seeds_are_the_keys(vectors):
    for name, k in vectors["keys"].items():
        assert keyset.spki(private(vectors, name)).hex() == k["spki"]


# ---- orders, approvals, commands ----

@named(COMMAND, "orders")
def test_order(v):
    fields, cbor = real(v["fields"]), bytes.fromhex(v["cbor"])
    assert obey.order({**fields, "cmd": v["cmd"]}) == cbor
    assert obey.read_order(cbor) == {**fields, "cmd": v["number"], "cmd_name": v["cmd"]}
    assert obey.order_digest(cbor).hex() == v["digest"]
    number, cls, kind, life, _ = obey.TYPES[v["cmd"]]
    assert (number, obey.READ + cls, kind, life) == (v["number"], ("read", "change", "dangerous").index(v["class"]), v["kind"],
                                                     v["lifetime_s"] * 1000)
    assert v["line"].startswith(v["cmd"]) and f" on web-1 ({v['class']}, {v['kind']}), " in v["line"]


def test_the_list_of_orders_is_whole():
    assert {v["cmd"] for v in COMMAND["orders"]} == set(obey.TYPES)


@named(COMMAND, "approvals")
def test_approval(v):
    cose, key = bytes.fromhex(v["cose"]), private(COMMAND, v["key"])
    fields = real({k: v[k] for k in ("trust_domain", "issued_ms", "expires_ms", "text", "orders")})
    assert obey.approval(key, fields) == cose
    assert obey.read_approval(pulse.check_signature(cose, 8192, key, obey.APPROVAL)) == fields
    ks = trusted("plain")
    for digest in fields["orders"]:
        assert obey.verify_approval(cose, ks, obey.DANGEROUS, digest, fields["issued_ms"]) == keyset.key_id(keyset.spki(key))
    for digest, now in ((bytes(32), fields["issued_ms"]), (fields["orders"][0], fields["expires_ms"]),
                        (fields["orders"][0], fields["issued_ms"] - 300_001)):
        with pytest.raises(obey.Denied):
            obey.verify_approval(cose, ks, obey.DANGEROUS, digest, now)


def trusted(name):
    v = next(k for k in COMMAND["keysets"] if k["name"] == name)
    return keyset.verify_pinned(bytes.fromhex(v["object"]), bytes.fromhex(v["pin"]), 1795310523456)


@named(COMMAND, "keysets")
def test_keyset_of_the_commands(v):
    f = trusted(v["name"])
    assert keyset.sign(keyset.payload(f), [private(COMMAND, "root")]).hex() == v["object"]


def judged(v, cose):
    to = real(v["to"])
    return obey.verify_command(cose, {**to, "trust_domain": "fleet.example", "keyset": trusted(to["keyset"])})


@named(COMMAND, "commands")
def test_command(v):
    cose = bytes.fromhex(v["cose"])
    slug, authentic, fields, order = judged(v, cose)
    assert (slug or "", authentic) == (v["refusal"], v["authentic"])
    assert obey.digest(cose).hex() == v["digest"]
    if "fields" in v:
        assert obey.command(private(COMMAND, v["key"]), real(v["fields"])) == cose
        if authentic:
            assert fields == real(v["fields"]) and order["cmd_id"] == bytes(range(1, 17))


def test_every_refusal_of_the_list_that_needs_no_journal_is_shown():
    seen = {v["refusal"] for v in COMMAND["commands"]} | {"bad_signature", "too_old"}
    assert seen == {"", "malformed", "unknown_key", "revoked_key", "retired_key", "bad_signature", "wrong_agent", "expired",
                    "not_yet", "too_old", "approval_missing", "approval_invalid", "stale_keyset", "unsupported"}


def test_no_flipped_bit_of_a_command_is_obeyed():
    v = next(v for v in COMMAND["commands"] if v["name"] == "what is dangerous")
    good, said = bytes.fromhex(v["cose"]), set()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        slug, authentic, _, _ = judged(v, bytes(bad))
        assert slug and not authentic
        said.add(slug)
    assert said == {"malformed", "unknown_key", "bad_signature"}


def test_a_command_that_a_thief_gives_a_long_life_is_too_old():
    key, now = private(COMMAND, "command"), 1795310523456
    order = obey.order({"trust_domain": "fleet.example", "agent_id": "web-1", "cmd_id": b"\1" * 16, "cmd": "cancel",
                        "ordered_ms": now - 1000, "expires_ms": now + obey.HOUR, "target": b"\2" * 16})
    cose = obey.command(key, {"order": order, "epoch": 2, "line": 1, "seq": 1, "issued_ms": now - 4 * obey.HOUR - 1,
                              "expires_ms": now + 1, "keyset_epoch": 1, "revocation": 0})
    ks = trusted("plain")
    ks["keys"][0]["not_before_ms"] = 0
    scope = {"trust_domain": "fleet.example", "agent_id": "web-1", "epoch": 2, "keyset": ks, "now_ms": now}
    assert obey.verify_command(cose, scope)[:2] == ("too_old", True)


PAGE = (FOLDER.parent / "command.md").read_text()


def rows(title):
    """The table's cells below a heading of the page."""
    table = PAGE.split(f"\n## {title}\n")[1].split("\n\n")[0]
    return [[c.strip().strip("`") for c in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_page_says_what_the_product_says():
    assert rows("Refusals") == [[r["code"], r["sentence"]] for r in COMMAND["refusals"]]
    told = [[row[0], row[1], row[2], row[3], row[4]] for row in rows("What can be ordered")]
    life = {300: "5 min", 900: "15 min", 14400: "4 h"}
    assert told == [[str(v["number"]), v["cmd"], v["class"], v["kind"], life[v["lifetime_s"]]] for v in COMMAND["orders"]
                    if "not_before_ms" not in v["fields"]]


# ---- receipts and deliveries ----

AGENT = private(RECEIPT, "agent")


@named(RECEIPT, "receipts")
def test_receipt(v):
    fields, cose = real(v["fields"]), bytes.fromhex(v["cose"])
    assert obey.receipt(AGENT, fields) == cose
    assert obey.verify_receipt(cose, AGENT) == fields
    with pytest.raises(InvalidSignature):
        obey.verify_receipt(cose, private(COMMAND, "command"))


@named(RECEIPT, "deliveries")
def test_delivery(v):
    fields = real({k: x for k, x in v.items() if k != "cbor"})
    assert obey.delivery(fields).hex() == v["cbor"]
    assert obey.read_delivery(bytes.fromhex(v["cbor"])) == fields


@named(RECEIPT, "invalid")
def test_invalid(v):
    data = bytes.fromhex(v["bytes"])
    read = {"order": lambda: obey.read_order(data), "receipt": lambda: obey.verify_receipt(data, AGENT),
            "approval": lambda: obey.read_approval(pulse.check_signature(data, 8192, AGENT, obey.APPROVAL)),
            "delivery": lambda: obey.read_delivery(data)}
    with pytest.raises(InvalidSignature if v["signature"] else obey.Malformed):
        read[v["object"]]()


def test_no_flipped_bit_of_a_receipt_is_believed():
    good = bytes.fromhex(RECEIPT["receipts"][1]["cose"])
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises((InvalidSignature, obey.Malformed)):
            obey.verify_receipt(bytes(bad), AGENT)


# ---- keysets ----

NOW = int(KEYSET["now_ms"])


def chain():
    """Of each step: the object before it, itself."""
    held = None
    for v in KEYSET["steps"]:
        yield held, v
        if v["taken"]:
            held = bytes.fromhex(v["object"])


STEPS = list(chain())


@pytest.mark.parametrize("prev, v", STEPS, ids=[v["name"] for _, v in STEPS])
def test_step(prev, v):
    data, pin = bytes.fromhex(v["object"]), bytes.fromhex(v["pin"])

    def take():
        return keyset.verify_next(prev, data, NOW) if prev else keyset.verify_pinned(data, pin, NOW)

    if v["taken"]:
        assert take() == real(v["fields"])
    else:
        with pytest.raises(BAD):
            take()
    payload = keyset.payload(real(v["fields"]))
    assert keyset.sign(payload, [private(KEYSET, n) for n in v["by"]]) == data
    # One holder after the other comes to the same.
    signed = payload
    for name in v["by"]:
        signed = keyset.add_signature(signed, private(KEYSET, name))
    assert signed == data
    assert keyset.digest(data).hex() == keyset.digest(payload).hex() == v["digest"]
    assert keyset.fingerprint(real(v["fields"])) == pin


def test_no_flipped_bit_of_a_keyset_is_taken():
    prev, v = next(s for s in STEPS if s[1]["name"] == "two of three roots")
    good = bytes.fromhex(v["object"])
    assert keyset.verify_next(prev, good, NOW)
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BAD):
            keyset.verify_next(prev, bytes(bad), NOW)


def test_a_root_may_be_of_another_type():
    root, old = ec.generate_private_key(ec.SECP256R1()), private(KEYSET, "root-1")
    prev, first = STEPS[0][1], bytes.fromhex(STEPS[0][1]["object"])
    fields = {**real(prev["fields"]), "epoch": 2, "prev_digest": keyset.digest(first), "roots": [keyset.spki(root)]}
    data = keyset.sign(keyset.payload(fields), [old, root])
    assert keyset.verify_next(first, data, NOW)["roots"] == [keyset.spki(root)]
    assert keyset.verify_pinned(data, keyset.fingerprint(fields), NOW)["epoch"] == 2
    with pytest.raises(obey.Denied):
        keyset.verify_next(first, keyset.sign(keyset.payload(fields), [old]), NOW)


def test_what_a_keyset_says_of_a_key():
    f = real(STEPS[0][1]["fields"])
    command = keyset.find(f, "command", keyset.key_id(bytes.fromhex(KEYSET["keys"]["command"]["spki"]))[:16])
    assert command and not keyset.find(f, "operator", keyset.key_id(command["key"])[:16])
    end = command["no_sign_after_ms"]
    assert keyset.standing(f, command, end, end + 10**9) == "good"
    assert keyset.standing(f, command, end + 1, end + 1) == "outside"
    assert keyset.standing(f, command, command["not_before_ms"] - 1, end) == "outside"
    assert keyset.standing({**f, "revoked": [keyset.key_id(command["key"])]}, command, end, end) == "revoked"


def test_the_key_ids_are_of_what_people_publish():
    for name, k in KEYSET["keys"].items():
        key = ser.load_der_public_key(bytes.fromhex(k["spki"]))
        assert keyset.key_id(bytes.fromhex(k["spki"]))[:16] == pulse.kid(key), name
