# SPDX-License-Identifier: Apache-2.0
"""A hub that wants to read, forge, repeat or hold back messages: each case of the table in docs/protocol/message.md. The double
holds the hub's TLS key and answers what it likes; it does not hold the result key, nor any agent's."""

import base64
import contextlib
import copy
import http.server
import json
import re
import ssl
import subprocess
import threading
import time

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import x25519

import client
import messages
from harness import ROOT, free_port, program
from meeting import Lab, PythonPeer
from waiting import until

DOMAIN = "e2e.example"


class Hub:
    """Mallory."""

    def __init__(self, server):
        self.server, self.port = server, free_port()
        self.entries, self.prekeys, self.taken, self.acked, self.mail = {}, {}, [], [], []
        self.number, self.asked, self.broken = 0, 0, None
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *a):
                pass

            def answer(self, status, body=b"", kind="application/json"):
                body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # who asked may have heard enough
                    self.wfile.write(body)

            def do_GET(self):
                hub.get(self)

            def do_PUT(self):
                hub.put(self, self.rfile.read(int(self.headers["Content-Length"])))

            do_POST = do_PUT

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(server.dir / "tls" / "server.crt", server.dir / "tls" / "server.key")
        self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def get(self, h):
        if m := re.fullmatch(r"/api/v1/agents/discovery/(.+)", h.path):
            entry = self.entries.get(m[1])
            h.answer(200, entry) if entry else h.answer(404, {"code": "not_found"})
        elif m := re.fullmatch(r"/api/v1/mailbox\?wait=\d+&after=(\d+)", h.path):
            self.asked += 1
            end = time.monotonic() + 0.5
            while (not (found := [x for x in self.mail if x[0] > int(m[1])]) and not self.broken
                   and time.monotonic() < end):
                time.sleep(0.02)
            if self.broken:
                broken, self.broken = self.broken, None
                h.answer(*broken)
                return
            h.answer(200, cbor2.dumps(found), "application/cbor")
        else:
            h.answer(404, {"code": "not_found"})

    def put(self, h, body):
        if h.path == "/api/v1/agent/prekey":
            self.prekeys["victim"] = body
            h.answer(200, {})
        elif h.path == "/api/v1/mailbox-acks":
            self.acked += json.loads(body)["ids"].split(",")
            h.answer(200, {})
        elif h.path.startswith("/api/v1/mailbox/"):
            self.taken.append(body)
            h.answer(202, {"id": "00" * 16})
        else:
            h.answer(404, {"code": "not_found"})

    def put_mail(self, *envelopes):
        for e in envelopes:
            self.number += 1
            self.mail.append([self.number, "sender", e])


class Scene:
    def __init__(self, folder):
        self.lab = Lab(folder)
        self.sender, self.other = PythonPeer(self.lab, "sender"), PythonPeer(self.lab, "other")
        self.victim = self.lab.peer("victim")
        self.honest = {p.ident: self.sender.discover(p.ident).json() for p in (self.sender, self.other)}
        victim_entry = self.sender.discover("victim").json()
        self.victim_key = ser.load_pem_public_key(victim_entry["attestation_info"]["public_key_pem"].encode())
        assert self.victim.stop() == 0
        self.hub = Hub(self.lab.server)
        done = self.victim.do("configure", "--server", f"https://localhost:{self.hub.port}")
        assert done.returncode == 0, done.stderr
        self.hub.entries = copy.deepcopy(self.honest)
        self.start()

    def start(self):
        with self.victim.log_path.open("ab") as log:
            self.victim.process = subprocess.Popen([program("troth-agent"), "peer"], env=self.victim.env, stderr=log)
        until(self.victim.ready, 20)

    def entry(self, **info):
        e = copy.deepcopy(self.honest["sender"])
        e["attestation_info"].update(info)
        return e

    def sealed(self, body, by=None, **change):
        by = by or self.sender
        pre = messages.read_prekey(self.hub.prekeys["victim"], self.victim_key)
        return messages.seal(by.message("victim", body, **change), by.key, pre["key"])

    def settled(self):
        """The victim has asked twice since: whatever it was to do with what was there is done."""
        asked = self.hub.asked
        until(lambda: self.hub.asked >= asked + 2)

    def bodies(self):
        return [m["body"] for m in self.victim.take(0)]

    def lookup(self):
        status, got = self.victim.api("GET", "/v1/peers/sender")
        return status, got.get("code")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    s = Scene(tmp_path_factory.mktemp("hostile"))
    yield s
    s.hub.http.shutdown()
    s.lab.close()


@pytest.fixture(autouse=True)
def honest(scene):
    scene.hub.entries = copy.deepcopy(scene.honest)
    scene.hub.mail, scene.hub.broken = [], None
    scene.victim.take(0)
    yield
    assert scene.victim.process.poll() is None


def token_of(scene, key=None, **claims):
    """A result token by a key that the installation's CA vouches for; or by another one."""
    ca_pem = scene.lab.server.ca.read_bytes()
    ca_key = ser.load_pem_private_key((scene.lab.server.dir / "keys" / "ca.key").read_bytes(), None)
    result = client.make_key("ed25519")
    now = int(time.time())
    cert = client.issue(key or ca_key, ca_pem, result, f"spiffe://{DOMAIN}/result", now - 60, now + 3600)
    der = base64.b64encode(b"".join(base64.b64decode(line) for line in cert.splitlines() if not line.startswith(b"-"))).decode()

    def b64url(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    honest = scene.honest["sender"]["attestation_info"]["token"].split(".")[1]
    all_claims = {**json.loads(base64.urlsafe_b64decode(honest + "==")), **claims}
    head = {"alg": "EdDSA", "kid": client.key_id(result).hex()[:32], "typ": "JWT", "x5c": [der]}
    text = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps(all_claims).encode())
    return text + "." + b64url(result.sign(text.encode()))


# ---- keys ----

def test_honest_first(scene):
    """What follows fails for its own reason, not for the double's."""
    assert scene.lookup() == (200, None)
    scene.hub.put_mail(scene.sealed(b"good"))
    until(lambda: scene.hub.acked)
    assert scene.bodies() == [b"good"]
    assert scene.victim.send("sender", b"to you")[0] == 202
    m = messages.open_message(scene.hub.taken.pop(), DOMAIN, scene.sender.prekey, scene.victim_key)
    assert m["body"] == b"to you"
    scene.hub.entries["sender"] = scene.entry(token=token_of(scene))
    assert scene.lookup() == (200, None), "a token made here as the installation makes it"


def mallorys_identity(scene):
    return scene.entry(public_key_pem=client.public_pem(client.make_key("ed25519")))


def mallorys_prekey(scene, signer=None, **change):
    now = int(time.time())
    fields = {"fleet": DOMAIN, "agent": "sender", "number": 2**40, "key": messages.raw(x25519.X25519PrivateKey.generate().public_key()),
              "not_before": now, "not_after": now + 3600, **change}
    cose = messages.prekey(fields, signer or client.make_key("ed25519"))
    return scene.entry(prekey=base64.b64encode(cose).decode())


KEYS = {
    "another identity key": (lambda s: mallorys_identity(s), "for another key"),
    "another agent's entry": (lambda s: s.honest["other"], "answers for another agent"),
    "another agent's key and token": (lambda s: {**s.honest["other"], "agent_id": "sender"}, "another agent's"),
    "another agent's token": (lambda s: s.entry(token=s.honest["other"]["attestation_info"]["token"]), "another agent's"),
    "a token by a key of its own": (lambda s: s.entry(token=token_of(s, client.make_key("ed25519"))), "does not verify"),
    "a token that has expired": (lambda s: s.entry(token=token_of(s, exp=int(time.time()) - 1)), "expired"),
    "a token that verified nothing": (lambda s: s.entry(token=token_of(s, troth={"verified": False})), "verified"),
    "a token with one bit changed": (lambda s: s.entry(token=s.honest["sender"]["attestation_info"]["token"][:-8] + "AAAAAAAA"), ""),
    "a pre-key of its own": (lambda s: mallorys_prekey(s), "another key"),
    "another agent's pre-key": (lambda s: mallorys_prekey(s, s.sender.key, agent="other"), "another agent's"),
    "another fleet's pre-key": (lambda s: mallorys_prekey(s, s.sender.key, fleet="other.example"), "another agent's"),
}


@pytest.mark.parametrize("case", KEYS)
def test_keys_that_it_puts_in(scene, case):
    make, why = KEYS[case]
    scene.hub.entries["sender"] = make(scene)
    status, got = scene.victim.api("GET", "/v1/peers/sender")
    assert (status, got["code"]) == (403, "peer_not_believed") and why in got["detail"], got


def test_an_older_pre_key_again(scene):
    old = scene.hub.entries["sender"]
    scene.hub.entries["sender"] = mallorys_prekey(scene, scene.sender.key, number=scene.sender.number + 7)
    assert scene.lookup() == (200, None)
    scene.hub.entries["sender"] = old
    assert scene.lookup() == (403, "peer_not_believed")
    assert "older pre-key" in scene.victim.api("GET", "/v1/peers/sender")[1]["detail"]
    # For the tests that follow: an honest hub shows the newest.
    scene.honest["sender"] = mallorys_prekey(scene, scene.sender.key, number=scene.sender.number + 8)


def test_a_pre_key_that_is_over(scene):
    now = int(time.time())
    scene.hub.entries["sender"] = mallorys_prekey(scene, scene.sender.key, number=scene.sender.number + 9, not_before=now - 90000,
                                                  not_after=now - 5)
    assert scene.lookup() == (200, None)
    status, got = scene.victim.send("sender", b"x")
    assert (status, got["code"]) == (409, "no_prekey") and not scene.hub.taken
    scene.honest["sender"] = mallorys_prekey(scene, scene.sender.key, number=scene.sender.number + 10)


# ---- messages ----

def changed(envelope, at, value):
    e = cbor2.loads(envelope)
    e[at] = value
    return cbor2.dumps(e, canonical=True)


def test_messages_that_it_makes_or_changes(scene):
    good = scene.sealed(b"secret")
    e = cbor2.loads(good)
    flipped = bytearray(e[6])
    flipped[100] ^= 1
    bad = {
        "forged": messages.seal(scene.sender.message("victim", b"forged"), client.make_key("ed25519"),
                                messages.read_prekey(scene.hub.prekeys["victim"], scene.victim_key)["key"]),
        "as of another": changed(good, 1, "other"),
        "other's, as of sender": changed(scene.sealed(b"x", scene.other), 1, "sender"),
        "for another": scene.sealed(b"x", recipient="other"),
        "longer life": changed(good, 3, e[3] + 3600),
        "another pre-key": changed(good, 4, bytes(16)),
        "another ephemeral key": changed(good, 5, bytes(32)),
        "a bit": changed(good, 6, bytes(flipped)),
        "cut by a block": changed(good, 6, e[6][:-256]),
        "cut": good[:200],
        "nothing": b"",
        "no CBOR": b"\xff" * 300,
    }
    before = scene.victim.status()["refused"]
    scene.hub.put_mail(*bad.values())
    scene.hub.put_mail(good)
    until(lambda: scene.victim.status()["refused"] == before + len(bad), why=scene.victim.log)
    until(lambda: scene.bodies() == [b"secret"])


def test_messages_that_it_repeats_and_reorders(scene):
    envelopes = [scene.sealed(b"%d" % i) for i in range(6)]
    scene.hub.put_mail(*reversed(envelopes), *envelopes, *envelopes)
    got = []
    until(lambda: (got.extend(scene.bodies()), len(got) >= 6)[1])
    scene.settled()
    assert sorted(got + scene.bodies()) == [b"%d" % i for i in range(6)]
    # The same over its own connection, and after a new start.
    assert scene.sender.hand(scene.victim, envelopes[0]).status == 200
    scene.victim.process.terminate()
    assert scene.victim.process.wait(5) == 0
    scene.hub.mail = []
    scene.hub.put_mail(*envelopes)
    scene.start()
    scene.settled()
    assert scene.bodies() == []


def test_messages_that_it_drops(scene):
    scene.hub.put_mail(scene.sealed(b"first"))
    until(lambda: scene.bodies() == [b"first"])
    before = scene.victim.api("GET", "/v1/peers/sender")[1]["missing"]
    for i in range(3):
        scene.sealed(b"held back %d" % i)
    scene.hub.put_mail(scene.sealed(b"fifth"))
    until(lambda: scene.bodies() == [b"fifth"])
    assert scene.victim.api("GET", "/v1/peers/sender")[1]["missing"] == before + 3
    assert "3 messages of it never came" in scene.victim.do("peers", "sender").stdout or before


def test_messages_that_it_holds_back_for_too_long(scene):
    now = int(time.time())
    before = scene.victim.status()["refused"]
    scene.hub.put_mail(scene.sealed(b"late", issued=now - 700, expires=now - 1))
    until(lambda: scene.victim.status()["refused"] == before + 1)
    assert scene.bodies() == []


def test_messages_that_it_says_it_took(scene):
    """Whoever sends cannot know; whoever receives the next one sees the gap."""
    numbers = []
    for i in range(3):
        status, got = scene.victim.send("sender", b"%d" % i)
        assert status == 202
        numbers.append(got["seq"])
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    w = messages.Window()
    scene.hub.taken.pop()
    assert w.take(got["line"], numbers[2]) == "new" and numbers[0] not in w.seen
    scene.hub.taken.clear()


def test_an_endpoint_of_its_own(scene):
    """The message goes to whoever is named in the certificate, or not that way at all: neither to the hub, nor to another
    agent (here the victim itself, for want of a better one)."""
    for port in (scene.hub.port, scene.victim.port):
        scene.hub.entries["sender"] = {**scene.honest["sender"], "endpoint": f"https://localhost:{port}"}
        assert scene.lookup() == (200, None)
        status, got = scene.victim.send("sender", b"x", via="direct")
        assert (status, got["code"]) == (502, "not_delivered") and not scene.hub.taken
    status, got = scene.victim.send("sender", b"for sender alone")
    assert (status, got["via"]) == (202, "mailbox") and b"for sender alone" not in scene.hub.taken.pop()


def test_answers_that_are_none(scene):
    for broken in ((200, b"\xff\xff", "application/cbor"), (200, cbor2.dumps([[1, "sender"]]), "application/cbor"),
                   (200, cbor2.dumps([[1, "sender", b"x"]] * 600), "application/cbor"), (200, b"x" * (2 << 20), "text/plain"),
                   (500, b"", "text/plain"), (403, b"{}", "application/json"), (200, cbor2.dumps({}), "application/cbor")):
        scene.hub.broken = broken
        until(lambda: scene.hub.broken is None)
        scene.settled()
        assert scene.victim.status()["inbox"] == 0
    for entry in ([], {}, {"agent_id": "sender"}, {"agent_id": "sender", "attestation_info": {"public_key_pem": "x", "token": "y"}}):
        scene.hub.entries["sender"] = entry or {"a": 1}
        assert scene.lookup() == (403, "peer_not_believed")
    scene.hub.put_mail(scene.sealed(b"well again"))
    scene.hub.entries["sender"] = scene.honest["sender"]
    until(lambda: scene.bodies() == [b"well again"], 40)


def test_revocations_that_it_keeps_to_itself_end_with_the_result(scene):
    """It can lie about who was revoked for as long as a result is good, and not longer."""
    scene.hub.entries["sender"] = scene.entry(prekey=scene.honest["sender"]["attestation_info"]["prekey"],
                                              token=token_of(scene, exp=int(time.time()) + 3))
    assert scene.lookup() == (200, None)
    until(lambda: scene.lookup() == (403, "peer_not_believed"), 10)
    assert scene.sender.hand(scene.victim, scene.sealed(b"x")).status == 403


def test_the_page_lists_every_case():
    page = (ROOT / "docs/protocol/message.md").read_text()
    rows = re.findall(r"^\| .+ \| .+ \| `(test_\w+)` \|$", page.split("\n## A hostile hub\n")[1].split("\n## ")[0], re.M)
    here = {n for n in globals() if n.startswith("test_")} - {"test_honest_first", "test_the_page_lists_every_case"}
    assert set(rows) == here
