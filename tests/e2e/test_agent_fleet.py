# SPDX-License-Identifier: Apache-2.0
"""The program troth-agent and the server's judgement of it: copies, old states, new keys, wrong clocks, planned silence."""

import json
import shutil
import signal
import subprocess
import time

import pytest

from harness import AgentProgram, faketime, needs_faketime, program
from world import World, name

class Host(AgentProgram):
    def __init__(self, world, folder, agent_id=None):
        super().__init__(folder / "state")
        self.world, self.id = world, agent_id or name("host")

    def enroll(self, token=None, *args):
        return self.do("enroll", "--server", f"https://localhost:{self.world.server.agents}", *args,
                       TROTH_TOKEN=token or self.world.token)

    def row(self):
        return self.world.agent(self.id)

    def until(self, seconds=30, **want):
        """The agent's row when each of these members has that value (or is in that list)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            row = self.row()
            if all(row[k] in v if isinstance(v, (list, tuple)) else row[k] == v for k, v in want.items()):
                return row
            time.sleep(0.1)
        raise AssertionError(f"not {want}: { {k: row[k] for k in want} }\n{json.dumps(row)}\n{self.log()}")

    def beats(self, more=2, seconds=30):
        n = self.row()["heartbeats"] + more
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            row = self.row()
            if row["heartbeats"] >= n:
                return row
            time.sleep(0.1)
        raise AssertionError(f"{row['heartbeats']} of {n} pulses:\n{self.log()}")

    def copy(self, folder):
        """The whole state, as in a cloned machine or a restored snapshot."""
        other = Host(self.world, folder, self.id)
        shutil.copytree(self.state, other.state)
        other.state.chmod(0o700)
        return other


@pytest.fixture(scope="module")
def world(make_module_server):
    w = World(make_module_server(config="heartbeat_seconds: 1\nclock:\n  source: trusted\n").start())
    import hashlib
    import pathlib
    sha = hashlib.sha256(pathlib.Path(program("troth-agent")).read_bytes()).hexdigest()
    assert w.server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200
    return w


@pytest.fixture
def host(world, tmp_path):
    made = []

    def make(start=True):
        folder = tmp_path / f"h{len(made)}"
        folder.mkdir()
        h = Host(world, folder)
        made.append(h)
        assert h.do("init", "--id", h.id).returncode == 0
        r = h.enroll()
        assert r.returncode == 0, r.stderr
        if start:
            h.start().wait_for("n=2 ")
        return h

    make.made = made
    make.folder = lambda: (tmp_path / f"f{len(list(tmp_path.iterdir()))}")
    yield make
    for h in made:
        h.kill()


def copy_of(host, h, folder):
    folder.mkdir()
    other = h.copy(folder)
    host.made.append(other)
    return other


def test_restarts_keep_the_chain(host):
    h = host()
    assert h.row()["authenticity"] == "ok"
    for end in (h.stop, h.kill, h.stop, h.kill):
        end()
        h.start()
        assert h.beats()["authenticity"] == "ok"
    assert h.row()["restarts"] == 4


def test_the_server_restarts(host, world):
    h = host()
    h.beats()
    world.server.stop()
    time.sleep(1)
    world.server.start()
    assert h.beats()["authenticity"] == "ok"
    world.server.kill()
    world.server.start()
    assert h.beats()["authenticity"] == "ok"
    assert h.process.poll() is None


def test_a_copy_is_found_out_and_the_identity_reset(host, world):
    """Both copies are refused; a reset makes one of them the agent again, under a new key; the other stays outside."""
    h = host()
    twin = copy_of(host, h, host.folder())
    twin.start()
    h.until(60, authenticity="forked")
    h.wait_for("code=quarantined", 30)
    twin.wait_for("code=quarantined", 30)
    row = h.row()
    assert row["verdict"] == "forked" and row["security"] is True
    h.stop()
    r = world.server.api("POST", f"/api/v1/agents/{h.id}/reset-identity", {"reason": "found the copy"})
    assert r.status in (200, 201), r
    token = r.json()["token"]
    assert h.do("enroll", "--reset-identity").returncode == 1  # no token
    old_key = (h.state / "device.key").read_bytes()
    r = h.enroll(token, "--reset-identity")
    assert r.returncode == 0, r.stderr
    assert (h.state / "device.key").read_bytes() != old_key and not (h.state / "chain.cbor").exists()
    assert not list(h.state.glob("*.next"))
    h.start()
    row = h.until(authenticity="ok")
    assert row["key_id"] == json.loads((h.state / "agent.json").read_text())["key_id"]
    n = len(twin.log())
    twin.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 10
    while "code=key_mismatch" not in twin.log()[n:] and time.monotonic() < end:
        time.sleep(0.1)
    assert "code=key_mismatch" in twin.log()[n:], twin.log()[n:]
    assert h.beats()["authenticity"] == "ok"


def test_a_reset_with_a_wrong_token_changes_nothing(host, world):
    h = host()
    h.stop()
    before = {p.name: p.read_bytes() for p in h.state.iterdir() if p.name != "status.json"}
    r = h.enroll(None, "--reset-identity")  # a token for new agents
    assert r.returncode == 2, r.stderr
    assert before == {p.name: p.read_bytes() for p in h.state.iterdir() if p.name != "status.json"}
    h.start()
    assert h.beats()["authenticity"] == "ok"


def test_an_old_state_is_called_restored(host, world):
    h = host()
    old = copy_of(host, h, host.folder())
    h.beats(4)
    h.kill()
    old.start()
    row = old.until(60, authenticity="restored")
    assert row["verdict"] == "restored"
    r = world.server.api("POST", f"/api/v1/agents/{h.id}/accept", {"reason": "restored from backup"})
    assert r.status == 200, r
    assert old.until(authenticity="ok")
    assert old.beats()["authenticity"] == "ok"


def test_a_lost_chain_is_called_restored(host):
    h = host()
    h.beats()
    h.kill()
    (h.state / "chain.cbor").write_bytes(b"torn")
    h.start()
    h.until(60, authenticity="restored")
    assert "chain_lost" in h.log()


def test_a_new_key_without_a_gap(host, world):
    h = host()
    before = h.row()
    r = h.do("rotate-key")
    assert r.returncode == 0, r.stderr + h.log()
    row = h.beats()
    assert row["key_id"] != before["key_id"] and row["key_id"] in r.stdout and row["authenticity"] == "ok"
    assert row["restarts"] == before["restarts"] and row["reachability"] == "live"
    h.stop()
    h.start()
    assert h.beats()["authenticity"] == "ok"
    assert h.do("rotate-key").returncode == 0
    assert h.beats()["authenticity"] == "ok"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_key_changes(host, world, when):
    """kill -9 around the moment of the switch, many times: the agent always comes back by itself."""
    h = host()
    for i in range(4):
        p = subprocess.Popen([str(h.binary), "rotate-key"], env=h.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        if when == "before":
            time.sleep(0.004 * (i + 1) * 3)
        else:
            end = time.monotonic() + 10
            while not (h.state / "cert.pem.next").exists() and time.monotonic() < end and p.poll() is None:
                time.sleep(0.001)
            time.sleep(0.004 * i)
        h.kill()
        p.kill()
        p.wait()
        h.start()
        row = h.beats(2, 40)
        assert row["authenticity"] == "ok", row


@needs_faketime
@pytest.mark.parametrize("offset", ["-10y", "-10m", "+10m", "+10y"])
def test_a_wrong_clock_is_that_and_nothing_else(host, offset):
    h = host(start=False)
    with h.log_path.open("ab") as log:
        h.process = subprocess.Popen([str(h.binary), "run", "--debug"], stderr=log, env=dict(h.env, **faketime(offset)))
    try:
        row = h.until(40, clock="desync", reachability="live")
        assert row["verdict"] == "clock_desync" and row["security"] is False and row["authenticity"] == "ok"
        row = h.beats(3)
        assert row["reachability"] == "live" and row["integrity"] == "ok"
    finally:
        h.kill()
    h.start()
    h.until(40, clock="ok")


def test_planned_silence(host):
    h = host()
    assert h.do("announce", "reboot", "--for", "2").returncode == 0
    h.beats(1)
    h.kill()
    h.until(30, reachability="announced")
    time.sleep(8)
    assert h.row()["reachability"] == "announced"
    h.start()
    assert h.until(reachability="live")["authenticity"] == "ok"
    # A plain stop is announced too; a kill is not.
    assert h.stop() == 0
    h.until(30, reachability="announced")
    h.start()
    h.until(reachability="live")
    h.kill()
    h.until(30, reachability=["missed", "lost"])
