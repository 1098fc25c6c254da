# SPDX-License-Identifier: Apache-2.0
"""Every command of troth against a real server: what it prints, what it exits with, what it keeps."""

import http.server
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import ssl
import subprocess
import threading
import time

import pytest

from harness import Server, free_port, program

OK, REFUSED, UNREACHABLE, LOGIN, FILE, PIN, USAGE = 0, 1, 2, 3, 4, 5, 64


class Cli:
    """troth with a saved login of its own."""

    def __init__(self, folder, server):
        self.folder, self.server = pathlib.Path(folder), server
        self.profile = self.folder / "config" / "profile.json"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TROTH_", "XDG_"))}
        self.env.update(TROTH_PROFILE=str(self.profile), HOME=str(self.folder), TERM="xterm")

    @property
    def url(self):
        return f"https://localhost:{self.server.operators}"

    def run(self, *args, expect=OK, stdin="", env=None):
        r = subprocess.run([program("troth"), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60,
                           env=dict(self.env, **(env or {})), cwd=self.folder)
        assert r.returncode == expect, (args, r.returncode, r.stdout, r.stderr)
        return r

    def __call__(self, *args, **kw):
        return self.run(*args, **kw).stdout

    def json(self, *args, **kw):
        return json.loads(self(*args, "-o", "json", **kw))

    def error(self, code, *args, **kw):
        r = self.run(*args, expect=code, **kw)
        assert r.stdout == "", r.stdout
        return r.stderr

    def login(self, **kw):
        return self("login", self.url, "--token-file", self.server.dir / "admin.token", "--root", self.server.pin, **kw)


@pytest.fixture(scope="module")
def cli(server, tmp_path_factory):
    c = Cli(tmp_path_factory.mktemp("cli"), server)
    c.login()
    return c


@pytest.fixture
def stranger(server, tmp_path):
    """Not logged in."""
    return Cli(tmp_path, server)


def make_key(folder, name):
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def rows(table):
    """The lines of a table as dictionaries; columns are where the titles begin or end."""
    lines = table.splitlines()
    titles = [(m.group(), m.start()) for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    for line in lines[1:]:
        cells = re.split(r"\s{2,}", line.strip())
        assert len(cells) == len(titles), (lines[0], line)
        yield dict(zip([t for t, _ in titles], cells))


# ---- login ----

def test_login_saves_a_private_profile(stranger, server):
    said = stranger.login()
    assert "operator:admin" in said and server.pin in said and str(stranger.profile) in said
    assert stranger.profile.stat().st_mode & 0o7777 == 0o600
    saved = json.loads(stranger.profile.read_text())
    assert saved["url"] == stranger.url and saved["root"] == server.pin and saved["token"] == server.token
    assert "BEGIN CERTIFICATE" in saved["ca"]
    assert server.token not in said


def test_login_takes_the_token_from_where_it_is(stranger, server):
    stranger("login", stranger.url, "--token-file", "-", "--root", "sha256:" + server.pin, stdin=server.token + "\n")
    stranger.profile.unlink()
    assert stranger("-q", "login", stranger.url, "--root", server.pin, env={"TROTH_TOKEN": server.token}) == ""
    assert stranger.json("token", "list")["tokens"] is not None
    assert "no token" in stranger.error(USAGE, "login", stranger.url, "--root", server.pin)


def test_login_refuses_another_root(stranger, server):
    other = "00" * 32
    said = stranger.error(PIN, "login", stranger.url, "--token-file", server.dir / "admin.token", "--root", other)
    assert other in said and server.pin in said
    assert not stranger.profile.exists()


def test_login_asks_a_person_about_the_root(stranger, server):
    said = stranger.error(PIN, "login", stranger.url, "--token-file", server.dir / "admin.token")
    assert server.pin in said and "pass --root" in said
    for answer, code in ("no\n", PIN), ("\n", PIN), ("yes\n", OK):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(program("troth"), ["troth", "login", stranger.url, "--token-file", str(server.dir / "admin.token")],
                      stranger.env)
        text = b""
        while b"[yes/no]" not in text:
            text += os.read(fd, 4096)
        assert server.pin.encode() in text
        os.write(fd, answer.encode())
        drain(fd)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
        os.close(fd)
        assert stranger.profile.exists() == (code == OK)


def drain(fd, seconds=10.0):
    """What a terminal shows until the program ends or the time is over."""
    text, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([fd], [], [], left)[0]:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        text += chunk
    return text.decode()


@pytest.mark.parametrize("token, code, words", [
    ("tro_" + "A" * 43, LOGIN, "operator_token_invalid"),
    ("trt_" + "A" * 22 + "_" + "A" * 43, USAGE, "enrolment token"),
    ("hello", USAGE, "no operator token"),
    ("", USAGE, "no operator token"),
])
def test_login_refuses_a_token(stranger, server, token, code, words):
    said = stranger.error(code, "login", stranger.url, "--token-file", "-", "--root", server.pin, stdin=token)
    assert words in said
    assert not stranger.profile.exists()


def test_login_cannot_reach(stranger, server):
    args = ["--token-file", server.dir / "admin.token", "--root", server.pin]
    assert "nothing listens" in stranger.error(UNREACHABLE, "login", f"https://localhost:{free_port()}", *args)
    assert "https://HOST:PORT" in stranger.error(USAGE, "login", "http://localhost:1", *args)
    said = stranger.error(REFUSED, "login", f"https://localhost:{server.agents}", *args)
    assert "no_such_route" in said and "operators' listener" in said and not stranger.profile.exists()
    assert "64 hexadecimal" in stranger.error(USAGE, "login", stranger.url, *args[:2], "--root", "abc")
    assert "does not exist" in stranger.error(FILE, "login", stranger.url, "--token-file", "/nowhere", *args[2:])


def test_without_login(stranger):
    assert "troth login" in stranger.error(LOGIN, "agent", "list")
    stranger.profile.parent.mkdir()
    stranger.profile.write_text("{}")
    stranger.profile.chmod(0o600)
    said = stranger.error(LOGIN, "agent", "list")
    assert "url" in said and str(stranger.profile) in said and "troth login" in said


def test_a_readable_profile_is_refused(stranger):
    stranger.login()
    stranger.profile.chmod(0o644)
    assert "0600" in stranger.error(LOGIN, "agent", "list")


def test_profile_option_and_default_place(stranger, server):
    other = stranger.folder / "deep" / "er.json"
    stranger.login(env={"TROTH_PROFILE": ""})
    assert (stranger.folder / ".config/troth/profile.json").exists() and not stranger.profile.exists()
    stranger.run("--profile", other, "policy", "show", expect=LOGIN)
    stranger("login", stranger.url, "--token-file", server.dir / "admin.token", "--root", server.pin, "--profile", other)
    stranger("--profile", other, "policy", "show")
    stranger("policy", "show", "--profile", other)


def test_another_server_at_the_address(stranger, make_server):
    stranger.login()
    other = make_server().start()
    saved = json.loads(stranger.profile.read_text())
    saved["url"] = f"https://localhost:{other.operators}"
    stranger.profile.write_text(json.dumps(saved))
    assert "not signed by the CA" in stranger.error(PIN, "agent", "list")


def test_a_new_ca_of_the_same_root_is_learnt(stranger, make_server):
    """The saved CA is another one; the keyset under the pinned root names the right one."""
    stranger.login()
    other = make_server()
    saved = json.loads(stranger.profile.read_text())
    right = saved["ca"]
    saved["ca"] = other.ca.read_text()
    stranger.profile.write_text(json.dumps(saved))
    stranger("agent", "list")
    assert json.loads(stranger.profile.read_text())["ca"] == right


# ---- token ----

def test_token_create_tells_how_to_enrol(cli, server, tmp_path):
    said = cli("token", "create", "--uses", "2", "--ttl", "2h", "--partition", "lab", "--type", "probe",
               "--note", "for the lab")
    token = said.splitlines()[0]
    assert re.fullmatch(r"trt_[\w-]{22}_[\w-]{43}", token)
    assert re.search("2 agents of type probe into partition lab, ends in (2 h|120 min)", said)
    assert "systemctl enable --now troth-agent" in said
    lines = [line.split() for line in said.splitlines() if line.startswith("  troth-agent ")]
    assert [line[1] for line in lines] == ["init", "enroll"]
    assert lines[1][2:] == ["--server", f"https://localhost:{server.agents}", "--token", token]
    # The two lines do what they say.
    cli("policy", "set", "mode=audit")
    for line in lines:
        subprocess.run([program("troth-agent"), *line[1:], "--state", tmp_path / "agent"], check=True, capture_output=True)
    cli("policy", "set", "mode=enforce")
    token_id = re.search(r"Token (\w{8}):", said)[1]
    row = next(r for r in rows(cli("token", "list")) if r["ID"] == token_id)
    assert (row["STATE"], row["USES"], row["OF"], row["PARTITION"], row["TYPE"], row["NOTE"]) == \
        ("usable", "1", "2", "lab", "probe", "for the lab")


def test_token_quiet_json_and_revoke(cli, server):
    token = cli("token", "create", "-q").strip()
    assert token.startswith("trt_")
    made = cli.json("token", "create")
    assert made["servers"] == [f"https://localhost:{server.agents}"] and made["record"]["max_uses"] == 1
    ident = made["record"]["id"]
    assert ident in cli("token", "list", "-q").split()
    assert "is revoked" in cli("token", "revoke", ident)
    assert "already_ended" in cli.error(REFUSED, "token", "revoke", ident)
    said = cli.error(REFUSED, "token", "revoke", "00000000")
    assert "token_not_found" in said and "troth token list" in said and re.search(r"request core-\w+", said)
    assert "that is no token id" in cli.error(USAGE, "token", "revoke", "../agents")


@pytest.mark.parametrize("args, words", [
    (["--ttl", "1y"], "--ttl takes"), (["--ttl", "0"], "--ttl takes"), (["--uses", "0"], "--uses takes"),
    (["--uses", "-1"], "--uses takes"), (["--uses", "many"], "--uses takes"),
])
def test_token_create_usage(cli, args, words):
    assert words in cli.error(USAGE, "token", "create", *args)


def test_token_create_beyond_the_servers_limits(cli):
    assert "90 days" in cli.error(REFUSED, "token", "create", "--ttl", "91d")
    assert "agent_type" in cli.error(REFUSED, "token", "create", "--type", "a b")


def test_control_characters_are_escaped(cli):
    note = "red \x1b[31m\x1b]0;title\x07 \u202egnp"
    cli("token", "create", "--note", note)
    said = cli("token", "list")
    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said
    assert r"\u{1b}[31m" in said and r"\u{202e}" in said
    assert note in [t["note"] for t in cli.json("token", "list")["tokens"]]


# ---- keys, releases, agents, attestations: the way of one binary ----

def test_the_way_of_a_binary(cli, server, tmp_path):
    binary, state = tmp_path / "troth-agent", tmp_path / "agent"
    shutil.copy(program("troth-agent"), binary)
    private, public = make_key(tmp_path, "release")
    token = cli("token", "create", "-q", "--uses", "9").strip()

    def enroll(expect):
        r = subprocess.run([binary, "enroll", "--state", state, "--server", f"https://localhost:{server.agents}",
                            "--token", token], capture_output=True, text=True)
        assert r.returncode == expect, r.stderr

    subprocess.run([binary, "init", "--state", state, "--id", "way-1"], check=True, capture_output=True)
    enroll(2)
    newest = cli.json("attestation", "list", "--node", "way-1", "-n", "1")["attestations"][0]
    said = cli("attestation", "explain", newest["seq"])
    assert "FAILED  hash" in said and "Verdict: refused." in said and "(hash_not_allowed)" in said
    assert "What to do: No release statement or pin vouches" in said
    assert "ok      signature\n    expected:  " in said and "\n    seen:      " in said

    # A key that is not known yet vouches for nothing.
    signed = cli("release", "sign", "--key", private, "--version", "0.1.0", binary, "--name", "troth-agent", "--counter", "7")
    statement = tmp_path / "troth-agent.release"
    assert statement.exists() and str(statement) in signed and "linux-" in signed
    enroll(2)
    assert "(unknown_key)" in cli("attestation", "explain", newest["seq"] + 1)
    assert "unknown_key" in cli.error(REFUSED, "release", "add", statement)

    key = cli("key", "add", public, "--name", "way", "-q").strip()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert "key_exists" in cli.error(REFUSED, "key", "add", public)
    enroll(0)
    said = cli("attestation", "explain", newest["seq"] + 2)
    assert "Verdict: admitted.\nTrust tier: self-asserted: " in said and "FAILED" not in said

    assert "is published" in cli("release", "add", statement)
    row = next(r for r in rows(cli("release", "list")) if r["KEY"] == key[:12])
    assert row["VERSION"] == "0.1.0" and row["COUNTER"] == "7" and row["EXPIRES"] == "-"
    digest = next(r["sha256"] for r in cli.json("release", "list")["releases"] if r["vkey_id"] == key)
    assert "is withdrawn" in cli("release", "withdraw", "sha256:" + digest[:12], "--reason", "too old")
    assert "already_ended" in cli.error(REFUSED, "release", "withdraw", digest)
    assert "no published release" in cli.error(REFUSED, "release", "withdraw", "0123456789")
    assert "at least 8" in cli.error(USAGE, "release", "withdraw", "012")

    row = next(r for r in rows(cli("key", "list")) if r["KEY"] == key[:12])
    assert (row["NAME"], row["ROLE"], row["STATE"], row["AGENTS"], row["ROTATE"]) == ("way", "release", "active", "1", "no")

    shown = cli("agent", "show", "way-1")
    assert f"vouched by key    {key}" in shown and "trust tier        self-asserted" in shown
    row = next(r for r in rows(cli("agent", "list", "--state", "active")) if r["AGENT"] == "way-1")
    assert (row["STATE"], row["REACH"], row["VERDICT"], row["TIER"]) == ("active", "never", "pending", "self-asserted")
    assert row["BINARY"] == "-" and f"admitted sha256   {digest}" in shown

    said = cli.error(REFUSED, "key", "retire", key[:8])
    assert "key_in_use" in said and "way-1" in said
    assert "is retired" in cli("key", "retire", key[:8], "--force", "--reason", "rotation")
    assert "is revoked" in cli("key", "revoke", key)
    assert "key_not_found" in cli.error(REFUSED, "key", "revoke", "00000000")

    assert "is revoked" in cli("agent", "revoke", "way-1", "--reason", "stolen & sold")
    assert "already_ended" in cli.error(REFUSED, "agent", "revoke", "way-1")
    assert "stolen & sold" in cli("agent", "show", "way-1")
    assert "is removed" in cli("agent", "remove", "way-1", "--reason", "gone/for good?")
    assert cli.json("agent", "show", "way-1")["end_reason"] == "gone/for good?"
    assert "agent_not_found" in cli.error(REFUSED, "agent", "show", "nobody")
    assert "way-1" not in cli("agent", "list", "--state", "active", "-q").split()
    assert "way-1" in cli("agent", "list", "--state", "removed", "-q").split()


def test_audit_mode_says_so(cli, server, tmp_path):
    token = cli("token", "create", "-q").strip()
    cli("policy", "set", "mode=audit")
    subprocess.run([program("troth-agent"), "init", "--state", tmp_path / "a", "--id", "lenient-1"], check=True,
                   capture_output=True)
    subprocess.run([program("troth-agent"), "enroll", "--state", tmp_path / "a", "--server",
                    f"https://localhost:{server.agents}", "--token", token], check=True, capture_output=True)
    cli("policy", "set", "mode=enforce")
    seq = cli.json("attestation", "list", "--outcome", "admitted_audit", "--node", "lenient-1")["attestations"][0]["seq"]
    said = cli("attestation", "explain", seq)
    assert "enforce would refuse it" in said and "(hash_not_allowed)" in said and "Trust tier: self-asserted" in said


def test_attestation_errors_and_pages(cli):
    assert "attestation_not_found" in cli.error(REFUSED, "attestation", "explain", "99999999")
    assert "by their number" in cli.error(USAGE, "attestation", "explain", "x")
    assert "--limit takes" in cli.error(USAGE, "attestation", "list", "--limit", "0")
    every = cli.json("attestation", "list", "--limit", "1000")["attestations"]
    assert [r["seq"] for r in cli.json("attestation", "list", "-n", "2")["attestations"]] == [r["seq"] for r in every[:2]]


def test_key_add_refuses(cli, tmp_path):
    private, public = make_key(tmp_path, "k")
    assert "private key; nothing was sent" in cli.error(FILE, "key", "add", private)
    assert "does not exist" in cli.error(FILE, "key", "add", tmp_path / "none")
    (tmp_path / "junk").write_text("junk")
    cli.error(FILE, "key", "add", tmp_path / "junk")
    assert "--not-after takes" in cli.error(USAGE, "key", "add", public, "--not-after", "soon")
    assert "use must be" in cli.error(REFUSED, "key", "add", public, "--use", "fun")
    made = cli.json("key", "add", public, "--use", "fleet", "--not-before", "2026-01-01", "--not-after", "30d")
    assert made["use"] == "fleet" and made["not_before"] == "2026-01-01T00:00:00.000Z" and made["not_after"]
    assert "ambiguous" not in cli("key", "revoke", made["id"])


def test_release_files_need_no_server(stranger, tmp_path):
    binary = tmp_path / "tool"
    binary.write_bytes(b"a tool")
    private, public = make_key(tmp_path, "r")
    _, other = make_key(tmp_path, "o")
    out = tmp_path / "elsewhere"
    stranger("release", "sign", "--key", private, "--version", "1.2.3", "--platform", "linux-arm64", "--expires", "365d",
             "--counter", "9", binary, "-o", out, "-q")
    shown = stranger("release", "show", out)
    assert "unverified" in shown and "1.2.3" in shown and "in 365 days" in shown
    assert "verified with this key" in stranger("release", "show", out, "--key", public)
    assert stranger.json("release", "show", out)["sha256"] == \
        subprocess.run(["sha256sum", binary], capture_output=True, text=True).stdout.split()[0]
    assert "by another key" in stranger.error(FILE, "release", "show", out, "--key", other)
    damaged = bytearray(out.read_bytes())
    damaged[-1] ^= 1
    out.write_bytes(damaged)
    assert "does not verify" in stranger.error(FILE, "release", "show", out, "--key", public)
    sign = ["release", "sign", binary]
    assert "--key is needed" in stranger.error(USAGE, *sign, "--version", "1")
    assert "--version is needed" in stranger.error(USAGE, *sign, "--key", private)
    assert "--version is needed" in stranger.error(USAGE, *sign, "--key", private, "--version", "one")
    assert "--expires takes" in stranger.error(USAGE, *sign, "--key", private, "--version", "1", "--expires", "2020-01-01")
    assert "--counter takes" in stranger.error(USAGE, *sign, "--key", private, "--version", "1", "--counter", "x")
    assert "none does not exist" in stranger.error(FILE, "release", "sign", tmp_path / "none", "--key", private, "--version", "1")
    private.chmod(0o644)
    assert "0600" in stranger.error(FILE, *sign, "--key", private, "--version", "1")
    assert "is no release statement" in stranger.error(FILE, "release", "show", binary)
    assert "is no release statement" in stranger.error(FILE, "release", "add", binary)


# ---- policy, audit ----

def test_policy(cli):
    digest = "sha256:" + "ab" * 32
    said = cli("policy", "set", f"hashes={digest},sha256:{'cd' * 32}", "min_version=0.1.0", "min_tier=self-asserted")
    assert re.search(r"hashes +- +" + digest + r"\n +sha256:cdcd", said)
    assert cli("policy", "show") == said
    assert cli.json("policy", "set", "hashes=", "min_version=")["hashes"] == ""
    assert "no setting" in cli.error(USAGE, "policy", "set", "colour=red")
    assert "no setting" in cli.error(USAGE, "policy", "set", "mode")
    assert "cannot be empty" in cli.error(USAGE, "policy", "set", "mode=")
    assert "off, audit or enforce" in cli.error(REFUSED, "policy", "set", "mode=maybe")
    assert "missing" in cli.error(USAGE, "policy", "set")


def test_policy_shows_what_is_pinned(tmp_path, make_server):
    server = make_server(config="attestation:\n  mode: enforce\n").start()
    cli = Cli(tmp_path, server)
    cli.login()
    assert re.search(r"mode +configuration +enforce", cli("policy", "show"))
    assert "pinned_by_configuration" in cli.error(REFUSED, "policy", "set", "mode=off")


def test_audit_tail(cli):
    made = cli.json("token", "create")["record"]["id"]
    lines = cli("audit", "tail", "-n", "3").splitlines()
    assert len(lines) == 3
    assert [line.split()[0] for line in lines] == sorted((line.split()[0] for line in lines), key=int)
    assert "token.create" in lines[-1] and made in lines[-1] and "operator:admin" in lines[-1]
    entries = [json.loads(line) for line in cli("audit", "tail", "-n", "2", "-o", "json").splitlines()]
    assert entries[-1]["object"] == made
    assert len(cli("audit", "tail", "-n", "100000").splitlines()) >= entries[-1]["seq"] - 1
    assert "-n takes" in cli.error(USAGE, "audit", "tail", "-n", "x")


def test_audit_follow(cli):
    p = subprocess.Popen([program("troth"), "audit", "tail", "-n", "1", "--follow"], stdout=subprocess.PIPE, text=True,
                         env=cli.env)
    try:
        p.stdout.readline()
        made = cli.json("token", "create")["record"]["id"]
        assert made in p.stdout.readline()
    finally:
        p.send_signal(signal.SIGINT)
        p.wait(10)


# ---- watching, colours ----

def terminal(cli, *args, seconds, env=None):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(program("troth"), ["troth", *args], dict(cli.env, **(env or {})))
    text = drain(fd, seconds)
    os.kill(pid, signal.SIGINT)
    os.waitpid(pid, 0)
    os.close(fd)
    return text


def test_watch_redraws_on_a_terminal(cli):
    assert terminal(cli, "token", "list", "--watch=0.1", seconds=1.5).count("\x1b[H\x1b[2J") >= 3
    p = subprocess.Popen([program("troth"), "token", "list", "--watch=0.1", "-o", "json"], stdout=subprocess.PIPE, text=True,
                         env=cli.env)
    assert [json.loads(p.stdout.readline())["tokens"] is not None for _ in range(3)] == [True] * 3
    p.kill()
    p.wait()
    assert "--watch takes" in cli.error(USAGE, "token", "list", "--watch=0")
    assert "unrecognized" in cli.error(USAGE, "policy", "show", "--watch")


def test_colours_only_where_wanted(cli):
    cli("token", "create", "-q")
    assert "\x1b[32musable\x1b[0m" in terminal(cli, "token", "list", seconds=5)
    assert "\x1b[" not in terminal(cli, "token", "list", seconds=5, env={"NO_COLOR": "1"})
    assert "\x1b[" not in terminal(cli, "token", "list", seconds=5, env={"TERM": "dumb"})
    assert "\x1b[" not in cli("token", "list")


def test_watching_outlives_a_restart(tmp_path, make_server):
    server = make_server().start()
    cli = Cli(tmp_path, server)
    cli.login()
    p = subprocess.Popen([program("troth"), "token", "list", "--watch=0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, env=cli.env)
    try:
        assert "STATE" in p.stdout.readline()
        server.stop()
        assert "https://localhost" in p.stderr.readline()
        assert "nothing listens" in cli.error(UNREACHABLE, "agent", "list")
        server.start()
        made = cli.json("token", "create")["record"]["id"]
        while made not in (line := p.stdout.readline()):
            assert line
    finally:
        p.kill()
        p.wait()


# ---- a server that is not itself ----

@pytest.fixture
def impostor(server, stranger):
    """A server with the right certificate that answers what the test wants: impostor(answers)."""
    stranger.login()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.dir / "tls" / "server.crt", server.dir / "tls" / "server.key")
    answers, asked = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self.path)
            status, headers, body = answers.pop(0)
            self.send_response(status)
            for k, v in headers.items():
                self.send_header(k, v)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    saved = json.loads(stranger.profile.read_text())
    saved["url"] = f"https://localhost:{httpd.server_port}"
    stranger.profile.write_text(json.dumps(saved))
    stranger.answers, stranger.asked = answers, asked
    yield stranger
    httpd.shutdown()
    httpd.server_close()


BUSY = (503, {"Retry-After": "1", "Content-Type": "application/problem+json"},
        b'{"title":"Service Unavailable","code":"busy","detail":"Later."}')


def test_busy_is_tried_again_three_times(impostor):
    impostor.answers += [BUSY, BUSY, (200, {}, b'{"tokens":[]}')]
    r = impostor.run("token", "list")
    assert "(none)" in r.stdout and r.stderr.count("trying again in 1 s") == 2
    impostor.answers += [BUSY] * 5
    assert "(busy, status 503)\n  Later." in impostor.error(REFUSED, "token", "list", "-q")
    assert len(impostor.asked) == 3 + 4
    del impostor.answers[:]
    impostor.answers += [(503, {}, BUSY[2])]
    impostor.error(REFUSED, "token", "list")


@pytest.mark.parametrize("status, body, code", [
    (200, b"<html>", UNREACHABLE),
    (200, b"", UNREACHABLE),
    (200, b'{"agents":[' + b"[" * 100, UNREACHABLE),
    (302, b"", REFUSED),
    (500, b"<html>\x1b[2J", REFUSED),
    (404, b'{"code":"\\u001b[2J","title":"\\u001b[2J","detail":"\\u001b[2J","request_id":"\\u001b[2J"}', REFUSED),
    (401, b'{"code":"operator_token_invalid","title":"x"}', LOGIN),
])
def test_odd_answers(impostor, status, body, code):
    impostor.answers += [(status, {"Location": "https://localhost:1/"}, body)]
    said = impostor.error(code, "agent", "list")
    assert "\x1b" not in said
    assert (code == LOGIN) == ("log in again" in said)


def test_lists_of_any_shape_are_shown(impostor):
    odd = [{}, {"id": 5, "state": [1, {"a": "\x1b"}], "last_seen": "yesterday\x1b", "binary_hash": True}, 7, None, "x"]
    impostor.answers += [(200, {}, json.dumps({"agents": odd, "next_cursor": ""}).encode())]
    said = impostor("agent", "list")
    assert "\x1b" not in said and len(said.splitlines()) == 6
    for body in b'{"agents":{"a":1}}', b'{}', b'[]':
        impostor.answers += [(200, {}, body)]
        assert "is no list" in impostor.error(UNREACHABLE, "agent", "list")


def test_pages_are_one_list(impostor):
    def page(n, cursor):
        return 200, {}, json.dumps({"agents": [{"id": f"a{n}"}, {"id": f"b{n}"}], "next_cursor": cursor}).encode()
    for args in ["-q"], ["-o", "json"]:
        impostor.answers += [page(1, "b1"), page(2, "b 2"), page(3, "")]
        said = impostor("agent", "list", "--partition", "p q", *args)
        assert re.findall(r"[ab]\d", said) == ["a1", "b1", "a2", "b2", "a3", "b3"]
    assert impostor.asked[-2:] == ["/api/v1/agents?limit=500&partition=p%20q&cursor=b1",
                                   "/api/v1/agents?limit=500&partition=p%20q&cursor=b%202"]


def test_old_keys_are_pointed_out(impostor):
    key = {"id": "ab" * 32, "state": "active", "age_days": 91, "rotation_due": True}
    impostor.answers += [(200, {}, json.dumps({"verification_keys": [key]}).encode()), (200, {}, b'{"keys":[]}')]
    said = impostor("key", "list")
    assert "over 90 days" in said and re.search(r"91 +yes", said)


# ---- help and usage ----

NOUNS = {"token": "create list revoke",
         "agent": "list show explain watch events bpf expect accept reset-identity revoke remove",
         "command": "types send list show approve order cancel retry wait",
         "attestation": "list show explain replay",
         "attestation-policy": "add list show test activate retire",
         "quote": "show verify simulate", "collateral": "import show check sign push",
         "key": "list add root-init create adoption promote rotate retire revoke",
         "keyset": "show prepare sign publish chain",
         "operator": "keygen show",
         "release": "sign show add list withdraw",
         "policy": "show set test",
         "audit": "tail",
         "alert": "list show ack resolve",
         "event": "list show",
         "maintenance": "add list end"}


def test_help(stranger):
    text = stranger("--help")
    assert stranger("help") == text
    assert "64 usage" in text
    for noun, verbs in NOUNS.items():
        assert noun in text
        of_noun = stranger(noun, "--help")
        assert "Exit code" not in of_noun and max(map(len, of_noun.splitlines())) < 140
        for verb in verbs.split():
            assert re.search(rf"^  {verb}\b", of_noun, re.M)
            of_verb = stranger(noun, verb, "--help")
            assert "\v" not in of_verb and "\nExit codes" in of_verb, of_verb
            assert f"Usage: troth {noun} {verb}" in of_verb and "--output" in of_verb and "Exit codes" in of_verb
    assert "--root" in stranger("login", "--help")
    for args in ["version"], ["--version"]:
        assert re.fullmatch(r"troth \d+\.\d+\.\d+\n", stranger(*args))


@pytest.mark.parametrize("args", [
    [], ["nothing"], ["token"], ["token", "nothing"], ["agent", "show"], ["agent", "show", "a", "b"],
    ["agent", "list", "--nothing"], ["agent", "list", "-o", "xml"], ["-o", "xml", "agent", "list"], ["--nothing"],
    ["login"], ["agent", "show", "a/b"], ["agent", "revoke", ""],
    ["agent", "list", "--state", "gone"], ["agent", "list", "--verdict", "bad"], ["agent", "list", "--reach", "far"],
    ["agent", "expect", "a", "--hash", "ab" * 32], ["agent", "expect", "a", "--reason", "r"],
    ["agent", "expect", "a", "--hash", "xyz", "--reason", "r"],
    ["agent", "expect", "a", "--hash", "ab" * 32, "--minutes", "0", "--reason", "r"],
    ["agent", "accept", "a"], ["agent", "accept", "a", "--reason", ""], ["agent", "reset-identity", "a"],
    ["agent", "explain"], ["agent", "events", "a", "-n", "0"], ["agent", "watch", "--interval", "0"],
    ["agent", "watch", "--verdict", "bad"], ["agent", "bpf", "a/b"],
    ["alert", "list", "--severity", "6"], ["alert", "list", "--all", "-n", "x"], ["alert", "show", "../x"],
    ["event", "show", "x"], ["event", "list", "-n", "0"], ["alert", "resolve", "a"], ["alert", "ack"],
    ["maintenance", "add", "world", "--for", "1h", "--reason", "r"], ["maintenance", "add", "agent", "--for", "1h", "--reason", "r"],
    ["maintenance", "add", "fleet", "x", "--for", "1h", "--reason", "r"], ["maintenance", "add", "fleet", "--reason", "r"],
    ["maintenance", "add", "fleet", "--for", "1h"], ["maintenance", "add", "fleet", "--for", "90s", "--reason", "r"],
    ["maintenance", "add", "fleet", "--for", "1h", "--until", "2h", "--reason", "r"],
    ["maintenance", "add", "fleet", "--until", "soon", "--reason", "r"], ["maintenance", "end"], ["status", "now"], ["attestation", "list", "--outcome", "maybe"],
])
def test_usage(stranger, args):
    assert stranger.error(USAGE, *args)


def test_a_full_disk_is_noticed(cli):
    with open("/dev/full", "w") as full:
        r = subprocess.run([program("troth"), "token", "list"], stdout=full, stderr=subprocess.PIPE, text=True, env=cli.env)
    assert r.returncode == FILE and "No space left" in r.stderr


def test_completion_knows_every_verb():
    text = (pathlib.Path(__file__).parents[2] / "packaging/completions/troth.bash").read_text()
    zsh = (pathlib.Path(__file__).parents[2] / "packaging/completions/_troth").read_text()
    for noun, verbs in NOUNS.items():
        assert f"{noun}) verbs='{verbs}'" in text
        assert f"{noun} '{verbs}'" in zsh
