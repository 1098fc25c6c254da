# SPDX-License-Identifier: Apache-2.0
"""The role that tells people of alerts: real receivers, and the test in core's place at its channel (OP-5)."""

import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import storm
from harness import ROOT, program
from world import World

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def message_numbers():
    """The numbers of src/server/msg.h: enum tr_msg counts from 1."""
    body = re.search(r"enum tr_msg \{(.*?)\};", (ROOT / "src/server/msg.h").read_text(), re.S).group(1)
    names = re.findall(r"TR_M_[A-Z_]+", re.sub(r"/\*.*?\*/", "", body, flags=re.S))
    return {name: i + 1 for i, name in enumerate(names)}


M = message_numbers()


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<I", len(raw)) + raw


def alert(ident, rev=1, *, kind="silence", subject=None, severity=2, state="open", summary="no word for 3 beats",
          action="Look at the host.", cause=None, acked_by="", resolved_why="", resolved_at=0):
    """An encoded tr_alert_row."""
    now = 1763800000000
    return b"".join([
        text(ident), text(kind), text(subject or f"agent:{ident}"), struct.pack("<Q", severity), text(state), text(summary),
        text(action), text(cause or f"{kind}-{ident}"), struct.pack("<qqqq", now, now + 1500, 0, resolved_at),
        struct.pack("<QQ", 1, 0), text(acked_by), text(resolved_why), struct.pack("<QQ", rev, 0)])


class Egress:
    """`trothd role egress` as the supervisor starts it, with us as core."""

    def __init__(self, server):
        self.server = server
        self.process = None

    def start(self, hello=True):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        number = theirs.fileno()

        def place():
            os.dup2(number, 3)
            os.set_inheritable(3, True)

        with self.server.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [program("trothd"), "role", "egress", "--config", str(self.server.config)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, preexec_fn=place, pass_fds=(3,), cwd="/")
        theirs.close()
        self.sock, self.buffer, self.frames = ours, b"", []
        if hello:
            assert self.receive("TR_M_HELLO") is not None
        return self

    def send(self, name, payload, ident=0):
        self.sock.sendall(struct.pack("<IHHQ", len(payload), M[name], 1, ident) + payload)

    def notify(self, *args, **kw):
        row = alert(*args, **kw)
        self.send("TR_M_NOTIFY", text(row))

    def _next(self, seconds):
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 16:
                n, kind, _, ident = struct.unpack("<IHHQ", self.buffer[:16])
                if len(self.buffer) >= 16 + n:
                    payload, self.buffer = self.buffer[16:16 + n], self.buffer[16 + n:]
                    return kind, ident, payload
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            got = self.sock.recv(65536)
            if not got:
                raise AssertionError(f"egress is gone:\n{self.server.read_log()}")
            self.buffer += got

    def receive(self, name, seconds=10):
        frame = self._next(seconds)
        if frame is None:
            return None
        assert frame[0] == M[name], frame
        return frame

    def notified(self, seconds=10):
        """(id, rev, delivered) of the next word, or None."""
        frame = self.receive("TR_M_NOTIFIED", seconds)
        if frame is None:
            return None
        n = struct.unpack("<I", frame[2][:4])[0]
        rev, delivered = struct.unpack("<Q?", frame[2][4 + n:])
        return frame[2][4:4 + n].decode(), rev, delivered

    def settled(self, count, seconds=15):
        end = time.monotonic() + seconds
        found = []
        while len(found) < count and time.monotonic() < end:
            one = self.notified(max(0.05, end - time.monotonic()))
            if one:
                found.append(one)
        return sorted(found)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.sock.close()
            self.process = None


@pytest.fixture
def make_egress(make_server):
    made = []

    def make(alerts, secret=SECRET, mode=0o600):
        s = make_server(config=f"alerts:\n{alerts}" if alerts else "")
        path = s.dir / "hook.secret"
        path.write_text(secret + "\n")
        path.chmod(mode)
        made.append(Egress(s))
        return made[-1]

    yield make
    for e in made:
        e.kill()


# ---- receivers ----

class Receiver:
    """An HTTP server that answers what `script` says, then 200; (status, headers) or "hang"."""

    def __init__(self, script=(), tls=None):
        self.script, self.requests, self.free = list(script), [], threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((time.monotonic(), self.path, dict(self.headers.items()), body))
                answer = receiver.script.pop(0) if receiver.script else (200, {})
                if answer == "hang":
                    receiver.free.wait(30)
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                for name, value in answer[1].items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def do_GET(self):
                receiver.requests.append((time.monotonic(), "GET " + self.path, {}, b""))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *args: None
        if tls:
            self.httpd.socket = tls.wrap_socket(self.httpd.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count, seconds=15):
        end = time.monotonic() + seconds
        while len(self.requests) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.requests) >= count, f"{len(self.requests)} of {count} requests came"
        return self.requests

    def close(self):
        self.free.set()
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture
def receiver():
    made = []

    def make(*args, **kw):
        made.append(Receiver(*args, **kw))
        return made[-1]

    yield make
    for r in made:
        r.close()


class Pki:
    """A CA of the test's own, and servers' certificates from it."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receivers")])
        self.cert = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(True, 0), None)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.cert.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name, public, constraints, names):
        now = datetime.datetime.now(datetime.timezone.utc)
        b = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(public)
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
             .not_valid_after(now + datetime.timedelta(days=1)).add_extension(constraints, True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName(names), False)
        return b.sign(self.key, hashes.SHA256())

    def server(self, *names):
        key = ec.generate_private_key(ec.SECP256R1())
        sans = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        cert = self._sign(x509.Name([]), key.public_key(), x509.BasicConstraints(False, None), sans)
        path = self.folder / f"{names[0]}.pem"
        path.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(str(path))
        return c


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


def hook(url, ca=None, more=""):
    lines = f"  webhook:\n    url: {url}\n    secret_file: hook.secret\n"
    return lines + (f"    ca_file: {ca}\n" if ca else "") + more


def verify(headers, body, key=KEY):
    """As a receiver does it: Standard Webhooks."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(want, headers["webhook-signature"])
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    return json.loads(body)


# ---- the webhook ----

def test_https_webhook_is_signed_and_in_alertmanagers_format(make_egress, receiver, pki):
    r = receiver(tls=pki.server("localhost"))
    e = make_egress(hook(f"https://localhost:{r.port}/in?x=1", pki.ca, "  external_url: https://control.example\n")).start()
    e.notify("a1b2c3d4e5f6", 3, subject="agent:web-1", severity=1, kind="binary_changed", cause="binary_changed",
             summary='quote " backslash \\ line\nbreak ü')
    assert e.notified() == ("a1b2c3d4e5f6", 3, True)
    _, path, headers, body = r.wait(1)[0]
    assert path == "/in?x=1" and headers["Content-Type"] == "application/json"
    m = verify(headers, body)
    assert m.pop("alerts") == [{
        "status": "firing",
        "labels": {"alertname": "binary_changed", "severity": "critical", "subject": "agent:web-1", "agent": "web-1"},
        "annotations": {"summary": 'quote " backslash \\ line\nbreak ü', "action": "Look at the host."},
        "startsAt": "2025-11-22T08:26:40.000Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://control.example/api/v1/alerts/a1b2c3d4e5f6",
        "fingerprint": hashlib.sha256(b"binary_changed\0agent:web-1").hexdigest()[:16]}]
    assert m == {
        "version": "4", "groupKey": '{}:{cause="binary_changed"}', "truncatedAlerts": 0, "status": "firing",
        "receiver": "troth", "groupLabels": {"cause": "binary_changed"},
        "commonLabels": {"alertname": "binary_changed", "severity": "critical", "subject": "agent:web-1",
                         "agent": "web-1"},
        "commonAnnotations": {"summary": 'quote " backslash \\ line\nbreak ü', "action": "Look at the host."},
        "externalURL": "https://control.example"}


def test_alerts_of_one_cause_come_together(make_egress, receiver):
    r = receiver()
    e = make_egress(hook(f"http://localhost:{r.port}/")).start()
    for i in range(20):
        e.notify(f"same{i}", cause="silence", severity=4)
    e.notify("other", cause="binary", severity=1)
    assert [d for _, _, d in e.settled(21)] == [True] * 21
    assert len(r.requests) == 2
    first, second = [verify(h, b) for _, _, h, b in r.requests]
    assert [a["labels"]["subject"] for a in first["alerts"]] == ["agent:other"], "the most severe goes first"
    assert len(second["alerts"]) == 20 and second["commonLabels"] == {"alertname": "silence", "severity": "notice"}


def test_resolved_is_told_with_its_time(make_egress, receiver):
    r = receiver()
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    e.notify("x1", 2, subject="partition:lab", state="resolved", resolved_at=1763800060000, resolved_why="it speaks again")
    assert e.notified() == ("x1", 2, True)
    m = verify(*r.wait(1)[0][2:])
    assert m["status"] == m["alerts"][0]["status"] == "resolved"
    assert m["alerts"][0]["endsAt"] == "2025-11-22T08:27:40.000Z"
    assert m["alerts"][0]["labels"]["partition"] == "lab" and "agent" not in m["alerts"][0]["labels"]


def test_flapping_receiver_gets_it_in_the_end(make_egress, receiver):
    r = receiver([(500, {}), (503, {})])
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    e.notify("f1")
    assert e.notified(20) == ("f1", 1, True)
    times = [t for t, *_ in r.wait(3)]
    assert 1.0 <= times[1] - times[0] < 2.5 and 2.0 <= times[2] - times[1] < 4.5
    assert len({h["webhook-id"] for _, _, h, _ in r.requests}) == 1, "one message, so one id"
    for _, _, headers, body in r.requests:
        verify(headers, body)


def test_retry_after_is_honoured(make_egress, receiver):
    r = receiver([(429, {"Retry-After": "4"})])
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    e.notify("r1")
    assert e.notified(20) == ("r1", 1, True)
    times = [t for t, *_ in r.requests]
    assert len(times) == 2 and times[1] - times[0] >= 4


def test_what_is_refused_for_good_is_given_up(make_egress, receiver, tmp_path):
    path = str(tmp_path / "journal")
    with listen_unix(path) as journal:
        r = receiver([(410, {}), (410, {})])
        e = make_egress(hook(f"http://127.0.0.1:{r.port}/", more=f"  journald: true\n  journald_socket: {path}\n")).start()
        e.notify("g1")
        assert e.notified() == ("g1", 1, False)
        assert entry(journal)["TROTH_ALERT_ID"] == b"g1"
        assert "alert_refused sink=webhook" in e.server.read_log()
        # Core offers it again after a while: the journal has it already.
        e.notify("g1")
        assert e.notified() == ("g1", 1, False)
        assert len(r.requests) == 2 and not select.select([journal], [], [], 0.2)[0]


def test_redirect_is_not_followed(make_egress, receiver):
    other = receiver()
    r = receiver([(307, {"Location": f"http://127.0.0.1:{other.port}/elsewhere"})])
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    e.notify("d1")
    assert e.notified(20) == ("d1", 1, True)
    assert len(r.requests) == 2 and other.requests == []


def test_hanging_receiver_does_not_hold_up_the_others(make_egress, receiver, tmp_path):
    path = str(tmp_path / "journal")
    with listen_unix(path) as journal:
        r = receiver(["hang"])
        e = make_egress(hook(f"http://127.0.0.1:{r.port}/", more=f"  journald: true\n  journald_socket: {path}\n")).start()
        e.notify("h1")
        r.wait(1)
        e.notify("h2")
        assert [entry(journal)["TROTH_ALERT_ID"] for _ in range(2)] == [b"h1", b"h2"]
        e.send("TR_M_PROBE", struct.pack("<Q", 0) + text(""), 77)
        assert e.receive("TR_M_PROBE_DONE", 1)[1] == 77, "the loop does not turn"
        assert [d for _, _, d in e.settled(2, 25)] == [True, True]
        assert r.requests[1][0] - r.requests[0][0] >= 10, "the time-out is 10 s"


@pytest.mark.parametrize("names, trusted", [(["localhost"], False), (["other.example"], True)])
def test_certificate_must_be_good(make_egress, receiver, pki, tmp_path, names, trusted):
    (tmp_path / "b").mkdir()
    r = receiver(tls=pki.server(*names))
    e = make_egress(hook(f"https://localhost:{r.port}/", pki.ca if trusted else Pki(tmp_path / "b").ca)).start()
    e.notify("c1")
    assert e.notified(4) is None
    assert r.requests == [] and "sink_failing sink=webhook" in e.server.read_log()


def test_name_that_does_not_resolve_is_no_end(make_egress, tmp_path):
    """The resolver's own sockets and files are within what the role may do."""
    path = str(tmp_path / "journal")
    with listen_unix(path) as journal:
        e = make_egress(hook("https://receiver.invalid/", more=f"  journald: true\n  journald_socket: {path}\n")).start()
        e.notify("v1")
        assert entry(journal)["TROTH_ALERT_ID"] == b"v1"
        end = time.monotonic() + 15
        while "sink_failing sink=webhook" not in e.server.read_log() and time.monotonic() < end:
            time.sleep(0.1)
        assert 'why="receiver.invalid: ' in e.server.read_log()
        e.send("TR_M_PROBE", struct.pack("<Q", 0) + text(""), 5)
        assert e.receive("TR_M_PROBE_DONE", 15)[1] == 5


def test_newer_revision_takes_the_place_of_a_queued_one(make_egress, receiver):
    r = receiver([(500, {})])
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    e.notify("n1", 1)
    r.wait(1)
    e.notify("n1", 2, state="resolved", resolved_at=1763800060000)
    assert e.notified(20) == ("n1", 2, True)
    assert e.notified(1) is None
    first, second = r.requests
    assert verify(*first[2:])["status"] == "firing" and verify(*second[2:])["status"] == "resolved"
    assert first[2]["webhook-id"] != second[2]["webhook-id"]


def test_nothing_is_lost_when_it_is_killed(make_egress, receiver):
    r = receiver([(500, {})] * 50)
    e = make_egress(hook(f"http://127.0.0.1:{r.port}/")).start()
    for i in range(50):
        e.notify(f"k{i}", cause=f"c{i % 5}")
    r.wait(1)
    e.process.send_signal(signal.SIGKILL)
    e.process.wait()
    e.sock.close()
    before = r.requests[0][2]["webhook-id"]
    r.script.clear()
    del r.requests[:]
    e.start()  # whose hello makes core send again
    for i in range(50):
        e.notify(f"k{i}", cause=f"c{i % 5}")
    assert [d for _, _, d in e.settled(50)] == [True] * 50
    told = sorted(a["labels"]["agent"] for _, _, h, b in r.requests for a in verify(h, b)["alerts"])
    assert told == sorted(f"k{i}" for i in range(50))
    assert before in {h["webhook-id"] for _, _, h, _ in r.requests}, "the receiver can tell that it has it already"


def test_without_sinks_everything_is_delivered(make_egress):
    e = make_egress("").start()
    e.notify("z1", 9)
    assert e.notified(2) == ("z1", 9, True)


def test_it_ends_with_core(make_egress):
    e = make_egress("").start()
    e.sock.close()
    # The leak checker cannot work under the filter, and says so by its exit code or by abort().
    assert e.process.wait(5) in ((1, -6) if storm.SANITIZED else (0,))


def test_documented_receiver_works(make_egress, tmp_path):
    """The one of docs/operations.md, as it stands there."""
    code = re.search(r"```python\n(import base64.*?)```", (ROOT / "docs/operations.md").read_text(), re.S).group(1)
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    e = make_egress(hook(f"http://127.0.0.1:{port}/")).start()
    wrong = subprocess.Popen(["/usr/bin/python3", "-c", code.replace("9099", str(port))], cwd=tmp_path, stderr=subprocess.PIPE)
    assert wrong.wait(10) != 0 and b"webhook.secret" in wrong.stderr.read()
    (tmp_path / "webhook.secret").write_text(SECRET + "\n")
    with subprocess.Popen(["/usr/bin/python3", "-c", code.replace("9099", str(port))], cwd=tmp_path,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        try:
            e.notify("doc1", severity=1, summary="it works")
            assert e.notified(20) == ("doc1", 1, True)
            assert p.stdout.readline() == "firing critical it works\n"
            r = http.client.HTTPConnection("127.0.0.1", port)
            r.request("POST", "/", b"{}", {"webhook-id": "m", "webhook-timestamp": str(int(time.time())),
                                           "webhook-signature": "v1,AAAA"})
            assert r.getresponse().status == 403
        finally:
            p.kill()


# ---- syslog ----

LINE = re.compile(rb'<(\d+)>1 (\S+) (\S+) trothd (\d+) (\S+) (\[troth@32473 .*?[^\\]\]|-) (.*)', re.S)


def parse_syslog(line):
    m = LINE.fullmatch(line)
    assert m, line
    params = {k.decode(): re.sub(rb'\\(["\\\]])', rb"\1", v) for k, v in
              re.findall(rb' ([a-z]+)="((?:[^"\\\]]|\\.)*)"', m.group(6))}
    return {"pri": int(m.group(1)), "time": m.group(2), "host": m.group(3), "pid": int(m.group(4)),
            "msgid": m.group(5), "params": params, "text": m.group(7)}


def test_syslog_udp(make_egress):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)
        e = make_egress(f"  syslog: udp://localhost:{s.getsockname()[1]}\n").start()
        e.notify("u1", severity=1, subject='agent:a"]b\\c', summary="x\n<0>1 forged")
        assert e.notified() == ("u1", 1, True)
        m = parse_syslog(s.recv(4096))
        assert m["pri"] == 3 * 8 + 2 and m["time"] == b"2025-11-22T08:26:41.500Z"
        assert m["host"] == socket.gethostname().encode() and m["pid"] == e.process.pid and m["msgid"] == b"silence"
        assert m["params"] == {"id": b"u1", "severity": b"1", "subject": b'agent:a"]b\\c', "kind": b"silence",
                               "state": b"open"}
        assert m["text"] == b"x <0>1 forged Look at the host."


def test_syslog_tcp_counts_octets_and_reconnects(make_egress):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        e = make_egress(f"  syslog: tcp://127.0.0.1:{listener.getsockname()[1]}\n").start()

        def read(conn, count):
            conn.settimeout(10)
            data, lines = b"", []
            while len(lines) < count:
                m = re.match(rb"(\d+) ", data)
                if m and len(data) >= m.end() + int(m.group(1)):
                    end = m.end() + int(m.group(1))
                    lines.append(parse_syslog(data[m.end():end]))
                    data = data[end:]
                    continue
                got = conn.recv(65536)
                assert got, "the connection ended"
                data += got
            assert data == b""
            return lines

        for i in range(40):
            e.notify(f"t{i}", summary="ü" * 100)
        with listener.accept()[0] as conn:
            lines = read(conn, 40)
            assert [d for _, _, d in e.settled(40)] == [True] * 40
        assert sorted(m["params"]["id"] for m in lines) == sorted(f"t{i}".encode() for i in range(40))
        assert all(m["text"].startswith(b"\xef\xbb\xbf" + "ü".encode()) for m in lines)
        time.sleep(0.2)
        e.notify("again")
        with listener.accept()[0] as conn:
            assert read(conn, 1)[0]["params"]["id"] == b"again"
            assert e.notified() == ("again", 1, True)


def test_syslog_tcp_waits_for_its_receiver(make_egress):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    e = make_egress(f"  syslog: tcp://127.0.0.1:{port}\n").start()
    e.notify("w1")
    assert e.notified(1) is None
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(10)
        with listener.accept()[0] as conn:
            assert b" trothd " in conn.recv(4096)
            assert e.notified() == ("w1", 1, True)


def test_syslog_tcp_is_not_delivered_while_nobody_reads(make_egress):
    """What lies in our own kernel's buffer is lost with this machine."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(10)
        e = make_egress(f"  syslog: tcp://127.0.0.1:{listener.getsockname()[1]}\n").start()
        for i in range(300):
            e.notify(f"q{i}", summary="x" * 500, action="y" * 500)
        with listener.accept()[0] as conn:
            early = e.settled(300, 2)
            assert len(early) < 200, "the receiver can have read none and its kernel only some"
            threading.Thread(target=drain, args=(conn.dup(),), daemon=True).start()
            assert len(early) + len(e.settled(300 - len(early), 15)) == 300


def listen_unix(path):
    """A datagram socket that the role reaches under its own uid, from the moment it is there."""
    parent = os.path.dirname(path)
    while parent not in ("/", "/tmp"):
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
        parent = os.path.dirname(parent)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    before = os.umask(0o111)
    s.bind(path)
    os.umask(before)
    s.settimeout(15)
    return s


def test_syslog_unix_survives_a_new_socket(make_egress, tmp_path):
    path = str(tmp_path / "log")
    e = make_egress(f"  syslog: unix:{path}\n")
    with listen_unix(path) as s:
        e.start()
        e.notify("l1", severity=5)
        assert parse_syslog(s.recv(4096))["pri"] == 3 * 8 + 6
        assert e.notified() == ("l1", 1, True)
    os.unlink(path)
    e.notify("l2")
    assert e.notified(0.5) is None
    with listen_unix(path) as s:
        assert parse_syslog(s.recv(4096))["params"]["id"] == b"l2"
        assert e.notified() == ("l2", 1, True)


# ---- the journal ----

def entry(sock):
    """The native protocol, as systemd describes it."""
    data, fields = sock.recv(65536), {}
    while data:
        line, data = data.split(b"\n", 1)
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:
            name, n = line, struct.unpack("<Q", data[:8])[0]
            value, data = data[8:8 + n], data[8 + n:]
            assert data[:1] == b"\n"
            data = data[1:]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", name)
        fields[name.decode()] = value
    return fields


def test_journald(make_egress, tmp_path):
    path = str(tmp_path / "journal")
    with listen_unix(path) as s:
        e = make_egress(f"  journald: true\n  journald_socket: {path}\n").start()
        e.notify("j1", 4, severity=3, subject="agent:web-1\nPRIORITY=0\n", summary="one\nTROTH_ALERT_ID=forged")
        assert e.notified() == ("j1", 4, True)
        f = entry(s)
        assert f.pop("MESSAGE_ID")
        assert f == {"MESSAGE": b"one TROTH_ALERT_ID=forged Look at the host.", "PRIORITY": b"4",
                     "SYSLOG_IDENTIFIER": b"trothd", "TROTH_ALERT_ID": b"j1", "TROTH_REV": b"4",
                     "TROTH_KIND": b"silence", "TROTH_SUBJECT": b"agent:web-1\nPRIORITY=0\n", "TROTH_SEVERITY": b"3",
                     "TROTH_STATE": b"open", "TROTH_CAUSE": b"silence-j1",
                     "TROTH_SUMMARY": b"one\nTROTH_ALERT_ID=forged", "TROTH_ACTION": b"Look at the host."}


# ---- the queue, and what is refused before the start ----

def test_queue_is_bounded_and_keeps_the_severe(make_egress):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # nobody listens there any more
    e = make_egress(f"  syslog: tcp://127.0.0.1:{port}\n").start()
    for i in range(4096):
        e.notify(f"low{i}", severity=4)
    for i in range(10):
        e.notify(f"high{i}", severity=1)
    assert e.settled(10) == sorted((f"low{i}", 1, False) for i in range(10))
    e.notify("lower", severity=5)
    assert e.notified() == ("lower", 1, False)
    assert "event=alerts_dropped" in e.server.read_log()
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(60)
        with listener.accept()[0] as conn:
            assert re.match(rb"\d+ <26>", conn.recv(64)), "the severe first"
            threading.Thread(target=drain, args=(conn.dup(),), daemon=True).start()
            assert all(d for _, _, d in e.settled(4096, 60))


def drain(conn):
    with conn:
        while conn.recv(65536):
            pass


@pytest.mark.parametrize("lines, secret, mode, says", [
    (hook("https://localhost/", "/etc/ssl/certs/ca-certificates.crt"), SECRET, 0o644, "hook.secret"),
    (hook("https://localhost/", "/etc/ssl/certs/ca-certificates.crt"), "whsec_c2hvcnQ=", 0o600, "whsec_"),
    (hook("https://localhost/", "/etc/ssl/certs/ca-certificates.crt"), "secret", 0o600, "whsec_"),
    (hook("https://localhost/", "trothd.yaml"), SECRET, 0o600, "ca_file"),
    (hook("https://localhost/", "none.pem"), SECRET, 0o600, "ca_file"),
    (hook("http://192.0.2.1/"), SECRET, 0o600, "plain text"),
])
def test_check_config_says_what_is_wrong(make_egress, lines, secret, mode, says):
    e = make_egress(lines, secret, mode)
    r = subprocess.run([program("trothd"), "check-config", "--config", str(e.server.config)], capture_output=True, text=True)
    assert r.returncode == 1 and says in r.stderr, r


@pytest.mark.parametrize("more, code", [
    (b"", 0),
    (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1),
])
def test_check_config_reads_every_certificate(make_egress, more, code):
    e = make_egress(hook("https://localhost/", "two.pem"), SECRET, 0o600)
    folder = pathlib.Path(e.server.config).parent
    (folder / "two.pem").write_bytes((folder / "keys" / "ca.crt").read_bytes() + more)
    r = subprocess.run([program("trothd"), "check-config", "--config", str(e.server.config)], capture_output=True, text=True)
    assert r.returncode == code and ("ca_file" in r.stderr) == (code != 0), r


# ---- with core, from the agent to the receiver ----

def pulse_once(agent, **change):
    with agent.mtls() as conn:
        r = agent.pulse(conn, **change)
        assert r.status == 200, r


def test_changed_binary_reaches_the_receiver(make_server, receiver):
    r = receiver()
    s = make_server(config=f"alerts:\n{hook(f'http://127.0.0.1:{r.port}/')}")
    (s.dir / "hook.secret").write_text(SECRET)
    (s.dir / "hook.secret").chmod(0o600)
    w = World(s.start())
    a = w.enrol()
    pulse_once(a)
    assert r.requests == []
    pulse_once(a, binary_hash=os.urandom(32))
    m = verify(*r.wait(1)[0][2:])
    [told] = [x for x in m["alerts"] if x["labels"]["alertname"] == "binary_changed"]
    assert told["labels"]["agent"] == a.node_id and told["labels"]["severity"] == "critical"
    assert told["annotations"]["summary"] and told["annotations"]["action"]
    ident = told["generatorURL"].rsplit("/", 1)[1]

    def row():
        return s.api("GET", f"/api/v1/alerts/{ident}").json()

    end = time.monotonic() + 5
    while row()["notified"] < row()["rev"] and time.monotonic() < end:
        time.sleep(0.05)
    assert row()["notified"] == row()["rev"]


def test_core_sends_again_what_a_killed_egress_had_not_delivered(make_server, receiver):
    r = receiver([(503, {"Retry-After": "3600"})])
    s = make_server(config=f"alerts:\n{hook(f'http://127.0.0.1:{r.port}/')}")
    (s.dir / "hook.secret").write_text(SECRET)
    (s.dir / "hook.secret").chmod(0o600)
    w = World(s.start())
    agents = [w.enrol() for _ in range(3)]
    for a in agents:
        pulse_once(a)
        pulse_once(a, binary_hash=os.urandom(32))
    r.wait(1)
    time.sleep(0.5)
    del r.requests[:]
    [egress] = [p for p, role in s.roles().items() if role == "egress"]
    os.kill(egress, signal.SIGKILL)

    def told():
        return {x["labels"].get("agent") for _, _, h, b in r.requests for x in verify(h, b)["alerts"]}

    end = time.monotonic() + 15
    while not told() >= {a.node_id for a in agents} and time.monotonic() < end:
        time.sleep(0.05)
    assert told() >= {a.node_id for a in agents}, s.read_log()
    s.wait_ready()


def test_hanging_egress_is_replaced(make_server):
    s = make_server().start()
    [egress] = [p for p, role in s.roles().items() if role == "egress"]
    os.kill(egress, signal.SIGSTOP)
    end = time.monotonic() + 40
    while egress in s.roles() and time.monotonic() < end:
        time.sleep(0.2)
    assert egress not in s.roles(), s.read_log()
    end = time.monotonic() + 5
    while "egress" not in s.roles().values() and time.monotonic() < end:
        time.sleep(0.05)
    assert "egress" in s.roles().values() and "role_hangs tag=e" in s.read_log()
