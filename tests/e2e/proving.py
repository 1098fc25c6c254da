# SPDX-License-Identifier: Apache-2.0
"""A server whose policies trust a lab's simulated TEEs, and machines that run the real agent in them. Everything goes the way
of people: the lab's roots come from `troth-agent tee simulate-root`, their collateral and the policies by the CLI."""

import json
import pathlib
import re
import time

from harness import AgentProgram, Server
from obeying import Operators
from waiting import until
from world import name

GOLD, OTHER = "11" * 48, "5a" * 48
# What the simulated TEE measures unless told otherwise (docs/simulated-tee.md).
RTMRS = {f"rtmr{i}": f"{0x21 + i:02x}" * 48 for i in range(4)}
CONFIG = "heartbeat_seconds: {}\nclock:\n  source: trusted\nattestation:\n  mode: audit\n"


class Site:
    def __init__(self, folder, beat_s=1):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.server = Server(config=CONFIG.format(beat_s)).start()
        self.operators = Operators(self.server, self.folder / "cli", operators=1)
        self.config_key = self.folder / "config.key"
        self.operators.must("operator", "keygen", self.config_key)
        self.operators.publish("--add-config", f"{self.config_key}.pub")
        self.versions = 0
        self.tokens, self.made = {}, []

    def close(self):
        for m in self.made:
            m.kill()
        self.server.destroy()

    # ---- the operator's side ----

    def push(self, *folders):
        """The vendors' files, imported, signed and in force."""
        bundle = self.next_bundle()
        self.operators.must("collateral", "import", *folders, "--out", bundle, "--version", self.versions)
        self.put_in_force(bundle)

    def next_bundle(self):
        self.versions += 1
        return self.folder / f"bundle{self.versions}"

    def put_in_force(self, bundle):
        self.operators.must("collateral", "sign", bundle, "--key", self.config_key, "--out", f"{bundle}.cose")
        self.operators.must("collateral", "push", f"{bundle}.cose")
        until(lambda: self.server.api("GET", "/api/v1/collateral").json()["in_force"]["good"])

    def policy(self, policy_name, **fields):
        """In force for the agent type of its name."""
        file = self.folder / f"{policy_name}.json"
        file.write_text(json.dumps({"name": policy_name, "agent_types": [policy_name], **fields}))
        self.operators.must("attestation-policy", "add", file)
        self.operators.must("attestation-policy", "activate", policy_name)

    def token(self, agent_type):
        if agent_type not in self.tokens:
            self.tokens[agent_type] = self.server.make_token(max_uses=100, ttl_s=3600, agent_type=agent_type)
        return self.tokens[agent_type]

    def attestation(self, ident):
        r = self.server.api("GET", f"/api/v1/agents/{ident}")
        assert r.status == 200, r
        return r.json()["attestation"]

    def verdict(self, ident):
        r = self.server.api("GET", f"/api/v1/verdicts/{ident}")
        assert r.status == 200, r
        return r.json()

    def events(self, kind, agent):
        r = self.server.api("GET", f"/api/v1/events?kind={kind}&limit=100")
        assert r.status == 200, r
        return [e for e in r.json()["events"] if e["agent"] == agent]

    def alerts(self, kind, agent):
        r = self.server.api("GET", "/api/v1/alerts")
        assert r.status == 200, r
        return [a for a in r.json()["alerts"] if a["kind"] == kind and a["subject"] == f"agent:{agent}"]

    # ---- machines ----

    def machine(self, agent_type, *use, **env):
        """An enrolled agent that does not run yet. use: what `tee use` is told."""
        m = Machine(self, agent_type, **env)
        self.made.append(m)
        if use:
            m.use(*use)
        return m


class Machine(AgentProgram):
    def __init__(self, site, agent_type, state=None, **env):
        self.site, self.id = site, name(agent_type)
        super().__init__(state or site.folder / self.id / "state", **env)
        self.env.pop("TEE_PLATFORM", None)
        self.env.update(env)
        self.state.parent.mkdir(exist_ok=True)
        self.ok("init", "--id", self.id)
        self.ok("enroll", "--server", f"https://localhost:{site.server.agents}", TROTH_TOKEN=site.token(agent_type))

    def ok(self, *args, **env):
        r = self.do(*map(str, args), **env)
        assert r.returncode == 0, f"troth-agent {' '.join(map(str, args))}: {r.returncode}\n{r.stdout}{r.stderr}"
        return r.stdout

    def use(self, *args):
        return self.ok("tee", "use", *args)

    def show(self, **env):
        """`tee show`."""
        return json.loads(self.ok("tee", "show", "-o", "json", **env))

    def status(self):
        return json.loads(self.ok("status", "-o", "json"))

    def beats(self):
        return (self.status()["heartbeat"] or {"beats": 0})["beats"]

    def row(self):
        return self.site.attestation(self.id)

    def until_row(self, good, seconds=15):
        """The server's row, once it is as wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            row = self.row()
            if row and good(row):
                return row
            time.sleep(0.05)
        raise AssertionError(f"{self.row()}\n{self.log()[-4000:]}")

    def until_shown(self, good, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            a = self.show()["attestation"]
            if a and good(a):
                return a
            time.sleep(0.05)
        raise AssertionError(f"{self.show()}\n{self.log()[-4000:]}")

    def verified(self, since=""):
        return self.until_row(lambda a: a["state"] == "verified" and a["verified_at"] > since)

    def refused(self, code):
        """As the machine was told, once it was."""
        return self.until_shown(lambda a: a["code"] == code)


class Simulated(Site):
    """One vendor for TDX and SGX, one for SNP, and a policy for each kind."""

    def __init__(self, folder, only=None, **kw):
        super().__init__(folder, **kw)
        self.seeds, self.roots = {}, {}
        for kind in [only] if only else ("tdx", "snp"):
            self.seeds[kind], self.roots[kind] = self.simulate(kind, kind)
        if only:
            self.push(self.folder / only)
            return
        # One Intel makes both kinds, and a bundle has one of them.
        self.seeds["sgx"], self.roots["sgx"] = self.seeds["tdx"], self.roots["tdx"]
        self.operators.must("quote", "simulate", self.folder / "sgx", "--kind", "sgx", "--root-seed", self.seeds["sgx"])
        self.push(*(self.folder / kind for kind in ("tdx", "sgx", "snp")))
        self.policy("vm-tdx", evidence=["tdx"], roots=[self.root("tdx")], tdx={"images": [{"name": "gold", "mrtd": GOLD, **RTMRS}]})
        self.policy("vm-snp", evidence=["snp"], roots=[self.root("snp")], snp={"images": [{"name": "gold", "measurement": GOLD}]})
        self.policy("vm-sgx", evidence=["sgx"], roots=[self.root("sgx")], sgx={"images": [{"name": "gold", "mrenclave": GOLD[:64]}]})

    def simulate(self, folder, kind):
        """A new vendor: its seed, and the digest by which a policy trusts it."""
        out = AgentProgram(self.folder / "nobody").do("tee", "simulate-root", str(self.folder / folder), "--kind", kind)
        assert out.returncode == 0, out.stderr
        return self.folder / folder / "seed", re.match(r"root ([0-9a-f]{64})\n", out.stdout)[1]

    def root(self, kind):
        return {"name": f"lab-{kind}", "simulated": True, "spki_sha256": self.roots[kind]}

    def tee(self, kind, *more, agent_type=None, seed=None, **env):
        return self.machine(agent_type or f"vm-{kind}", "simulated", "--seed", seed or self.seeds[kind], "--kind", kind, *more,
                            **env)
