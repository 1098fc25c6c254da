#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: a real server, a fleet of agents, a bare server beside it, and what each of them costs.

CPU time of the processes (schedstat), never wall time: a busy machine changes the numbers little. What is compared is
measured in one run, taking turns, and the median counts. Prints a table; writes {"name": {"value", "unit", "goal"}}.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import commands  # noqa: E402 (tests/bench/commands.py)
import hub  # noqa: E402 (tests/bench/hub.py)

HASH = "07" * 32  # of the binary that the fleet claims to run
ROUNDS = 15       # short turns: what else the machine does then hits both servers alike
FLIGHT = 32       # pulses under way at once


def cpu_ns(pid):
    """All threads; 0 when the process is gone."""
    total = 0
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


def cpu_of(pids):
    return sum(cpu_ns(p) for p in pids)


def status_kib(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def private_kib(pid):
    """Private_Dirty. The roles are not dumpable, so that only root may see their maps; then the anonymous memory, which
    differs by pages that are still shared with nobody but not written."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1])
    except PermissionError:
        pass
    return status_kib(pid, "RssAnon")


def children(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += children(int(child))
    return found


def end(p):
    if p.poll() is None:
        p.terminate()
        p.wait(10)


class Load:
    """tests/bench/load.c in its pulse mode, driven by lines. It ends with its standard input."""

    def __init__(self, build, port, ca, fleet, *more):
        self.p = subprocess.Popen([build / "bench_load", "beat", str(port), ca, fleet, *more], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def do(self, *words):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit("bench: the load generator ended; its reason is above")
        got = json.loads(line)
        if got["refused"]:
            raise SystemExit(f"bench: the server refused {got['refused']} pulses")
        return got

    def stop(self):
        self.p.stdin.close()
        self.p.wait()


class Bench:
    def __init__(self, options):
        self.o, self.build = options, pathlib.Path(options.build).resolve()
        self.results, self.notes = {}, {}
        self.cleanup = contextlib.ExitStack()

    def put(self, name, value, unit, goal=None, note=""):
        """value None: could not be measured here; note says why."""
        self.results[name] = {"value": None if value is None else round(value, 3), "unit": unit, "goal": goal}
        if value is None:
            self.results[name]["reason"] = note
        self.notes[name] = note

    # ---- registrations ----

    def register(self, server, fleet):
        n = self.o.agents
        token = server.make_token(max_uses=n, ttl_s=3600)
        roles = {server.process.pid: "supervisor", **server.roles()}
        before = {p: cpu_ns(p) for p in roles}
        out = subprocess.run([self.build / "bench_load", "register", str(server.agents), server.ca, token, str(n),
                              str(FLIGHT), HASH, fleet], check=True, stdout=subprocess.PIPE, text=True).stdout
        got = json.loads(out)
        spent = {}
        for p, role in roles.items():
            spent[role] = spent.get(role, 0) + (cpu_ns(p) - before[p]) / got["ok"]
        each = sum(spent.values())
        print("us per registration:", {r: round(v / 1000) for r, v in spent.items()})
        self.put("registrations_per_s", 1e9 / each, "1/s per core", None,
                 "1 / CPU seconds of all roles per native registration: one TLS connection, challenge, claim, commit")
        self.put("registrations_wall_per_s", got["ok"] * 1000 / got["ms"], "1/s", None,
                 f"{FLIGHT} at once, the load generator on the same cores")
        crypto = json.loads(subprocess.run(
            [self.build / "bench_crypto", server.dir / "tls" / "server.crt", server.dir / "tls" / "server.key"],
            check=True, stdout=subprocess.PIPE, text=True).stdout)
        self.put("registration_crypto_share", sum(crypto.values()) / each, "ratio", None,
                 "the same operations timed alone in this run, in us: " +
                 ", ".join(f"{k} {v / 1000:.0f}" for k, v in crypto.items()) + f"; whole {each / 1000:.0f}")

    # ---- one pulse, by itself ----

    def pulse(self):
        got = json.loads(subprocess.run([self.build / "bench_pulse"], check=True, stdout=subprocess.PIPE, text=True).stdout)
        for name in ("ed25519", "p256", "rsa2048"):
            self.put(f"pulse_sign_p99_ms_{name}", got[f"pulse_sign_p99_ms_{name}"], "ms", 1, "agent: build and sign, thread CPU")
        self.put("pulse_wire_bytes", got["pulse_wire_bytes"], "bytes", 560, "Ed25519, with a snapshot's digest, without its list")
        self.put("pulse_parse_us", got["pulse_parse_us"], "us", 3, f"server: all of a pulse's check but the signature's; "
                 f"with it {got['pulse_verify_us']} us; decoding a frame {got['pulse_decode_us']} us, "
                 f"making and opening a ticket {got['pulse_ticket_us']} us")

    def verify_us(self):
        return json.loads(subprocess.run([self.build / "bench_pulse"], check=True, stdout=subprocess.PIPE,
                                         text=True).stdout)["ed25519_verify_us"]

    # ---- keysets and commands, by themselves ----

    def keyset(self):
        got = json.loads(subprocess.run([self.build / "bench_keyset"], check=True, stdout=subprocess.PIPE, text=True).stdout)
        self.put("keyset_verify_us", got["keyset_verify_us"], "us", None,
                 f"agent: the step to the next keyset, 2 of 3 Ed25519 roots; the largest possible one {got['largest_us']} us; a "
                 f"command of {got['command_bytes']} bytes with two approvals {got['command_verify_us']} us, signing it "
                 f"{got['command_sign_us']} us")

    # ---- messages, by themselves ----

    def message(self):
        got = json.loads(subprocess.run([self.build / "bench_message"], check=True, stdout=subprocess.PIPE, text=True).stdout)
        self.put("hpke_seal_us", got["hpke_seal_us"], "us", None,
                 f"1024 bytes; with the sender's Ed25519 signature {got['message_seal_us']} us, {got['envelope_bytes']} bytes")
        self.put("hpke_open_us", got["hpke_open_us"], "us", None,
                 f"the same; with the signature's check {got['message_open_us']} us")

    # ---- evidence, by itself ----

    def verify(self):
        """Ratios are to the signature checks that cannot be avoided, timed in the same run."""
        out = subprocess.run([self.build / "bench_verify"], check=True, stdout=subprocess.PIPE, text=True).stdout
        got = {k: float(v) for k, v in (line.split("=") for line in out.split())}
        for kind in ("tdx4", "sgx3"):
            each = f"{got[f'verify_{kind}_p256_us']} us per P-256 verification"
            self.put(f"verify_{kind}_full_ratio", got[f"verify_{kind}_full_ratio"], "ratio", 1.4,
                     f"quote and all collateral, {got[f'verify_{kind}_full_us']} us; 10 x {each}")
            self.put(f"verify_{kind}_cached_ratio", got[f"verify_{kind}_cached_ratio"], "ratio", 1.6,
                     f"collateral and PCK chain known by digest, {got[f'verify_{kind}_cached_us']} us; 2 x {each}")
        each = f"{got['verify_snp_p384_us']} us per P-384, {got['verify_snp_rsa4096_us']} us per RSA-4096 verification"
        self.put("verify_snp_full_ratio", got["verify_snp_full_ratio"], "ratio", 1.4,
                 f"report, chain and list, {got['verify_snp_full_us']} us; one P-384, four RSA-4096: {each}")
        self.put("verify_snp_cached_ratio", got["verify_snp_cached_ratio"], "ratio", 1.6,
                 f"chain and list known by digest, {got['verify_snp_cached_us']} us; one P-384: {each}")
        self.put("verify_tpm_ratio", got["verify_tpm_ratio"], "ratio", 1.4,
                 f"quote, 11 PCRs and their digest, {got['verify_tpm_us']} us; one P-256: {got['verify_tpm_p256_us']} us")
        for name in ("verify_tdx4_full_per_s", "verify_tdx4_cached_per_s", "verify_sgx3_full_per_s", "verify_snp_full_per_s",
                     "verify_snp_cached_per_s", "verify_tpm_per_s"):
            self.put(name, got[name], "1/s per core")

    # ---- one BPF snapshot ----

    def snapshot(self):
        got = json.loads(subprocess.run([self.build / "bench_snapshot"], check=True, stdout=subprocess.PIPE, text=True).stdout)
        self.put("snapshot_us_20", got["snapshot_us_20"], "us", None,
                 got.get("reason") or f"agent: 20 pinned programs of {got['insns']} instructions, mean thread CPU; "
                 f"median {got['median']} us")

    # ---- core's memory, by itself ----

    def registry(self):
        got = json.loads(subprocess.run([self.build / "bench_registry", str(self.o.registry)], check=True,
                                        stdout=subprocess.PIPE, text=True).stdout)
        us, n = got["pulse_us"], got["agents"]
        self.put("load_1m_agents_s", got["load_s"], "s", 10,
                 f"{n} agents, one process without sockets: SQLite's rows to frames to core's tables and the fleet")
        self.put("registry_bytes_per_agent", got["bytes_per_agent"], "bytes", 512,
                 f"resident after that, {n} agents; tables {got['table_bytes']:.0f}, fleet {got['fleet_bytes']:.0f}; their "
                 f"names take {got['name_bytes']:.0f} more")
        self.put("pulse_flat_1k_1m", got["pulse_flat"], "ratio", 1.2,
                 f"core's half of a pulse, agents at random: {us[0]:.2f}, {us[1]:.2f}, {us[2]:.2f} and {us[3]:.2f} us among "
                 f"1000, 10000, 100000 and {n}; medians")
        self.put("sweep_1m_ms", got["sweep_ms"], "ms", None, f"liveness of {n} agents, each looked at once in ten seconds")

    # ---- pulses ----

    def start_bare(self, server, fronts, answer_bytes):
        import harness
        port = harness.free_port()
        p = subprocess.Popen([self.build / "bench_bare", str(port), str(fronts), server.dir / "tls" / "server.crt",
                              server.dir / "tls" / "server.key", server.ca, str(answer_bytes)])
        self.cleanup.callback(end, p)
        for _ in range(100):
            with contextlib.suppress(OSError):
                if harness.call(port, "GET", "/", timeout=2).status == 200 and len(children(p.pid)) == fronts + 1:
                    return p, port
            if p.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit("bench: the bare server does not start")

    def settle(self, fronts):
        """Freed memory is given back late: wait until it no longer changes."""
        was = None
        for _ in range(20):
            now = sum(private_kib(p) for p in fronts)
            if now == was:
                break
            was = now
            time.sleep(0.25)
        return now

    def pulses(self, server, fleet):
        n = self.o.agents
        roles = server.roles()
        all_roles = [server.process.pid, *roles]
        fronts = [p for p, r in roles.items() if r == "front"]
        load = Load(self.build, server.agents, server.ca, fleet)
        first = load.do("open", 16)  # library pages and tables of a front that nobody has used yet
        before = self.settle(fronts)
        load.do("open", n - 16)
        idle = self.settle(fronts)
        bare, port = self.start_bare(server, len(fronts), first["body_bytes"])
        other = Load(self.build, port, server.ca, fleet, "bare")
        bare_before = sum(private_kib(p) for p in children(bare.pid)[1:])
        bare_first = other.do("open", n)
        bare_idle = sum(private_kib(p) for p in children(bare.pid)[1:])
        print(f"one pulse: {first['request_bytes']} bytes, answer {first['answer_bytes']}; "
              f"bare {bare_first['request_bytes']}, {bare_first['answer_bytes']}")
        ours, theirs, by_role = [], [], {}
        load.do("beat", n, FLIGHT)
        other.do("beat", n, FLIGHT)
        family = children(bare.pid)
        for turn in range(ROUNDS):
            # Who goes first changes, so that a machine which gets slower favours nobody.
            for mine in (True, False) if turn % 2 else (False, True):
                pids = all_roles if mine else family
                each = {p: cpu_ns(p) for p in pids}
                ok = (load if mine else other).do("beat", self.o.beats, FLIGHT)["ok"]
                spent = {p: (cpu_ns(p) - each[p]) / ok / 1000 for p in pids}
                (ours if mine else theirs).append(sum(spent.values()))
                for role in set(roles.values()) if mine else ():
                    by_role.setdefault(role, []).append(sum(v for p, v in spent.items() if roles.get(p) == role))
        after = self.settle(fronts)
        commands.store_ops(self, server, load, min(n, self.o.beats))
        load.stop()
        other.stop()
        end(bare)
        print("us per pulse, server:", *(round(x, 1) for x in ours))
        print("us per pulse, bare:  ", *(round(x, 1) for x in theirs))
        print("us per pulse, roles: ", {r: round(statistics.median(v), 1) for r, v in by_role.items()})
        verify = statistics.median(self.verify_us() for _ in range(3))
        self.put("pulse_cpu_us", statistics.median(ours), "us", None,
                 f"server CPU of all roles per verified pulse, {n} connections, {FLIGHT} in flight")
        self.put("pulse_cpu_ratio", statistics.median(o / (t + verify) for o, t in zip(ours, theirs)), "ratio", 1.25,
                 f"median of {ROUNDS} pairs: {statistics.median(ours):.1f} us against {statistics.median(theirs):.1f} us of the bare "
                 f"server + {verify:.1f} us of one libsodium verification")
        self.put("request_cpu_ratio", statistics.median((o - verify) / t for o, t in zip(ours, theirs)), "ratio", None,
                 "the same without the signature on either side")
        self.put("idle_conn_kib", max(idle - before, after - before) / (n - 16), "KiB", 18,
                 f"after one pulse each {(idle - before) / (n - 16):.1f}, after the load "
                 f"{(after - before) / (n - 16):.1f}, bare {(bare_idle - bare_before) / n:.1f}")

    # ---- commands ----

    def commands(self, kind, **how):
        """On a server of its own, whose registry has as many agents as one request may name."""
        import harness
        server = harness.Server(config=f"attestation:\n  mode: enforce\n  expected_hash: sha256:{HASH}\n", **how)
        try:
            server.start()
            commands.register(server, self.build, server.base / "fleet.pem", HASH)
            commands.put(self, server, kind, cpu_ns)
            server.stop()
        finally:
            server.destroy()

    def commands_postgres(self):
        import pg
        try:
            database = pg.server_or_skip()
        except BaseException as e:  # pytest's way to skip is no Exception
            if isinstance(e, (KeyboardInterrupt, SystemExit)):
                raise
            self.put("commands_per_s_postgres", None, "1/s per core", None, f"no PostgreSQL here: {e}")
            return
        try:
            self.commands("postgres", init=("--store", database.location(database.database())))
        finally:
            database.destroy()

    # ---- the agent ----

    def start_agent(self, server):
        """One real agent, running."""
        folder = server.base / "agent"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TROTH", "ATTESTATION_"))}
        env["TROTH_AGENT_STATE"] = str(folder)
        program = str(self.build / "troth-agent")
        sha = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()
        r = server.api("PUT", "/api/v1/policy", {"mode": "audit", "hashes": f"sha256:{sha}"})
        assert r.status == 200, r
        token = server.make_token(max_uses=1)
        for words in (["init"], ["enroll", "--server", f"https://localhost:{server.agents}"]):
            subprocess.run([program, *words], check=True, env=dict(env, TROTH_TOKEN=token), stdout=subprocess.DEVNULL)
        with (server.base / "agent.log").open("wb") as log:
            p = subprocess.Popen([program, "run"], env=env, stderr=log)
        self.cleanup.callback(end, p)
        return p

    def latency(self):
        """On a server of its own: the question for commands waits as long as at the usual interval."""
        import harness
        server = harness.Server(config="heartbeat_seconds: 30\n")
        try:
            server.start()
            p = self.start_agent(server)
            commands.latency(self, server)
            end(p)
            server.stop()
        finally:
            server.destroy()

    def agent(self, server):
        p = self.start_agent(server)
        beats = server.metric("troth_pulses_total")
        until = time.monotonic() + 20
        while server.metric("troth_pulses_total") < beats + 2 and time.monotonic() < until:
            time.sleep(0.6)
        family = children(p.pid)
        beats, start, cpu = server.metric("troth_pulses_total"), time.monotonic(), cpu_of(family)
        time.sleep(self.o.agent_seconds)
        family = children(p.pid)
        cpu, beats = cpu_of(family) - cpu, server.metric("troth_pulses_total") - beats
        seconds = time.monotonic() - start
        if beats < 5:
            raise SystemExit(f"bench: the agent sent {beats} pulses in {seconds:.0f} s")
        self.put("agent_private_mib", sum(private_kib(x) for x in family) / 1024, "MiB", 12,
                 f"Private_Dirty of {len(family)} process(es)")
        self.put("agent_rss_mib", sum(status_kib(x, "VmRSS") for x in family) / 1024, "MiB")
        self.put("agent_cpu_pct", cpu / 1e9 / beats / 30 * 100, "%", None,
                 f"{cpu / beats / 1000:.0f} us per pulse ({beats:.0f} in {seconds:.0f} s), at one in 30 s")
        end(p)

    # ---- all ----

    def run(self):
        os.environ["TROTH_BUILD"] = str(self.build)
        import harness
        server = harness.Server(config=f"heartbeat_seconds: 1\nattestation:\n  mode: enforce\n"
                                       f"  expected_hash: sha256:{HASH}\n")
        fleet = server.base / "fleet.pem"
        try:
            server.start()
            self.pulse()
            self.keyset()
            self.message()
            self.verify()
            self.snapshot()
            self.registry()
            self.register(server, fleet)
            # Fresh processes: what registering left in their heaps would hide what connections take.
            server.stop()
            server.start()
            self.pulses(server, fleet)
            server.stop()
            self.commands("sqlite")
            self.commands_postgres()
            self.latency()
            hub.put(self, cpu_ns)
            server.config.write_text(server.config.read_text().split("\nattestation:")[0] + "\n")
            server.start()
            self.agent(server)
            server.stop()
        finally:
            self.cleanup.close()
            server.destroy()

    def show(self):
        print(f"\n{'metric':<28}{'value':>10}  {'goal':<6}{'unit':<14}note")
        for name, r in self.results.items():
            goal = "" if r["goal"] is None else str(r["goal"])
            print(f"{name:<28}{'-' if r['value'] is None else r['value']:>10}  {goal:<6}{r['unit']:<14}{self.notes[name]}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=ROOT / "build" / "release")
    p.add_argument("--out", default=ROOT / "bench.json")
    p.add_argument("--agents", type=int, default=2000)
    p.add_argument("--beats", type=int, default=8000, help="pulses per round")
    p.add_argument("--registry", type=int, default=1000000, help="agents of the largest registry")
    p.add_argument("--agent-seconds", type=int, default=30)
    b = Bench(p.parse_args())
    b.run()
    b.show()
    pathlib.Path(b.o.out).write_text(json.dumps(b.results, indent="\t") + "\n")


if __name__ == "__main__":
    main()
