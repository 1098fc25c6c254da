# SPDX-License-Identifier: Apache-2.0
"""What the people who hold keys do with troth: roots and operators offline, keysets, rotation, orders and approvals. Files are
read again by a second implementation (keyset.py, obey.py)."""

import http.server
import json
import os
import pty
import select
import ssl
import stat
import subprocess
import threading
import time

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization as ser

import client
import keyset
import obey
from commanded import Obedient, now_ms
from harness import Server, program
from test_cli import FILE, LOGIN, OK, PIN, REFUSED, USAGE, Cli
from world import name

CMD_REFUSED, CMD_FAILED, CMD_UNKNOWN, CMD_EXPIRED, CMD_CANCELLED, NOT_YET = 10, 11, 12, 13, 14, 15
CONFIG = "clock:\n  source: trusted\nattestation:\n  mode: audit\nheartbeat_seconds: 5\n"


class Person(Cli):
    """Somebody with keys in a folder of their own."""

    def key(self, name, *args):
        """An operator's key: (file, id)."""
        path = self.folder / name
        return path, self("operator", "keygen", path, "-q", *args).strip()

    def root(self, name, *args):
        path = self.folder / name
        return path, self("key", "root-init", path, "-q", *args).strip()

    def next(self, *changes, roots, previous=None):
        """Prepares and signs; the file."""
        path = self.folder / f"next-{len(list(self.folder.iterdir()))}"
        extra = ["--previous", previous] if previous else []
        self("keyset", "prepare", "-o", path, *changes, *extra)
        for r in roots:
            self("keyset", "sign", path, "--root", r, "--yes")
        return path

    @property
    def pinned(self):
        return json.loads(self.profile.read_text())["root"]

    def at_terminal(self, *args, answer, seconds=10):
        """What the program shows, and its exit code, when somebody types this answer."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(program("troth"), ["troth", *map(str, args)], self.env)
        text, end, typed = b"", time.monotonic() + seconds, False
        while time.monotonic() < end and select.select([fd], [], [], seconds)[0]:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            text += chunk
            if b"[yes/no]" in text and not typed:
                os.write(fd, answer.encode())
                typed = True
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        assert typed, text
        return text.decode(), code


@pytest.fixture(scope="module")
def installation():
    server = Server(config=CONFIG).start()
    try:
        yield server
        server.stop()
    finally:
        server.destroy()


@pytest.fixture
def offline(installation, tmp_path):
    """Nobody has logged in here, and no server is asked."""
    return Person(tmp_path, installation)


@pytest.fixture(scope="module")
def admin(installation, tmp_path_factory):
    p = Person(tmp_path_factory.mktemp("admin"), installation)
    p.login()
    return p


def root_of(server):
    return server.dir / "root" / "root.key"


def fields(path):
    return keyset.parse(keyset.open_object(path.read_bytes())[0])


def epoch(person):
    return person.json("keyset", "show")["epoch"]


# ---- keys as files ----

def test_keys_are_made_once_and_for_their_owner_alone(offline, tmp_path):
    said = offline("operator", "keygen", tmp_path / "ada.key", "--name", "Ada of lab 3")
    private, public = tmp_path / "ada.key", tmp_path / "ada.key.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600 and stat.S_IMODE(public.stat().st_mode) == 0o644
    ident = client.key_id(ser.load_pem_private_key(private.read_bytes(), None)).hex()
    assert f"sha256:{ident}" in said and f"--add-operator {public}" in said
    assert public.read_text().startswith("Operator: Ada of lab 3\n")
    assert ser.load_pem_public_key(public.read_bytes().split(b"\n", 1)[1])
    for path, half in (private, "private"), (public, "public"):
        shown = offline.json("operator", "show", path)
        assert (shown["id"], shown["half"], shown["key_type"]) == (ident, half, "ed25519")
        assert "PRIVATE" not in json.dumps(shown)
        assert offline("operator", "show", path, "-q").strip() == ident
    before = private.read_bytes()
    assert "exists" in offline.error(FILE, "operator", "keygen", private)
    public.unlink()
    assert "exists" in offline.error(FILE, "operator", "keygen", private)
    assert private.read_bytes() == before and not public.exists()  # no half of another key beside it
    assert offline.error(USAGE, "operator", "keygen", tmp_path / "x", "--name", "two\nlines")
    assert offline.error(USAGE, "operator", "keygen", tmp_path / "x", "--type", "dsa")
    private.chmod(0o644)
    assert "others" in offline.error(FILE, "operator", "show", private)


def test_a_root_key_goes_into_a_folder_or_a_file(offline, tmp_path):
    (tmp_path / "stick").mkdir()
    said = offline("key", "root-init", tmp_path / "stick")
    assert "move it offline now" in said and (tmp_path / "stick" / "root.key").stat().st_mode & 0o777 == 0o600
    assert offline("operator", "show", tmp_path / "stick" / "root.key", "-q").strip() in said
    _, ident = offline.root("second.key", "--type", "p256")
    assert offline.json("operator", "show", tmp_path / "second.key.pub") | {"pem": ""} == \
        {"id": ident, "key_type": "p256", "half": "public", "pem": ""}
    assert "exists" in offline.error(FILE, "key", "root-init", tmp_path / "stick")


# ---- keysets offline ----

@pytest.fixture
def first(installation):
    """The keyset that trothd init made."""
    return installation.dir / "keyset.cose"


def test_a_keyset_is_prepared_and_signed_without_a_server(offline, installation, first, tmp_path):
    assert "troth login" in offline.error(LOGIN, "keyset", "prepare", "-o", tmp_path / "x")
    assert "unverified" in offline("keyset", "show", first)
    _, ada = offline.key("ada.key")
    _, second = offline.root("second.key")
    draft = tmp_path / "next"
    said = offline("keyset", "prepare", "--previous", first, "-o", draft, "--add-operator", tmp_path / "ada.key.pub",
                   "--add-root", tmp_path / "second.key.pub", "--threshold", "2", "--expires", "90d")
    assert "Keyset 2 of e2e.example, after 1" in said
    assert f"  + operator key (ed25519) sha256:{ada}: may approve commands\n" in said
    assert f"  + root key sha256:{second}\n" in said and "  ~ 2 of 2 roots must sign (until now 1 of 1)\n" in said
    assert f"troth keyset sign {draft} --root FILE" in said
    assert (tmp_path / "next.previous").read_bytes() == first.read_bytes()
    assert cbor2.loads(draft.read_bytes())[2] == 2  # the bare payload

    shown = offline.run("keyset", "sign", draft, "--root", root_of(installation), "--yes")
    assert f"sha256:{ada}: may approve" in shown.stderr  # what is signed is shown, made from the draft
    assert "roots of this keyset: 1 of 2 signatures, 1 missing" in shown.stdout
    assert "roots in force until now: 1 of 1 signatures\n" in shown.stdout and "publish" not in shown.stdout
    with pytest.raises(keyset.Denied):
        keyset.verify_next(first.read_bytes(), draft.read_bytes(), now_ms())
    shown = offline("keyset", "sign", draft, "--root", tmp_path / "second.key", "--yes")
    assert "roots of this keyset: 2 of 2 signatures\n" in shown and f"troth keyset publish {draft}" in shown
    f = keyset.verify_next(first.read_bytes(), draft.read_bytes(), now_ms())
    assert (f["epoch"], f["threshold"], len(f["roots"])) == (2, 2, 2)
    assert abs(f["expires_ms"] - f["issued_ms"] - 90 * 86400000) < 5000
    assert [keyset.key_id(k["key"]).hex() for k in f["keys"] if k["role"] == "operator"] == [ada]
    again = draft.read_bytes()  # the same root once more changes nothing
    offline("keyset", "sign", draft, "--root", root_of(installation), "--yes")
    assert keyset.verify_next(first.read_bytes(), draft.read_bytes(), now_ms()) == f and len(again) == draft.stat().st_size
    assert offline.json("keyset", "show", draft)["root_fingerprint"] == keyset.fingerprint(f).hex()


def test_signing_refuses_what_nobody_should_sign(offline, installation, first, tmp_path):
    ada, ada_id = offline.key("ada.key")
    draft = tmp_path / "d"
    offline("keyset", "prepare", "--previous", first, "-o", draft, "--add-operator", f"{ada}.pub")
    before = draft.read_bytes()
    sign = ["keyset", "sign", draft, "--root", root_of(installation)]
    assert "--root FILE is needed" in offline.error(USAGE, "keyset", "sign", draft)
    assert "nobody is here to be asked" in offline.error(USAGE, *sign)
    assert "no root" in offline.error(FILE, "keyset", "sign", draft, "--root", ada, "--yes")
    assert "no keyset and no draft" in offline.error(FILE, "keyset", "sign", ada, "--root", ada, "--yes")
    other = tmp_path / "other"
    offline("keyset", "prepare", "--previous", first, "-o", other)
    offline("keyset", "sign", other, "--root", root_of(installation), "--yes", "-q")
    assert "is not the keyset that" in offline.error(FILE, *sign, "--yes", "--previous", other)
    assert draft.read_bytes() == before
    said, code = offline.at_terminal(*sign, answer="no\n")
    assert code == USAGE and "nothing was signed" in said and draft.read_bytes() == before
    said, code = offline.at_terminal(*sign, "-o", tmp_path / "signed", answer="yes\n")
    assert code == OK and f"sha256:{ada_id}: may approve" in said and draft.read_bytes() == before
    assert fields(tmp_path / "signed")["epoch"] == 2
    (tmp_path / "d.previous").unlink()
    assert "all of it is shown" in offline.run(*sign, "--yes").stderr


@pytest.mark.parametrize("args, code, words", [
    (["--retire", "zz"], USAGE, "hexadecimal"),
    (["--retire", "00000000"], USAGE, "no such key"),
    (["--retire", "00000000=soon"], USAGE, "ID=TIME"),
    (["--drop", "0000"], USAGE, "at least 8 digits"),
    (["--remove-root", "00000000"], USAGE, "no such root"),
    (["--threshold", "3"], USAGE, "threshold"),
    (["--threshold", "many"], USAGE, "number"),
    (["--expires", "yesterday"], USAGE, "--expires takes"),
    (["--add-operator", "/nowhere"], USAGE, "does not exist"),
    (["--add-ca", "/etc/hostname"], USAGE, ""),
])
def test_prepare_refuses(offline, first, tmp_path, args, code, words):
    assert words in offline.error(code, "keyset", "prepare", "--previous", first, "-o", tmp_path / "x", *args)
    assert not (tmp_path / "x").exists()


def test_prepare_refuses_keys_that_do_not_belong(offline, installation, first, tmp_path):
    ada, _ = offline.key("ada.key")
    prepare = ["keyset", "prepare", "--previous", first, "-o", tmp_path / "x"]
    assert "private key" in offline.error(USAGE, *prepare, "--add-operator", ada)
    assert "another role" in offline.error(USAGE, *prepare, "--add-operator", f"{ada}.pub", "--add-release", f"{ada}.pub")
    assert "already" in offline.error(USAGE, *prepare, "--add-root", root_of(installation).with_suffix(".pub"))
    ca = next(k["id"] for k in offline.json("keyset", "show", first)["keys"] if k["role"] == "ca")
    assert "no valid CA" in offline.error(USAGE, *prepare, "--drop", ca)
    assert "no valid CA" in offline.error(USAGE, *prepare, "--revoke", ca)
    command = next(k["id"] for k in offline.json("keyset", "show", first)["keys"] if k["role"] == "command")
    assert "no such key" in offline.error(USAGE, *prepare, "--remove-operator", command)
    said = offline(*prepare, "--revoke", command[:12])
    assert f"  ! revoked: command key sha256:{command}" in said


# ---- published ----

def test_an_expired_keyset_is_replaced(tmp_path, make_server):
    """The alert gets worse when it is over, and those who were logged in make the next one as ever."""
    server = make_server(config=CONFIG).start()
    try:
        p = Person(tmp_path, server)
        p.login()
        p("keyset", "publish", p.next("--expires", "3s", roots=[root_of(server)]))

        def told():
            return [(a["severity"], a["summary"]) for a in p.json("alert", "list")["alerts"] if a["kind"] == "keyset_expiring"]
        deadline = time.monotonic() + 15
        while not any(severity == 1 for severity, _ in told()):
            assert time.monotonic() < deadline, told()
            time.sleep(0.2)
        assert "has expired: nobody can enrol" in told()[0][1]
        assert "has expired" in p.run("keyset", "show").stderr
        assert "the keyset has expired" in p.error(PIN, "login", p.url, "--token-file", server.dir / "admin.token", "--root", server.pin)
        p("keyset", "publish", p.next("--expires", "365d", roots=[root_of(server)]))
        assert p.run("keyset", "show").stderr == "" and epoch(p) == 3
        p.login()
        deadline = time.monotonic() + 10
        while told():
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        server.stop()


def test_roots_grow_and_everybody_follows(tmp_path, make_server):
    """1 of 1 becomes 2 of 3, then the first root goes; logins and pins of every age lead to the newest."""
    server = make_server(config=CONFIG).start()
    try:
        (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir(), (tmp_path / "c").mkdir()
        a, old, new = (Person(tmp_path / n, server) for n in "abc")
        a.login(), old.login()
        ancient = a.pinned
        assert ancient == server.pin and f"root fingerprint  {ancient}" in a("keyset", "show")
        second, _ = a.root("second.key")
        third, _ = a.root("third.key", "--type", "p256")
        draft = a.folder / "next"
        a("keyset", "prepare", "-o", draft, "--add-root", f"{second}.pub", "--add-root", f"{third}.pub", "--threshold", "2")
        assert "nobody has signed" in a.error(FILE, "keyset", "publish", draft)
        a("keyset", "sign", draft, "--root", root_of(server), "--yes")
        assert "too few root keys" in a.error(FILE, "keyset", "publish", draft)
        assert epoch(a) == 1
        a("keyset", "sign", draft, "--root", third, "--yes")
        assert "keyset 2 is in force" in a("keyset", "publish", draft)
        assert "in force already" in a("keyset", "publish", draft)
        assert a.pinned == fingerprint_of(draft) != ancient

        gone = next(r["id"] for r in a.json("keyset", "show")["roots"] if r["id"] == keyset.key_id(
            keyset.spki(ser.load_pem_private_key(root_of(server).read_bytes(), None))).hex())
        last = a.next("--remove-root", gone, roots=[second, third])
        assert "keyset 3 is in force" in a("keyset", "publish", last)
        # What was pinned on the first day still leads here, and the old login follows by itself.
        old("keyset", "show", "-q")
        new.login()
        assert a.pinned == old.pinned == new.pinned == fingerprint_of(last)
        chain = json.loads(new("keyset", "chain", "--json"))["keysets"]
        assert [k["verified"] for k in chain] == ["no, before the pinned root"] * 2 + ["yes"]
        new("keyset", "chain", "--save", new.folder / "kept")
        assert keyset.verify_next((new.folder / "kept" / "keyset-2.cose").read_bytes(), last.read_bytes(), now_ms())
        # The root that went signs nothing any more.
        late = a.next("--threshold", "1", roots=[root_of(server)], previous=new.folder / "kept" / "keyset-2.cose")
        assert "cannot follow" in a.error(FILE, "keyset", "publish", late)
        stranger = Person(tmp_path / "a" / "stranger", server)
        stranger.folder.mkdir()
        said = stranger.error(PIN, "login", stranger.url, "--token-file", server.dir / "admin.token", "--root", "00" * 32)
        assert "none of its 3 keysets had the expected one" in said and not stranger.profile.exists()
    finally:
        server.stop()


def fingerprint_of(path):
    return keyset.fingerprint(fields(path)).hex()


# ---- rotation ----

def command_keys(person):
    return {k["id"]: k["state"] for k in person.json("key", "list", "--role", "command")["keys"]}


@pytest.fixture(scope="module")
def agents(installation):
    """Two agents that are heard and say which keyset they have."""
    token = installation.make_token(max_uses=20)
    made = [client.Agent(installation, name("rot")) for _ in range(2)]
    for a in made:
        assert a.register(token).status == 201
    return made


def beat(agents, keyset_epoch):
    for a in agents:
        with a.mtls() as c:
            assert a.pulse(c, keyset_epoch=keyset_epoch).status == 200


def test_rotation_waits_for_the_agents_and_names_who_is_behind(admin, installation, agents):
    first, second = agents
    (old,) = [k for k, s in command_keys(admin).items() if s == "primary"]
    at = epoch(admin)
    beat(agents, at)
    said = admin.run("key", "rotate", "--root", root_of(installation), expect=NOT_YET)
    assert f"published keyset {at + 1}" in said.stdout
    assert "2 agents that are heard do not know key" in said.stderr
    assert first.node_id in said.stderr and second.node_id in said.stderr
    (new,) = [k for k, s in command_keys(admin).items() if s == "active"]
    assert command_keys(admin)[old] == "primary"
    said = admin.error(REFUSED, "key", "promote", new)
    assert "not_adopted" in said and f"agents without it: {first.node_id}" in said
    beat([first], at + 1)
    adoption = admin.json("key", "adoption", new[:8])
    assert (adoption["adopted"], adoption["behind"]) == (1, 1)
    assert second.node_id in admin("key", "adoption", new)
    p = subprocess.Popen([program("troth"), "key", "rotate", "--root", str(root_of(installation)), "--wait=30s"], env=admin.env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    assert f"1 of 2 agents know it; not yet: {second.node_id}" in line
    assert command_keys(admin)[old] == "primary"
    beat([second], at + 1)
    out, err = p.communicate(timeout=20)
    assert p.returncode == OK, (out, err)
    assert f"promoted command key {new[:12]}" in out and f"published keyset {at + 2}" in out
    assert command_keys(admin) == {old: "retiring", new: "primary"}
    entry = next(k for k in admin.json("keyset", "show")["keys"] if k["id"] == old)
    assert entry["no_sign_after"] and entry["state"] in ("retiring", "retired")


def test_rotation_hands_over_to_whoever_holds_the_root(admin, installation, agents):
    at = epoch(admin)
    assert "It is not a day old" in admin("key", "rotate")
    step1, step2 = admin.folder / "step1", admin.folder / "step2"
    said = admin.run("key", "rotate", "--force", "--reason", "drill", "-o", step1, expect=NOT_YET).stdout
    assert f"troth keyset sign {step1} --root FILE\n" in said and "  troth key rotate\n" in said
    # Called again it stands where it stood, and writes no second key.
    n = len(command_keys(admin))
    admin.run("key", "rotate", "-o", step1, expect=NOT_YET)
    assert len(command_keys(admin)) == n
    admin("keyset", "sign", step1, "--root", root_of(installation), "--yes")
    signed = step1.read_bytes()
    admin.run("key", "rotate", "-o", step1, expect=NOT_YET)
    assert step1.read_bytes() == signed  # a signature is not written over
    admin("keyset", "publish", step1)
    beat(agents, at + 1)
    said = admin.run("key", "rotate", "-o", step2, expect=NOT_YET).stdout
    assert "promoted command key" in said and f"troth keyset sign {step2} --root FILE\n" in said
    admin("keyset", "sign", step2, "--root", root_of(installation), "--yes")
    admin("keyset", "publish", step2)
    assert "done     command key" in admin("key", "rotate")
    assert sorted(command_keys(admin).values()).count("primary") == 1


def test_a_key_revoked_amid_its_rotation(admin, installation, agents):
    """The new key signs from that moment, and the rotation comes to its end all the same."""
    at = epoch(admin)
    beat(agents, at)
    (old,) = [k for k, s in command_keys(admin).items() if s == "primary"]
    p = subprocess.Popen([program("troth"), "key", "rotate", "--root", str(root_of(installation)), "--wait=30s"], env=admin.env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "agents know it; not yet" in p.stderr.readline()
    admin("key", "revoke", old, "--reason", "copied disk")
    beat(agents, at + 1)
    out, err = p.communicate(timeout=20)
    (new,) = [k for k, s in command_keys(admin).items() if s == "primary"]
    assert p.returncode == OK and f"switched command key {new[:12]} signs already" in out and "done     command key" in out, (out, err)
    admin("keyset", "publish", admin.next("--revoke", old, roots=[root_of(installation)]))


def test_a_stolen_key_is_revoked_at_once(admin, installation, agents):
    at = epoch(admin)
    new = admin("key", "create", "--name", "spare", "-q").strip()
    said = admin("key", "create")
    other = said.splitlines()[0].split()[1]
    assert "troth keyset prepare -o next --add-key " + other[:12] in said
    assert "server has no signing key" in admin.error(USAGE, "keyset", "prepare", "-o", admin.folder / "x", "--add-key", "0" * 12)
    said = admin("keyset", "prepare", "-o", admin.folder / "spare", "--add-key", new[:12])
    assert f"  + command key (ed25519) sha256:{new}: may sign commands\n" in said
    admin("keyset", "sign", admin.folder / "spare", "--root", root_of(installation), "--yes")
    admin("keyset", "publish", admin.folder / "spare")
    beat(agents, at + 1)
    (stolen,) = [k for k, s in command_keys(admin).items() if s == "primary"]
    assert "--reason TEXT is needed" in admin.error(USAGE, "key", "revoke", stolen)
    assert "key_in_use" in admin.error(REFUSED, "key", "retire", stolen)
    said = admin("key", "revoke", stolen[:12], "--reason", "laptop stolen")
    assert "is revoked" in said and f"--revoke {stolen[:12]}" in said
    assert f"{stolen[:12]}          revoked: laptop stolen" in admin("audit", "tail")
    assert command_keys(admin)[stolen] == "revoked" and command_keys(admin)[new] == "primary"
    path = admin.next("--revoke", stolen, "--drop", stolen, roots=[root_of(installation)])
    said = admin("keyset", "publish", path)
    assert f"  ! revoked: a key that is not listed sha256:{stolen}" in said
    shown = admin("keyset", "show")
    assert f"\n  {stolen}\n" in shown[shown.index("\nRevoked:\n"):]
    assert "revoked already" in admin.error(USAGE, "keyset", "prepare", "-o", admin.folder / "y", "--revoke", stolen)
    table = admin("key", "list")
    assert stolen[:12] in table and "revoked" in table and "sealed" in table


# ---- commands ----

class Standing:
    """What an obedient agent needs of its authority: the keyset in force."""

    def __init__(self, server):
        self.server = server

    def fields(self):
        r = client.Connection(self.server.agents).request("GET", "/api/v1/keyset")
        return keyset.verify_pinned(r.body, bytes.fromhex(self.server.pin), now_ms())


@pytest.fixture(scope="module")
def operators(admin, installation):
    """Two people whose keys are in the keyset: [(file, id)]."""
    found = [admin.key("ada.key", "--name", "Ada"), admin.key("bo.key", "--type", "p256")]
    path = admin.next("--add-operator", f"{found[0][0]}.pub", "--add-operator", f"{found[1][0]}.pub",
                      roots=[root_of(installation)])
    admin("keyset", "publish", path)
    return found


@pytest.fixture(scope="module")
def host(installation, operators):
    a = Obedient(Standing(installation), installation.make_token(max_uses=5))
    yield a
    a.down()


def test_types_are_known_without_a_server(offline):
    assert {"status", "restart-agent", "quarantine"} <= set(offline("command", "types", "-q").split())
    row = next(t for t in offline.json("command", "types")["types"] if t["type"] == "quarantine")
    assert (row["class"], row["kind"], row["approvals_needed"]) == ("dangerous", "idempotent", 2)


def obeying(host, n, state, code="", result=""):
    """In the background: takes n commands and says how each ended. Joined by its caller."""
    taken = []

    def work():
        end = time.monotonic() + 20
        while len(taken) < n and time.monotonic() < end:
            for c in host.fetch(wait=5):
                host.said(c, state, code=code, result=result)
                taken.append(c)

    t = threading.Thread(target=work, daemon=True)
    t.start()
    return t, taken


def test_a_read_is_sent_and_waited_for(admin, host):
    t, taken = obeying(host, 1, "done", result='{"uptime_s":7}')
    said = admin("command", "send", "status", "--agent", host.node_id, "--reason", "to see", "--wait=20s")
    t.join(20)
    assert "needs" not in said and f"{host.node_id}  status  done\n  uptime_s: 7\n" in said
    ident = taken[0][2]["cmd_id"].hex()
    shown = admin("command", "show", ident[:10])
    assert f"The order, as it is signed:\n  status on {host.node_id} (read, query)" in shown
    assert ": verified\n" in shown and "As the agent says, and nobody else:\n  uptime_s: 7\n" in shown
    assert "operator:admin" in shown and "to see" in shown
    row = next(c for c in admin.json("command", "list", "--agent", host.node_id)["commands"] if c["id"] == ident)
    assert row["state"] == "done"
    assert ident in admin("command", "list", "--state", "done", "-q").split()
    assert ident[:12] in admin("command", "list")


@pytest.mark.parametrize("state, code, want", [
    ("failed", "no_memory", CMD_FAILED), ("refused", "wrong_image", CMD_REFUSED), ("unknown", "", CMD_UNKNOWN), ("done", "", OK)])
def test_the_exit_code_says_how_it_ended(admin, host, operators, state, code, want):
    t, _ = obeying(host, 1, state, code)
    r = admin.run("command", "send", "note", "--text", "rack 4 is moved", "--agent", host.node_id, "--key", operators[0][0],
                  "--wait=20s", expect=want)
    t.join(20)
    assert f"note  {state}" in r.stdout and code in r.stdout


def test_nothing_of_this_is_done_in_time(admin, host):
    r = admin.run("command", "send", "restart-agent", "--agent", host.node_id, "--wait=1s", expect=NOT_YET)
    ident = r.stdout.splitlines()[1].split()[0]
    assert "It needs 1 operator to agree" in r.stdout and f"troth command approve {ident} --key FILE" in r.stdout
    assert "1 of 1 commands are not over yet" in r.stderr and "approvals are missing (1)" in r.stderr
    assert "never gets it" in admin("command", "cancel", ident[:12], "--reason", "not today")
    assert admin.run("command", "wait", ident, expect=CMD_CANCELLED).stdout.strip().endswith("cancelled")
    assert "already_ended" in admin.error(REFUSED, "command", "cancel", ident)
    again = admin.json("command", "retry", ident, "--reason", "today")["commands"][0]["id"]
    assert again != ident and admin.json("command", "show", again)["retry_of"] == ident
    admin("command", "cancel", again)


def test_two_people_agree_to_what_is_dangerous(admin, host, operators):
    (ada, _), (bo, _) = operators
    ident = admin("command", "send", "quarantine", "--agent", host.node_id, "--reason", "looks odd", "-q").strip()
    line = f"quarantine on {host.node_id} (dangerous, idempotent), until "
    said, code = admin.at_terminal("command", "approve", ident[:12], "--key", ada, answer="no\n")
    assert code == USAGE and line in said and admin.json("command", "show", ident)["approvals"] == 0
    said, code = admin.at_terminal("command", "approve", ident[:12], "--key", ada, answer="yes\n")
    assert code == OK and line in said and "approved: 1 orders; 0 have all approvals now" in said
    assert "nothing_to_approve" in admin.error(REFUSED, "command", "approve", ident, "--key", ada, "--yes").replace(line, "")
    assert host.fetch() == []
    # The second one on a machine without a network.
    admin("command", "order", ident, "-o", admin.folder / "orders")
    away = Person(admin.folder / "away", admin.server)
    away.folder.mkdir(exist_ok=True)
    r = away.run("command", "approve", "--file", admin.folder / "orders", "--key", bo, "-o", away.folder / "approval", "--yes")
    assert line in r.stderr and "within an hour" in r.stdout
    (one,) = cbor2.loads((away.folder / "approval").read_bytes())
    (order,) = cbor2.loads((admin.folder / "orders").read_bytes())
    ks = Standing(admin.server).fields()
    f = obey.verify_approval(one, ks, "dangerous", obey.order_digest(order), now_ms())
    assert f
    assert "1 have all approvals now" in admin("command", "approve", "--submit", away.folder / "approval")
    got = host.one()  # verified by the second implementation, with both approvals
    assert got[2]["cmd_id"].hex() == ident and len(got[1]["approvals"]) == 2
    host.said(got, "done")
    shown = admin("command", "show", ident)
    assert shown.count(": verified\n") == 3 and "Approved by\n" in shown


def test_many_are_approved_at_once(admin, installation, host, operators):
    token = installation.make_token(max_uses=3)
    more = [Obedient(Standing(installation), token) for _ in range(3)]
    everyone = [host, *more]
    args = [x for a in everyone for x in ("--agent", a.node_id)]
    r = admin.json("command", "send", "set-interval", "--seconds", "20", *args)
    said = admin.run("command", "approve", "--batch", r["batch"], "--key", operators[1][0], "--yes")
    assert said.stderr.count("set-interval 20 s on ") == 4 and "approved: 4 orders; 4 have all" in said.stdout
    for a in everyone:
        got = a.one()
        assert got[2]["seconds"] == 20
        a.said(got, "done")
    assert admin.run("command", "wait", *[c["id"] for c in r["commands"]]).stdout.count("done") == 4
    # A whole partition: its members are the server's choice, so people look at them first.
    assert "nobody is here to be asked" in admin.run("command", "send", "note", "--text", "x", "--all", "--key", operators[0][0],
                                                     expect=USAGE).stderr
    # Approved by a key that no keyset names: ordered, but not approved, and people are told both.
    stranger = admin.folder / "stranger.key"
    admin("operator", "keygen", stranger)
    said = admin.error(REFUSED, "command", "send", "note", "--text", "x", "--agent", more[0].node_id, "--key", stranger)
    assert "approval_refused" in said and "--add-operator" in said and "waits for approvals all the same" in said
    for a in more:
        a.down()


@pytest.mark.parametrize("args, words", [
    (["status"], "to whom?"), (["status", "--agent", "a", "--all"], "to whom?"), (["reboot", "--all"], "no command"),
    (["cancel", "--all"], "troth command cancel"), (["status", "--all", "--text", "x"], "neither"),
    (["note", "--all"], "--text"), (["note", "--all", "--text", "a\nb"], "one line"), (["set-interval", "--all"], "--seconds"),
    (["set-interval", "--all", "--seconds", "86401"], "at most"), (["status", "--all", "--image", "x"], "64 digits"),
    (["status", "--all", "--expires", "1h"], "at most 300s"), (["status", "--all", "--not-before", "soon"], "takes a time"),
    (["status", "--agent", "a/b"], "no agent id"), (["status", "--all", "--wait=soon"], "--wait takes"),
])
def test_send_usage(offline, args, words):
    assert words in offline.error(USAGE, "command", "send", *args)


def test_approving_refuses(admin, offline, operators, tmp_path):
    ada = operators[0][0]
    assert "--key FILE is needed" in admin.error(USAGE, "command", "approve", "0" * 32)
    assert "the same key" in admin.error(USAGE, "command", "approve", "0" * 32, "--key", ada, "--key", ada)
    assert "which commands?" in admin.error(USAGE, "command", "approve", "--key", ada)
    assert "no command id" in admin.error(USAGE, "command", "approve", "xyz", "--key", ada)
    assert "command_not_found" in admin.error(REFUSED, "command", "approve", "0" * 32, "--key", ada)
    assert "no command among" in admin.error(REFUSED, "command", "show", "0" * 10)
    (tmp_path / "junk").write_bytes(b"\x81\x41x")
    assert "no file of orders" in offline.error(FILE, "command", "approve", "--file", tmp_path / "junk", "--key", ada, "-o", tmp_path / "o")
    assert "no file of approvals" in offline.error(FILE, "command", "approve", "--submit", "/etc/hostname")


def test_a_lying_server_gets_no_approval(admin, host, operators, tmp_path):
    """The row says note, the bytes say restart-agent: what is shown comes from the bytes, and another id's bytes are refused."""
    harmless = admin("command", "send", "note", "--text", "hello", "--agent", host.node_id, "-q").strip()
    harmful = admin("command", "send", "restart-agent", "--agent", host.node_id, "-q").strip()
    rows = {i: admin.json("command", "show", i) for i in (harmless, harmful)}
    answers = {harmless: dict(rows[harmless], order=rows[harmful]["order"])}
    twins = [admin("command", "send", "note", "--text", "twice", "--agent", host.node_id, "-q").strip() for _ in range(2)]
    for i in twins:
        rows[i] = answers[i] = admin.json("command", "show", i)
    for after in range(epoch(admin) + 1):
        answers[f"chain?after={after}"] = chain_page(admin.server, after)
    liar, asked = lying(admin.server, answers)
    try:
        p = Person(tmp_path, admin.server)
        saved = dict(json.loads(admin.profile.read_text()), url=f"https://localhost:{liar.server_port}")
        p.profile.parent.mkdir()
        p.profile.write_text(json.dumps(saved))
        p.profile.chmod(0o600)
        said = p.error(2, "command", "approve", harmless, "--key", operators[0][0], "--yes")
        assert "is not the one of this command" in said
        answers[harmful] = dict(rows[harmful], type="note", text="note on web-1: hello")
        r = p.run("command", "approve", harmful, "--key", operators[0][0], expect=USAGE)
        assert f"restart-agent on {host.node_id}" in r.stderr
        # Asked for a note, it orders a restart and hopes for the approval that comes along.
        answers["commands"] = {"batch": "0" * 32, "approvals_needed": 1, "commands": [{"id": harmful, "agent": host.node_id}]}
        said = p.error(PIN, "command", "send", "note", "--text", "hello", "--agent", host.node_id, "--key", operators[0][0])
        assert "is not what was asked for; it was not approved" in said
        # Twice what was asked for once is an order that nobody gave.
        answers["commands"]["commands"] = [{"id": twin, "agent": host.node_id} for twin in twins]
        said = p.error(PIN, "command", "send", "note", "--text", "twice", "--agent", host.node_id, "--key", operators[0][0])
        assert "is not what was asked for; it was not approved" in said
        answers["commands"]["commands"] = [{"id": twins[0], "agent": host.node_id}]
        said = p.error(PIN, "command", "send", "note", "--text", "twice", "--agent", host.node_id, "--key", operators[0][0],
                       "--expires", "60s")
        assert "is not what was asked for; it was not approved" in said
        # Another installation's order for an agent of the same name.
        of_there = obey.order({"trust_domain": "other.example", "agent_id": host.node_id, "cmd_id": bytes.fromhex(harmful),
                               "cmd": "restart-agent", "ordered_ms": now_ms(), "expires_ms": now_ms() + 60000})
        answers[harmful] = dict(rows[harmful], order=client.b64(of_there))
        said = p.error(PIN, "command", "approve", harmful, "--key", operators[0][0], "--yes")
        assert "trust domain other.example and not of e2e.example; it was not approved" in said
        assert {a for a in asked if a[0] == "POST"} == {("POST", "/api/v1/commands")}
    finally:
        liar.shutdown()
        liar.server_close()
    for i in rows:
        admin("command", "cancel", i)


def chain_page(server, after):
    return client.Connection(server.agents).request("GET", f"/api/v1/keyset/chain?after={after}").body


def lying(server, answers):
    """A server with the right certificate that answers from a dictionary, by the last part of the path."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(("GET", self.path))
            self.say(answers[self.path.rsplit("/", 1)[1]])

        def do_POST(self):
            asked.append(("POST", self.path))
            self.say(answers[self.path.rsplit("/", 1)[1]])

        def say(self, what):
            body = what if isinstance(what, bytes) else json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.dir / "tls" / "server.crt", server.dir / "tls" / "server.key")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return httpd, asked


def test_the_order_is_what_was_asked_or_it_is_not_approved(admin, host, operators):
    r = admin.run("command", "send", "note", "--text", "hello", "--agent", host.node_id, "--key", operators[0][0])
    assert "It needs" not in r.stdout
    got = host.one()
    assert "quarantined  " in admin("agent", "show", host.node_id)  # as the agent said above
    assert (got[2]["text"], len(got[1]["approvals"])) == ("hello", 1)
    a = obey.read_approval(cbor2.loads(got[1]["approvals"][0]).value[2])
    assert a["text"].startswith(f"note on {host.node_id} (change, once), until ") and a["text"].endswith(": hello")
    host.said(got, "done")
