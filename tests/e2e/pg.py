# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of the tests' own: a folder, a socket in it, a port, and nobody else's data. It can be stopped, killed and
frozen. Not as root: it refuses that, so then it runs as its usual user, or as nobody."""

import datetime
import http.client
import itertools
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec

from harness import call, context, free_port

PASSWORD = "käse:@/ %1"
_names = itertools.count(1)
BEAT = 1
CONFIG = f"heartbeat_seconds: {BEAT}\nclock: {{source: trusted}}\n"


def binaries():
    """The newest there is, or None."""
    found = [p for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    return max(found, key=lambda p: float(p.parent.name), default=None)


def server_or_skip(**kw):
    if not binaries():
        pytest.skip("no PostgreSQL server here; script/bootstrap test installs one")
    return Postgres(**kw)


class Postgres:
    """Local connections are trusted; over TCP user troth needs PASSWORD."""

    def __init__(self, locale=None):
        self.bin = binaries()
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="troth-pg-"))
        self.data, self.log_path, self.port = self.base / "data", self.base / "log", free_port()
        self.as_user, self.process = [], None
        if os.getuid() == 0:
            names = [u.pw_name for u in pwd.getpwall()]
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.base, user.pw_uid, user.pw_gid)
            self.base.chmod(0o755)
            self.as_user = ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
        self.run("initdb", "-D", str(self.data), "-U", "troth", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "--no-sync")
        hba = self.data / "pg_hba.conf"
        hba.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.certify()
        self.start()
        self.psql(f"ALTER USER troth PASSWORD '{PASSWORD}'", "postgres")

    def certify(self):
        """By itself: TLS without anybody to vouch for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.timezone.utc)
        cert = (x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(1)
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
                .sign(key, hashes.SHA256()))
        pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
        for path, data, mode in ((self.data / "server.key", pem, 0o600),
                                 (self.data / "server.crt", cert.public_bytes(ser.Encoding.PEM), 0o644)):
            path.write_bytes(data)
            path.chmod(mode)
            if os.getuid() == 0:
                os.chown(path, self.base.stat().st_uid, self.base.stat().st_gid)

    def run(self, program, *args):
        r = subprocess.run([*self.as_user, str(self.bin / program), *args], cwd=self.base, capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def psql(self, sql, db):
        return self.run("psql", "-h", str(self.base), "-p", str(self.port), "-U", "troth", "-d", db, "-Atqc", sql).strip()

    def start(self):
        with self.log_path.open("ab") as log:
            # fsync is about power, which nobody cuts here; what a killed server had written is with the kernel.
            self.process = subprocess.Popen(
                [*self.as_user, str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.base), "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on", "-c", "lc_messages=C", "-c", "max_connections=40"],
                cwd=self.base, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while subprocess.run([str(self.bin / "pg_isready"), "-q", "-h", str(self.base), "-p", str(self.port)]).returncode:
            assert self.process.poll() is None and time.monotonic() < end, self.log_path.read_text(errors="replace")
            time.sleep(0.05)
        return self

    def stop(self):
        """Open connections are ended, what they did not commit is undone."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def kill(self):
        """All at once, as when the machine goes."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(20)
        for pid in self.pids(dead=True):
            end = time.monotonic() + 10
            while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
                time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def pids(self, dead=False):
        """The server first, then its children."""
        if dead:
            return self.known
        self.known = [self.process.pid]
        for p in pathlib.Path("/proc").iterdir():
            try:
                if p.name.isdigit() and int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    self.known.append(int(p.name))
            except OSError:
                pass
        return self.known

    def freeze(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in self.known:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def database(self, options="ENCODING 'UTF8'"):
        """A new one, in an order of texts that is not that of bytes where that can be had."""
        name = f"t{next(_names)}"
        if not options.startswith("ENCODING 'UTF8'") or self.version() < 15:
            self.psql(f"CREATE DATABASE {name} TEMPLATE template0 {options}", "postgres")
        else:
            self.psql(f"CREATE DATABASE {name} TEMPLATE template0 {options} LOCALE_PROVIDER icu ICU_LOCALE 'en'", "postgres")
        return name

    def version(self):
        return int(re.search(r"\) (\d+)", self.run("postgres", "--version"))[1])

    def location(self, db, tcp=False):
        if tcp:
            return f"postgresql://troth@127.0.0.1:{self.port}/{db}"
        return f"postgresql://troth@/{db}?host={self.base}&port={self.port}"

    def password_file(self, text=PASSWORD):
        """Readable for the roles, whoever they run as."""
        path = self.base / f"password-{next(_names)}"
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def destroy(self):
        if self.process and self.process.poll() is None:
            self.thaw() if getattr(self, "known", None) else None
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class Beating(threading.Thread):
    """An agent that never stops: each pulse's status."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.said, self.failure, self.ending = agent, [], None, threading.Event()
        self.start()

    def run(self):
        try:
            with self.agent.mtls() as c:
                while not self.ending.wait(0.4 * BEAT):
                    self.said.append(self.agent.pulse(c).status)
        except Exception as e:  # shown by end()
            self.failure = e

    def end(self):
        self.ending.set()
        self.join(10)
        if self.failure:
            raise self.failure
        assert set(self.said) == {200}, self.said
        return len(self.said)


class Asking(threading.Thread):
    """Makes tokens as fast as it may, each with a note of its own: which were acknowledged, refused, or cut off."""

    def __init__(self, server, label):
        super().__init__(daemon=True)
        self.server, self.label, self.ending = server, label, threading.Event()
        self.acknowledged, self.refused, self.cut, self.failure = [], [], [], None
        self.start()

    def run(self):
        n = 0
        try:
            while not self.ending.is_set():
                n += 1
                note = f"{self.label}-{n}"
                try:
                    r = call(self.server.operators, "POST", "/api/v1/tokens", {"note": note},
                             {"Authorization": f"Bearer {self.server.token}"}, context(self.server.ca), timeout=60)
                except (OSError, http.client.HTTPException):
                    self.cut.append(note)
                    continue
                if r.status == 201:
                    self.acknowledged.append(note)
                elif r.status == 503:
                    assert r.json()["code"] in ("store_unavailable", "unavailable", "starting"), r
                    assert len(r.json()["detail"]) > 30, r
                    self.refused.append(note)
                elif r.status == 429:
                    time.sleep(0.05)
                else:
                    raise AssertionError(r)
                time.sleep(0.02)
        except Exception as e:  # shown by end()
            self.failure = e

    def end(self):
        self.ending.set()
        self.join(90)
        assert not self.is_alive()
        if self.failure:
            raise self.failure
        return self


def notes(world):
    return {t["note"] for t in world.server.api("GET", "/api/v1/tokens").json()["tokens"]}


def writable(world):
    return world.server.api("POST", "/api/v1/tokens", {"note": "writable?"}).status == 201
