# SPDX-License-Identifier: Apache-2.0
"""Keysets and signing keys over the wire: what an operator may publish, and what becomes of the server's keys; what is
refused, with its code; and that none of it is lost, or can be changed behind the server's back."""

import base64
import hashlib
import os
import re
import sqlite3
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature

import client
from authority import (EPOCH, KEYS, ROOTS, THRESHOLD, Authority, chain, change, fingerprint, keys, make_key,
                       payload_of, signed, states)
from client import Agent, key_id, public_pem, spki
from harness import call, context, program
from waiting import until
from world import name

CONFIG = "heartbeat_seconds: 1\nclock: {source: trusted}\nattestation: {mode: audit}\n"


def refused(r, status, code):
    assert r.status == status and r.json()["code"] == code and len(r.json()["detail"]) > 20, r
    return r.json()


def der(row):
    return base64.b64decode(row["spki"])


def alerts(server, kind):
    r = server.api("GET", "/api/v1/alerts?limit=200")
    assert r.status == 200, r
    return [a for a in r.json()["alerts"] if a["kind"] == kind]


def events(server, kind):
    r = server.api("GET", f"/api/v1/events?kind={kind}&limit=200")
    assert r.status == 200, r
    return r.json()["events"]


@pytest.fixture
def server(make_server):
    """Ended the hard way: that it also ends politely is other files' to show."""
    return make_server(config=CONFIG).start()


@pytest.fixture
def roots(server):
    return Authority(server)


# ---- publishing ----

def test_init_names_its_keys(server):
    [k] = keys(server)
    [ca] = until(lambda: keys(server, "ca"))
    assert k["state"] == "primary" and k["origin"] == "sealed" and k["version"] == 1 and k["signs"] and k["usable"]
    assert ca["state"] == "primary" and ca["origin"] == "file" and ca["usable"] and not ca["signs"]
    assert "sealed" not in k
    [only] = chain(server)
    assert only == (server.dir / "keyset.cose").read_bytes()
    assert {role for role, *_ in payload_of(only)[KEYS]} == {"ca", "command"}
    assert (server.dir / "keys" / "seal.key").stat().st_mode & 0o777 == 0o600


def test_a_chain_that_grows(server, roots):
    """From one root to two of three, and on: a token pins the roots of its time."""
    old = client.pin_of(server.make_token())
    more = [client.make_key(k) for k in ("ed25519", "p256")]
    p = roots.draft()
    p[ROOTS] = sorted([*p[ROOTS], *(spki(k) for k in more)])
    p[THRESHOLD] = 2
    # The old root alone is not enough for the new set of roots, and the new ones are not for the old.
    refused(roots.publish(signed(p, roots.roots)), 403, "keyset_refused")
    refused(roots.publish(signed(p, more)), 403, "keyset_refused")
    roots.roots += more
    r = roots.publish(signed(p, roots.roots[:2]))
    assert r.status == 201 and r.json()["epoch"] == 2, r
    assert r.json()["root_fingerprint"] == fingerprint(p).hex()
    assert client.pin_of(server.make_token()) == fingerprint(p) != old
    assert server.api("GET", "/api/v1/whoami").json()["root_fingerprint"] == fingerprint(p).hex()
    # Any two of the three now.
    assert roots.publish(signed(roots.draft(), roots.roots[1:])).status == 201
    refused(roots.publish(signed(roots.draft(), roots.roots[:1])), 403, "keyset_refused")
    links = chain(server)
    assert [payload_of(k)[EPOCH] for k in links] == [1, 2, 3] and chain(server, after=2) == links[2:]
    assert chain(server, after=3) == [] and chain(server, after=2 ** 63) == []
    newest = call(server.agents, "GET", "/api/v1/keyset", tls=context(server.ca))
    assert newest.body == links[-1]
    client.verify_keyset(newest.body, fingerprint(p))
    with pytest.raises(InvalidSignature):
        client.verify_keyset(newest.body, old)
    # One that enrols now does so with the roots of now.
    assert Agent(server, name()).register(server.make_token()).status == 201
    published = [e["detail"]["epoch"] for e in until(lambda: events(server, "keyset_published"))]
    assert published == [3, 2]


def test_what_may_not_be_published(server, roots):
    first = roots.current
    roots.next()
    ca = next(k[1] for k in payload_of(first)[KEYS] if k[0] == "ca")
    stranger = client.make_key("ed25519")
    good = signed(roots.draft(), roots.roots)
    forged = bytearray(good)
    forged[-1] ^= 1

    def draft(**fields):
        return signed(roots.draft(**fields), roots.roots)

    for data, status, code in (
            (roots.current, 409, "keyset_epoch"),                    # the same again
            (first, 409, "keyset_epoch"),                            # an older one
            (signed(roots.draft() | {EPOCH: 4}, roots.roots), 409, "keyset_epoch"),   # one is missing
            (bytes(forged), 403, "keyset_refused"),
            (signed(roots.draft(), [stranger]), 403, "keyset_refused"),
            (signed(roots.draft() | {10: b"\0" * 32}, roots.roots), 403, "keyset_refused"),    # follows another one
            (signed(roots.draft() | {1: "other.example"}, roots.roots), 403, "keyset_refused"),
            (signed(roots.draft() | {3: 1000}, roots.roots), 403, "keyset_refused"),            # older than its predecessor
            (draft(days=-1), None, None),                                                        # has expired
            (draft(drop=[ca]), 409, "keyset_without_ca"),
            (draft(revoke=[hashlib.sha256(ca).digest()]), 409, "keyset_without_ca"),
            (b"no keyset", 400, "malformed"),
            (good + b"\0", 400, "malformed")):
        r = roots.publish(data)
        if status:
            refused(r, status, code)
        else:
            assert r.status in (400, 403) and r.json()["code"] in ("malformed", "keyset_refused"), r
    r = server.api("POST", "/api/v1/keyset", {"keyset": client.b64(good)}, token="tro_" + "A" * 43)
    assert r.status == 401
    assert len(chain(server)) == 2
    # Nothing of all that stands in the way of a good one.
    assert roots.publish(good).status == 201
    # A revocation is for ever: a later keyset cannot take it back.
    gone = os.urandom(32)
    roots.next(revoke=[gone])
    p = roots.draft()
    p[9] = []
    refused(roots.publish(signed(p, roots.roots)), 403, "keyset_refused")


# ---- the life of a command key ----

def test_rotation(server, roots):
    [old] = keys(server)
    new = make_key(server, "next")
    assert new["state"] == "prepared" and new["version"] == 2 and new["name"] == "next" and not new["published"]
    refused(change(server, "promote", new["id"]), 409, "not_active")
    told = roots.next(add=[("command", der(new))])
    assert told["changes"] == [{"id": new["id"], "role": "command", "from": "prepared", "to": "active"}]
    assert states(server) == ["primary", "active"]
    refused(change(server, "retire", old["id"]), 409, "key_in_use")
    # The first digits are enough, when they are eight.
    refused(change(server, "promote", new["id"][:7]), 404, "key_not_found")
    r = change(server, "promote", new["id"][:12], reason="quarterly")
    assert r.status == 200 and r.json()["state"] == "primary" and r.json()["signs"], r
    assert states(server) == ["retiring", "primary"]
    refused(change(server, "promote", old["id"]), 409, "not_active")
    # Restarts and lost roles change nothing of it.
    server.stop()
    server.start()
    assert states(server) == ["retiring", "primary"] and keys(server)[1]["signs"]
    for pid, role in server.roles().items():
        if role == "keys":
            os.kill(pid, 9)
    until(lambda: keys(server)[1]["signs"])
    assert change(server, "retire", old["id"], reason="over").json()["state"] == "retired"
    refused(change(server, "retire", old["id"]), 409, "already_ended")
    told = roots.next(drop=[der(old)])
    assert told["changes"] == []
    assert states(server) == ["retired", "primary"]
    # A third one, and the second is left out of the keyset: then the third signs.
    third = make_key(server)
    assert third["name"] == "command-3"
    roots.next(add=[("command", der(third))])
    told = roots.next(drop=[der(new)])
    assert {(c["from"], c["to"]) for c in told["changes"]} == {("primary", "retired"), ("active", "primary")}
    assert states(server) == ["retired", "retired", "primary"] and keys(server)[2]["signs"]
    moves = [(e["detail"]["from"], e["detail"]["to"]) for e in reversed(until(
        lambda: len(events(server, "key_state_changed")) >= 10 and events(server, "key_state_changed")))
        if e["detail"]["role"] == "command"]
    assert moves == [(None, "prepared"), ("prepared", "active"), ("primary", "retiring"), ("active", "primary"),
                     ("retiring", "retired"), (None, "prepared"), ("prepared", "active"), ("primary", "retired"),
                     ("active", "primary")] or len(moves) == 9, moves
    audit = [a for a in server.audit(match=old["id"]) if a["action"].startswith("signing_key")]
    assert {a["detail"]["to"] for a in audit} == {"retiring", "retired"} and all(a["actor"] == "operator:admin" for a in audit)


def test_revocation(server, roots):
    [first] = keys(server)
    second = make_key(server)
    roots.next(add=[("command", der(second))])
    r = change(server, "revoke", first["id"], reason="drill")
    assert r.status == 200 and r.json()["state"] == "revoked" and r.json()["end_reason"] == "drill", r
    # No adoption is asked for: what is stolen must not sign for one moment more.
    assert states(server) == ["revoked", "primary"] and keys(server)[1]["signs"]
    refused(change(server, "revoke", first["id"]), 409, "already_ended")
    refused(change(server, "promote", first["id"]), 409, "already_ended")
    [alert] = until(lambda: alerts(server, "revocation_unpublished"))
    assert alert["severity"] == 1 and alert["subject"] == f"key:{first['id'][:16]}"
    told = roots.next(revoke=[bytes.fromhex(first["id"])])
    assert told["changes"] == [] and told["revocation_number"] == 1
    until(lambda: not alerts(server, "revocation_unpublished"))
    # A keyset revokes by itself, too, and with the last key goes the ability to sign.
    told = roots.next(revoke=[bytes.fromhex(second["id"])])
    assert told["changes"] == [{"id": second["id"], "role": "command", "from": "primary", "to": "revoked"}]
    assert states(server) == ["revoked", "revoked"]
    assert server.api("GET", "/api/v1/admin/keys").json()["can_sign_commands"] is False
    metrics = server.metrics()
    assert metrics["troth_command_key_usable"] == 0 and metrics["troth_keyset_epoch"] == 4
    third = make_key(server)
    roots.next(add=[("command", der(third))])
    assert states(server) == ["revoked", "revoked", "primary"]
    assert server.metric("troth_command_key_usable") == 1
    # Restored from its row after a restart, the revoked ones stay what they are.
    server.stop()
    server.start()
    assert states(server) == ["revoked", "revoked", "primary"] and keys(server)[2]["signs"]


def test_planned_retirement(server, roots):
    """no_sign_after: the key signs until then, and then the other does, without anybody's word."""
    [first] = keys(server)
    second = make_key(server)
    roots.next(add=[("command", der(second))], no_sign_after=[(der(first), client.now_ms() + 1500)])
    assert states(server) == ["primary", "active"]
    until(lambda: states(server) == ["retiring", "primary"])
    assert keys(server)[1]["signs"] and keys(server)[0]["no_sign_after"]
    # With the grace behind it, it is over.
    roots.next(no_sign_after=[(der(first), client.now_ms() - 5 * 3600 * 1000)])
    until(lambda: states(server) == ["retired", "primary"])


def test_agents_that_lag(server, roots):
    """Who can be reached and does not hold the keyset stands in the way; who cannot does not."""
    token = server.make_token(max_uses=3)
    agents = [Agent(server, name()) for _ in range(3)]
    for a in agents:
        assert a.register(token).status == 201
    new = make_key(server)
    roots.next(add=[("command", der(new))])
    with agents[0].mtls() as one, agents[1].mtls() as two:
        assert agents[0].pulse(one).status == agents[1].pulse(two).status == 200
        problem = refused(change(server, "promote", new["id"]), 409, "not_adopted")
        assert problem["behind"] == 2 and set(problem["agents"]) == {agents[0].node_id, agents[1].node_id}
        assert agents[0].pulse(one, keyset_epoch=2).status == 200
        told = server.api("GET", f"/api/v1/admin/keys/{new['id']}/adoption").json()
        assert (told["adopted"], told["behind"], told["unreachable"]) == (1, 1, 1)
        assert told["epoch"] == told["named_since"] == 2
        shown = {a["id"]: (a["keyset_epoch"], a["reach"]) for a in told["agents"]}
        assert shown[agents[1].node_id][0] == 1 and shown[agents[1].node_id][1] in ("live", "late")
        assert shown[agents[2].node_id] == (None, "never") and len(shown) == 2
        page = server.api("GET", f"/api/v1/admin/keys/{new['id']}/adoption?limit=1").json()
        assert len(page["agents"]) == 1 and page["next"] == page["agents"][0]["id"]
        page = server.api("GET", f"/api/v1/admin/keys/{new['id']}/adoption?limit=1&cursor={page['next']}").json()
        assert len(page["agents"]) == 1 and page["next"] is None
        assert refused(change(server, "promote", new["id"]), 409, "not_adopted")["agents"] == [agents[1].node_id]
        refused(change(server, "promote", new["id"], force=True), 400, "reason_missing")
        assert states(server) == ["primary", "active"]
        # A later keyset that still names it will do as well.
        roots.next()
        assert agents[0].pulse(one, keyset_epoch=2).status == 200
        assert agents[1].pulse(two, keyset_epoch=3).status == 200
        assert server.metric("troth_keyset_agents_current") == 1
        row = server.api("GET", f"/api/v1/agents/{agents[0].node_id}").json()
        check = next(c for c in row["checks"] if c["check"] == "configuration")
        assert check["state"] == "behind" and "epoch 3" in check["expected"] and "epoch 2" in check["seen"]
        assert change(server, "promote", new["id"]).status == 200
    assert states(server) == ["retiring", "primary"]


def test_force_has_a_reason(server, roots):
    agent = Agent(server, name())
    assert agent.register(server.make_token()).status == 201
    new = make_key(server)
    roots.next(add=[("command", der(new))])
    with agent.mtls() as c:
        assert agent.pulse(c).status == 200
        refused(change(server, "promote", new["id"]), 409, "not_adopted")
        assert change(server, "promote", new["id"], force=True, reason="the old one's token is broken").status == 200
    assert states(server) == ["retiring", "primary"]


def test_an_agent_knows_more_than_the_server(server, roots):
    agent = Agent(server, name())
    assert agent.register(server.make_token()).status == 201
    with agent.mtls() as c:
        assert agent.pulse(c, keyset_epoch=2).status == 200
    [alert] = until(lambda: alerts(server, "keyset_behind"))
    assert agent.node_id in alert["summary"] and alert["severity"] == 1
    roots.next()
    until(lambda: not alerts(server, "keyset_behind"))


def test_a_keyset_that_runs_out(server, roots):
    roots.next(days=20)
    [alert] = until(lambda: alerts(server, "keyset_expiring"))
    assert "19 days" in alert["summary"] or "20 days" in alert["summary"]
    roots.next()
    until(lambda: not alerts(server, "keyset_expiring"))


# ---- release keys ----

def test_release_keys_of_the_keyset(server, roots):
    mine, other = client.make_key("ed25519"), client.make_key("p256")

    def vkeys():
        rows = server.api("GET", "/api/v1/verification-keys").json()["verification_keys"]
        return {k["id"]: (k["state"], k["added_by"]) for k in rows}

    r = server.api("POST", "/api/v1/verification-keys", {"use": "release", "pem": public_pem(mine)})
    assert r.status == 201
    roots.next(add=[("release", other)])
    assert vkeys() == {key_id(mine).hex(): ("active", "operator:admin"), key_id(other).hex(): ("active", "keyset")}
    # The authority decides from now on; fleet keys of the original form are another matter.
    third = client.make_key("ed25519")
    refused(server.api("POST", "/api/v1/verification-keys", {"use": "release", "pem": public_pem(third)}), 409, "keyset_rules")
    refused(server.api("POST", "/api/v1/verification-keys", {"pem": public_pem(third)}), 409, "keyset_rules")
    assert server.api("POST", "/api/v1/verification-keys", {"use": "fleet", "pem": public_pem(third)}).status == 201
    # A release key of the keyset admits.
    statement = client.release(other, b"\1" * 32)
    a = Agent(server, name(), sha256=b"\1" * 32, statement=statement)
    assert a.register(server.make_token()).status == 201
    row = server.api("GET", f"/api/v1/agents/{a.node_id}").json()
    assert row["vouched_by"] == key_id(other).hex() and row["verdict"] != "unknown_key", row
    roots.next(drop=[spki(other)], revoke=[key_id(mine)])
    assert vkeys()[key_id(other).hex()] == ("retired", "keyset")
    assert vkeys()[key_id(mine).hex()][0] == "revoked"
    assert server.api("POST", "/api/v1/verification-keys", {"pem": public_pem(client.make_key("p256"))}).status == 201


# ---- behind the server's back ----

def database(server):
    return sqlite3.connect(server.dir / "troth.db", timeout=10)


def starts_not(server):
    """What the supervisor says when it gives up."""
    r = subprocess.run([program("trothd"), "run", "--config", str(server.config)], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1
    return r.stderr


@pytest.mark.parametrize("how", ["bytes", "older", "gone", "root", "digest"])
def test_a_keyset_row_that_was_changed(make_server, how):
    server = make_server(config=CONFIG).start()
    roots = Authority(server)
    for _ in range(2):
        roots.next()
    server.stop()
    with database(server) as db:
        rows = {epoch: data for epoch, data in db.execute("SELECT epoch, bytes FROM keysets")}
        assert sorted(rows) == [1, 2, 3]
        if how == "bytes":
            forged = bytearray(rows[3])
            forged[200] ^= 1
            db.execute("UPDATE keysets SET bytes = ? WHERE epoch = 3", (bytes(forged),))
        elif how == "older":
            db.execute("UPDATE keysets SET bytes = ? WHERE epoch = 3", (rows[2],))
        elif how == "gone":
            db.execute("DELETE FROM keysets WHERE epoch = 2")
        elif how == "digest":
            db.execute("UPDATE keysets SET digest = ? WHERE epoch = 3", (b"\0" * 32,))
        else:
            # A whole chain of somebody else's.
            thief = client.make_key("ed25519")
            p = payload_of(rows[1])
            p[ROOTS] = [spki(thief)]
            db.execute("DELETE FROM keysets WHERE epoch > 1")
            data = signed(p, [thief])
            db.execute("UPDATE keysets SET bytes = ?, digest = ?", (data, hashlib.sha256(data).digest()))
    db.close()
    said = starts_not(server)
    assert "authority_broken" in said
    if how in ("digest", "root"):
        assert "restore" in said


def test_one_primary_by_the_database(server, roots):
    """Whoever writes to the database: there is one primary key, and each version once."""
    new = make_key(server)
    roots.next(add=[("command", der(new))])
    server.stop()
    db = database(server)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE skeys SET state = 'primary' WHERE id = ?", (bytes.fromhex(new["id"]),))
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE skeys SET version = 1 WHERE id = ?", (bytes.fromhex(new["id"]),))
    db.close()
    server.start()
    assert states(server) == ["primary", "active"]


def test_no_private_key_in_the_store(server, roots):
    """A copy of the database, of any moment, signs nothing."""
    make_key(server)
    ca = client.ser.load_pem_private_key((server.dir / "keys" / "ca.key").read_bytes(), None)
    seal = (server.dir / "keys" / "seal.key").read_bytes()
    server.stop()
    stored = b"".join(p.read_bytes() for p in server.dir.glob("troth.db*"))
    db = database(server)
    sealed = [row[0] for row in db.execute("SELECT sealed FROM skeys WHERE origin = 'sealed'")]
    db.close()
    assert len(sealed) == 2 and all(s in stored for s in sealed)
    raw = ca.private_bytes(client.ser.Encoding.Raw, client.ser.PrivateFormat.Raw, client.ser.NoEncryption())
    for secret in (seal, raw, b"PRIVATE KEY", b"BEGIN", bytes.fromhex("302e020100300506032b657004220420")):
        assert secret not in stored
    # What opens them is their own key, and nothing else.
    for s in sealed:
        assert s[0] == 1 and len(s) > 150 and not re.search(rb"[A-Za-z0-9+/]{40}", s)


def test_another_seal_key(server, roots):
    """A node with the wrong seal.key says so, signs nothing, and does the rest of its work."""
    server.stop()
    path = server.dir / "keys" / "seal.key"
    right, owner = path.read_bytes(), path.stat()
    path.write_bytes(os.urandom(32))
    server.start()
    [k] = keys(server)
    assert k["state"] == "primary" and not k["usable"] and not k["signs"]
    [alert] = until(lambda: alerts(server, "key_unusable"))
    assert alert["severity"] == 1 and "seal.key" in alert["action"]
    ready = call(server.operators, "GET", "/readyz").json()
    assert ready["ready"] and ready["command_key"] is False
    assert Agent(server, name()).register(server.make_token()).status == 201
    # One that it makes itself, it can use.
    new = make_key(server)
    roots.next(add=[("command", der(new))])
    assert change(server, "promote", new["id"]).status == 200
    assert keys(server)[1]["signs"]
    server.stop()
    path.write_bytes(right)
    os.chown(path, owner.st_uid, owner.st_gid)
    server.start()
    assert [k["usable"] for k in keys(server)] == [True, False]


def test_what_a_check_finds(make_server):
    """A keyset or a seal key that the server could not start with is named before it tries."""
    server = make_server(config=CONFIG)

    def says(sentence):
        for command in ("check-config", "run"):
            r = subprocess.run([program("trothd"), command, "--config", str(server.config)], capture_output=True, text=True,
                               timeout=60)
            assert r.returncode == 1 and sentence in r.stderr, r.stderr

    seal, keyset = server.dir / "keys" / "seal.key", server.dir / "keyset.cose"
    good, published = seal.read_bytes(), keyset.read_bytes()
    seal.write_bytes(b"short")
    says("32 bytes")
    seal.write_bytes(good)
    seal.chmod(0o644)
    says("seal.key")
    seal.chmod(0o600)
    thief = client.make_key("ed25519")
    keyset.write_bytes(signed(payload_of(published) | {ROOTS: [spki(thief)]}, [thief]))
    says("root keys are not the pinned ones")
    keyset.write_bytes(published)
    server.start()


def test_an_installation_from_before(make_server):
    """No seal.key, no command key in the keyset: it starts, makes the one, and the other is made when somebody asks."""
    server = make_server(config=CONFIG)
    root = client.ser.load_pem_private_key((server.dir / "root" / "root.key").read_bytes(), None)
    p = payload_of((server.dir / "keyset.cose").read_bytes())
    p[KEYS] = [k for k in p[KEYS] if k[0] == "ca"]
    (server.dir / "keyset.cose").write_bytes(signed(p, [root]))
    (server.dir / "keys" / "seal.key").unlink()
    db = database(server)
    with db:
        db.execute("DELETE FROM skeys")
    db.close()
    server.start()
    owner = (server.dir / "keys" / "ca.key").stat()
    made = (server.dir / "keys" / "seal.key").stat()
    assert made.st_mode & 0o777 == 0o600 and made.st_uid == owner.st_uid and made.st_size == 32
    assert keys(server) == [] and call(server.operators, "GET", "/readyz").json()["command_key"] is False
    roots = Authority(server)
    new = make_key(server)
    told = roots.next(add=[("command", der(new))])
    assert [c["to"] for c in told["changes"]] == ["primary"]
    assert keys(server)[0]["signs"] and call(server.operators, "GET", "/readyz").json()["command_key"] is True
    server.stop()


def test_only_command_keys_are_made(server):
    for role in ("ca", "operator", "release", "root"):
        refused(server.api("POST", "/api/v1/admin/keys", {"role": role}), 400, "out_of_range")
    [ca] = until(lambda: keys(server, "ca"))
    for how in ("promote", "retire", "revoke"):
        refused(change(server, how, ca["id"], reason="x"), 409, "not_here")
