# SPDX-License-Identifier: Apache-2.0
"""BPF programs held against the signed release: lists as an agent would send them, no kernel needed."""

import base64
import hashlib
import json
import subprocess

import pulse as pulses
import pytest

from client import RELEASE, b64, key_id, now_ms, private_pem, public_pem, sign1
from harness import program
from world import World

KERNEL = "6.18.44 x86_64 jit=1 harden=0"
OBJECT = bytes(range(32))
SHA1, SHA256 = bytes.fromhex("76af5e188d7b9cb9"), bytes.fromhex("27a05c7e454f1c47")
EVIL = b"\xee" * 8


@pytest.fixture(scope="module")
def world(make_module_server):
    return World(make_module_server(config="clock:\n  source: trusted\n").start())


def statement(world, agent, entries, version="1.2.3"):
    payload = {1: "troth-agent", 2: version, 3: "linux-amd64", 4: 8, 5: agent.sha256, 6: 1, 7: now_ms() - 1000}
    if entries is not None:
        payload[9] = entries
    return sign1(world.release_key, RELEASE, payload)


def publish(world, agent, entries=(("troth/shield", OBJECT, SHA1, SHA256),), **kw):
    r = world.server.api("POST", "/api/v1/releases",
                         {"statement": b64(statement(world, agent, [list(e) for e in entries], **kw))})
    assert r.status == 201, r
    return r.json()


def prog(pin, tag, at=10):
    return {"pin": pin, "name": "p", "kind": pulses.PROG, "type": 6, "id": at, "loaded_ns": 100, "tag": tag,
            "norm_status": 0, "norm": b"\x07" * 32, "attach": 1}


class Told:
    """An agent on its connection, and what the server makes of the lists that it sends."""

    def __init__(self, world, agent, conn):
        self.world, self.agent, self.conn = world, agent, conn

    def say(self, *items, enclosed=True):
        data = pulses.bpf_list(KERNEL, list(items))
        change = {"bpf_status": 1, "bpf_digest": hashlib.sha256(data).digest()}
        if enclosed:
            change["bpf_list"] = data
        r = self.agent.pulse(self.conn, **change)
        assert r.status == 200, r
        return pulses.parse_answer(r.body)

    def bpf(self):
        r = self.world.server.api("GET", f"/api/v1/agents/{self.agent.node_id}/bpf")
        assert r.status == 200, r
        return r.json()

    def findings(self):
        return sorted(f"{x['finding']} {x['pin']}" for x in self.bpf()["findings"] if not x.get("note"))

    def check(self):
        row = self.world.agent(self.agent.node_id)
        return row["verdict"], next(c for c in row["checks"] if c["check"] == "bpf")


@pytest.fixture
def told(world):
    agent = world.enrol()
    with agent.mtls() as conn:
        yield Told(world, agent, conn)


@pytest.mark.parametrize("tag", [SHA1, SHA256], ids=["sha1", "sha256"])
def test_as_released_is_good(world, told, tag):
    row = publish(world, told.agent)
    assert row["bpf"] == [{"pin": "troth/shield", "object": OBJECT.hex(), "tag_sha1": SHA1.hex(),
                           "tag_sha256": SHA256.hex()}]
    told.say(prog("troth/shield", tag), prog("troth/own", EVIL, 11))
    assert told.findings() == []
    verdict, check = told.check()
    assert verdict == "ok" and check["state"] == "ok"
    assert check["reference"] == "release 1.2.3" and "release 1.2.3" in check["expected"]
    got = told.bpf()
    assert got["release"] == "1.2.3" and got["released"] == row["bpf"]
    assert {i["pin"]: i["released_object"] for i in got["items"]} == {"troth/shield": OBJECT.hex(), "troth/own": ""}


def test_without_a_release_the_first_list_is_learned(told):
    told.say(prog("troth/shield", EVIL))
    verdict, check = told.check()
    assert verdict == "ok" and check["reference"].startswith("learned from this agent's first list")
    assert told.bpf()["release"] == ""


def test_another_tag_is_named_from_the_first_list_on(world, told):
    publish(world, told.agent)
    told.say(prog("troth/shield", EVIL))
    assert told.findings() == ["not_as_released troth/shield"]
    found = told.bpf()["findings"][0]
    assert SHA1.hex() in found["expected"] and SHA256.hex() in found["expected"] and EVIL.hex() in found["seen"]
    verdict, check = told.check()
    assert verdict == check["state"] == "bpf_mismatch"
    alerts = [a for a in world.server.api("GET", "/api/v1/alerts").json()["alerts"]
              if a["subject"] == f"agent:{told.agent.node_id}"]
    assert [(a["kind"], a["severity"]) for a in alerts] == [("bpf_changed", 2)]
    assert "signed release" in alerts[0]["summary"]
    told.say(prog("troth/shield", SHA1))
    assert told.findings() == [] and told.check()[0] == "ok"


def test_a_missing_program_is_named(world, told):
    publish(world, told.agent)
    told.say(prog("troth/own", SHA1))
    assert told.findings() == ["missing troth/shield"]
    assert told.check()[0] == "bpf_mismatch"


def test_published_later_withdrawn_and_restarted(world, told):
    told.say(prog("troth/shield", EVIL))
    assert told.check()[0] == "ok"
    publish(world, told.agent)
    # The list is known: its digest is enough.
    told.say(prog("troth/shield", EVIL), enclosed=False)
    assert told.findings() == ["not_as_released troth/shield"]
    # An operator's word is not above the release's.
    r = world.server.api("POST", f"/api/v1/agents/{told.agent.node_id}/accept", {"reason": "looks fine"})
    assert r.status == 200, r
    told.say(prog("troth/shield", EVIL), enclosed=False)
    assert told.check()[0] == "bpf_mismatch"
    world.server.stop()
    world.server.start()
    with told.agent.mtls() as told.conn:
        told.say(prog("troth/shield", EVIL), enclosed=False)
        assert told.findings() == ["not_as_released troth/shield"] and told.bpf()["release"] == "1.2.3"
        r = world.server.api("DELETE", f"/api/v1/releases/{told.agent.sha256.hex()}?reason=test")
        assert r.status == 200 and r.json()["bpf"], r
        told.say(prog("troth/shield", EVIL), enclosed=False)
        assert told.findings() == [] and told.check()[0] == "ok" and told.bpf()["release"] == ""


def test_a_revoked_key_says_nothing_about_programs(world):
    from client import make_key
    agent, other = world.enrol(), make_key("ed25519")
    ident = world.add_key(other)
    payload = {1: "troth-agent", 2: "1.2.3", 3: "linux-amd64", 4: 8, 5: agent.sha256, 6: 1, 7: now_ms(),
               9: [["troth/shield", OBJECT, SHA1, SHA256]]}
    r = world.server.api("POST", "/api/v1/releases", {"statement": b64(sign1(other, RELEASE, payload))})
    assert r.status == 201, r
    with agent.mtls() as conn:
        told = Told(world, agent, conn)
        told.say(prog("troth/shield", EVIL))
        assert told.check()[0] == "bpf_mismatch"
        world.end_key("revoke", ident, force=True)
        asked = told.say(prog("troth/shield", EVIL), enclosed=False)
        assert asked["want_bpf_list"]
        told.say(prog("troth/shield", EVIL))
        assert told.check()[0] == "ok"


def test_an_ordered_update_brings_its_own_programs(world, told):
    publish(world, told.agent)
    told.say(prog("troth/shield", SHA1))
    assert told.check()[0] == "ok"
    told.agent.sha256 = hashlib.sha256(b"the next image of " + told.agent.node_id.encode()).digest()
    publish(world, told.agent, [("troth/shield", OBJECT, b"\x05" * 8, b"\x06" * 8)], version="1.3.0")
    r = world.server.api("POST", f"/api/v1/agents/{told.agent.node_id}/expect",
                         {"hash": f"sha256:{told.agent.sha256.hex()}", "minutes": 5, "reason": "1.3.0"})
    assert r.status == 200, r
    told.say(prog("troth/shield", SHA1))
    assert told.findings() == ["not_as_released troth/shield"]
    told.say(prog("troth/shield", b"\x06" * 8, 77))
    assert told.findings() == [] and told.check()[0] == "ok" and told.bpf()["release"] == "1.3.0"


BAD = {
    "an empty list": [],
    "65 programs": [[f"troth/{i:03}", OBJECT, SHA1, SHA256] for i in range(65)],
    "out of order": [["b", OBJECT, SHA1, SHA256], ["a", OBJECT, SHA1, SHA256]],
    "a pin twice": [["a", OBJECT, SHA1, SHA256], ["a", OBJECT, SHA1, SHA256]],
    "a tag of 7 bytes": [["a", OBJECT, SHA1[:7], SHA256]],
    "three members": [["a", OBJECT, SHA1]],
    "no array": 1,
}


@pytest.mark.parametrize("entries", BAD.values(), ids=BAD.keys())
def test_what_breaks_a_rule_is_refused(world, entries):
    r = world.server.api("POST", "/api/v1/releases", {"statement": b64(statement(world, world.good(), entries))})
    assert r.status == 400 and r.json()["code"] == "malformed", r


def test_as_many_as_there_may_be(world):
    agent = world.good()
    entries = [[f"troth/{i:026}", OBJECT, SHA1, SHA256] for i in range(64)]
    assert len(publish(world, agent, entries)["bpf"]) == 64
    rows = world.server.api("GET", "/api/v1/releases").json()["releases"]
    assert len(next(r for r in rows if r["sha256"] == agent.sha256.hex())["bpf"]) == 64
    # Enclosed in a claim it is read just so.
    agent.statement = statement(world, agent, entries)
    world.is_admitted(agent.register(world.token))


def test_the_command_line_signs_and_shows_programs(world, tmp_path):
    def troth(*args, code=0):
        r = subprocess.run([program("troth"), *map(str, args)], capture_output=True, text=True)
        assert r.returncode == code, r
        return r.stdout + r.stderr

    key, binary, file = tmp_path / "key.pem", tmp_path / "agent", tmp_path / "bpf.json"
    key.write_bytes(private_pem(world.release_key))
    key.chmod(0o600)
    binary.write_bytes(b"an image")
    (tmp_path / "pub.pem").write_text(public_pem(world.release_key))
    programs = [{"pin": p, "object": OBJECT.hex(), "tag_sha1": SHA1.hex(), "tag_sha256": SHA256.hex()}
                for p in ("troth/b", "troth/a")]
    file.write_text(json.dumps(programs))
    sign = ["release", "sign", binary, "--key", key, "--version", "2.0.0", "--bpf", file]
    assert "troth/a" in troth(*sign)
    shown = json.loads(troth("--json", "release", "show", f"{binary}.release", "--key", tmp_path / "pub.pem"))
    assert shown["bpf"] == sorted(programs, key=lambda p: p["pin"])
    # What the product signs is what release.cddl says.
    payload = pulses.open1((tmp_path / "agent.release").read_bytes(), 6656)
    assert key_id(world.release_key)[:16] in (tmp_path / "agent.release").read_bytes() and payload
    r = world.server.api("POST", "/api/v1/releases",
                         {"statement": base64.b64encode((tmp_path / "agent.release").read_bytes()).decode()})
    assert r.status == 201 and [p["pin"] for p in r.json()["bpf"]] == ["troth/a", "troth/b"], r
    for bad in ([], {}, programs + programs[:1], [dict(programs[0], tag_sha1="76af")], [dict(programs[0], more=1)],
                [{"pin": "troth/a"}]):
        file.write_text(json.dumps(bad))
        said = troth(*sign, code=4)
        assert "bpf" in said.lower() or "tag" in said or "object" in said or "more" in said, said
