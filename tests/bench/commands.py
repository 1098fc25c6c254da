# SPDX-License-Identifier: Apache-2.0
"""What an order costs: bulk orders of a thousand agents each over HTTP, from the request to the signed command in the store.
CPU time of the roles that have to do with it (core, store, keys); front's share is shown beside it.
"""

import datetime
import json
import statistics
import subprocess
import sys
import time

AGENTS = 1000
ROUNDS = 12
WARM = 2
SWEEPS_S = 7  # a sweep falls into it
ROLES = ("core", "store", "keys")


def register(server, build, fleet, sha256, n=AGENTS):
    """n agents, made the way agents are made."""
    token = server.make_token(max_uses=n, ttl_s=3600)
    out = subprocess.run([build / "bench_load", "register", str(server.agents), server.ca, token, str(n), "32", sha256,
                          fleet], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert json.loads(out)["ok"] == n, out


def order(server):
    """One bulk order of every agent; how long it took, in seconds."""
    begun = time.monotonic()
    r = server.api("POST", "/api/v1/commands", {"type": "status", "all": True}, timeout=60)
    took = time.monotonic() - begun
    assert r.status == 201, r
    got = r.json()
    assert got["ordered"] == AGENTS and not got["failed"], (got["ordered"], got["failed"][:2])
    return took


def measure(server, cpu_ns):
    """→ commands per CPU second, the medians of us per command by role, and seconds per request. The registry has exactly
    AGENTS agents."""
    roles = server.roles()
    rounds, walls = [], []
    for k in range(WARM + ROUNDS):
        before = {p: cpu_ns(p) for p in roles}
        took = order(server)
        # Nothing of this is left to be done after the answer but what a loop does at its end.
        time.sleep(0.05)
        spent = {}
        for p, role in roles.items():
            spent[role] = spent.get(role, 0) + (cpu_ns(p) - before[p]) / AGENTS / 1000
        if k >= WARM:
            rounds.append(spent)
            walls.append(took)
    each = [sum(s.get(r, 0) for r in ROLES) for s in rounds]
    by_role = {r: statistics.median(s.get(r, 0) for s in rounds) for r in rounds[0]}
    print("us per command:", *(round(x, 1) for x in each))
    return 1e6 / statistics.median(each), by_role, statistics.median(walls)


def put(bench, server, kind, cpu_ns):
    """kind: "sqlite" or "postgres"."""
    per_s, by_role, wall = measure(server, cpu_ns)
    shares = ", ".join(f"{r} {v:.1f}" for r, v in sorted(by_role.items(), key=lambda x: -x[1]) if v >= 0.5)
    bench.put(f"commands_per_s_{kind}", per_s, "1/s per core", 10000 if kind == "sqlite" else None,
              f"1 / CPU seconds of core, store and keys per command, {AGENTS} agents per request; us by role: {shares}; "
              f"a request takes {wall * 1000:.0f} ms" + ("" if kind == "sqlite" else "; the database's own processes not counted"))


def latency(bench, server, n=300):
    """From the order to the agent's stored receipt, by the server's clock, while the agent's question waits."""
    agent = server.api("GET", "/api/v1/agents").json()["agents"][0]["id"]
    until = time.monotonic() + 30
    while server.metric("troth_pulses_total") < 1 and time.monotonic() < until:
        time.sleep(0.1)
    took = []
    for k in range(n + 5):
        r = server.api("POST", "/api/v1/commands", {"type": "status", "agents": agent})
        assert r.status == 201, r
        ident = r.json()["commands"][0]["id"]
        until = time.monotonic() + 30
        while True:
            row = server.api("GET", f"/api/v1/commands/{ident}").json()
            if row["ended_at"]:
                break
            assert time.monotonic() < until, row
        assert row["state"] == "done", row
        begun, over = (datetime.datetime.fromisoformat(row[m].replace("Z", "+00:00")) for m in ("created_at", "ended_at"))
        if k >= 5:
            took.append((over - begun).total_seconds() * 1000)
    took.sort()
    bench.put("command_latency_ms_p99", took[int(len(took) * 0.99) - 1], "ms", 1000,
              f"order to stored receipt of one agent whose question waits, {n} orders one after the other; median "
              f"{statistics.median(took):.0f}, worst {took[-1]:.0f}")


def store_ops(bench, server, load, beats):
    """Commits while only pulses flow, without those of the sweep: that writes every few seconds what changed, however many
    pulses there were, and says how often it did."""
    names = ("troth_pulses_total", "troth_store_commits_total", "troth_sweep_commits_total", "troth_pulse_rows_swept_total")
    load.do("beat", beats, 32)
    before = server.metrics()
    end = time.monotonic() + SWEEPS_S
    while time.monotonic() < end:
        load.do("beat", beats, 32)
        time.sleep(0.5)
    after = server.metrics()
    pulses, commits, sweeps, rows = (after[n] - before[n] for n in names)
    bench.put("store_ops_per_pulse", (commits - sweeps) / pulses, "1/pulse", 0,
              f"{pulses:.0f} pulses, {commits:.0f} commits, {sweeps:.0f} of them the sweep's ({rows:.0f} rows)")


if __name__ == "__main__":
    sys.exit("this is a part of tests/bench/run.py")
