# SPDX-License-Identifier: Apache-2.0
"""Roles are confined, hold only what they need, and come back when they die (PU-4)."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import storm
from harness import call, program

ROLES = ["front", "core", "store", "store-ro", "keys", "appraise", "egress"]


@pytest.fixture(scope="module")
def probe(server):
    if storm.SANITIZED:
        pytest.skip("the sanitizers' run time needs calls that the filter forbids otherwise")
    r = subprocess.run([program("trothd"), "check-sandbox", "--config", str(server.config)], capture_output=True,
                       text=True, timeout=60)
    return r, dict(line.split(None, 1) for line in r.stdout.splitlines())


@pytest.mark.parametrize("role", ROLES)
def test_forbidden_call_kills(probe, role):
    result, verdicts = probe
    assert verdicts[role] == "a forbidden system call kills it", result


def test_self_test_knows_every_role(probe, server):
    result, verdicts = probe
    assert result.returncode == 0, result
    assert sorted(verdicts) == sorted(ROLES) == sorted(set(server.roles().values()))


def pids(server, role):
    return [p for p, r in server.roles().items() if r == role]


def status(pid):
    return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())


@pytest.mark.parametrize("role", ROLES)
def test_role_has_no_powers(server, role):
    assert pids(server, role)
    for pid in pids(server, role):
        s = {k: v.strip() for k, v in status(pid).items()}
        assert s["Seccomp"] == "2", "no system call filter"
        assert s["NoNewPrivs"] == "1"
        for cap in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[cap], 16) == 0, cap
        assert "0" not in s["Uid"].split() and "0" not in s["Gid"].split()
        assert s["Groups"] == "" or os.getuid() != 0
        assert re.search(r"^Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text(), re.M)


@pytest.mark.skipif(os.getuid() != 0, reason="whose /proc files they are shows only when the uids differ")
@pytest.mark.parametrize("role", ROLES)
def test_role_is_not_dumpable(server, role):
    """The kernel gives /proc/PID of a process that is not dumpable to root: no debugger of its own uid may attach."""
    for pid in pids(server, role):
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0


def inet_sockets():
    """inode → listening?, of every TCP and UDP socket of this network namespace."""
    found = {}
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        path = pathlib.Path(f"/proc/net/{name}")
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            f = line.split()
            found[f[9]] = f[3] == "0A"
    return found


def descriptors(pid):
    """What a process has open: readlink of each descriptor."""
    out = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            out.append(os.readlink(fd))
        except OSError:
            pass
    return out


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look at the descriptors of other uids")
@pytest.mark.parametrize("role", ROLES)
def test_role_holds_only_its_own(server, role):
    sockets = inet_sockets()
    database = str(server.dir / "troth.db")
    for pid in pids(server, role):
        held = descriptors(pid)
        inet = [sockets[m.group(1)] for m in (re.match(r"socket:\[(\d+)\]", h) for h in held)
                if m and m.group(1) in sockets]
        files = {h for h in held if h.startswith(str(server.base)) and h != str(server.log_path)}
        if role == "front":
            assert inet.count(True) == 2, "one listener for agents, one for operators"
        else:
            assert inet == [], "a role behind front has a network socket, or egress without a receiver"
        if role in ("store", "store-ro"):
            assert database in files
            assert {f for f in files if not f.startswith(database)} == set()
        else:
            assert files == set(), "an open file of the state folder"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look at the descriptors of other uids")
def test_supervisor_has_no_secret_open(server):
    assert [h for h in descriptors(server.process.pid) if h.startswith(str(server.dir))] == []


@pytest.mark.parametrize("role", ROLES)
def test_dead_role_is_put_back(server, role):
    before = server.roles()
    victim = pids(server, role)[0]
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        now = server.roles()
        if victim not in now and sorted(now.values()) == sorted(before.values()):
            break
        time.sleep(0.02)
    else:
        raise AssertionError(f"{role} was not put back: {server.roles()}")
    server.wait_ready(10)
    # Core may notice the store's end and follow it before the supervisor hears of either.
    said = rf"role_died role={role} .*signal 9" + ("|store_gone" if role == "store" else "")
    assert re.search(said, server.read_log())
    if role not in ("core", "store"):  # with these, all start afresh, and so do core's counters
        metric = "troth_role_losses_total"
        assert server.metric(metric) >= 1
        assert {p for p, r in now.items() if r == "core"} == {p for p, r in before.items() if r == "core"}


def test_roles_die_with_the_supervisor(make_server):
    s = make_server().start()
    roles = s.roles()
    assert len(roles) >= len(ROLES)
    s.kill()
    end = time.monotonic() + 3
    while time.monotonic() < end and any(pathlib.Path(f"/proc/{p}").exists() for p in roles):
        time.sleep(0.02)
    assert not [r for p, r in roles.items() if pathlib.Path(f"/proc/{p}").exists()]
    # And the ports are free again at once.
    s.start()
    assert call(s.operators, "GET", "/livez").status == 200
