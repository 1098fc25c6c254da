# SPDX-License-Identifier: Apache-2.0
"""What a registration with evidence and a message through the mailbox cost: agents in Python (tests/e2e/lab.py), prepared before
the clock starts. CPU time of every role that has to do with it, front's included."""

import hashlib
import json
import os
import statistics
import sys
import time

import cbor2
from cryptography.hazmat.primitives.asymmetric import x25519

AGENTS = 40
ROUNDS = 9
LETTERS = 60  # of one sender to one recipient; the mailbox takes 64


def spent(server, cpu_ns, work):
    """us of CPU by role, while work is done; it returns how many."""
    roles = server.roles()
    before = {p: cpu_ns(p) for p in roles}
    n = work()
    time.sleep(0.05)  # what a loop does at its end
    by = {}
    for p, role in roles.items():
        by[role] = by.get(role, 0) + (cpu_ns(p) - before[p]) / n / 1000
    return by


def median(rounds):
    return {r: statistics.median(b.get(r, 0) for b in rounds) for r in rounds[0]}


def shares(by):
    return ", ".join(f"{r} {v:.0f}" for r, v in sorted(by.items(), key=lambda x: -x[1]) if v >= 1)


def registrations(bench, lab, agents, cpu_ns):
    """Renewals: each with a challenge, a quote of its own, the verdict's row and the signed result."""
    rounds = []
    for _ in range(ROUNDS):
        conns = [a.mtls() for a in agents]
        bodies = [a.hub_body(c.challenge()) for a, c in zip(agents, conns)]

        def work(conns=conns, bodies=bodies):
            for c, body in zip(conns, bodies):
                r = c.request("POST", "/api/v1/agents/register", body, {"Content-Type": "application/json"})
                assert r.status == 201, r
            return len(conns)

        rounds.append(spent(lab.server, cpu_ns, work))
        for c in conns:
            c.close()
    by = median(rounds[1:])
    bench.put("registrations_evidence_per_s", 1e6 / sum(by.values()), "1/s per core", None,
              f"1 / CPU seconds of all roles per registration with a TDX quote: {AGENTS} agents one after the other, collateral and "
              f"chain known after the first; us by role: {shares(by)}")


def messages_per_s(bench, lab, pair, cpu_ns):
    """From the sealed letter to the recipient's acknowledgement."""
    import messages
    a, b = pair
    a_conn, b_conn = a.mtls(), b.mtls()
    secret = x25519.X25519PrivateKey.generate()
    now, rounds, seq = int(time.time()), [], 0
    for _ in range(ROUNDS):
        letters = []
        for _ in range(LETTERS):
            seq += 1
            letters.append(messages.seal({"fleet": "e2e.example", "sender": a.node_id, "recipient": b.node_id, "id": os.urandom(16),
                                          "line": 1, "seq": seq, "issued": now, "expires": now + 3600, "type": "text/plain",
                                          "body": b"x" * 1024}, a.key, messages.raw(secret.public_key())))

        def work(letters=letters):
            for e in letters:
                r = a_conn.request("POST", f"/api/v1/mailbox/{b.node_id}", e, {"Content-Type": "application/cbor"})
                assert r.status == 202, r
            got = cbor2.loads(b_conn.request("GET", "/api/v1/mailbox").body)
            assert len(got) == len(letters), len(got)
            ids = ",".join(letter_id(e) for _, _, e in got)
            r = b_conn.request("POST", "/api/v1/mailbox-acks", json.dumps({"ids": ids}).encode(), {"Content-Type": "application/json"})
            assert r.json()["acknowledged"] == len(letters), r
            return len(letters)

        rounds.append(spent(lab.server, cpu_ns, work))
    by = median(rounds[1:])
    bench.put("messages_per_s", 1e6 / sum(by.values()), "1/s per core", None,
              f"1 / CPU seconds of all roles per letter of 1 KiB through the mailbox, from sending to acknowledgement, one at a time, "
              f"{LETTERS} per fetch; us by role: {shares(by)}")


def letter_id(envelope):
    return hashlib.sha256(envelope).digest()[:16].hex()


def put(bench, cpu_ns):
    from lab import Lab
    lab = Lab()
    try:
        agents = [lab.attested() for _ in range(AGENTS)]
        registrations(bench, lab, agents, cpu_ns)
        messages_per_s(bench, lab, agents[:2], cpu_ns)
        lab.server.stop()
    finally:
        lab.server.destroy()


if __name__ == "__main__":
    sys.exit("this is a part of tests/bench/run.py")
