# SPDX-License-Identifier: Apache-2.0
"""Backup, restore and moving, on both kinds of store. A backup is one moment's rows, taken beside a running server; a restored
server gives out nothing that its lost successor may have given out: no number, no token, no generation."""

import os
import re
import shutil
import sqlite3
import subprocess

import pytest

import pg as postgres
from commanded import Authority, Obedient, Orders
from harness import program
from pg import Asking
from waiting import until
from world import name

CONFIG = "clock:\n  source: trusted\nattestation:\n  mode: audit\n"


class OnFile:
    """The store is a file in the state folder."""

    def init(self):
        return ()

    def location(self, server):
        return f"sqlite:{server.dir}/troth.db"

    def lose(self, server):
        for p in server.dir.glob("troth.db*"):
            p.unlink()

    def destroy(self):
        pass


class InDatabase:
    def __init__(self):
        self.pg = postgres.server_or_skip()
        self.db = self.pg.database()

    def init(self):
        return "--store", self.pg.location(self.db)

    def location(self, server):
        return self.pg.location(self.db)

    def lose(self, server):
        """As when a new database server is given: another, empty one, and the configuration says so."""
        old, self.db = self.db, self.pg.database()
        server.config.write_text(server.config.read_text().replace(f"/{old}?", f"/{self.db}?"))

    def destroy(self):
        self.pg.destroy()


@pytest.fixture(params=[OnFile, InDatabase], ids=["sqlite", "postgresql"])
def kind(request):
    k = request.param()
    yield k
    k.destroy()


@pytest.fixture
def server(kind, make_server):
    s = make_server(config=CONFIG, init=kind.init()).start()
    yield s
    s.stop()
    assert "role_died" not in s.read_log(), s.read_log()


def trothd(*args, ok=True):
    r = subprocess.run([program("trothd"), *map(str, args)], capture_output=True, text=True)
    assert (r.returncode == 0) == ok, (r.stdout, r.stderr)
    return r.stdout if ok else r.stderr


def digest(text):
    return re.search(r"(\d+ rows, sha256 [0-9a-f]{64})", text)[1]


def backup(server, path, **kw):
    return trothd("backup", path, "--config", server.config, **kw)


def restore(server, path, **kw):
    return trothd("restore", path, "--config", server.config, **kw)


def numbers(server):
    """Every number that the append-only lists have given."""
    lists = {"audit": server.audit(limit=500), "attestation": server.attestations(limit=100),
             "event": server.api("GET", "/api/v1/events?limit=500").json()["events"]}
    return {(what, row["seq"]) for what, rows in lists.items() for row in rows}


def pulse(agent):
    with agent.mtls() as c:
        agent.pulse(c)
        return agent.pulse(c)


# ---- nothing twice ----

def test_a_restored_server_gives_nothing_out_again(kind, server, tmp_path):
    authority, orders = Authority(server), Orders(server)
    agent = Obedient(authority, server.make_token())
    assert pulse(agent).status == 200
    unused = server.make_token(note="unused")
    done, left, also = (orders.order("status", agent) for _ in range(3))
    first = {c[2]["cmd_id"].hex(): c for c in agent.fetch()}
    agent.said(first[done["id"]], "done")
    waiting = orders.order("note", agent, text="approve me")
    file = tmp_path / "monday.db"
    said = backup(server, file)
    assert file.stat().st_mode & 0o777 == 0o600 and "SECRET" in said and os.listdir(tmp_path) == ["monday.db"]
    before = numbers(server)

    # What only the lost successor knew.
    later = [orders.order("status", agent) for _ in range(4)]
    commands = agent.fetch()
    given = {(f["line"], f["seq"]) for _, f, _ in [*first.values(), *commands]}
    assert len(given) == 7
    late = Obedient(authority, unused)
    assert pulse(late).status == 200
    made_late = server.make_token(note="late")
    lost = numbers(server) - before
    assert {what for what, _ in lost} >= {"audit", "attestation"}
    agent.down()
    late.down()
    server.stop()

    assert "not empty" in restore(server, file, ok=False)
    kind.lose(server)
    told = restore(server, file)
    assert digest(told) == digest(said), "what was backed up"
    server.start()
    until(lambda: server.audit(limit=500))
    assert numbers(server) >= before, "all of it is there"
    # The agent goes on as if nothing had been, by the ticket and chain that it has.
    assert pulse(agent).status == 200
    # Numbers.
    server.make_token(note="new")
    new = numbers(server) - before
    assert {what for what, _ in new} >= {"audit"}
    assert not new & lost and min(n for _, n in new) > max(n for _, n in lost | before)
    # Tokens: the one that was used up after the backup, and any other.
    assert late.register(unused).status in (401, 403)
    assert Obedient.__mro__[1](server, name("again")).register(made_late).status in (401, 403)
    # Commands: the same orders, other numbers; what the agent has done meanwhile it may say.
    again = []
    until(lambda: again.extend(agent.fetch()) or len(again) == 2)
    assert {o["cmd_id"].hex() for _, _, o in again} == {left["id"], also["id"]}
    assert all((f["line"], f["seq"]) not in given and f["line"] > max(line for line, _ in given) for _, f, _ in again)
    for c in again:
        agent.said(c, "done")
    assert orders.state(left["id"]) == orders.state(also["id"]) == orders.state(done["id"]) == "done"
    assert orders.state(waiting["id"]) == "waiting", "approvals are still asked for"
    assert all(server.api("GET", f"/api/v1/commands/{c['id']}").status == 404 for c in later)
    orders.order("status", agent)
    assert agent.one()[1]["seq"] == max(f["seq"] for _, f, _ in again) + 1
    # A generation that nobody had; and everybody can see that it was restored.
    fresh = Obedient(authority, server.make_token())
    epoch = server.api("GET", f"/api/v1/agents/{fresh.node_id}").json()["epoch"]
    assert epoch >= 1000, epoch
    row = next(r for r in server.audit(limit=500) if r["action"] == "store.restore")
    assert row["detail"]["sha256"] in said and row["detail"]["commands_unsigned"] == 2
    agent.down()
    fresh.down()


def test_restored_twice_is_fenced_twice(kind, server, tmp_path):
    """The second time from a backup that was made in between."""
    line = []
    for n in range(2):
        backup(server, tmp_path / f"{n}.db")
        server.stop()
        kind.lose(server)
        told = restore(server, tmp_path / f"{n}.db")
        line.append((int(re.search(r"new line \((\d+)\)", told)[1]), int(re.search(r"generation is (\d+)", told)[1])))
        server.start()
        assert max(r["seq"] for r in server.audit(limit=5)) > 1_000_000 * (n + 1)
    assert line[1][0] > line[0][0] and line[1][1] >= line[0][1] + 1000


# ---- one moment ----

def test_a_backup_under_load_is_of_one_moment(server, tmp_path):
    """A token and its audit entry are one transaction: no backup has one without the other."""
    asking = [Asking(server, f"load{i}") for i in range(2)]
    until(lambda: asking[0].acknowledged)
    had = []
    for n in range(5):
        file = tmp_path / f"{n}.db"
        acknowledged = {x for a in asking for x in a.acknowledged}
        backup(server, file)
        db = sqlite3.connect(f"file:{file}?immutable=1", uri=True)
        tokens = dict(db.execute("SELECT id, note FROM tokens WHERE note LIKE 'load%'"))
        audited = {r[0] for r in db.execute("SELECT object FROM audit WHERE action = 'token.create'")}
        db.close()
        assert set(tokens) == audited
        assert acknowledged <= set(tokens.values()), "acknowledged before, and not in it"
        had.append(len(tokens))
        until(lambda: {x for a in asking for x in a.acknowledged} - acknowledged)
    for a in asking:
        a.end()
    assert had == sorted(had) and had[-1] > had[0]


# ---- what is refused ----

def test_bad_backups_are_refused(kind, server, tmp_path):
    server.make_token(note="a note to be found")
    good = tmp_path / "good.db"
    backup(server, good)
    assert "never overwrites" in backup(server, good, ok=False)
    assert "name the file" in trothd("backup", ok=False)
    # While it runs, nothing is put below it.
    assert re.search("stop it first|not empty", restore(server, good, ok=False))
    server.stop()
    kind.lose(server)
    flipped = tmp_path / "flipped.db"
    flipped.write_bytes(good.read_bytes().replace(b"a note to be found", b"a note to be fouND"))
    cut = tmp_path / "cut.db"
    cut.write_bytes(good.read_bytes()[:40000])
    text = tmp_path / "text.db"
    text.write_text("not a database" * 1000)
    foreign = tmp_path / "foreign.db"
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE customers (id)")
    db.commit()
    db.close()
    for file, words in ((flipped, "damaged"), (cut, "backup"), (text, "backup"), (foreign, "another program"),
                        (tmp_path / "none.db", "no such backup")):
        told = restore(server, file, ok=False)
        assert words in told, (file, told)
        assert not list(server.dir.glob("restore.partial*"))
    # None of them has filled anything.
    restore(server, good)
    server.start()


# ---- from one kind to the other ----

def test_an_installation_moves_there_and_back(make_server, tmp_path):
    there = InDatabase()
    try:
        server = make_server(config=CONFIG).start()
        authority, orders = Authority(server), Orders(server)
        agent = Obedient(authority, server.make_token())
        assert pulse(agent).status == 200
        command = orders.order("status", agent)
        got = agent.one()
        agent.down()
        file = f"sqlite:{server.dir}/troth.db"
        assert "stop it first" in trothd("store", "copy", "--from", file, "--to", there.location(server), ok=False)
        server.stop()
        before = server.config.read_text()
        out = trothd("store", "copy", "--from", file, "--to", there.location(server))
        assert "not empty" in trothd("store", "copy", "--from", file, "--to", there.location(server), ok=False)
        secret = there.pg.password_file()
        server.config.write_text(before + f'store: "{there.pg.location(there.db, tcp=True)}"\nstore_password_file: "{secret}"\n')
        server.start()
        assert pulse(agent).status == 200
        agent.said(got, "done")
        assert orders.state(command["id"]) == "done"
        numbered = orders.order("status", agent)
        assert agent.one()[1]["seq"] == got[1]["seq"] + 1 and numbered["state"] == "pending", "the same line goes on"
        agent.down()
        assert "stop it first" in trothd("store", "copy", "--from", there.location(server), "--to",
                                         f"sqlite:{server.dir}/back.db", ok=False)
        seen = numbers(server)
        server.stop()
        back = trothd("store", "copy", "--from", there.pg.location(there.db, tcp=True), "--from-password-file", secret,
                      "--to", f"sqlite:{server.dir}/back.db")
        assert digest(back) != digest(out)
        # And a copy of a copy is the same.
        third = there.pg.location(there.pg.database())
        assert digest(trothd("store", "copy", "--from", f"sqlite:{server.dir}/back.db", "--to", third)) == digest(back)
        server.config.write_text(before + "store: sqlite:back.db\n")
        server.start()
        assert pulse(agent).status == 200 and numbers(server) >= seen
        agent.down()
        server.stop()
        assert "role_died" not in server.read_log()
        shutil.rmtree(tmp_path)
    finally:
        there.destroy()
