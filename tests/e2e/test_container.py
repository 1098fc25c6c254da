# SPDX-License-Identifier: Apache-2.0
"""TE-7: the container example. There is no container engine here, so the agent runs under the example's own seccomp profile, as
uid 0 without capabilities where the tests are root."""
import json
import os
import pathlib
import subprocess
import time

import pytest

from harness import ROOT, call, program

EXAMPLE = ROOT / "packaging" / "container"
# A sanitizer looks for leaks by tracing its own process, which the profile forbids.
ENV = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
AUDIT = "attestation:\n  mode: audit\n"


def confined(*args):
    """The command line of a program under profile, without any capability."""
    line = [program("seccomp-profile"), str(EXAMPLE / "seccomp.json"), *args]
    return ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *line] if os.geteuid() == 0 else line


@pytest.fixture
def token(make_server):
    s = make_server(config=AUDIT).start()
    got = call(s.operators, "POST", "/api/v1/tokens", body="{}",
               headers={"Authorization": f"Bearer {s.token}", "Content-Type": "application/json"})
    assert got.status == 201, got
    return s, got.json()["token"]


def wait_for_beat(state):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if json.loads((state / "status.json").read_text()).get("beats", 0) >= 1:
                return True
        except (FileNotFoundError, json.JSONDecodeError):
            pass
        time.sleep(0.05)
    return False


def test_the_agent_works_under_the_profile(token, tmp_path):
    s, secret = token
    state = tmp_path / "state"

    def run(*args):
        return subprocess.run(confined(program("troth-agent"), *args, "--state", str(state)), capture_output=True, text=True,
                              timeout=60, env=ENV)

    got = run("init")
    assert got.returncode == 0, got.stderr
    got = run("enroll", "--server", f"https://localhost:{s.agents}", "--token", secret)
    assert got.returncode == 0, got.stderr
    log = (tmp_path / "log").open("w")
    agent = subprocess.Popen(confined(program("troth-agent"), "run", "--state", str(state)), stdout=log, stderr=log,
                             env=ENV)
    try:
        assert wait_for_beat(state), (tmp_path / "log").read_text()
    finally:
        agent.terminate()
        assert agent.wait(15) == 0, (tmp_path / "log").read_text()
    assert "seccomp" not in (tmp_path / "log").read_text().lower()


@pytest.mark.parametrize("what", ["unshare -U true", "mount -t tmpfs none /mnt", "strace -f true", "keyctl show"])
def test_the_profile_is_not_unconfined(what):
    name, *args = what.split()
    path = next((p for p in (pathlib.Path(d) / name for d in ("/usr/bin", "/bin", "/usr/sbin")) if p.exists()), None)
    if not path:
        pytest.skip(f"{name} is not installed")
    got = subprocess.run([program("seccomp-profile"), str(EXAMPLE / "seccomp.json"), str(path), *args], capture_output=True, text=True,
                         timeout=20)
    assert got.returncode not in (0, 125), got


def test_compose_uses_the_profile_and_no_more_than_it_says():
    text = (EXAMPLE / "compose.yaml").read_text()
    code = [line.split("#")[0].strip() for line in text.splitlines()]
    assert "- seccomp=./seccomp.json" in code and "cap_drop: [ALL]" in code and "read_only: true" in code
    assert not any("unconfined" in line or "privileged: true" in line or "sgx" in line.lower() for line in code)
    for name in ("TEE_PLATFORM", "AGENT_TYPE", "/dev/tdx_guest", "/sys/kernel/config/tsm/report"):
        assert any(name in line for line in code), name
