# SPDX-License-Identifier: Apache-2.0
"""The agent program on a machine with a TPM (swtpm), from enrolment to renewal: quotes over the server's challenge, a PCR that
changed is named, a reboot is none of it, and a copy of the state folder on another machine is refused."""

import hashlib
import json
import shutil
import time

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import swtpm
from attesting import Operator
from authority import Authority
from harness import AgentProgram, Server, program
from waiting import until

pytestmark = pytest.mark.skipif(bool(swtpm.missing()), reason=f"script/bootstrap test installs {', '.join(swtpm.TOOLS)}")

CONFIG = "heartbeat_seconds: 1\nclock: {source: trusted}\n"
ZERO = bytes(32).hex()
POLICY = json.dumps({"name": "servers", "agent_types": ["server"], "evidence": ["tpm"], "roots": ["tpm"],
                     "tpm": {"ak": ["activated"], "pcrs": {"7": ZERO, "8": ZERO}}})


class Machine:
    """A TPM, a state folder, and the program."""

    def __init__(self, lab, ident, **kw):
        self.lab, self.ident = lab, ident
        self.tpm = swtpm.Swtpm(lab.folder / f"{ident}-machine", **kw)
        self.agent = AgentProgram(lab.folder / f"{ident}-machine" / "state")
        lab.made.append(self)

    def do(self, *args, **env):
        done = self.agent.do(*args, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def set_up(self):
        self.do("init", "--id", self.ident)
        self.do("enroll", "--server", f"https://localhost:{self.lab.server.agents}", TROTH_TOKEN=self.lab.token)
        self.do("tee", "use", "tpm", "--tcti", self.tpm.tcti)
        return self

    def run_until(self, event, times=1):
        """Starts the program, waits for that many log lines of the event, and ends it when its files say so too."""
        before = self.text()
        seen = self.agent.log().count(f"event={event}") if self.agent.log_path.exists() else 0
        self.agent.start()
        try:
            until(lambda: self.agent.log().count(f"event={event}") >= seen + times, 20)
            if event.endswith("attested"):
                until(lambda: self.text() != before)
        except AssertionError:
            raise AssertionError(f"no {event}:\n{self.agent.log()[-4000:]}") from None
        finally:
            self.agent.kill()
        return [line for line in self.agent.log().splitlines() if f"event={event}" in line][-1]

    def text(self):
        path = self.agent.state / "attestation.json"
        return path.read_text() if path.exists() else ""

    def own(self):
        return json.loads(self.text())

    def come_of_age(self):
        """As if its last attestation were hours ago: it is due again."""
        path = self.agent.state / "attestation.json"
        a = json.loads(path.read_text())
        # Renewal is due after 40 to 80 % of the time.
        for member, seconds in (("verified_at", -14000), ("expires_at", 400)):
            a[member] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        path.write_text(json.dumps(a))

    def state(self):
        r = self.lab.server.api("GET", f"/api/v1/agents/{self.ident}")
        assert r.status == 200, r
        return r.json()["attestation"]

    def close(self):
        self.agent.kill()
        self.tpm.off()


class Lab:
    def __init__(self, folder):
        self.folder, self.made, self.version = folder, [], 0
        self.server = Server(config=CONFIG).start()
        sha = hashlib.sha256(open(program("troth-agent"), "rb").read()).hexdigest()
        assert self.server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200
        self.token = self.server.make_token(max_uses=20, partition="prod", agent_type="server")
        self.operator = Operator(self.server, Authority(self.server))
        self.operator.put_in_force(POLICY)

    def trust_maker_of(self, tpm):
        self.version += 1
        begin, end = int(time.time()) - 86400, int(time.time()) + 86400 * 30
        ders = [(13, tpm.certificate("swtpm-localca-rootca-cert.pem")), (14, tpm.certificate("issuer.pem"))]
        items = [[t, hashlib.sha256(c.public_bytes(Encoding.DER)).digest(), c.public_bytes(Encoding.DER), begin, end]
                 for t, c in ders]
        r = self.operator.push(cbor2.dumps({1: self.version, 2: int(time.time()), 3: items}, canonical=True))
        assert r.status == 201, r
        until(lambda: self.server.api("GET", "/api/v1/collateral").json()["in_force"]["version"] == self.version)

    def events(self, kind):
        return self.server.api("GET", f"/api/v1/events?kind={kind}&limit=50").json()["events"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("tpm"))
    yield made
    for m in made.made:
        m.close()
    made.server.stop()
    log = made.server.read_log()
    made.server.destroy()
    assert "role_died" not in log and "Sanitizer" not in log, log
    for m in made.made:
        assert "Sanitizer" not in m.agent.log() if m.agent.log_path.exists() else True


def test_from_enrolment_to_renewal(lab):
    m = Machine(lab, "journey")
    lab.trust_maker_of(m.tpm)
    m.set_up()
    m.run_until("attested")
    first = m.own()
    assert first["state"] == "verified" and first["kind"] == "tpm" and first["source"] == "tpm", first
    # Its maker's certificate leads to a root in the bundle.
    assert first["tier"] == "hardware" and m.state()["state"] == "verified", first
    shown = lab.operator.verdict(first["verdict"])
    assert lab.operator.replay(first["verdict"]).json()["same"] is True, shown
    # Not before it is time.
    m.run_until("pulse")
    assert m.own()["verdict"] == first["verdict"]
    m.come_of_age()
    m.run_until("attested")
    second = m.own()
    assert second["verdict"] != first["verdict"] and second["expires_at"] >= first["expires_at"], (first, second)
    # A reboot: the counters rise, the PCRs begin anew, the key is the same.
    area = (m.agent.state / "tpm-ak.cbor").read_bytes()
    m.tpm.off()
    m.tpm.on()
    m.come_of_age()
    m.run_until("attested")
    assert (m.agent.state / "tpm-ak.cbor").read_bytes() == area
    # Something else runs now.
    m.tpm.extend(8, hashlib.sha256(b"another kernel").digest())
    m.come_of_age()
    line = m.run_until("not_attested")
    assert "pcr_mismatch" in line, line
    assert m.own()["code"] == "pcr_mismatch" and m.state()["state"] == "failed"
    newest = lab.server.api("GET", f"/api/v1/verdicts?agent={m.ident}&limit=1").json()["verdicts"][0]
    failed = [c for c in json.loads(lab.operator.verdict(newest["id"])["verdict_text"])["result"]["checks"]
              if not c["ok"]]
    assert [c["code"] for c in failed] == ["pcr_mismatch"] and "PCR 8" in failed[0]["expected"], failed
    # Back to what it was: one reboot.
    m.tpm.off()
    m.tpm.on()
    m.come_of_age()
    m.run_until("attested")
    assert m.state()["state"] == "verified"


def test_a_copy_of_the_state_folder_attests_nowhere_else(lab):
    m = Machine(lab, "original").set_up()
    m.run_until("attested")
    clone = Machine(lab, "thief", certified=False)
    shutil.copytree(m.agent.state, clone.agent.state)
    clone.do("tee", "use", "tpm", "--tcti", clone.tpm.tcti)
    clone.ident = m.ident
    clone.come_of_age()
    line = clone.run_until("not_attested")
    # Its own TPM cannot use the key, and no new one is made in silence.
    assert "another TPM" in line or "not of this TPM" in line, line
    assert (clone.agent.state / "tpm-ak.cbor").read_bytes() == (m.agent.state / "tpm-ak.cbor").read_bytes()
    # Whoever deletes the file has a key of that TPM, and the server knows another.
    (clone.agent.state / "tpm-ak.cbor").unlink()
    clone.come_of_age()
    line = clone.run_until("not_attested")
    assert "tpm_ak_trust" in line, line
    event = lab.events("tpm_cloned")[0]
    assert event["agent"] == m.ident and event["severity"] == 1, event
    # The machine itself goes on.
    m.come_of_age()
    m.run_until("attested")


def test_a_tpm_that_is_gone_is_said(lab):
    m = Machine(lab, "gone").set_up()
    m.run_until("attested")
    m.tpm.off()
    shown = m.agent.do("tee", "show")
    assert "no TPM at" in shown.stdout + shown.stderr, shown
    m.come_of_age()
    m.run_until("tee_not_usable")
    # What was proven stays until it ends.
    assert m.state()["state"] == "verified"
