# SPDX-License-Identifier: Apache-2.0
"""A swarm of real agents (troth-swarm), a few agents of Python among them, and what the server makes of them all."""

import collections
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from OpenSSL import SSL

import pulse as pulses
from client import Agent
from harness import program

HASH = b"\7" * 32  # what every agent of troth-swarm says that it is
OTHER_HASH = b"\11" * 32
CONFIG = ("heartbeat_seconds: {beat}\nclock: {{source: trusted}}\n"
          "attestation:\n  mode: audit\n  expected_hash: sha256:" + HASH.hex() + "\n")
# A healthy agent may be called these for a while, and nothing else.
CALM = {"ok", "late", "missed", "announced", "pending", "unknown"}
# None of these is ever written about a healthy agent.
FALSE_EVENTS = {"replay", "chain_conflict", "forked", "restored", "binary_changed", "bpf_changed", "quarantined_spoke",
                "partition_silent", "front_lied", "wrong_agent", "bad_signature", "relayed", "malformed_pulse"}
CUT = (OSError, http.client.HTTPException, SSL.Error, AssertionError, ValueError)


class Swarm:
    """troth-swarm real, in the background; its JSON lines as they come."""

    def __init__(self, server, agents, seconds, *more):
        self.server, self.log = server, server.base / "swarm.log"
        self.fleet = server.base / "fleet.pem"
        token = server.make_token(max_uses=100000, ttl_s=86400)
        self.process = subprocess.Popen(
            [program("troth-swarm"), "real", "--port", str(server.agents), "--ca", str(server.ca), "--token", token,
             "--fleet", str(self.fleet), "--agents", str(agents), "--seconds", str(seconds), *map(str, more)],
            stdout=self.log.open("wb"), stderr=subprocess.STDOUT)

    def text(self):
        return self.log.read_text(errors="replace")

    def last(self):
        lines = [line for line in self.text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else None

    def stop(self, seconds=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Witness(threading.Thread):
    """One agent that pulses by itself, whatever happens to the server; what it last sent is kept to be sent again."""

    def __init__(self, server, node_id, token, beat):
        super().__init__(daemon=True)
        self.agent, self.beat = Agent(server, node_id, sha256=HASH), beat
        r = self.agent.register(token)
        assert r.status == 201, r
        self.conn, self.lock, self.stopping = None, threading.Lock(), threading.Event()
        self.captured, self.accepted, self.refused, self.busy, self.cut = None, 0, collections.Counter(), 0, 0

    def run(self):
        while not self.stopping.is_set():
            with self.lock:
                ok = self.one()
            self.stopping.wait(self.beat * 0.9 if ok else min(1, self.beat * 0.3))

    def one(self):
        try:
            self.conn = self.conn or self.agent.mtls()
            self.conn.sock.settimeout(None)
            for _ in range(2):
                body = self.agent.build_pulse(self.conn)
                r = self.agent.send_pulse(self.conn, body)
                if r.status in (429, 503):  # a server that starts, or has too much to do: no judgement
                    self.busy += 1
                    return False
                if r.status != 200:
                    self.refused[r.json().get("code")] += 1
                    return False
                if not pulses.parse_answer(r.body)["resync"]:
                    self.captured, self.accepted = body, self.accepted + 1
                    return True
            self.refused["resync_twice"] += 1
        except CUT:
            self.cut += 1
            self.drop()
        return False

    def drop(self):
        if self.conn:
            self.conn.sock.close()
        self.conn = None

    def replay(self, body, patience=120):
        """Sends what was sent before, on the old connection when that still lives; what the server said. After a kill
        of a large fleet's server everybody connects at once, and one waits in the queue with all the others."""
        began, tries = time.monotonic(), []
        while True:
            try:
                with self.lock:
                    self.conn = self.conn or self.agent.mtls()
                    r = self.conn.request("POST", "/api/v1/pulse", body, {"Content-Type": pulses.CONTENT_TYPE})
            except CUT as e:
                self.drop()
                r = e
            if getattr(r, "status", 0) == 200:
                return "resync" if pulses.parse_answer(r.body)["resync"] else "ACCEPTED"
            if getattr(r, "status", 503) not in (429, 503):
                return r.json().get("code")
            tries.append((round(time.monotonic() - began, 1), r))
            assert time.monotonic() - began < patience, (tries[-10:], self.agent.server.read_log()[-3000:])
            time.sleep(0.2)

    def stop(self):
        self.stopping.set()
        self.join(10)


def ask(server, path, patience=30):
    """An answer of the operators' API; a server that is just coming back is waited for."""
    end = time.monotonic() + patience
    while True:
        try:
            r = server.api("GET", path, timeout=10)
            if r.status == 200:
                return r.json()
        except (OSError, http.client.HTTPException):
            r = None
        assert time.monotonic() < end, (path, r, server.read_log()[-2000:])
        time.sleep(0.2)


def memory(server):
    """Role → KiB that its processes hold for themselves."""
    found = collections.Counter()
    for pid, role in [(server.process.pid, "supervisor"), *server.roles().items()]:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found[role] += sum(int(m) for m in re.findall(r"Private_Dirty: +(\d+)", text))
    return dict(found)


def cpu(server):
    """Role → CPU seconds of the processes that live now."""
    found = collections.Counter()
    for pid, role in [(server.process.pid, "supervisor"), *server.roles().items()]:
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[role] += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return dict(found)


class Judge:
    """Looks at what the server says about agents that are all healthy but those named."""

    def __init__(self, server, healthy, unhealthy=(), sources=(), attacks=()):
        """unhealthy: agent → its true verdict; attacks: (agent, kind of event) that the test itself makes."""
        self.server, self.healthy, self.unhealthy, self.attacks = server, healthy, dict(unhealthy), set(attacks)
        self.subjects = {f"agent:{a}" for a in self.unhealthy} | {f"source:{s}" for s in sources}
        self.seen, self.looks = collections.Counter(), 0
        self.first = self.newest()

    def newest(self):
        events = ask(self.server, "/api/v1/events?limit=1")["events"]
        return events[0]["seq"] if events else 0

    def total(self):
        return self.healthy + len(self.unhealthy)

    def look(self):
        """Nothing false at this moment; the fleet in numbers."""
        fleet = ask(self.server, "/api/v1/fleet")
        self.looks += 1
        verdicts = {k: v for k, v in fleet["verdicts"].items() if v and k not in CALM}
        due = collections.Counter(self.unhealthy.values())
        assert all(n <= due[k] for k, n in verdicts.items()), (verdicts, self.wrong_agents())
        for k in ("late", "missed"):
            self.seen[k] = max(self.seen[k], fleet["verdicts"][k])
        severe = fleet["alerts"]["severity"]
        if severe["1"] or severe["2"]:
            self.no_alerts("open")
        return fleet

    def wrong_agents(self):
        return [(a["id"], a["verdict"]) for v in set(ask(self.server, "/api/v1/fleet")["verdicts"]) - CALM
                for a in ask(self.server, f"/api/v1/agents?verdict={v}&limit=20")["agents"]]

    def no_alerts(self, state):
        alerts = ask(self.server, f"/api/v1/alerts?state={state}&limit=500")["alerts"]
        bad = [a for a in alerts if a["severity"] <= 2 and a["subject"] not in self.subjects]
        assert not bad, bad[:5]

    def events(self):
        """Everything written since the start."""
        found, after = [], self.first
        while True:
            page = ask(self.server, f"/api/v1/events?after={after}&limit=500")["events"]
            page = [e for e in page if e["seq"] > after]
            if not page:
                return found
            found += page
            after = max(e["seq"] for e in page)

    def is_live(self, fleet):
        return fleet["reach"]["live"] == self.total() and fleet["verdicts"]["pending"] == 0

    def converge(self, seconds, started=None):
        """Waits until every agent was accepted (by a run of core that did not begin at `started`); how long it took."""
        began = time.monotonic()
        while True:
            fleet = self.look()
            if self.is_live(fleet) and fleet["run_started_at"] != started:
                return time.monotonic() - began, fleet
            assert time.monotonic() - began < seconds, fleet
            time.sleep(0.25)

    def history(self):
        """Nothing false was ever said: neither in events nor in alerts that are over."""
        self.no_alerts("open")
        self.no_alerts("resolved")
        kinds = collections.Counter()
        for e in self.events():
            kinds[e["kind"]] += 1
            if e["agent"] in self.unhealthy or (e["agent"], e["kind"]) in self.attacks:
                continue
            assert e["kind"] not in FALSE_EVENTS, e
            assert e["severity"] > 2, e
            if e["kind"] == "verdict_changed":
                assert e["detail"]["to"] in CALM, e
        return kinds
