# SPDX-License-Identifier: Apache-2.0
"""BPF on the kernel that runs: an agent watches real programs, somebody tampers with them, and the server names it.

Everything is on a bpffs of the test's own and in a leaf cgroup of its own; both are gone afterwards.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import time

import pytest

from harness import AgentProgram, program
from world import World, name

BEAT = 1


def why_not():
    if os.geteuid() != 0:
        return "needs root, to load BPF programs"
    if not cgroup_root():
        return "no cgroup v2 is mounted"
    return None


def cgroup_root():
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        if kind == "cgroup2" and "rw" in options.split(","):
            return pathlib.Path(where)
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(scope="module")
def world(make_module_server):
    w = World(make_module_server(config=f"heartbeat_seconds: {BEAT}\nclock:\n  source: trusted\n").start())
    sha = hashlib.sha256(pathlib.Path(program("troth-agent")).read_bytes()).hexdigest()
    assert w.server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200
    return w


class Host(AgentProgram):
    """An agent, a bpffs, a cgroup, and in them a program with its link and two maps."""

    def __init__(self, world, folder):
        super().__init__(folder / "state")
        self.world, self.id = world, name("bpf")
        self.mount, self.cgroup = folder / "bpffs", cgroup_root() / f"troth-{name('e2e')}"
        self.dir = self.mount / "troth"
        self.mount.mkdir()
        self.mounts = []
        self.tenant = None

    def build(self):
        self.over("bpf", self.mount)
        self.dir.mkdir()
        self.cgroup.mkdir()
        # A manager of cgroups, where one runs, removes empty ones.
        self.tenant = subprocess.Popen(["sleep", "600"])
        (self.cgroup / "cgroup.procs").write_text(str(self.tenant.pid))
        self.tool("map", self.dir / "cfg", "cfg", "1")
        self.tool("freeze", self.dir / "cfg")
        self.tool("map", self.dir / "table", "table", "7")
        self.tool("prog", self.dir / "shield", "shield", "1", self.dir / "cfg")
        self.tool("link", self.dir / "link", self.dir / "shield", self.cgroup)

    def tool(self, *args):
        r = subprocess.run([program("bpf_tool"), *map(str, args)], capture_output=True, text=True)
        if r.returncode and args[0] == "map":
            pytest.skip(f"this kernel or container has no BPF: {r.stderr.strip()}")
        assert r.returncode == 0, r.stderr

    def over(self, kind, where):
        r = subprocess.run(["mount", "-t", kind, kind, str(where)], capture_output=True, text=True)
        if r.returncode:
            pytest.skip(f"mount is not allowed here: {r.stderr.strip()}")
        self.mounts.append(where)

    def uncover(self):
        subprocess.run(["umount", "-l", str(self.mounts.pop())], check=True)

    def remove_cgroup(self):
        if self.tenant:
            self.tenant.kill()
            self.tenant.wait()
            self.tenant = None
        if self.cgroup.exists():
            self.cgroup.rmdir()

    def clean(self):
        self.kill()
        while self.mounts:
            self.uncover()
        self.remove_cgroup()

    def enroll(self):
        assert self.do("init", "--id", self.id).returncode == 0
        r = self.do("enroll", "--server", f"https://localhost:{self.world.server.agents}", "--bpf-dirs", str(self.dir),
                    "--bpf-content", "troth/cfg,troth/table", TROTH_TOKEN=self.world.token)
        assert r.returncode == 0, r.stderr

    def bpf(self):
        r = self.world.server.api("GET", f"/api/v1/agents/{self.id}/bpf")
        assert r.status == 200, r
        return r.json()

    def findings(self):
        return sorted(f"{x['finding']} {x['pin']}".strip() for x in self.bpf()["findings"] if not x.get("note"))

    def until(self, what, want, seconds=20):
        end = time.monotonic() + seconds
        while (got := what()) != want:
            assert time.monotonic() < end, f"{got}, not {want}\n{json.dumps(self.bpf(), indent=1)}\n{self.log()}"
            time.sleep(0.05)

    def integrity(self):
        return self.bpf()["integrity"]

    def alerts(self):
        r = self.world.server.api("GET", f"/api/v1/alerts")
        assert r.status == 200, r
        return [a for a in r.json()["alerts"] if a["kind"] == "bpf_changed" and a["subject"] == f"agent:{self.id}"]


@pytest.fixture
def host(world, tmp_path):
    h = Host(world, tmp_path)
    try:
        h.build()
        h.enroll()
        h.start()
        h.until(lambda: h.bpf()["good_digest"] not in ("", None), True)
        assert h.integrity() == "ok" and h.findings() == []
        yield h
    finally:
        h.clean()


def detach(h):
    h.tool("detach", h.dir / "link")


def swap_in_link(h):
    """The evil program is pinned nowhere that the agent looks."""
    h.tool("prog", h.mount / "evil", "shield", "1", h.dir / "cfg")
    h.tool("update", h.dir / "link", h.mount / "evil")


def replace_pin(h):
    h.tool("prog", h.mount / "evil", "shield", "1", h.dir / "cfg")
    os.rename(h.mount / "evil", h.dir / "shield")


def unpin(h):
    (h.dir / "shield").unlink()


def foreign(h):
    h.tool("prog", h.dir / "evil", "evil", "1", "-")


def alter_map(h):
    h.tool("set", h.dir / "table", "8")


def freeze_map(h):
    h.tool("freeze", h.dir / "table")


def mount_over(h):
    h.over("tmpfs", h.dir)


def mount_over_parent(h):
    h.over("tmpfs", h.mount)


def remove_cgroup(h):
    h.remove_cgroup()


CHANGES = [
    (detach, ["detached troth/link", "detached troth/shield"]),
    (swap_in_link, ["detached troth/shield", "replaced troth/link"]),
    (replace_pin, ["replaced troth/shield"]),
    (unpin, ["missing troth/shield"]),
    (foreign, ["foreign troth/evil"]),
    (alter_map, ["map_altered troth/table"]),
    (freeze_map, ["map_altered troth/table"]),
    (mount_over, ["hidden"]),
    (mount_over_parent, ["hidden"]),
    (remove_cgroup, ["detached troth/link", "detached troth/shield"]),
]


@pytest.mark.parametrize("change,want", CHANGES, ids=[c.__name__ for c, _ in CHANGES])
def test_each_change_is_named_within_a_beat(host, change, want):
    before = host.world.agent(host.id)["heartbeats"]
    change(host)
    host.until(host.findings, want)
    # The beat that was under way when it happened, and the next one.
    assert host.world.agent(host.id)["heartbeats"] <= before + 3
    row = host.world.agent(host.id)
    assert row["verdict"] == "bpf_mismatch"
    host.until(lambda: [(a["severity"], a["state"]) for a in host.alerts()], [(2, "open")])


def test_undone_it_is_good_again(host):
    host.tool("set", host.dir / "table", "8")
    host.until(host.findings, ["map_altered troth/table"])
    host.tool("set", host.dir / "table", "7")
    host.until(host.integrity, "ok")
    assert host.findings() == []
    mount_over(host)
    host.until(host.findings, ["hidden"])
    host.uncover()
    host.until(host.integrity, "ok")


def test_accepted_it_is_good(host):
    foreign(host)
    host.until(host.findings, ["foreign troth/evil"])
    r = host.world.server.api("POST", f"/api/v1/agents/{host.id}/accept", {"reason": "that was me"})
    assert r.status in (200, 202, 204), r
    host.until(host.integrity, "ok")
    host.until(lambda: [i["pin"] for i in host.bpf()["items"]],
               ["troth/cfg", "troth/evil", "troth/link", "troth/shield", "troth/table"])
    (host.dir / "evil").unlink()
    host.until(host.findings, ["missing troth/evil"])


def test_what_is_known_survives_restarts(host):
    server = host.world.server
    foreign(host)
    host.until(host.findings, ["foreign troth/evil"])
    host.stop()
    server.stop()
    server.start()
    assert host.findings() == ["foreign troth/evil"]
    before = host.world.agent(host.id)["heartbeats"]
    host.start()
    host.until(lambda: host.world.agent(host.id)["heartbeats"] > before, True)
    assert host.findings() == ["foreign troth/evil"] and host.integrity() == "bpf_mismatch"
    (host.dir / "evil").unlink()
    host.until(host.integrity, "ok")


def test_rights_taken_away_are_a_finding(host):
    """The same agent, without CAP_BPF: an excuse, but not from one that had none before."""
    host.stop()
    host.process = subprocess.Popen(
        ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin", str(host.binary), "run"],
        env=host.env, stderr=subprocess.DEVNULL)
    host.until(host.findings, ["status_lost"])
    assert host.bpf()["status"] == "no_rights"
    host.stop()
    host.start()
    host.until(host.integrity, "ok")


def test_without_bpffs_it_is_neither_good_nor_bad(world, tmp_path):
    h = Host(world, tmp_path)
    try:
        h.enroll()
        h.start()
        h.until(lambda: h.bpf()["status"], "no_bpffs")
        assert h.findings() == [] and h.integrity() != "bpf_mismatch"
        assert h.bpf()["good_digest"] in ("", None)
    finally:
        h.clean()
