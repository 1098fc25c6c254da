# SPDX-License-Identifier: Apache-2.0
"""What clients of the original command design find here: its two key routes, and the import of its key (CK-2 to CK-4)."""

import datetime
import hashlib
import json
import os
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from commanded import Authority, Obedient, Orders
from harness import Server, call, program
from waiting import until

RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@pytest.fixture(scope="module")
def server():
    s = Server(config="clock:\n  source: trusted\nattestation:\n  mode: audit\n").start()
    yield s
    s.stop()
    s.destroy()


def original_key():
    """As it stood in the original's environment: 64 bytes in hex."""
    key = Ed25519PrivateKey.generate()
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    return key, seed.hex() + key.public_key().public_bytes(*RAW).hex()


def key_id(raw):
    return hashlib.sha256(raw).hexdigest()[:32]


def import_key(server, path, *args):
    return subprocess.run([program("trothd"), "key", "import", str(path), "--config", str(server.config), *args],
                          capture_output=True, text=True)


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_public_keys_have_the_originals_shape(server):
    one = call(server.agents, "GET", "/api/v1/public-key")
    assert one.status == 200, one
    one = one.json()
    assert set(one) == {"public_key", "fingerprint", "algorithm", "key_size", "key_id", "version"}
    raw = bytes.fromhex(one["public_key"])
    assert len(raw) == one["key_size"] == 32 and one["algorithm"] == "ed25519" and one["version"] == 1
    assert one["key_id"] == one["fingerprint"] == key_id(raw)
    listed = call(server.operators, "GET", "/api/v1/public-keys").json()
    assert listed == [{"key_id": one["key_id"], "public_key": one["public_key"], "is_primary": True, "version": 1,
                       "algorithm": "ed25519"}]
    # It is the key of the keyset, which is what agents of ours believe.
    spki = server.api("GET", "/api/v1/admin/keys").json()
    assert hashlib.sha256(bytes.fromhex("302a300506032b6570032100") + raw).hexdigest() in str(spki)


def test_key_import(make_server, tmp_path):
    server = make_server().start()
    key, text = original_key()
    raw = key.public_key().public_bytes(*RAW)
    path = write(tmp_path / "original.hex", text + "\n")

    busy = import_key(server, path)
    assert busy.returncode == 1 and "trothd" in busy.stderr and "another" in busy.stderr, busy.stderr
    server.stop()

    done = import_key(server, path, "--name", "from the original")
    assert done.returncode == 0, done.stderr
    assert key_id(raw) in done.stdout and text[:64] not in done.stdout
    again = import_key(server, path)
    assert again.returncode == 1 and "in the store already" in again.stderr

    server.start()
    rows = [k for k in server.api("GET", "/api/v1/admin/keys").json()["keys"] if k["name"] == "from the original"]
    assert len(rows) == 1 and rows[0]["state"] == "prepared" and rows[0]["role"] == "command" and rows[0]["version"] == 2
    assert "sealed" not in rows[0] or text[:64] not in str(rows[0])
    # Prepared: not shown to clients, and signing nothing.
    assert len(call(server.agents, "GET", "/api/v1/public-keys").json()) == 1
    assert [a["actor"] for a in server.audit(limit=50) if a["action"] == "signing_key.import"] == ["trothd key import"]
    for file in server.dir.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert bytes.fromhex(text[:64]) not in data and text[:64].encode() not in data, file
    server.stop()


def test_keys_that_are_not_imported(make_server, tmp_path):
    server = make_server()
    _, text = original_key()
    other = original_key()[1]
    leaked = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"  # RFC 8032 7.1, test 1
    cases = {
        "open": (text, 0o644, "0600"),
        "halves": (text[:64] + other[64:], 0o600, "does not belong to the seed"),
        "zero": ("0" * 64, 0o600, "known"),
        "rfc": (leaked, 0o600, "RFC 8032"),
        "pem": ("-----BEGIN PRIVATE KEY-----\n", 0o600, "PEM"),
        "short": (text[:-1], 0o600, "128 hex digits"),
    }
    for name, (content, mode, says) in cases.items():
        r = import_key(server, write(tmp_path / name, content, mode))
        assert r.returncode == 1 and says in r.stderr, (name, r.stderr)
    r = import_key(server, tmp_path / "absent")
    assert r.returncode == 1 and "absent" in r.stderr
    r = import_key(server, write(tmp_path / "good", text), "--name", "x" * 65)
    assert r.returncode == 1 and "--name" in r.stderr
    for words in (["key"], ["key", "import"], ["key", "export", "x"]):
        r = subprocess.run([program("trothd"), *words], capture_output=True, text=True)
        assert r.returncode == 64 and "trothd key import FILE" in r.stderr
    assert not os.path.exists(server.dir / "troth.db-wal")


def go_json(value):
    """As Go's json.Marshal writes what it has read: none of our orders has a number that it would write otherwise."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text.encode()


def check_v3(server, original, agent):
    """The checks of a client that knows only the original: its key list, its text, its clock."""
    assert set(original) == {"id", "type", "params", "signature", "key_id", "signed_at", "agent_id", "created_at"}
    keys = {k["key_id"]: k for k in call(server.agents, "GET", "/api/v1/public-keys").json()}
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[original["key_id"]]["public_key"]))
    at = datetime.datetime.fromisoformat(original["signed_at"].replace("Z", "+00:00")).timestamp()
    text = ":".join([agent, original["id"], original["type"], hashlib.sha256(go_json(original["params"])).hexdigest(), str(int(at))])
    public.verify(bytes.fromhex(original["signature"]), text.encode())
    return at


def test_orders_in_the_originals_form(make_server):
    server = make_server(config="clock:\n  source: trusted\nattestation:\n  mode: audit\ncompat:\n  original_commands: sign\n").start()
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    c = orders.get(orders.order("status", agent)["id"])
    o = c["original"]
    assert (o["id"], o["type"], o["params"], o["agent_id"]) == (c["id"], "status", {}, agent.node_id)
    at = check_v3(server, o, agent.node_id)
    # A client believes it for four hours from signed_at: not longer than the native command.
    end = datetime.datetime.fromisoformat(c["expires_at"].replace("Z", "+00:00")).timestamp()
    assert end - 1 <= at + 4 * 3600 <= end and at <= time.time()

    # Nothing has this form that lacks the other: an order that waits for its approval has none.
    c = orders.order("note", agent, text="<b> & \"quoted\" \\ \u00e9")
    assert "original" not in orders.get(c["id"])
    authority.approve(authority.operators[0], orders.bytes(c["id"]))
    until(lambda: orders.get(c["id"])["state"] == "pending")
    o = orders.get(c["id"])["original"]
    assert o["params"] == {"text": "<b> & \"quoted\" \\ \u00e9"}
    check_v3(server, o, agent.node_id)

    # What the form cannot say is not signed in it, and a sentence says why.
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)).isoformat()
    c = orders.get(orders.order("status", agent, not_before=later)["id"])
    assert c["original"] is None and "later begin" in c["original_problem"]
    c = orders.get(orders.order("status", agent, image="sha256:" + "ab" * 32)["id"])
    assert c["original"] is None and "image" in c["original_problem"]

    # Over: nothing is signed any more.
    for got in agent.fetch():
        agent.said(got, "done")
        assert "original" not in orders.get(got[2]["cmd_id"].hex())
    agent.down()
    server.stop()


def test_it_is_off_unless_it_is_asked_for(server):
    agent = Obedient(Authority(server), server.make_token())
    orders = Orders(server)
    assert "original" not in orders.get(orders.order("status", agent)["id"])
    agent.down()
