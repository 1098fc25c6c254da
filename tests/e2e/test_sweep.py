# SPDX-License-Identifier: Apache-2.0
"""Counters reach the disk in a sweep every few seconds. Nobody is told to come again because of one."""

import os
import signal
import threading
import time

import pytest

from world import World

SWEEP_S = 5


@pytest.fixture
def world(make_server):
    w = World(make_server().start())
    yield w
    w.server.stop()


@pytest.mark.parametrize("what", ["renew", "enrol", "revoke"])
def test_nothing_waits_for_a_sweep(world, what):
    a = world.enrol()
    store = next(pid for pid, role in world.server.roles().items() if role == "store")
    answers = []

    def ask():
        if what == "renew":
            with a.mtls() as c:
                answers.append(a.renew(c))
        elif what == "enrol":
            answers.append(a.register(world.token))
        else:
            answers.append(world.server.api("POST", f"/api/v1/agents/{a.node_id}/revoke", {}))

    with a.mtls() as c:
        os.kill(store, signal.SIGSTOP)
        try:
            assert a.pulse(c, binary_hash=bytes(32), version="9.9").status == 200
            time.sleep(SWEEP_S + 1)  # the sweep is with the store, which has not heard of it
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            asking.join(0.5)
            assert not answers, answers  # no refusal: it waits for the disk
        finally:
            os.kill(store, signal.SIGCONT)
        asking.join(20)
    assert answers[0].status in (200, 201), answers
    row = world.agent(a.node_id)
    assert row["state"] == ("revoked" if what == "revoke" else "active")
    # Of both, also after a restart: the sweep's values are in the row that came after it.
    world.server.stop()
    world.server.start()
    row = world.agent(a.node_id)
    assert row["state"] == ("revoked" if what == "revoke" else "active")
    assert (row["heartbeats"], row["running_hash"], row["version"]) == (1, "0" * 64, "9.9"), row
