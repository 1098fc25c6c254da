# SPDX-License-Identifier: Apache-2.0
"""The database killed, frozen, exchanged, or cut off between a commit and the word that it is done: nobody guesses. What was
acknowledged is there, what was refused is not."""

import http.client
import socket
import threading
import time

import pytest

from harness import free_port
from pg import CONFIG, Asking, Beating, notes, writable
from waiting import until
from world import World


@pytest.fixture
def world(pg, make_server):
    w = World(make_server(config=CONFIG, init=("--store", pg.location(pg.database()))).start())
    yield w
    w.server.stop()
    assert "role_died" not in w.server.read_log(), w.server.read_log()


def test_a_database_killed_at_any_moment_keeps_what_was_acknowledged(world, pg):
    """Killed in the middle of commits: nobody guesses, the database is asked when it is back."""
    asking = [Asking(world.server, f"kill{i}") for i in range(3)]
    for _ in range(4):
        had = sum(len(a.acknowledged) for a in asking)
        until(lambda: sum(len(a.acknowledged) for a in asking) > had + 3, 20)
        pg.kill()
        pg.start()
    until(lambda: writable(world), 15)
    for a in asking:
        a.end()
    there = notes(world)
    said = {n for a in asking for n in a.acknowledged}
    refused = {n for a in asking for n in a.refused}
    assert len(said) > 12 and said <= there, said - there
    assert not refused & there, "refused and yet stored"
    assert not [n for a in asking for n in a.cut], "everybody was answered"


def test_a_database_that_hangs_is_away_and_not_a_reason_to_die(world, pg):
    """Frozen, which no error message tells: every wait has an end, and core does not end the role that waits."""
    a = world.enrol()
    beating = Beating(a)
    asking = Asking(world.server, "hang")
    until(lambda: asking.acknowledged)
    pg.freeze()
    try:
        until(lambda: "event=store_away" in world.server.read_log(), 20)
        time.sleep(2)
        assert world.agent(a.node_id)["verdict"] == "ok"
    finally:
        pg.thaw()
    until(lambda: writable(world), 30)
    asking.end()
    beating.end()
    there = notes(world)
    assert set(asking.acknowledged) <= there and not set(asking.refused) & there
    assert "role_hangs" not in world.server.read_log()


def test_a_database_that_forgot_is_not_gone_on_with(pg, make_server):
    """Restored to an earlier state behind our back: what core remembers is not true any more, so it begins again."""
    db = pg.database()
    server = make_server(config=CONFIG, init=("--store", pg.location(db))).start()
    before = pg.psql("SELECT id FROM troth_store", db)
    assert server.api("POST", "/api/v1/tokens", {"note": "one"}).status == 201
    pg.psql("UPDATE troth_store SET id = 'another'", db)
    pg.stop()
    pg.start()

    def noticed():
        try:
            server.api("POST", "/api/v1/tokens", {"note": "two"})
        except (OSError, http.client.HTTPException):
            pass  # it begins again in the middle of this
        return "event=database_changed" in server.read_log()

    until(noticed)
    server.wait_ready()
    assert before != "another" and "one" in {t["note"] for t in server.api("GET", "/api/v1/tokens").json()["tokens"]}
    server.stop()


# ---- the commit that nobody answered ----

class Cutter:
    """Stands between trothd and the database. Armed, it cuts the connection at the next COMMIT: before the database has
    heard it, or after it has done it and before anybody hears that."""

    def __init__(self, port):
        self.onward, self.port, self.armed, self.cut = port, free_port(), None, 0
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.onward))
            except OSError:
                continue
            threading.Thread(target=self.up, args=(near, far), daemon=True).start()
            threading.Thread(target=self.down, args=(near, far), daemon=True).start()

    def end(self, *socks):
        for s in socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def up(self, near, far):
        """Two threads share a connection: the one that cuts mutes the other by taking its socket away first."""
        try:
            while data := near.recv(65536):
                how = self.armed if b"COMMIT\0" in data else None
                if how:
                    self.armed, self.cut = None, self.cut + 1
                    self.end(near)
                    if how == "after":
                        far.sendall(data)
                        time.sleep(0.5)
                    break
                far.sendall(data)
        except OSError:
            pass
        self.end(near, far)

    def down(self, near, far):
        try:
            while data := far.recv(65536):
                near.sendall(data)
        except OSError:
            pass
        self.end(near, far)


def test_a_commit_in_doubt_is_asked_about_and_never_guessed(pg, make_server):
    db = pg.database()
    cutter = Cutter(pg.port)
    location = f"postgresql://troth@127.0.0.1:{cutter.port}/{db}?sslmode=disable"
    server = make_server(config=CONFIG, init=("--store", location, "--store-password-file", str(pg.password_file()))).start()
    world = World(server)
    for n, (how, status) in enumerate([("before", 503), ("after", 201), ("after", 201), ("before", 503)]):
        # Nothing else commits now but this; the sweep and the fleet have nothing to say.
        cutter.armed = how
        r = server.api("POST", "/api/v1/tokens", {"note": f"{how}-{n}"}, timeout=30)
        assert (r.status, cutter.cut) == (status, n + 1), (how, r)
        if status == 503:
            assert "nothing was stored" in r.json()["detail"], r
        assert (f"{how}-{n}" in notes(world)) == (status == 201)
        until(lambda: writable(world), 15)
    server.stop()
    # What memory says and what is stored are the same.
    server.start()
    assert {x for x in notes(world) if x[:2] in ("be", "af")} == {"after-1", "after-2"}
    server.stop()
    assert "stored=yes" in server.read_log() and "role_died" not in server.read_log()
