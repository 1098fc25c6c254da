# SPDX-License-Identifier: Apache-2.0
"""The whole promise at once: fleets with every kind of trouble, in virtual time and over TLS; kills of the server under
load; garbage in a healthy agent's name. With TROTH_LONG at the size that script/prove records."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

import storm
from client import Agent
from harness import program
from swarm import CONFIG, HASH, OTHER_HASH, Judge, Swarm, Witness, ask, cpu, memory

LONG = bool(os.environ.get("TROTH_LONG"))
STEADY_S = int(os.environ.get("TROTH_STEADY", "600" if LONG else "4"))
SLOW = int(os.environ.get("TROTH_SLOW", "1"))
SEED = int(os.environ.get("TROTH_SEED", random.randrange(1 << 20)))
# How much memory of a role may differ between the end of its first minute and the end of the steady time.
FLAT_KIB = 2048


def say(*what):
    print("swarm:", *what, flush=True)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# ---- virtual time ----

def day(*args):
    r = subprocess.run([program("troth-swarm"), "virtual", "--json", *map(str, args)], capture_output=True, text=True,
                       timeout=3600)
    assert r.returncode == 0, (r.returncode, r.stdout, r.stderr[-3000:])
    return json.loads(r.stdout)


def is_good(r, troubles):
    assert r["false_verdicts"] == r["wrong_desyncs"] == 0 and r["good"], r
    assert r["incidents"] == r["cuts"] == 1, r
    assert r["clock_steps"] == r["clock_verdicts"], r
    for kind in ("kill", "clone", "restore", "replay", "relay", "swap"):
        assert r[kind]["made"] == r[kind]["seen"] == troubles and r[kind]["misnamed"] == 0, (kind, r)
    assert r["clone_beats_worst"] <= 3, r


def test_a_day_of_a_fleet():
    """PU-5, PU-6, PU-9: 24 hours of 2 000 agents with everything that may happen to them."""
    if storm.SANITIZED:
        is_good(day("--agents", 400, "--agent-restarts", 40, "--troubles", 15, "--reboots", 20), 15)
        return
    r = day("--agents", 2000, "--agent-restarts", 200)
    is_good(r, 100)
    assert r["accepted"] > 5000000 and r["clock_steps"] > 50, r


def test_the_same_seed_plays_the_same_day():
    args = ["--agents", 200, "--hours", 6, "--seed", 7, "--troubles", 5, "--reboots", 10, "--agent-restarts", 20]
    one, two = day(*args), day(*args)
    is_good(one, 5)
    assert one.pop("cpu_s") >= 0 and two.pop("cpu_s") >= 0
    assert one == two
    other = day(*args[:5], 8, *args[6:])
    is_good(other, 5)
    assert other["pulses"] != one["pulses"]


def test_a_day_between_two_nodes():
    """Agents that come and go between two nodes on one database: both are killed again and again, news takes up to ten
    seconds from one to the other, one message in a hundred is lost, and nobody healthy is accused or called lost."""
    agents, troubles = (400, 15) if storm.SANITIZED else (2000, 40)
    r = day("--agents", agents, "--hours", 6, "--nodes", 2, "--news", 10000, "--moves", 20000, "--troubles", troubles, "--reboots",
            troubles, "--agent-restarts", agents // 10, "--server-restarts", 8, "--node-changes", 4)
    assert r["false_verdicts"] == r["wrong_desyncs"] == 0 and r["good"], r
    for kind in ("kill", "clone", "restore", "replay", "relay", "swap"):
        assert r[kind]["made"] == r[kind]["seen"] == troubles and r[kind]["misnamed"] == 0, (kind, r)
    # A copy that speaks to the other node is known as one when rows and pulses have met.
    assert r["clone_beats_worst"] <= 8, r


def test_a_day_that_cannot_be_played_is_refused():
    r = subprocess.run([program("troth-swarm"), "virtual", "--agents", "10"], capture_output=True, text=True)
    assert r.returncode == 2 and "fewer troubles than half of its agents" in r.stderr, r


# ---- real agents ----

def test_real_agents_with_troubles(make_server):
    """Every kind of trouble over TLS, one answer in a hundred lost: the server is right about everybody."""
    s = make_server(config=CONFIG.format(beat=SLOW)).start()
    each = [f"--{k}=10" for k in ("kills", "clones", "clocks", "restarts", "swaps", "replays", "relays", "forgeries")]
    swarm = Swarm(s, 300, 25 * SLOW, "--loss", 10000, "--spread", 2000, *each, "--operators",
                  f"https://localhost:{s.operators}", "--operator-token", s.dir / "admin.token")
    try:
        code = swarm.process.wait(120 * SLOW)
        assert code == 0, swarm.text()[-4000:]
        end = swarm.last()
        assert end["when"] == "end" and end["unexpected"] == 0 and end["dropped"] > 20, end
        # One line for each part: nobody is wrong, every attack was refused by its name.
        lines = {line.split()[0]: line.split()[1:] for line in swarm.text().splitlines() if line[:1].isalpha()}
        assert lines["healthy"][:3] == ["220", "220", "0"], swarm.text()
        for part in ("kill", "clone", "clock", "restart", "swap"):
            assert lines[part] == ["10", "10", "0"], swarm.text()
        for part in ("replay", "relay", "forgery"):
            assert lines[part] == ["10", "10", "0", "10/10"], swarm.text()
    finally:
        swarm.kill()
    s.stop()


class Play:
    """A swarm of healthy agents, two of Python and one that came back as another program; what the long proof does."""

    def __init__(self, server, agents, beat, spread_s):
        self.server, self.beat = server, beat
        began = time.monotonic()
        self.swarm = Swarm(server, agents, 7 * 3600, "--spread", spread_s * 1000, "--in-flight", 32)
        token = server.make_token(max_uses=10)
        self.witness = Witness(server, "witness", token, beat)
        self.swapped = Witness(server, "swapped", token, beat)
        for w in self.witness, self.swapped:
            w.start()
        self.until(lambda: self.swapped.accepted >= 3 and self.witness.accepted >= 3, 120)
        with self.swapped.lock:
            self.swapped.agent.sha256 = OTHER_HASH
        self.until(lambda: self.row("swapped")["verdict"] == "unknown_binary", 60)
        self.until(lambda: ask(server, "/api/v1/fleet")["reach"]["live"] == agents + 2, 240 * SLOW)
        say(f"seed {SEED}: {agents} agents over TLS, interval {beat} s, all accepted {time.monotonic() - began:.0f} s after "
            "the first was enrolled")
        self.judge = Judge(server, agents + 1, {"swapped": "unknown_binary"}, ["127.0.0.1"],
                           [("witness", "replay"), ("witness", "relayed")])

    def until(self, check, seconds):
        end = time.monotonic() + seconds
        while not check():
            assert self.swarm.process.poll() is None, self.swarm.text()[-3000:]
            assert time.monotonic() < end, (ask(self.server, "/api/v1/fleet"), self.swarm.text()[-3000:])
            time.sleep(0.2)

    def row(self, ident):
        return ask(self.server, f"/api/v1/agents/{ident}")

    def same_program(self):
        """Last known good is what it was: the one that changed is told still, the others are not."""
        row = self.row("swapped")
        assert row["verdict"] == "unknown_binary" and row["good_hash"] == HASH.hex(), row
        row = self.row("witness")
        assert row["verdict"] in ("ok", "late") and row["good_hash"] == HASH.hex(), row

    # ---- steady ----

    def steady(self, seconds):
        self.until(self.swarm.last, 30 * SLOW)  # it says something every ten seconds
        began, at_start, base, used = time.monotonic(), self.swarm.last(), None, cpu(self.server)
        while time.monotonic() - began < seconds:
            self.judge.look()
            if base is None and time.monotonic() - began >= min(60, seconds / 4):
                base = memory(self.server)
            assert self.swarm.process.poll() is None, self.swarm.text()[-3000:]
            time.sleep(min(2, seconds / 10))
        end, last = memory(self.server), self.swarm.last()
        used = {k: v - used.get(k, 0) for k, v in cpu(self.server).items()}
        pulses = last["accepted"] - (at_start or {"accepted": 0})["accepted"]
        say(f"steady for {time.monotonic() - began:.0f} s: {pulses} pulses, refused {last['refused']}, told to come later "
            f"{last['busy']}, answers lost {last['lost']}; answer after {last['answer_p50_ms']} ms (half), "
            f"{last['answer_p99_ms']} ms (99 %), measured by the swarm; {self.judge.looks} looks, at most "
            f"{self.judge.seen['late']} late and {self.judge.seen['missed']} missed at once")
        say("private KiB after the first minute → at the end: "
            + ", ".join(f"{r} {base[r]} → {end[r]}" for r in sorted(base)))
        say("CPU seconds meanwhile: " + ", ".join(f"{r} {used[r]:.1f}" for r in sorted(used)))
        assert last["refused"] == last["unexpected"] == last["busy"] == 0, last
        if not storm.SANITIZED:
            assert all(end[r] - base[r] < max(FLAT_KIB, base[r] // 10) for r in base), (base, end)
        self.judge.history()

    # ---- kills ----

    def kill(self, target):
        started = self.judge.look()["run_started_at"]
        captured = self.witness.captured
        if target == "server":
            roles = self.server.roles()
            self.server.process.kill()
            self.server.process.wait()
            # As systemd does: nothing is started before all of the old is gone. The roles end with their parent, but a
            # front that closes thousands of connections holds its port a moment longer.
            self.until(lambda: not any(is_alive(pid) for pid in roles), 30)
            self.server.start(wait=False)
        else:
            os.kill(next(p for p, role in self.server.roles().items() if role == target), signal.SIGKILL)
        said = self.witness.replay(captured)
        assert said in ("replay", "relayed", "resync"), said
        took, _ = self.judge.converge(120 * SLOW, started)
        self.until(lambda: self.witness.accepted and self.row("swapped")["reachability"] == "live", 30 * SLOW)
        self.same_program()
        self.judge.no_alerts("open")
        assert self.swarm.process.poll() is None, self.swarm.text()[-3000:]
        return said, took

    def kills(self, cores, servers):
        targets = ["core"] * cores + ["server"] * servers
        random.Random(SEED).shuffle(targets)
        said, took = {}, {"core": [], "server": []}
        for n, target in enumerate(targets):
            answer, seconds = self.kill(target)
            said[answer] = said.get(answer, 0) + 1
            took[target].append(seconds)
            if LONG and n % 10 == 9:
                say(f"{n + 1} kills so far, the last was over after {seconds:.0f} s; private KiB {memory(self.server)}")
        kinds = self.judge.history()
        last = self.swarm.last()
        say(f"{cores} kills of core, {servers} of the whole server: all live again after at most "
            + ", ".join(f"{max(v):.1f} s ({k})" for k, v in took.items() if v)
            + f"; what was captured and sent again: {said}; at most {self.judge.seen['late']} late and "
            f"{self.judge.seen['missed']} missed at once")
        say(f"events meanwhile: {dict(kinds)}; of the swarm: {json.dumps(last)}")
        # Told to come again, perhaps; nothing else was ever said to a healthy agent.
        assert last["unexpected"] == 0, self.swarm.text()[-3000:]
        assert not self.witness.refused, self.witness.refused

    # ---- garbage ----

    def garbage(self, count):
        s, victim = self.server, "swarm-00001"
        before, mem, first = self.row(victim), memory(s), self.judge.newest()
        store = sum(f.stat().st_size for f in s.dir.glob("troth.db*"))
        r = subprocess.run([program("troth-swarm"), "garbage", "--port", str(s.agents), "--ca", str(s.ca), "--fleet",
                            str(self.swarm.fleet), "--sender", "0", "--victim", "1", "--count", str(count),
                            "--connections", "8"], capture_output=True, text=True, timeout=1800 * SLOW)
        assert r.returncode == 0, (r.returncode, r.stdout, r.stderr[-2000:])
        got = json.loads(r.stdout)
        assert got["accepted"] == 0 and got["answered"] - got["slowed"] == count, got
        assert set(got["codes"]) <= {"malformed_pulse", "bad_signature", "wrong_agent", "rate_limited"}, got
        self.judge.first = first
        time.sleep(2)
        after, events = self.row(victim), self.judge.events()
        grown = sum(f.stat().st_size for f in s.dir.glob("troth.db*")) - store
        end = memory(s)
        written = [e for e in events if e["kind"] in got["codes"]]
        for k in ("verdict", "authenticity", "integrity", "clock", "admission", "good_hash", "running_hash", "partition", "since"):
            assert before[k] == after[k] or k == "since", (k, before, after)
        assert before["since"]["authenticity"] == after["since"]["authenticity"], (before, after)
        assert after["verdict"] == "ok" and after["heartbeats"] >= before["heartbeats"], after
        say(f"garbage: {json.dumps(got)}; {len(written)} events written, the store grew by {grown >> 10} KiB")
        say("private KiB before → after: " + ", ".join(f"{r} {mem.get(r, 0)} → {end[r]}" for r in sorted(end)))
        # 8 sources, so many a minute of each, and so many a second in all.
        assert written and len(written) <= 60 * 8 * (2 + got["seconds"] / 60), len(written)
        assert grown < 16 << 20, grown
        if not storm.SANITIZED:
            assert all(end[r] - mem[r] < 8192 for r in mem), (mem, end)
        # The sender's addresses are told, and nothing worse than that; the victim is not in it.
        alerts = ask(s, "/api/v1/alerts?limit=500")["alerts"]
        attack = [a for a in alerts if a["kind"] == "attack_traffic" and a["subject"].startswith("source:127.64.128.")]
        assert attack and all(a["severity"] >= 3 for a in attack), alerts
        assert not [a for a in alerts if a["subject"] in (f"agent:{victim}", "agent:swarm-00000")], alerts
        # What was rightly written about the sender is no business of what follows.
        self.judge.first = self.judge.newest()

    def end(self):
        for w in self.witness, self.swapped:
            w.stop()
        self.swarm.stop()
        self.server.stop()


@pytest.fixture
def play(make_server):
    made = []

    def make(agents, beat, spread_s):
        s = make_server(config=CONFIG.format(beat=beat)).start()
        made.append(Play(s, agents, beat, spread_s))
        return made[-1]

    yield make
    for p in made:
        for w in p.witness, p.swapped:
            w.stopping.set()
        p.swarm.kill()


def test_real_agents_kills_and_garbage(play):
    """Steady without a false word; kills of core and of the server, each after the last was over; garbage."""
    p = play(5000, 5, 20) if LONG else play(60, SLOW, 1)
    p.steady(STEADY_S)
    p.garbage(1000000 if LONG else 20000)
    p.kills(*((90, 10) if LONG else (3, 1)))
    p.end()
