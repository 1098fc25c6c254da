# SPDX-License-Identifier: Apache-2.0
"""The database away: what was acknowledged is there, what was refused is not, and its silence judges no agent."""

import os
import time

import pytest

from harness import call
from pg import CONFIG, Asking, Beating, notes, writable
from waiting import until
from world import World

OUTAGE_S = int(os.environ.get("TROTH_OUTAGE_S", "20"))


@pytest.fixture
def world(pg, make_server):
    w = World(make_server(config=CONFIG, init=("--store", pg.location(pg.database()))).start())
    yield w
    w.server.stop()
    assert "role_died" not in w.server.read_log(), w.server.read_log()


def test_an_outage_judges_nobody_and_loses_nothing(world, pg):
    """Several times as long as an agent may be silent."""
    agents = [world.enrol() for _ in range(3)]
    beats = [Beating(a) for a in agents]
    asking = Asking(world.server, "outage")
    until(lambda: len(asking.acknowledged) > 5)
    pg.stop()
    gone = time.monotonic()
    until(lambda: asking.refused)
    while time.monotonic() - gone < OUTAGE_S:
        assert {world.agent(a.node_id)["verdict"] for a in agents} <= {"ok", "pending"}
        ready = call(world.server.operators, "GET", "/readyz")
        if ready.status != 429:
            assert (ready.status, ready.json()["parts"]["store"]) == (503, False), ready
        time.sleep(1)
    pg.start()
    until(lambda: writable(world), 15)
    asking.end()
    assert all(b.end() > OUTAGE_S for b in beats)
    assert {world.agent(a.node_id)["verdict"] for a in agents} == {"ok"}
    there = notes(world)
    assert set(asking.acknowledged) <= there, "acknowledged and gone"
    assert not set(asking.refused) & there, "refused and yet stored"
    assert not [x for x in world.server.api("GET", "/api/v1/alerts").json()["alerts"] if x["kind"] == "silence"]
    log = world.server.read_log()
    assert "event=store_away" in log and "event=store_back" in log and "role_hangs" not in log


@pytest.mark.parametrize("how", ["socket", "tls"])
def test_a_restart_of_the_database_is_over_in_a_moment(pg, make_server, how):
    """By a name and TLS too: all that takes, inside the sandbox."""
    store = pg.location(pg.database())
    more = ()
    if how == "tls":
        store = f"postgresql://troth@localhost:{pg.port}/{store.split('?')[0].rsplit('/', 1)[1]}?sslmode=require"
        more = ("--store-password-file", str(pg.password_file()))
    world = World(make_server(init=("--store", store, *more)).start())
    assert writable(world)
    pg.stop()
    pg.start()
    until(lambda: writable(world), 3)
    assert world.server.audit(limit=1), "and the twin that reads"
    world.server.stop()
    assert "role_died" not in world.server.read_log(), world.server.read_log()
